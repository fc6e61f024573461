import HostCore
import HostManifest
import HostPlugins
import PluginAPI
import PluginKit

/// One instance of the manifest in a running host, shared by all roles it serves: created, started, called and ended on
/// its own thread, whichever that is.
public final class HostedInstance {
    public let source: Source
    public let entry: PluginEntry
    public let identity: PluginIdentity
    public let roles: [String]
    public let stateVersions: (current: UInt32, oldest: UInt32)
    let host: InstanceHost
    /// nil: it lives on the engine's thread.
    let lane: Lane?
    let proxy: LaneProxy?
    let isIsolated: Bool
    private(set) var tables: PortTables?
    /// What `describe` said after `create`; nil: nothing.
    private(set) var description: JSONValue?
    /// Its feed's subscriptions, to be made again when it comes back.
    var subscriptions: [(instrument: keel_instrument_id, channels: UInt64)] = []

    /// How long one call of its life may take before the host goes on without it.
    static let patience: Int64 = 20_000_000_000

    init(source: Source, entry: PluginEntry, identity: PluginIdentity, host: InstanceHost, lane: Lane?, sink: EventSink, isIsolated: Bool) {
        self.source = source
        self.entry = entry
        self.identity = identity
        self.host = host
        self.lane = lane
        self.isIsolated = isIsolated
        proxy = lane.map { LaneProxy(host: host, lane: $0, source: source, sink: sink) }
        let tables = host.tables
        roles =
            (tables.feed != nil ? ["feed"] : []) + (tables.broker != nil ? ["broker"] : []) + (tables.decider != nil ? ["decider"] : [])
            + (tables.router != nil ? ["router"] : [])
        stateVersions = (tables.component.pointee.state_version, tables.component.pointee.state_oldest)
    }

    public var name: String { entry.name }
    var isInline: Bool { lane == nil }
    var hasState: Bool { host.tables.state != nil }

    var callee: Callee? {
        if let proxy { return .lane(proxy) }
        guard let tables else { return nil }
        return .inline(
            Port(
                name: name, instance: host.instance, feed: host.tables.feed, broker: host.tables.broker, decider: host.tables.decider,
                router: host.tables.router, market: host.tables.market, inline: true, version: tables.port.version))
    }

    /// Runs a step of its life on its thread and gives what it threw.
    private func onLane<T: Sendable>(_ what: StaticString, _ body: @escaping @Sendable (InstanceHost) throws(CallError) -> T) throws(RunError) -> T {
        let host = host
        let result: Result<T, CallError>
        if let lane {
            do {
                result = try lane.call(what, for: host, within: HostedInstance.patience) {
                    do throws(CallError) { return Result<T, CallError>.success(try body(host)) } catch { return .failure(error) }
                }
            } catch {
                throw .control("plugin \"\(name)\": \(error)")
            }
        } else {
            do throws(CallError) { result = .success(try body(host)) } catch { result = .failure(error) }
        }
        switch result {
        case .success(let value): return value
        case .failure(let error): throw .control("plugin \"\(name)\": \(error)")
        }
    }

    /// Makes the instance and asks it what it is.
    func create(config: String) throws(RunError) {
        let text = try onLane("create") { host throws(CallError) -> String? in
            try host.create(config: config)
            return try host.describe()
        }
        description = text.flatMap { try? JSONValue(parsing: $0) }
        tables = PortTables(name: name, host: host, proxy: proxy, version: "\(identity.version) \(identity.sha256.prefix(12))")
    }

    func load(_ bytes: [UInt8], version: UInt32) throws(RunError) {
        try onLane("load") { host throws(CallError) in try host.loadState(bytes, version: version) }
    }

    func save() throws(RunError) -> [UInt8]? { try onLane("save") { host throws(CallError) in try host.saveState() } }
    func start() throws(RunError) { try onLane("start") { host throws(CallError) in try host.start() } }

    /// Asks it to stop; it has stopped once its DONE is through the engine's queue.
    func stop(deadline: Int64, request: UInt64) throws(RunError) {
        try onLane("stop") { host throws(CallError) in try host.stop(deadline: deadline, request: request) }
    }

    var isStopped: Bool { host.phase != .running && host.phase != .stopping && host.phase != .starting }

    /// Everything it has is given back. A lane that hangs is left behind.
    func destroy() {
        if let lane {
            let host = host
            _ = try? lane.call("destroy", for: host, within: 2_000_000_000) { host.destroy() }
            lane.stop(within: 1_000_000_000)
        } else {
            host.destroy()
        }
    }

    /// Subscribes without waiting: the answer is the DONE of `request`.
    func subscribe(_ instrument: keel_instrument_id, channels: UInt64, request: UInt64) throws(RunError) {
        try onLane("subscribe") { host throws(CallError) in
            guard let subscribe = host.tables.feed?.pointee.subscribe else { return }
            var error = keel_error()
            error.struct_size = UInt32(MemoryLayout<keel_error>.size)
            let status = subscribe(host.instance, instrument, channels, request, &error)
            if status < 0 { throw host.failure("subscribe", status, error) }
        }
    }

    func unsubscribe(_ instrument: keel_instrument_id, channels: UInt64, request: UInt64) throws(RunError) {
        try onLane("unsubscribe") { host throws(CallError) in
            guard let unsubscribe = host.tables.feed?.pointee.unsubscribe else { return }
            var error = keel_error()
            error.struct_size = UInt32(MemoryLayout<keel_error>.size)
            let status = unsubscribe(host.instance, instrument, channels, request, &error)
            if status < 0 { throw host.failure("unsubscribe", status, error) }
        }
    }

    /// Stops what still runs of it, and makes and starts it anew on the same thread.
    func restart(config: String, deadline: Int64) throws(RunError) {
        try onLane("restart") { host throws(CallError) in
            if host.instance != nil { host.destroy() }
            try host.create(config: config)
            try host.start()
        }
        tables?.rebind(host)
    }

    /// Credentials may have changed: a stop and a start make it read them again. On a lane nobody waits for it: what it is
    /// asked meanwhile is kept until it runs, which it does once `renewed` has been called, after the DONE of `request`.
    func renew(config: String, deadline: Int64, request: UInt64) throws(RunError) {
        if let proxy { return proxy.renew(config: config, deadline: deadline, request: request) }
        try onLane("renew") { host throws(CallError) in
            if host.phase == .running { try? host.stop(deadline: deadline, request: request) }
            if host.phase != .stopped {
                // It takes its time, which the engine's thread does not have: it is made anew.
                if host.instance != nil { host.destroy() }
                try host.create(config: config)
            }
            try host.start()
        }
        tables?.rebind(host)
    }

    /// The DONE of a renewal's stop has come.
    func renewed() { proxy?.renewed() }
}
