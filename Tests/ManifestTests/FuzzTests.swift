import FuzzKit
import PluginKit
import Testing

@testable import HostManifest

/// A short run of every subject; `make fuzz` runs them long. A finding prints seed and index.
@Suite struct FuzzTests {
    @Test(arguments: FuzzSubject.all.map(\.name), [UInt64(1), 2026]) func nothingBreaks(_ name: String, _ seed: UInt64) throws {
        let subject = try #require(FuzzSubject.all.first { $0.name == name })
        try subject.run(seed: seed, count: 500)
    }

    /// The runner itself: it names the input that a subject objects to, and makes the same one again.
    @Test func aFindingCanBeRepeated() {
        let subject = FuzzSubject("picky", makeInput: { [UInt8(truncatingIfNeeded: $0.next())] }, check: { $0[0] == 200 ? "two hundred" : nil })
        func finding(from: Int, count: Int) -> FuzzSubject.Finding? {
            do throws(FuzzSubject.Finding) { try subject.run(seed: 9, from: from, count: count) } catch { return error }
            return nil
        }
        guard let first = finding(from: 0, count: 10_000) else {
            Issue.record("nothing was found")
            return
        }
        #expect(first.input == [200])
        #expect(first.what == "two hundred")
        #expect(finding(from: 0, count: first.index) == nil)
        #expect(finding(from: first.index, count: 1)?.input == [200])
    }

    /// The reader and the shipped schema come from one table and must agree: what the reader takes, the schema takes, and
    /// what the reader refuses and the schema takes lies beyond what a schema can say.
    @Test(arguments: [UInt64(3), 4, 5]) func readerAndSchemaAgree(_ seed: UInt64) throws {
        let schema = try JSONSchema(ManifestSchema.value)
        var accepted = 0
        var refused = 0
        for index in 0..<700 {
            let bytes = FuzzSubject.manifest.input(seed: seed, index: index)
            guard let value = try? JSONValue(parsing: bytes) else { continue }
            var draft = ManifestDraft()
            var problems: [ManifestProblem] = []
            rootTable.read(value, .root, into: &draft, &problems)
            let issues = schema.check(value).issues
            if problems.isEmpty { accepted += 1 } else { refused += 1 }
            if problems.isEmpty != issues.isEmpty {
                let beyond = !problems.isEmpty && problems.allSatisfy { problem in
                    switch problem.kind {
                    case .issue: false
                    default: true
                    }
                }
                #expect(beyond, "seed \(seed), index \(index): \(problems.map(\.what)) / \(issues.map(\.description))")
            }
            // The same structural complaints at the same places. A reference to a secret where none is taken is one complaint
            // about the whole value for the schema, and an unknown key for the reader.
            for problem in problems {
                guard case .issue = problem.kind else { continue }
                let isThere = issues.contains { issue in
                    issue.path == problem.path || issue.kind == .secretNotTaken && "\(problem.path)".hasPrefix("\(issue.path)")
                }
                #expect(isThere, "seed \(seed), index \(index): \(problem.path)")
            }
        }
        #expect(accepted > 20 && refused > 20, "the inputs are one-sided: \(accepted) accepted, \(refused) refused")
    }
}
