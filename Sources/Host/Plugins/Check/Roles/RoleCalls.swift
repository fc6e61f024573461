import PluginAPI
import PluginKit

// The role tables' functions, with arguments lent the way the host's style says.

extension Instance {
    // MARK: broker

    func submit(_ order: keel_order, tail: [UInt8] = []) -> (Called, UInt64) {
        let request = nextRequest()
        guard let pointer, let table = subject.table(KEEL_BROKER, as: keel_broker.self) else { return (Instance.noTable, request) }
        let called = call("submit") { error in
            guard let lent = self.lend(order, tail, "the order given to submit") else { return KEEL_E_INTERNAL }
            return table.pointee.submit(pointer, lent, request, error)
        }
        return (called, request)
    }

    func cancel(order: keel_id) -> (Called, UInt64) {
        let request = nextRequest()
        guard let pointer, let table = subject.table(KEEL_BROKER, as: keel_broker.self) else { return (Instance.noTable, request) }
        return (call("cancel") { table.pointee.cancel(pointer, order, request, $0) }, request)
    }

    func replace(order: keel_id, with order2: keel_order) -> (Called, UInt64) {
        let request = nextRequest()
        guard let pointer, let replace = subject.table(KEEL_BROKER, as: keel_broker.self)?.pointee.replace else { return (Instance.noTable, request) }
        let called = call("replace") { error in
            guard let lent = self.lend(order2, [], "the order given to replace") else { return KEEL_E_INTERNAL }
            return replace(pointer, order, lent, request, error)
        }
        return (called, request)
    }

    func sync(since: keel_time) -> (Called, UInt64) {
        let request = nextRequest()
        guard let pointer, let table = subject.table(KEEL_BROKER, as: keel_broker.self) else { return (Instance.noTable, request) }
        return (call("sync") { table.pointee.sync(pointer, since, request, $0) }, request)
    }

    // MARK: feed

    func subscribe(_ id: UInt32, _ channels: UInt64) -> (Called, UInt64) {
        let request = nextRequest()
        guard let pointer, let table = subject.table(KEEL_FEED, as: keel_feed.self) else { return (Instance.noTable, request) }
        return (call("subscribe") { table.pointee.subscribe(pointer, id, channels, request, $0) }, request)
    }

    func unsubscribe(_ id: UInt32, _ channels: UInt64) -> (Called, UInt64) {
        let request = nextRequest()
        guard let pointer, let table = subject.table(KEEL_FEED, as: keel_feed.self) else { return (Instance.noTable, request) }
        return (call("unsubscribe") { table.pointee.unsubscribe(pointer, id, channels, request, $0) }, request)
    }

    // MARK: decider

    func decide(_ snapshot: [UInt8], deadline: keel_time) -> (Called, UInt64) {
        let request = nextRequest()
        guard let pointer, let table = subject.table(KEEL_DECIDER, as: keel_decider.self) else { return (Instance.noTable, request) }
        let called = call("decide") { error in
            guard let lent = snapshot.withUnsafeBytes({ self.host.lender.lend($0, "the snapshot given to decide") }) else { return KEEL_E_INTERNAL }
            return table.pointee.decide(pointer, lent.assumingMemoryBound(to: keel_snapshot.self), deadline, request, error)
        }
        return (called, request)
    }

    func cancelDecision(_ request: UInt64) {
        guard let pointer, let table = subject.table(KEEL_DECIDER, as: keel_decider.self) else { return }
        table.pointee.cancel(pointer, request)
        host.lender.closeCall()
    }

    @discardableResult
    func observe(_ event: [UInt8]) -> keel_status? {
        guard let pointer, let observe = subject.table(KEEL_DECIDER, as: keel_decider.self)?.pointee.observe,
              let lent = event.withUnsafeBytes({ host.lender.lend($0, "the event given to observe") }) else { return nil }
        defer { host.lender.closeCall() }
        return observe(pointer, lent.assumingMemoryBound(to: keel_event.self))
    }

    // MARK: router

    func route(_ parent: keel_order) -> (Called, UInt64) {
        let request = nextRequest()
        guard let pointer, let table = subject.table(KEEL_ROUTER, as: keel_router.self) else { return (Instance.noTable, request) }
        let called = call("route") { error in
            guard let lent = self.lend(parent, [], "the order given to route") else { return KEEL_E_INTERNAL }
            return table.pointee.route(pointer, lent, request, error)
        }
        return (called, request)
    }

    func onEvent(_ event: [UInt8]) {
        guard let pointer, let table = subject.table(KEEL_ROUTER, as: keel_router.self),
              let lent = event.withUnsafeBytes({ host.lender.lend($0, "the event given to on_event") }) else { return }
        table.pointee.on_event(pointer, lent.assumingMemoryBound(to: keel_event.self))
        host.lender.closeCall()
    }

