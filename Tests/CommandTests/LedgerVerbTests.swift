import Foundation
import HostCore
import HostLedger
import PluginAPI
import PluginKit
import Synchronization
import Testing

@testable import keel

/// The verbs that read a ledger, run as the program runs them.
@Suite struct LedgerVerbTests {
    /// What a verb printed and returned.
    struct Result {
        var code: ExitCode
        var out: String
        var error: String
    }

    final class Output: Sendable {
        let text = Mutex((out: [UInt8](), error: [UInt8]()))
    }

    static func run(_ line: [String]) -> Result {
        let output = Output()
        let terminal = Terminal(outIsTerminal: false, errorIsTerminal: false, usesColour: false) { stream, bytes in
            output.text.withLock { if stream == .out { $0.out += bytes } else { $0.error += bytes } }
        }
        let code = Program.run(line, Verb.all, Surroundings(terminal: terminal, environment: [:], catalogue: nil, clock: { 0 }))
        return output.text.withLock { Result(code: code, out: String(decoding: $0.out, as: UTF8.self), error: String(decoding: $0.error, as: UTF8.self)) }
    }

    static let order = OrderID(run: 1, pipeline: 0, instrument: 0, sequence: 1, leg: .entry).description

    static func json(_ text: String) throws -> Any { try JSONSerialization.jsonObject(with: Data(text.utf8)) }

    /// A state folder beside a manifest, with one refusal, one alert and two lines of log.
    final class Place {
        let folder: String

        init(ledger: Bool = true) throws {
            folder = FileManager.default.temporaryDirectory.path + "/keel-verbs-" + UUID().uuidString
            try FileManager.default.createDirectory(atPath: folder + "/kept", withIntermediateDirectories: true)
            try #"{"version": 1, "state": "kept", "pipelines": "not even valid"}"#.write(toFile: folder + "/plugins.json", atomically: true, encoding: .utf8)
            guard ledger else { return }
            let time: Int64 = 1_785_542_400_000_000_000
            let file = try Ledger(path: folder + "/kept/ledger.db", now: time)
            let chain = ChainSettings(primary: "rules")
            let facts = RunFacts(
                started: time, mode: "paper", pid: 1, keel: "0",
                plugins: ["sim", "rules", "direct"].map { .init(name: $0, component: "keel.\($0)", version: "1.0", file: "", sha256: "", roles: [], isolation: "none") },
                pipelines: [PipelineSettings(name: "btc", feeds: ["sim"], instruments: ["BTC/USDT"], chain: chain, router: "direct", broker: "sim")],
                instruments: [InstrumentSettings(symbol: "BTC/USDT", base: "BTC", quote: "USDT", tick: .one, lot: .one)])
            let run = try file.begin(facts)
            let writer = LedgerWriter(file, names: facts.names, run: run, started: time)
            var book = BookState(pipeline: "btc", symbol: "BTC/USDT")
            book.position.quantity = Amount(raw: 50_000_000)
            book.position.entry = Fixed(raw: 100_000_000)
            writer.record(.state(.book(book)))
            #expect(writer.barrier())
            // Rows a reader shows, written as a host would.
            let database = try Database(path: file.path, mode: .readWrite)
            try database.execute(
                """
                INSERT INTO positions VALUES ('btc', 'BTC/USDT', 1, 1, \(time), '0.5', 100000000, '9950', '10000.5', '-3', '0.25');
                INSERT INTO intents VALUES ('\(LedgerVerbTests.order)', 1, 1, \(time), 'btc', 'BTC/USDT', 'sim', NULL, 'entry', 'buy', 'market', 1, 50000000, 0, 0, 0, 1);
                INSERT INTO orders VALUES ('\(LedgerVerbTests.order)', 1, 1, 'btc', 'BTC/USDT', 'sim', 'entry', 'filled', 1, 'buy', 'market', 1, 50000000, 0, 0, NULL, 1,
                    \(time), \(time), \(time), 50000000, 50000000, '0.5', '0.25', 0, 0, 0, 1, 0, 'V1', '');
                """)
            let log = LogFile(path: folder + "/kept/keel.log")
            log.write(.info, from: "sim", at: time, "hello")
            log.write(.error, from: "rules", at: time + 1, "no \u{1b}[2Jprice")
        }

        deinit { try? FileManager.default.removeItem(atPath: folder) }

        var manifest: [String] { ["--manifest", folder + "/plugins.json"] }
    }

