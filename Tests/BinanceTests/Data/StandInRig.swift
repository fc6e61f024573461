import Glibc
import PluginAPI
import PluginKit
import PluginSupport

@testable import BinanceConnector
@testable import BinanceExchange

/// The plugin behind its C tables and the stand-in exchange on real sockets, in one process and on one thread, their time running
/// many times as fast as the machine's.
final class StandInRig {
    let exchange: Exchange
    let server: ExchangeServer
    let instance: TestInstance
    let host = TestHost()
    let speed: Int64
    private let reactor = PollReactor()
    private let start: Int64
    private let realStart: Int64
    private(set) var events: [RecordedEvent] = []
    let feed: UnsafePointer<keel_feed>

    init(_ product: BinanceConnector.Product = .spot, speed: Int64 = 20, config: String = "", seed: UInt64 = 1) throws {
        self.speed = speed
        var settings = ExchangeSettings()
        settings.seed = seed
        exchange = try Exchange(settings)
        server = try ExchangeServer(exchange, speed: speed, on: reactor)
        // Limits of messages are counted in the machine's seconds there.
        server.allowMessages(1_000)
        server.run()
        start = settings.start * 1_000_000
        realStart = reactor.now()
        host.now = start
        host.add(1, product == .spot ? "BTC/USDT" : "BTC/USDT:USDT", kind: product == .spot ? KEEL_KIND_SPOT : KEEL_KIND_PERP, tick: product == .spot ? "0.01" : "0.1")
        let table = try Self.component(product)
        let port = server.port(product == .spot ? .spot : .futures)
        instance = try TestInstance(table, host: host, config: #"{"stand_in":"127.0.0.1:\#(port)","environment":"testnet"\#(config.isEmpty ? "" : ",")\#(config)}"#)
        feed = try instance.table(KEEL_FEED, keel_feed.self)
        try instance.start()
    }


    private static func component(_ product: BinanceConnector.Product) throws -> UnsafePointer<keel_component> {
        guard let library = binanceLibrary.table(KEEL_ABI_MAJOR) else { throw TestFailure("no library") }
        for place in 0..<Int(library.pointee.component_count) {
            if let component = library.pointee.components[place], String(cString: component.pointee.id) == "keel.binance.\(product.rawValue)" { return component }
        }
        throw TestFailure("no component for \(product)")
    }

    var now: Int64 { start + (reactor.now() - realStart) * speed }

    func turn() {
        reactor.turn(most: 0)
        var list = host.watches.map { pollfd(fd: $0.key, events: Int16($0.value & KEEL_READABLE != 0 ? POLLIN : 0) | Int16($0.value & KEEL_WRITABLE != 0 ? POLLOUT : 0), revents: 0) }
        instance.advance(to: now)
        if poll(&list, nfds_t(list.count), 1) > 0 {
            for entry in list where entry.revents != 0 && host.watches[entry.fd] != nil {
                var ready: UInt32 = 0
                if entry.revents & Int16(POLLIN) != 0 { ready |= KEEL_READABLE }
                if entry.revents & Int16(POLLOUT) != 0 { ready |= KEEL_WRITABLE }
                if entry.revents & Int16(POLLHUP | POLLERR) != 0 { ready |= KEEL_HANGUP }
                host.now = max(host.now, now)
                instance.component.pointee.on_fd(instance.raw, entry.fd, ready)
            }
        }
        events += host.take()
    }

    /// Runs for a span of the scenario's seconds.
    func run(_ seconds: Double) {
        let end = now + Int64(seconds * 1e9)
        while now < end { turn() }
    }

    /// Runs until something holds; false: it didn't within so many of the scenario's seconds.
    @discardableResult
    func run(until seconds: Double, _ done: () -> Bool) -> Bool {
        let end = now + Int64(seconds * 1e9)
        while !done() {
            if now >= end { return false }
            turn()
        }
        return true
    }

    func perform(_ action: JSONValue) throws { try server.control?.perform(action) }

    func subscribe(_ channels: Channels = [.quotes, .trades, .bars], id: UInt32 = 1) throws -> keel_status {
        let request = instance.nextRequest()
        try TestInstance.check { feed.pointee.subscribe(instance.raw, id, channels.rawValue, request, $0) }
        var status: keel_status?
        run(until: 600) {
            status = events.last { $0.request == request && $0.done != nil }?.done?.status
            return status != nil
        }
        return status ?? KEEL_E_TIMEOUT
    }

    func stop() throws {
        let request = try instance.stop()
        run(until: 30) { events.contains { $0.request == request && $0.done != nil } }
        instance.destroy()
    }

    func forget() { events = [] }

    var trades: [keel_ev_trade] { events.compactMap { $0.body(KEEL_EV_TRADE, keel_ev_trade.self) } }
    var bars: [keel_ev_bar] { events.compactMap { $0.body(KEEL_EV_BAR, keel_ev_bar.self) } }
    var quotes: [keel_ev_quote] { events.compactMap { $0.body(KEEL_EV_QUOTE, keel_ev_quote.self) } }
    func links(_ name: String) -> [keel_ev_link] { events.compactMap { event in event.link.flatMap { event.text($0.name) == name ? $0 : nil } } }
}
