import Foundation
import PluginAPI
import PluginKit
import PluginSupport
import TestSupport
import Testing

@testable import BinanceConnector

/// No paper configuration opens a connection to a live host, whatever the variables say; a live one takes all its switches.
@Suite(.serialized) struct LiveHostTests {
    private static let live: Set<String> = ["api.binance.com", "stream.binance.com", "ws-api.binance.com", "fapi.binance.com", "fstream.binance.com", "ws-fapi.binance.com"]

    /// Every route an instance asks for in two seconds of the host's time; none is opened.
    private func destinations(_ component: String, _ choice: String, _ variables: Variables) throws -> (hosts: Set<String>, started: Bool, said: JSONValue) {
        let seen = Seen()
        let host = TestHost()
        host.add(1, component.hasSuffix("spot") ? "BTC/USDT" : "BTC/USDT:USDT", kind: component.hasSuffix("spot") ? KEEL_KIND_SPOT : KEEL_KIND_PERP)
        host.secrets = ["k": Array("key".utf8), "s": Array("secret".utf8)]
        let config = "{\"environment\": \"\(choice)\", \"budget_folder\": \"/nonexistent/keel\", \"api_key\": {\"$secret\": \"k\"}, \"secret_key\": {\"$secret\": \"s\"}}"
        return try BinanceInstance.$variables.withValue(variables) {
            try Dialer.$door.withValue({ route in
                seen.add(route.endpoint.host)
                return PluginError(.network, "this test opens nothing")
            }) {
                let instance = try TestInstance(TradingRig.component(component), host: host, config: config)
                let said = try instance.describe()
                let started = (try? instance.start()) != nil
                if started {
                    instance.advance(to: host.now + 2_000_000_000)
                    try instance.stop()
                }
                return (seen.hosts, started, said)
            }
        }
    }

    @Test("every choice and every setting of the variables, spot and futures", arguments: ["keel.binance.spot", "keel.binance.futures"])
    func paper(_ component: String) throws {
        var liveRuns = 0
        for choice in ["auto", "testnet", "demo", "live"] {
            for paper in [nil, "true", "false"] {
                for demo in [nil, "true", "false"] {
                    for live in [nil, "true", "false"] {
                        let found = try destinations(component, choice, Variables(paper: paper, demo: demo, live: live))
                        let name = "\(choice) BINANCE_PAPER=\(paper ?? "-") BINANCE_USE_DEMO=\(demo ?? "-") LIVE_TRADING=\(live ?? "-")"
                        let mayBeLive = live == "true" && demo != "true" && ((choice == "live" && paper != "true") || (choice == "auto" && paper == "false"))
                        if mayBeLive {
                            liveRuns += 1
                            #expect(found.started && !found.hosts.isEmpty && found.hosts.isSubset(of: Self.live), "\(name): \(found.hosts)")
                            #expect(try found.said["environment"].text == "live")
                        } else {
                            #expect(found.hosts.isDisjoint(with: Self.live), "\(name) asks for \(found.hosts)")
                            guard found.started else { continue }
                            let said = try found.said["environment"].text
                            #expect(!found.hosts.isEmpty && ["testnet", "demo"].contains(said), "\(name): \(said) \(found.hosts)")
                        }
                    }
                }
            }
        }
        #expect(liveRuns > 0)
    }

    @Test("connections are made in one place only, and that place knows its environment")
    func oneDoor() throws {
        let folder = CompilePlugin.root + "/Plugins/Binance/Connector"
        var makers: [String] = []
        for file in FileManager.default.enumerator(atPath: folder)?.compactMap({ $0 as? String }) ?? [] where file.hasSuffix(".swift") {
            let text = try String(contentsOfFile: folder + "/" + file, encoding: .utf8)
            if text.contains("HTTPClient(") || text.contains("= WebSocket(") || text.contains("return WebSocket(") || text.contains("Stream(to:") { makers.append(file) }
        }
        #expect(makers == ["Base/Environment.swift"])
    }
}

private final class Seen: @unchecked Sendable {  // guarded by the lock
    private let lock = NSLock()
    private var names: Set<String> = []
    var hosts: Set<String> { lock.withLock { names } }
    func add(_ host: String) { lock.withLock { _ = names.insert(host) } }
}