    @Test func listsComeAsTablesAndAsJSON() throws {
        let place = try Place()
        let orders = LedgerVerbTests.run(["orders"] + place.manifest)
        #expect(orders.code == .ok && orders.error == "")
        #expect(orders.out.contains("2026-08-01 00:00:00  \(LedgerVerbTests.order)  btc       BTC/USDT  buy        0.5  market         filled     0.5        1\n"))
        let list = try #require(try LedgerVerbTests.json(LedgerVerbTests.run(["orders", "--json"] + place.manifest).out) as? [[String: Any]])
        #expect(list.count == 1 && list[0]["quantity"] as? String == "0.5" && list[0]["status"] as? String == "filled")

        let positions = LedgerVerbTests.run(["positions"] + place.manifest)
        #expect(positions.out.contains("btc       BTC/USDT       0.5      1") && positions.out.contains("10000.5"))
        #expect(LedgerVerbTests.run(["decisions"] + place.manifest).out == "no decisions\n")
        #expect(try LedgerVerbTests.json(LedgerVerbTests.run(["decisions", "--json"] + place.manifest).out) as? [String] == [])
        #expect(LedgerVerbTests.run(["orders", "--open"] + place.manifest).out == "no open orders\n")
        #expect(LedgerVerbTests.run(["orders", "--run", "2"] + place.manifest).out == "no orders\n")
        // The folder can be named instead of the manifest.
        #expect(LedgerVerbTests.run(["orders", "--state", place.folder + "/kept"]).out == orders.out)
    }

    @Test func storiesAreTold() throws {
        let place = try Place()
        let story = LedgerVerbTests.run(["explain", LedgerVerbTests.order] + place.manifest)
        #expect(story.code == .ok)
        #expect(story.out.hasPrefix("Order \(LedgerVerbTests.order): buy 0.5 BTC/USDT, market, entry at sim, pipeline btc, run 1\n\n"))
        #expect(story.out.hasSuffix("\nin the end: filled, 0.5 of 0.5 filled\n"))
        #expect(LedgerVerbTests.run(["explain", "V1"] + place.manifest).out == story.out)
        let object = try #require(try LedgerVerbTests.json(LedgerVerbTests.run(["explain", "--json", "V1"] + place.manifest).out) as? [String: Any])
        #expect(object["pipeline"] as? String == "btc")
        let unknown = LedgerVerbTests.run(["explain", "V2"] + place.manifest)
        #expect(unknown.code == .error && unknown.out == "" && unknown.error.contains("\"V2\""))
        #expect(LedgerVerbTests.run(["explain"] + place.manifest).code == .usage)
    }

    @Test func logsAreShownWithoutControlCharacters() throws {
        let place = try Place()
        let logs = LedgerVerbTests.run(["logs"] + place.manifest)
        #expect(logs.code == .ok)
        #expect(logs.out.split(separator: "\n").count == 2)
        #expect(logs.out.contains("sim  hello") && logs.out.contains("no \u{FFFD}[2Jprice") && !logs.out.contains("\u{1b}"))
        #expect(LedgerVerbTests.run(["logs", "--level", "error"] + place.manifest).out.split(separator: "\n").count == 1)
        #expect(LedgerVerbTests.run(["logs", "--last", "1"] + place.manifest).out.contains("price"))
        #expect(LedgerVerbTests.run(["logs", "--source", "sim"] + place.manifest).out.contains("hello"))
        #expect(LedgerVerbTests.run(["logs", "--run", "1"] + place.manifest).out == logs.out)
        #expect(LedgerVerbTests.run(["logs", "--run", "7"] + place.manifest).code == .error)
        #expect(LedgerVerbTests.run(["logs", "--level", "loud"] + place.manifest).code == .usage)
        let list = try #require(try LedgerVerbTests.json(LedgerVerbTests.run(["logs", "--json"] + place.manifest).out) as? [[String: Any]])
        #expect(list.map { $0["level"] as? String } == ["info", "error"])
        #expect(list.map { $0["text"] as? String } == ["hello", "no \u{1b}[2Jprice"])
    }

    @Test func whatIsMissingIsSaid() throws {
        let place = try Place(ledger: false)
        for verb in ["orders", "positions", "decisions"] {
            let result = LedgerVerbTests.run([verb] + place.manifest)
            #expect(result.code == .error && result.error.contains("there is no ledger"), "\(verb)")
        }
        #expect(LedgerVerbTests.run(["logs"] + place.manifest).error.contains("there is no log"))
        #expect(LedgerVerbTests.run(["orders", "--manifest", place.folder + "/none.json"]).code == .invalid)
        #expect(LedgerVerbTests.run(["orders", "--last", "0"] + place.manifest).code == .usage)
        #expect(LedgerVerbTests.run(["orders", "--run", "x"] + place.manifest).code == .usage)
    }
}
