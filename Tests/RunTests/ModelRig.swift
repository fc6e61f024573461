import Foundation
import Glibc
import HostCore
import HostLedger
import HostRun
import PluginKit
import Testing

/// keel-venues claude (or another stand-in) as a child of the test.
final class StandIn {
    let child: Child
    let base: String
    private let endpoint: Endpoint

    init(_ name: String, folder: String, _ arguments: [String] = []) throws {
        child = try Child(Built.folder + "/keel-venues", [name] + arguments, output: folder + "/\(name).log")
        let limit = Date().addingTimeInterval(20)
        while !child.said.contains("\n"), Date() < limit { usleep(2_000) }
        guard let address = child.said.split(separator: "\n").first?.split(separator: " ").last else { throw RunError.timedOut("the stand-in said nothing") }
        base = String(address)
        endpoint = try Endpoint(base)
    }

    static var isBuilt: Bool { Built.isComplete && FileManager.default.isExecutableFile(atPath: Built.folder + "/keel-venues") }

    func end() {
        child.signal(SIGKILL)
        _ = child.end(within: 10)
    }

    @discardableResult
    private func call(_ request: HTTPRequest) throws -> [UInt8] {
        let reactor = PollReactor()
        let client = HTTPClient(endpoint, on: reactor)
        var answer: Result<HTTPResponse, HTTPFailure>?
        client.send(request) { answer = $0 }
        reactor.run { answer != nil }
        client.close()
        return try answer?.get().body ?? []
    }

    func scenario(_ json: String) throws {
        let said = try call(HTTPRequest("POST", "/__fake/scenario", headers: [("content-type", "application/json")], body: Array(json.utf8)))
        guard String(decoding: said, as: UTF8.self).contains("true") else { throw RunError.timedOut(String(decoding: said, as: UTF8.self)) }
    }

    /// Every request so far, without credentials.
    func log() throws -> [JSONValue] { try JSONValue(parsing: try call(HTTPRequest("GET", "/__fake/log")), options: JSONOptions(depth: 64, maximumBytes: 64 << 20)).asList ?? [] }

    static func answer(_ action: String, fraction: String = "0", memory: String? = nil, exit: String = "null", rationale: String = "because", signal: String = "trend") -> String {
        """
        {"action":"\(action)","size_fraction":\(fraction),"confidence":0.6,"exit_probability":\(exit),"next_check_seconds":60,"valid_seconds":30,"signals":[{"name":"\(signal)","direction":"UP","confidence":0.5}],"wake_conditions":[],"memory_update":\(memory.map { "\"\($0)\"" } ?? "null"),"rationale":"\(rationale)"}
        """
    }
}

/// A host on the simulated venue with Claude first and rules second, against the stand-in.
final class ModelRig {
    static let secret = "sk-ant-api03-the-secret-nobody-may-see"
    let temporary = TemporaryFolder("model")
    let standIn: StandIn
    var manifest: String { temporary.path + "/plugins.json" }
    var state: String { temporary.path + "/state" }

    init() throws { standIn = try StandIn("claude", folder: temporary.path) }

    deinit { standIn.end() }

    func write(
        decide: String = #""deadline": "500ms", "failures": 1, "pause": "1s""#, claude: String = #""attempts": 1"#, position: String = #""stop_loss": null, "trailing": null, "atr_multiple": null, "review": null"#,
        gate: String = #""candle": null, "price_z": null, "volume_z": null, "min_interval": "100ms", "max_interval": "250ms", "watchdog": null"#, risk: String = "", component: String = "keel.claude", sim: String = #""trade_gap": "20ms", "history": 60, "volatility": 0.002"#, keepsVenue: Bool = true
    ) throws {
        let text = """
            { "version": 1, "mode": "paper", "state": "state",
              "plugins": {
                "sim": { "component": "keel.sim", "file": "Sim", "config": { \(sim)\(keepsVenue ? ", \"file\": \"\(temporary.path)/venue.state\"" : "") } },
                "claude": { "component": "\(component)", "file": "Claude", "secrets": ["anthropic.key"],
                            "config": { "key": { "$secret": "anthropic.key" }, "endpoint": "\(standIn.base)", "record": "\(temporary.path)/answers", \(claude) } },
                "rules": { "component": "keel.rules", "file": "Rules" },
                "direct": { "component": "keel.direct", "file": "DirectRouter" } },
              "instruments": { "BTC/USDT": { "kind": "spot", "tick": "0.01", "lot": "0.00001" } },
              "pipelines": [
                { "name": "btc", "feeds": ["sim"], "instruments": ["BTC/USDT"], "bars": ["1m"], "gate": { \(gate) },
                  "decide": { "primary": "claude", "fallback": "rules", \(decide) },
                  "risk": { "max_fraction": "0.1", "losing_streak": null, "cooldown": "0s", "orders_per_minute": null, "clock_skew": null, "freshness": null, "price_collar": null\(risk) },
                  "position": { \(position) }, "route": "direct", "broker": "sim", "capital": "10000" } ] }
            """
        try text.write(toFile: manifest, atomically: true, encoding: .utf8)
    }

    var environment: [String: String] { ["KEEL_SECRET_ANTHROPIC_KEY": Self.secret] }

    func keel(_ arguments: [String], within seconds: Double = 120) throws -> (code: Int32, said: String) {
        let child = try Child(Built.keel, arguments, environment: environment, output: temporary.path + "/verb-\(UUID().uuidString.prefix(8)).log")
        return (child.end(within: seconds)?.code ?? -1, child.said)
    }

    func host() throws -> Child {
        try Child(Built.keel, ["run", manifest, "--quiet"], environment: environment, output: temporary.path + "/host-\(UUID().uuidString.prefix(8)).log")
    }

    func stop(_ host: Child) throws {
        let stopped = try keel(["stop", manifest])
        #expect(stopped.code == 0, "\(stopped.said)")
        #expect(host.end(within: 30)?.code == 0, "\(host.said)")
    }

    var ledger: Database? { try? Database(path: state + "/" + Ledger.name, mode: .readOnly) }

    struct Takeover: Equatable {
        var step: Int64
        var to: String
        var why: String
    }

    func takeovers() -> [Takeover] {
        (try? ledger?.rows("SELECT step, to_decider, why FROM takeovers ORDER BY id") { row throws(SQLiteError) in
            Takeover(step: try row.integer(0), to: try row.text(1), why: try row.text(2))
        }) ?? []
    }

    func count(_ sql: String) -> Int64 { (try? ledger?.integer(sql)) ?? 0 }

    /// Waits for something the ledger or the stand-in will show. False: it never did.
    func waits(_ host: Child, seconds: Double = 40, _ condition: () throws -> Bool) rethrows -> Bool {
        let limit = Date().addingTimeInterval(seconds)
        while Date() < limit {
            if try condition() { return true }
            if !host.process.isRunning { return false }
            usleep(20_000)
        }
        return false
    }
}
