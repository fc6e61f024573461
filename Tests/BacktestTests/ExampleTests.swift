import Foundation
import HostManifest
import PluginAPI
import PluginKit
import Tape
import Testing

@testable import HostBacktest

/// The manifests of Examples/Backtest, over tapes anyone can make, give the totals that stand beside them.
@Suite struct ExampleTests {
    static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../../Examples/Backtest").standardizedFileURL.path

    static func run(_ name: String, _ tape: TapeFile) throws -> BacktestResult {
        let report = try ManifestChange.read(
            try ManifestFile(reading: "\(folder)/\(name).json"), [], reader: ManifestReader(environment: [:], checksSecrets: false))
        let manifest = try #require(report.manifest, "\(report.text)")
        var request = Backtest.Request(manifest: manifest)
        request.tapes = [tape]
        return try Backtest(request, plugins: manifest.plugins.map { try Rig.plugin($0.name, $0.file, $0.config.text(.compact)) }).run()
    }

    @Test(arguments: [("emacross", SyntheticTape.Request.Content.bars, 100_000), ("zscore", .trades, 500_000)]) func totals(
        name: String, content: SyntheticTape.Request.Content, count: Int
    ) throws {
        let rig = try Rig()
        let tape = try rig.tape(content, count)
        let result = try Self.run(name, tape)
        let expected = try JSONValue(parsing: Array(try Data(contentsOf: URL(fileURLWithPath: "\(Self.folder)/expected.json"))))[name]
        #expect(try result.events == expected["events"].int)
        #expect(try result.fills.count == expected["fills"].int)
        #expect(try result.fills.filter { $0.side == KEEL_BUY }.count == expected["buys"].int)
        #expect(try result.equity == expected["equity"].amount)
        #expect(try result.fees == expected["fees"].amount)
        let byHand = content == .bars ? try ExactTests.crossByHand(ExactTests.bars(tape)) : try ExactTests.deviationByHand(ExactTests.ticks(tape))
        #expect(result.fills.map(\.price.raw) == byHand.fills.map(\.price))
        #expect(abs(result.equity.double - byHand.equity) < 1e-5)
    }

    /// The comparison knows no limits: a market so dear that the fees eat all cash is traded to its end.
    @Test func losingEverythingStopsNobody() throws {
        let rig = try Rig()
        let tape = try rig.tape(.bars, 60_000, seed: 5, price: 900_000)
        let result = try Self.run("emacross", tape)
        let byHand = try ExactTests.crossByHand(ExactTests.bars(tape))
        #expect(byHand.equity < 0 && byHand.fills.count > 1000)
        #expect(result.fills.map(\.price.raw) == byHand.fills.map(\.price))
        #expect(abs(result.equity.double - byHand.equity) < 1e-5)
        #expect(result.refusals.isEmpty)
    }

    /// What the comparison takes is refused where money is real, or might be.
    @Test func onlyABacktestKnowsNoLimits() throws {
        let reader = ManifestReader(environment: ["LIVE_TRADING": "true"], checksSecrets: false)
        for mode in ["paper", "live"] {
            let report = try ManifestChange.read(try ManifestFile(reading: Self.folder + "/emacross.json"), [ManifestChange(path: "mode", value: mode)], reader: reader)
            #expect(report.manifest == nil && report.text.contains("equity_limits") && report.text.contains("for mode \"backtest\" only"), "\(report.text)")
        }
    }
}
