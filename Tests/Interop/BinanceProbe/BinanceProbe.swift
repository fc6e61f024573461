import Glibc
import PluginAPI
import PluginKit
import PluginSupport

/// The Binance plugin, driven through its C tables on a real clock, told what to do by lines on standard input.
///
///     binance-probe LIBRARY COMPONENT PORT KEY SECRET SYMBOL TICK LOT
///
///     buy|sell QUANTITY PRICE    a limit order; answers "sent ID"
///     cancel ID
///     quit
///
/// Prints "up" when it can trade, then a line for each order event and each fill.
@main
enum BinanceProbe {
    static func main() throws {
        let words = CommandLine.arguments
        guard words.count == 9 else { throw TestFailure("usage: binance-probe LIBRARY COMPONENT PORT KEY SECRET SYMBOL TICK LOT") }
        let host = TestHost()
        host.add(1, words[6], kind: words[6].contains(":") ? KEEL_KIND_PERP : KEEL_KIND_SPOT, tick: words[7], lot: words[8], minimum: words[8])
        host.secrets = ["binance.key": Array(words[4].utf8), "binance.secret": Array(words[5].utf8)]
        host.now = wall()
        let config = """
            {"environment": "testnet", "stand_in": "127.0.0.1:\(words[3])", "api_key": {"$secret": "binance.key"}, "secret_key": {"$secret": "binance.secret"}}
            """
        let instance = try TestInstance(try TestInstance.library(words[1], component: words[2]), host: host, config: config)
        let broker = try instance.table(KEEL_BROKER, keel_broker.self)
        try instance.start()
        var sent: [String: OrderID] = [:]
        var input: [UInt8] = []
        while true {
            turn(instance, host, &input)
            for event in host.take() { tell(event) }
            while let end = input.firstIndex(of: 10) {
                let line = String(decoding: input[..<end], as: UTF8.self).split(separator: " ").map(String.init)
                input.removeSubrange(...end)
                switch line.first {
                case "quit", nil: return
                case "cancel":
                    guard line.count == 2, let id = sent[line[1]] else { continue }
                    try TestInstance.check { broker.pointee.cancel(instance.raw, id.c, instance.nextRequest(), $0) }
                default:
                    guard line.count == 3 else { continue }
                    let id = OrderID(hi: UInt64(bitPattern: wall()), lo: UInt64(sent.count + 1) << 24)
                    let order = Order(
                        id: id, side: line[0] == "buy" ? .buy : .sell, features: [.limit], instrument: 1, quantity: Fixed(raw: raw(line[1])),
                        limit: Fixed(raw: raw(line[2])), trigger: .zero, notAfter: 0)
                    sent[id.description] = id
                    say("sent \(id)")
                    try TestInstance.check { error in withUnsafePointer(to: order.c) { broker.pointee.submit(instance.raw, $0, instance.nextRequest(), error) } }
                }
            }
        }
    }

    static func say(_ line: String) {
        let bytes = Array((line + "\n").utf8)
        _ = write(1, bytes, bytes.count)
    }

    static func tell(_ event: RecordedEvent) {
        if let link = event.link, event.text(link.name) == "trading" { say(link.state == KEEL_LINK_UP ? "up" : "down") }
        if let order = event.order { say("order \(OrderID(order.order)) state \(order.state) filled \(Fixed(raw: order.filled)) \(event.text(order.message))") }
        if let fill = event.fill { say("fill \(OrderID(fill.order)) \(Fixed(raw: fill.qty)) at \(Fixed(raw: fill.price)) fee \(Amount(fill.fee))") }
    }

    static func wall() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }

    /// The lane and standard input: what is ready, what is due.
    static func turn(_ instance: TestInstance, _ host: TestHost, _ input: inout [UInt8]) {
        let component = instance.component.pointee
        host.now = wall()
        while let due = host.timers.filter({ $0.due <= host.now }).min(by: { ($0.due, $0.id) < ($1.due, $1.id) }) {
            host.timers.removeAll { $0.id == due.id }
            component.on_timer(instance.raw, due.id, due.tag)
        }
        var list = [pollfd(fd: 0, events: Int16(POLLIN), revents: 0)]
        list += host.watches.map {
            pollfd(fd: $0.key, events: Int16(($0.value & KEEL_READABLE != 0 ? POLLIN : 0) | ($0.value & KEEL_WRITABLE != 0 ? POLLOUT : 0)), revents: 0)
        }
        let next = host.timers.map(\.due).min() ?? host.now + 100_000_000
        _ = poll(&list, nfds_t(list.count), Int32(clamping: min(100, max(0, (next - host.now) / 1_000_000 + 1))))
        host.now = wall()
        for entry in list where entry.revents != 0 {
            if entry.fd == 0 {
                var buffer = [UInt8](repeating: 0, count: 4_096)
                let count = read(0, &buffer, buffer.count)
                if count <= 0 { exit(0) }
                input += buffer[0..<count]
                continue
            }
            guard host.watches[entry.fd] != nil else { continue }
            var ready: UInt32 = 0
            if entry.revents & Int16(POLLIN) != 0 { ready |= KEEL_READABLE }
            if entry.revents & Int16(POLLOUT) != 0 { ready |= KEEL_WRITABLE }
            if entry.revents & Int16(POLLHUP | POLLERR) != 0 { ready |= KEEL_HANGUP }
            component.on_fd(instance.raw, entry.fd, ready)
        }
    }
}