    func cancelRoute(_ request: UInt64) {
        guard let pointer, let table = subject.table(KEEL_ROUTER, as: keel_router.self) else { return }
        table.pointee.cancel(pointer, request)
        host.lender.closeCall()
    }

    // MARK: extensions

    /// The describe text, or nil for a component without it.
    func describe() -> [UInt8]? {
        guard let pointer, let table = subject.table(KEEL_DESCRIBE, as: keel_describe.self) else { return nil }
        let sink = LentWriter()
        let status = sink.withWriter(host.lender) { table.pointee.describe(pointer, $0) }
        host.lender.closeCall()
        return status == KEEL_OK ? sink.bytes : nil
    }

    func save(failingAfter limit: Int? = nil) -> (Called, [UInt8]) {
        guard let pointer, let table = subject.table(KEEL_STATE, as: keel_state.self) else { return (Instance.noTable, []) }
        let sink = LentWriter(failingAfter: limit)
        let called = call("save") { error in sink.withWriter(self.host.lender) { table.pointee.save(pointer, $0, error) } }
        return (called, sink.bytes)
    }

    func load(_ bytes: [UInt8], version: UInt32, chunk: Int = .max) -> Called {
        guard let pointer, let table = subject.table(KEEL_STATE, as: keel_state.self) else { return Instance.noTable }
        let source = LentReader(bytes, chunk: chunk)
        return call("load") { error in source.withReader(self.host.lender) { table.pointee.load(pointer, version, $0, error) } }
    }

    static let noTable = Called(status: KEEL_E_UNSUPPORTED, message: "the component has no such table")

    private func lend(_ order: keel_order, _ tail: [UInt8], _ label: StaticString) -> UnsafePointer<keel_order>? {
        var order = order
        order.struct_size = UInt32(MemoryLayout<keel_order>.size + tail.count)
        let bytes = withUnsafeBytes(of: order) { [UInt8]($0) } + tail
        return bytes.withUnsafeBytes { host.lender.lend($0, label) }.map { UnsafePointer($0.assumingMemoryBound(to: keel_order.self)) }
    }
}

/// Collects what a plugin writes.
final class LentWriter {
    private(set) var bytes: [UInt8] = []
    private let limit: Int?
    private(set) var refused = false

    init(failingAfter limit: Int? = nil) { self.limit = limit }

    func withWriter(_ lender: Lender, _ body: (UnsafePointer<keel_writer>) -> keel_status) -> keel_status {
        var writer = keel_writer()
        writer.ctx = Unmanaged.passUnretained(self).toOpaque()
        writer.write = { writer, bytes, length in
            guard let ctx = writer?.pointee.ctx else { return KEEL_E_INVALID }
            let sink = Unmanaged<LentWriter>.fromOpaque(ctx).takeUnretainedValue()
            if let limit = sink.limit, sink.bytes.count + length > limit {
                sink.refused = true
                return KEEL_E_INTERNAL
            }
            if length > 0, let bytes { sink.bytes.append(contentsOf: UnsafeRawBufferPointer(start: bytes, count: length)) }
            return KEEL_OK
        }
        guard let lent = lender.lend(value: writer, "the writer") else { return KEEL_E_INTERNAL }
        return withExtendedLifetime(self) { body(lent) }
    }
}

/// Hands out bytes, at most `chunk` at a time.
final class LentReader {
    private let bytes: [UInt8]
    private let chunk: Int
    private var at = 0

    init(_ bytes: [UInt8], chunk: Int) {
        self.bytes = bytes
        self.chunk = chunk
    }

    func withReader(_ lender: Lender, _ body: (UnsafePointer<keel_reader>) -> keel_status) -> keel_status {
        var reader = keel_reader()
        reader.ctx = Unmanaged.passUnretained(self).toOpaque()
        reader.read = { reader, buffer, capacity in
            guard let ctx = reader?.pointee.ctx, let buffer else { return Int64(KEEL_E_INVALID) }
            let source = Unmanaged<LentReader>.fromOpaque(ctx).takeUnretainedValue()
            let count = min(capacity, source.chunk, source.bytes.count - source.at)
            if count > 0 {
                source.bytes.withUnsafeBytes { raw in
                    if let base = raw.baseAddress { buffer.copyMemory(from: base + source.at, byteCount: count) }
                }
                source.at += count
            }
            return Int64(max(count, 0))
        }
        guard let lent = lender.lend(value: reader, "the reader") else { return KEEL_E_INTERNAL }
        return withExtendedLifetime(self) { body(lent) }
    }
}
