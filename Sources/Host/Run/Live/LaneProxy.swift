import HostCore
import HostPlugins
import PluginAPI
import PluginKit
import Synchronization

/// An instance on a lane of its own, as the engine calls it: every call is copied, handed to the lane and answered with OK
/// at once. What the instance then answers comes back as events; a refusal comes back as the request's DONE.
public final class LaneProxy: @unchecked Sendable {
    let host: InstanceHost
    let lane: Lane
    let source: Source
    private let sink: EventSink
    /// Market events and router events on their way to the lane.
    private let outbox: Inbox
    private let draining = Atomic<Bool>(false)
    /// The instance answered KEEL_ASK to an event; said to the engine at the next one.
    private let asked = Atomic<Bool>(false)
    /// Between the stop and the start of a renewal, and what was asked of it in that time. Only the lane touches them.
    private var isRenewing = false
    private var held: [() -> Void] = []

    init(host: InstanceHost, lane: Lane, source: Source, sink: EventSink) {
        self.host = host
        self.lane = lane
        self.source = source
        self.sink = sink
        outbox = Inbox(capacity: 1 << 18)
    }

    // MARK: the engine's thread

    func decide(_ snapshot: UnsafePointer<keel_snapshot>, deadline: Int64, request: UInt64) -> keel_status {
        let bytes = Block(UnsafeRawBufferPointer(start: snapshot, count: Int(snapshot.pointee.size)))
        return post("decide", request) { instance, error in
            self.host.tables.decider?.pointee.decide?(
                instance, bytes.pointer.assumingMemoryBound(to: keel_snapshot.self), deadline, request, error) ?? KEEL_E_UNSUPPORTED
        }
    }

    func cancelDecide(request: UInt64) {
        lane.post("cancel", for: host) { [self] in
            guard host.phase == .running else { return }
            host.tables.decider?.pointee.cancel?(host.instance, request)
        }
    }

    func submit(_ order: keel_order, request: UInt64) -> keel_status {
        post("submit", request) { instance, error in
            withUnsafePointer(to: order) { self.host.tables.broker?.pointee.submit?(instance, $0, request, error) ?? KEEL_E_UNSUPPORTED }
        }
    }

    func cancel(_ order: OrderID, request: UInt64) -> keel_status {
        post("cancel", request) { instance, error in
            self.host.tables.broker?.pointee.cancel?(instance, order.c, request, error) ?? KEEL_E_UNSUPPORTED
        }
    }

    func replace(_ order: OrderID, with: keel_order, request: UInt64) -> keel_status {
        guard host.tables.broker?.pointee.replace != nil else { return KEEL_E_UNSUPPORTED }
        return post("replace", request) { instance, error in
            withUnsafePointer(to: with) {
                self.host.tables.broker?.pointee.replace?(instance, order.c, $0, request, error) ?? KEEL_E_UNSUPPORTED
            }
        }
    }

    func sync(since: Int64, request: UInt64) -> keel_status {
        post("sync", request) { instance, error in
            self.host.tables.broker?.pointee.sync?(instance, since, request, error) ?? KEEL_E_UNSUPPORTED
        }
    }

    func route(_ parent: keel_order, request: UInt64) -> keel_status {
        post("route", request) { instance, error in
            withUnsafePointer(to: parent) { self.host.tables.router?.pointee.route?(instance, $0, request, error) ?? KEEL_E_UNSUPPORTED }
        }
    }

    func cancelRoute(request: UInt64) {
        lane.post("cancel", for: host) { [self] in
            guard host.phase == .running else { return }
            host.tables.router?.pointee.cancel?(host.instance, request)
        }
    }

