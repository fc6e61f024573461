import Glibc
import PluginAPI
import PluginKit

/// Feed and broker of the venue process that the kill tests leave running: lines over a unix socket.
final class RehearsalVenue: Feed, Broker, Describing {
    static let channels: Channels = [.quotes]
    static let silence: Int64 = 0
    static let orderFeatures: OrderFeatures = [.market, .limit, .reduceOnly, .immediateOrCancel]
    static let config = ConfigShape([
        .text("socket", "Where the venue listens.", default: nil),
        .text("lethal", "While this file is there, the next sell takes it away and kills the process, before or after it was sent: what the file says.", default: ""),
        .flag("broken", "Every submit fails as certainly not sent: a broker that is down.", default: false),
    ])

    private let host: Host
    private let path: String
    private let isBroken: Bool
    private let lethal: String
    private var descriptor: Int32 = -1
    private var unread: [UInt8] = []
    private var instrument: UInt32 = 0
    private var requests: [OrderID: Request] = [:]
    /// Answered in the order they were asked.
    private var syncing: [Request] = []
    private var state: [OrderID: (side: Side, filled: Int64, leaves: Int64)] = [:]

    init(host: Host, name: String, config: JSONValue) throws {
        self.host = host
        path = try config["socket"].text
        isBroken = try config["broken"].bool
        lethal = try config["lethal"].text
    }

    func describe() -> JSONValue { ["environment": "paper", "venue": "rehearsal"] }

    func start() throws {
        if isBroken { return host.link(.down, name: "rehearsal", why: .network, message: "broken on purpose") }
        descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        guard bytes.count < 108 else { throw PluginError.invalid("the socket's path is too long") }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        let fd = descriptor
        let connected = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(fd, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
        }
        guard connected == 0 else {
            close(descriptor)
            descriptor = -1
            throw PluginError(.network, "the rehearsal venue at \(path) does not answer")
        }
        try host.watch(descriptor, for: .readable)
        host.link(.up, name: "rehearsal")
    }

    func stop(_ stopping: Stopping) throws {
        if descriptor >= 0 {
            try? host.watch(descriptor, for: [])
            close(descriptor)
            descriptor = -1
        }
        stopping.done()
    }

    func subscribe(_ instrument: UInt32, _ channels: Channels, _ request: Request) throws {
        // One instrument is traded here; others may be subscribed and stay silent.
        if self.instrument == 0 { self.instrument = instrument }
        request.done()
        // The venue shows the step in hand once the host has asked what became of its orders.
    }

    func unsubscribe(_ instrument: UInt32, _ channels: Channels, _ request: Request) throws { request.done() }

    func submit(_ order: Order, _ request: Request) throws {
        if isBroken { throw PluginError(.network, "this broker is broken on purpose") }
        requests[order.id] = request
        state[order.id] = (order.side, 0, order.quantity.raw)
        let death = order.side == .sell ? takeDeath() : nil
        if death == .before { kill(getpid(), SIGKILL) }
        say("order \(order.id.description) \(order.side == .buy ? "B" : "S") \(order.quantity.raw)")
        if death == .after { kill(getpid(), SIGKILL) }
    }

    private enum Death { case before, after }

    private func takeDeath() -> Death? {
        guard !lethal.isEmpty, let file = fopen(lethal, "r") else { return nil }
        var first = [CChar](repeating: 0, count: 8)
        let read = fgets(&first, 8, file) != nil
        fclose(file)
        // Whoever takes the file away dies of it, once.
        guard read, unlink(lethal) == 0 else { return nil }
        return first[0] == CChar(UInt8(ascii: "b")) ? .before : .after
    }

    func cancel(_ order: OrderID, _ request: Request) throws {
        // Nothing rests at this venue: what was sent is filled, sooner or later.
        request.done(PluginError(.notFound, "nothing to cancel"))
    }

    func sync(since: Int64, _ request: Request) throws {
        if isBroken { throw PluginError(.network, "this broker is broken on purpose") }
        syncing.append(request)
        say("sync \(request.id)")
    }

