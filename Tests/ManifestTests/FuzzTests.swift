import FuzzKit
import PluginKit
import Testing

@testable import HostManifest

/// A short run of every subject; `make fuzz` runs them long. A finding prints seed and index.
@Suite struct FuzzTests {
    @Test(arguments: FuzzSubject.all.map(\.name), [UInt64(1), 2026]) func nothingBreaks(_ name: String, _ seed: UInt64) throws {
        let subject = try #require(FuzzSubject.all.first { $0.name == name })
        try subject.run(seed: seed, count: 1500)
    }

    /// The reader and the shipped schema come from one table and must agree: what the reader takes, the schema takes, and
    /// what the reader refuses and the schema takes lies beyond what a schema can say.
    @Test(arguments: [UInt64(3), 4, 5]) func readerAndSchemaAgree(_ seed: UInt64) throws {
        let schema = try JSONSchema(ManifestSchema.value)
        var accepted = 0
        var refused = 0
        for index in 0..<2000 {
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
            // The same structural complaints at the same places.
            let structural = problems.compactMap { problem in if case .issue = problem.kind { "\(problem.path)" } else { nil } }
            for path in structural { #expect(issues.contains { "\($0.path)" == path }, "seed \(seed), index \(index): \(path)") }
        }
        #expect(accepted > 50 && refused > 50, "the inputs are one-sided: \(accepted) accepted, \(refused) refused")
    }
}