    /// Stops the instance, and starts it once it has stopped.
    func renew(config: String, deadline: Int64, request: UInt64) {
        lane.post("renew", for: host) { [self] in
            isRenewing = true
            do throws(CallError) {
                if host.phase == .running { return try host.stop(deadline: deadline, request: request) }
                if host.phase == .stopping {
                    // Of an earlier renewal, and it never came to its end.
                    host.destroy()
                    try host.create(config: config)
                }
            } catch {
                host.report(.warn, "could not be stopped to read its secrets again: \(error)")
            }
            resume()
        }
    }

    /// It has stopped: the lane goes on with the start.
    func renewed() { lane.post("renew", for: host) { [self] in if isRenewing { resume() } } }

    private func resume() {
        do throws(CallError) { if host.phase != .running { try host.start() } } catch {
            host.report(.warn, "does not start with renewed secrets: \(error)")
        }
        isRenewing = false
        let waiting = held
        held = []
        for call in waiting { call() }
    }

    func routerEvent(_ event: UnsafePointer<keel_event>) { forward(event, tag: 0) }
    func onMarket(_ event: UnsafePointer<keel_event>) { forward(event, tag: 1) }

    func observe(_ event: UnsafePointer<keel_event>) -> keel_status {
        forward(event, tag: 2)
        return asked.exchange(false, ordering: .relaxed) ? KEEL_ASK : KEEL_OK
    }

    /// OK means the lane has it; a lane that was told to stop takes nothing, so it is certain that nothing was sent.
    private func post(
        _ what: StaticString, _ request: UInt64,
        _ body: @escaping @Sendable (OpaquePointer?, UnsafeMutablePointer<keel_error>) -> keel_status
    ) -> keel_status {
        let taken = lane.post(what, for: host) { [self] in
            drain()
            if isRenewing, host.phase != .running { held.append { [self] in call(what, request, body) } } else { call(what, request, body) }
        }
        return taken ? KEEL_OK : KEEL_E_NETWORK
    }

    private func call(
        _ what: StaticString, _ request: UInt64, _ body: (OpaquePointer?, UnsafeMutablePointer<keel_error>) -> keel_status
    ) {
        guard host.phase == .running else {
            return sink.emitDone(request, KEEL_E_NETWORK, "\(host.name) is not running", from: source)
        }
        var error = keel_error()
        error.struct_size = UInt32(MemoryLayout<keel_error>.size)
        let status = body(host.instance, &error)
        guard status < 0 else { return }
        let failure = host.failure("\(what)", status, error)
        sink.emitDone(request, status, failure.message.isEmpty ? failure.description : failure.message, from: source)
    }

    private func forward(_ event: UnsafePointer<keel_event>, tag: Source) {
        // A lane that does not keep up loses lossy events, like any slow reader of a market.
        _ = outbox.post(event, from: tag, at: event.pointee.at_host)
        guard !draining.exchange(true, ordering: .acquiringAndReleasing) else { return }
        lane.post("observe", for: host) { [self] in drain() }
    }

    // MARK: the lane

    private func drain() {
        draining.store(false, ordering: .releasing)
        while let (tag, event) = outbox.front() {
            if host.phase == .running { deliver(event, tag) }
            outbox.pop()
        }
    }

    private func deliver(_ event: UnsafePointer<keel_event>, _ tag: Source) {
        switch tag {
        case 0: host.tables.router?.pointee.on_event?(host.instance, event)
        case 1: host.tables.market?.pointee.on_market?(host.instance, event)
        default:
            if host.tables.decider?.pointee.observe?(host.instance, event) == KEEL_ASK { asked.store(true, ordering: .relaxed) }
        }
    }
}

/// Bytes with memory of their own, aligned as the C structs need it.
final class Block: @unchecked Sendable {
    let pointer: UnsafeMutableRawPointer

    init(_ bytes: UnsafeRawBufferPointer) {
        pointer = .allocate(byteCount: max(bytes.count, 8), alignment: 16)
        if let base = bytes.baseAddress { pointer.copyMemory(from: base, byteCount: bytes.count) }
    }

    deinit { pointer.deallocate() }
}
