import Foundation
import HostPlugins
import TestSupport
import Testing

@Suite("The bundled plugins pass every check")
struct BundledCheckTests {
    /// Libraries built beside the tests.
    static let built: [String] = {
        let folder = URL(fileURLWithPath: Child.program).deletingLastPathComponent().path
        return ["Sim", "DirectRouter", "EMACross", "ZScore", "Rules", "Claude"].map { folder + "/lib\($0).so" }.filter { FileManager.default.fileExists(atPath: $0) }
    }()

    @Test("a bundled plugin passes", .enabled(if: !built.isEmpty, "no bundled plugin is built beside the tests"), arguments: built)
    func passes(_ file: String) throws {
        let name = (file as NSString).lastPathComponent.dropFirst(3).dropLast(3)
        let profile = ZooPlugin.folder + "/bundled/\(name).json"
        let report = try Child.check(file, seed: nil, profile: FileManager.default.fileExists(atPath: profile) ? profile : ZooPlugin.folder + "/bundled/plain.json")
        #expect(report.passed, "\(report.text(onlyFailed: true))")
        #expect(report.count(.warn) == 0, "\(report.text())")
        #expect(report.count(.pass) > 40)
    }

    @Test("it exports one symbol", .enabled(if: !built.isEmpty, "no bundled plugin is built beside the tests"), arguments: built)
    func oneSymbol(_ file: String) throws {
        let symbols = try CompilePlugin.run(["nm", "-D", "--defined-only", file]).split(separator: "\n")
        #expect(symbols.count == 1 && symbols[0].hasSuffix(" T keel_plugin_entry"), "\(symbols)")
    }
}
