import Foundation
import HostPlugins
import Testing

@Suite("The zoo: every check notices the plugin that was broken for it, and no other check does")
struct ZooTests {
    /// All at once: checks mostly wait, so more of them run than there are processors.
    @Test("each broken plugin fails its own check and no other")
    func broken() throws {
        let wanted = ProcessInfo.processInfo.environment["KEEL_ZOO"].map { Set($0.split(separator: ",").map(String.init)) }
        let plugins = ZooPlugin.all.filter { wanted?.contains($0.check) ?? true }
        for (plugin, result) in inParallel(plugins, { plugin in try withFolder { try Child.check(try plugin.build(in: $0)) } }) {
            let report: CheckReport
            do { report = try result.get() } catch {
                Issue.record("\(plugin.testDescription): \(error)")
                continue
            }
            let seen = report.failed.map { "\($0.check): \($0.message)\n\($0.rule)" }.joined(separator: "\n")
            #expect(Set(report.failed.map(\.check)) == Set([plugin.check]).union(plugin.also.keys), "\(plugin.testDescription), seed \(report.seed):\n\(seen)")
            #expect(report.failed.allSatisfy { $0.rule.hasPrefix("keel.h:") }, "\(seen)")
        }
    }

    @Test("without a defect, every base passes everything", arguments: [ZooPlugin.Base.decider, .broker, .feed, .router, .remote])
    func reference(_ base: ZooPlugin.Base) throws {
        try withFolder { folder in
            var plugin = ZooPlugin("NONE", base, "nothing")
            plugin.check = "none"
            let report = try Child.check(try plugin.build(in: folder), seed: nil)
            #expect(report.passed, "\(report.text(onlyFailed: true))")
            #expect(report.count(.warn) == 0, "\(report.text())")
            #expect(report.count(.pass) > 45)
        }
    }

    @Test("there is a broken plugin for every check")
    func complete() {
        let have = Set(ZooPlugin.all.map(\.check))
        let missing = Check.all.map(\.id).filter { !have.contains($0) }
        #expect(missing.isEmpty, "no broken plugin for \(missing.joined(separator: ", "))")
    }
}
