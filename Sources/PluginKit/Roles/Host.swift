import PluginAPI

/// What a plugin may ask of its host. Valid from `init` until the instance is destroyed.
///
/// `log`, `now`, `emit`, `wake`, `fail` and `instrument` may be called from any thread; the rest from the lane only.
@frozen
public struct Host: @unchecked Sendable {
    public let table: UnsafePointer<keel_host>

    /// Refuses a table this SDK can't work with.
    init(_ table: UnsafePointer<keel_host>) throws(PluginError) {
        let size = Int(table.pointee.struct_size)
        guard size >= MemoryLayout<keel_host>.size else {
            throw .invalid("the host's table has \(size) bytes, ABI 1.0 has \(MemoryLayout<keel_host>.size): the host is broken")
        }
        guard table.pointee.abi_major == UInt16(KEEL_ABI_MAJOR) else {
            throw .unsupported("the host speaks ABI \(table.pointee.abi_major), this plugin \(KEEL_ABI_MAJOR): update the older of the two")
        }
        let host = table.pointee
        guard host.service != nil, host.log != nil, host.now != nil, host.emit != nil, host.wake != nil, host.fail != nil,
            host.timer != nil, host.timer_stop != nil, host.watch != nil, host.secret != nil, host.put != nil, host.get != nil,
            host.instrument != nil
        else { throw .invalid("the host's table lacks a required function") }
        self.table = table
    }

    /// The only clock: nanoseconds since 1970, simulated in backtests.
    @inlinable public var now: Int64 {
        guard let now = table.pointee.now else { return 0 }
        return now(table)
    }

    /// Queues a flat event; never blocks. `KEEL_E_AGAIN` is possible for lossy kinds only.
    @inlinable @discardableResult
    public func emit(_ event: UnsafePointer<keel_event>) -> keel_status {
        guard let emit = table.pointee.emit else { return KEEL_E_INTERNAL }
        return emit(table, event)
    }

    public enum Level: UInt32, Sendable {
        case trace = 0, debug, info, warning, error, fatal, hostMisbehaving, pluginMisbehaving
    }

    public func log(_ level: Level, _ text: String) {
        guard let log = table.pointee.log else { return }
        text.withBorrowed { log(table, level.rawValue, $0) }
    }

    /// Leads to one `onWake` on the lane, however often it's called before.
    @discardableResult
    public func wake() -> keel_status {
        guard let wake = table.pointee.wake else { return KEEL_E_INTERNAL }
        return wake(table)
    }

    /// "I am broken, restart me."
    public func fail(_ error: PluginError) {
        guard let fail = table.pointee.fail else { return }
        error.message.withBorrowed { fail(table, error.reason.rawValue, $0) }
    }

    /// Calls `onTimer` after `delay` nanoseconds, then every `period` (0: once). Returns the timer's id.
    @discardableResult
    public func timer(after delay: Int64, every period: Int64 = 0, tag: UInt64 = 0) throws(PluginError) -> UInt64 {
        guard let timer = table.pointee.timer else { throw PluginError(.internalFault, "the host has no timers") }
        var id: UInt64 = 0
        let status = timer(table, delay, period, tag, &id)
        if let error = PluginError(status: status, "the host refused a timer (status \(status))") { throw error }
        return id
    }

    public func stopTimer(_ id: UInt64) {
        guard let stop = table.pointee.timer_stop else { return }
        _ = stop(table, id)
    }

    @frozen
    public struct Readiness: OptionSet, Sendable {
        public let rawValue: UInt32
        public init(rawValue: UInt32) { self.rawValue = rawValue }
        public static let readable = Readiness(rawValue: KEEL_READABLE)
        public static let writable = Readiness(rawValue: KEEL_WRITABLE)
        public static let hangup = Readiness(rawValue: KEEL_HANGUP)
    }

    /// Calls `onDescriptor` when the descriptor is ready; an empty interest forgets it.
    public func watch(_ descriptor: Int32, for interest: Readiness) throws(PluginError) {
        guard let watch = table.pointee.watch else { throw PluginError(.internalFault, "the host can't watch descriptors") }
        let status = watch(table, descriptor, interest.rawValue)
        if let error = PluginError(status: status, "the host refused to watch descriptor \(descriptor) (status \(status))") { throw error }
    }

    /// A granted secret's bytes. Never log them, never put them in an error. Not legal in `init`.
    public func secret(_ name: String) throws(PluginError) -> [UInt8] {
        guard let secret = table.pointee.secret else { throw PluginError(.internalFault, "the host has no secrets") }
        let (status, bytes) = name.withBorrowed { text in
            Collector.collect(limit: 1 << 20) { secret(table, text, $0) }
        }
        if let error = PluginError(status: status, "the secret \"\(name)\" is not available (status \(status))") { throw error }
        return bytes
    }

    /// Stores a value under this instance's name; durable when it returns. Empty bytes remove it.
    public func put(_ key: String, _ bytes: [UInt8]) throws(PluginError) {
        guard let put = table.pointee.put else { throw PluginError(.internalFault, "the host stores nothing") }
        let status = key.withBorrowed { text in bytes.withUnsafeBytes { put(table, text, $0.baseAddress, $0.count) } }
        if let error = PluginError(status: status, "storing \"\(key)\" failed (status \(status))") { throw error }
    }

    /// What was stored under the key; nil if nothing was.
    public func get(_ key: String) throws(PluginError) -> [UInt8]? {
        guard let get = table.pointee.get else { throw PluginError(.internalFault, "the host stores nothing") }
        let (status, bytes) = key.withBorrowed { text in Collector.collect(limit: 1 << 20) { get(table, text, $0) } }
        if status == KEEL_E_NOT_FOUND { return nil }
        if let error = PluginError(status: status, "reading \"\(key)\" failed (status \(status))") { throw error }
        return bytes
    }

    /// What the host knows of an instrument; nil if it doesn't know the id.
    public func instrument(_ id: UInt32) -> Instrument? {
        guard let instrument = table.pointee.instrument else { return nil }
        var out = keel_instrument()
        out.struct_size = UInt32(MemoryLayout<keel_instrument>.size)
        guard instrument(table, id, &out) == KEEL_OK else { return nil }
        return Instrument(out)
    }

    /// An optional table of the host, by interface id.
    public func service(_ id: String) -> UnsafeRawPointer? {
        guard let service = table.pointee.service else { return nil }
        return id.withCString { service(table, $0) }
    }
}