    private func say(_ line: String) {
        let bytes = Array((line + "\n").utf8)
        _ = bytes.withUnsafeBytes { send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
    }

    func onDescriptor(_ descriptor: Int32, _ ready: Host.Readiness) {
        var chunk = [UInt8](repeating: 0, count: 1 << 16)
        let count = read(descriptor, &chunk, chunk.count)
        guard count > 0 else {
            try? host.watch(descriptor, for: [])
            host.link(.down, name: "rehearsal", why: .network, message: "the venue closed the connection")
            return
        }
        unread += chunk[..<count]
        while let newline = unread.firstIndex(of: 10) {
            let line = String(decoding: unread[..<newline], as: UTF8.self)
            unread.removeSubrange(...newline)
            take(line.split(separator: " ").map(String.init))
        }
    }

    private func take(_ line: [String]) {
        let isAnswer = line.first == "snapshot"
        let words = isAnswer ? Array(line.dropFirst()) : line
        guard let word = words.first else { return }
        let flags = isAnswer ? UInt32(KEEL_EVF_SNAPSHOT) : 0
        switch word {
        case "tick" where words.count == 3:
            guard instrument != 0, let step = Int64(words[1]), let price = Int64(words[2]) else { return }
            // The step travels as the quantity, so that the decider knows where the day stands.
            host.quote(
                instrument, bid: Fixed(raw: price), bidQuantity: Fixed(raw: (step + 1) * Int64(KEEL_ONE)), ask: Fixed(raw: price),
                askQuantity: .one, at: host.now)
        case "open" where words.count == 2:
            guard let id = OrderID(words[1]), let known = state[id] else { return }
            report(id, .open, known.side, filled: 0, leaves: known.leaves, flags)
        case "state" where words.count == 6:
            guard let id = OrderID(words[1]), let filled = Int64(words[4]), let leaves = Int64(words[5]) else { return }
            let side: Side = words[2] == "B" ? .buy : .sell
            report(id, leaves == 0 ? .filled : .open, side, filled: filled, leaves: leaves, flags)
            if leaves == 0, let request = requests.removeValue(forKey: id) { request.done() }
        case "fill" where words.count == 6:
            guard let id = OrderID(words[1]), let quantity = Int64(words[4]), let price = Int64(words[5]) else { return }
            host.fill(
                Fill(
                    id, instrument: instrument, side: words[2] == "B" ? .buy : .sell, quantity: Fixed(raw: quantity), price: Fixed(raw: price),
                    feeAsset: "USDT", fillID: words[3]), at: host.now, flags: flags)
        case "position" where words.count == 2:
            guard let quantity = Int64(words[1]) else { return }
            host.position(instrument, quantity: Amount(raw: Int128(quantity)), entry: .zero, flags: flags)
        case "synced":
            if !syncing.isEmpty { syncing.removeFirst().done() }
            // The venue repeats the tick in hand: now it can be acted upon.
            say("hello")
        default: break
        }
    }

    private func report(_ id: OrderID, _ state: Order.State, _ side: Side, filled: Int64, leaves: Int64, _ flags: UInt32) {
        host.order(
            OrderUpdate(id, instrument: instrument, state, side: side, filled: Fixed(raw: filled), leaves: Fixed(raw: leaves), venueID: "v-\(id.description)"),
            request: requests[id]?.id ?? 0, at: host.now, flags: flags)
    }
}

/// Buys one at even steps while flat, sells all at odd ones: what it does depends on nothing but step and position, so a
/// host that forgot or doubled anything goes another way than the day that was never killed.
final class Follower: ObservingDecider {
    static let wants: Wants = []
    static let barsWanted: UInt32 = 0
    static let config = ConfigShape([
        .decimal("quantity", "Units to buy.", .positive, default: "1"),
        .decimal("patience", "Seconds after which a step that goes on is acted upon again: its order must be lost.", .positive, default: "2"),
        .flag("stillborn", "No instance can be made, which only trying it tells.", default: false),
        .text("key", "A secret to be read at each start; its answers are refused unless it says \"good\".", default: ""),
    ])

    private let host: Host
    private let quantity: Fixed
    private let key: String
    private let patience: Int64
    private var credential: [UInt8] = []
    private var leaving: Stopping?
    private var answer = Answer(signal: "rehearsal", model: "keel.test.follower")
    /// The step acted upon last by pipeline, and when: a tick that is shown again while the order is on its way is the same question.
    private var acted: [String: (step: Int64, at: Int64)] = [:]

    init(host: Host, name: String, config: JSONValue) throws {
        self.host = host
        quantity = try config["quantity"].fixed
        key = try config["key"].text
        patience = try config["patience"].fixed.raw * 10
        if try config["stillborn"].bool { throw PluginError(.internalFault, "stillborn on purpose") }
    }

    func start() throws { if !key.isEmpty { credential = try host.secret(key) } }

    /// Says so from a call of its own, as whoever has to close a connection first does.
    func stop(_ stopping: Stopping) throws {
        if key.isEmpty { return stopping.done() }
        leaving = stopping
        _ = try host.timer(after: 10_000_000)
    }

    func onTimer(_ id: UInt64, tag: UInt64) {
        leaving?.done()
        leaving = nil
    }

    func observe(_ event: Event) -> Bool { event.quote != nil }

    func decide(_ snapshot: Snapshot, deadline: Int64, _ request: Request) throws {
        guard key.isEmpty || credential == Array("good".utf8) else {
            return request.done(PluginError(.authentication, "the venue does not take this key"))
        }
        let step = snapshot.bid_qty / Int64(KEEL_ONE) - 1
        let position = snapshot.position
        let pipeline = snapshot.pipeline
        if let last = acted[pipeline], last.step == step, host.now - last.at < patience { return request.done() }
        acted[pipeline] = (step, host.now)
        if step >= 0, step % 2 == 0, position.isZero, snapshot.mayBuy {
            answer.send(.buy, quantity, snapshot, request)
        } else if step >= 0, step % 2 == 1, position.isPositive, snapshot.maySell {
            answer.send(.sell, try position.fixed(), snapshot, request)
        } else {
            request.done()
        }
    }
}

private let library = Library(
    Component(RehearsalVenue.self, id: "keel.test.venue", name: "Rehearsal venue", version: "1.0.0", license: "MIT", config: RehearsalVenue.config)
        .feed().broker().describe(),
    Component(
        Follower.self, id: "keel.test.follower", name: "Rehearsal decider", version: "1.0.0", license: "MIT", config: Follower.config,
        flags: [.inline, .deterministic]
    ).decider())

@c @implementation
public func keel_plugin_entry(_ major: UInt32) -> UnsafePointer<keel_library>! { library.table(major) }
