import PluginAPI

/// Where an instance is in its life; a bit each, so that "legal in" is one test.
@frozen
public struct Phase: OptionSet, Sendable {
    public let rawValue: UInt32
    @inlinable public init(rawValue: UInt32) { self.rawValue = rawValue }
    static let created = Phase(rawValue: 1)
    static let running = Phase(rawValue: 2)
    static let stopping = Phase(rawValue: 4)
    static let stopped = Phase(rawValue: 8)

    var word: String {
        switch self {
        case .created: "created and not started"
        case .running: "running"
        case .stopping: "stopping"
        case .stopped: "stopped"
        default: "in no known state"
        }
    }
}

/// What a `keel_instance` pointer points at.
public struct InstanceHeader {
    /// The plugin's memory for its hot functions; nil unless the instance runs, so that one test covers both.
    @usableFromInline var hot: UnsafeMutableRawPointer?
    var phase: Phase
    var core: Unmanaged<InstanceCore>
}

/// The plugin as each of its roles: set once, where its type is known, so no dynamic cast is ever made.
final class InstanceCore {
    let host: Host
    let component: ComponentCore
    let plugin: any Plugin
    var feed: (any Feed)?
    var broker: (any Broker)?
    var replacing: (any ReplacingBroker)?
    var decider: (any Decider)?
    var observing: (any ObservingDecider)?
    var router: (any Router)?
    var stateful: (any Stateful)?
    var describing: (any Describing)?
    var rankings: (any Rankings)?
    var account: (any AccountSummary)?
    var market: (any MarketObserver)?
    var hot: (any HotPath)?

    init(host: Host, component: ComponentCore, plugin: any Plugin) {
        self.host = host
        self.component = component
        self.plugin = plugin
    }
}

/// One call of the host: the instance, if there is one and the call is legal now; everything thrown becomes a status.
@inline(__always)
func call(
    _ instance: OpaquePointer?, _ legal: Phase, _ error: UnsafeMutablePointer<keel_error>?,
    _ body: (InstanceCore, UnsafeMutablePointer<InstanceHeader>) throws -> Void
) -> keel_status {
    guard let instance else { return PluginError.invalid("the instance is a null pointer").write(to: error) }
    let header = UnsafeMutablePointer<InstanceHeader>(instance)
    guard legal.contains(header.pointee.phase) else {
        return PluginError(.state, "not legal while the plugin is \(header.pointee.phase.word)").write(to: error)
    }
    do {
        try header.pointee.core._withUnsafeGuaranteedRef { try body($0, header) }
        return KEEL_OK
    } catch let thrown {
        return PluginError(thrown).write(to: error)
    }
}

/// A call without a result: not made at all where it isn't legal.
@inline(__always)
func notify(_ instance: OpaquePointer?, _ legal: Phase, _ body: (InstanceCore) -> Void) {
    guard let instance else { return }
    let header = UnsafeMutablePointer<InstanceHeader>(instance)
    guard legal.contains(header.pointee.phase) else { return }
    header.pointee.core._withUnsafeGuaranteedRef { body($0) }
}
