import PluginAPI
import PluginKit

/// What the host does for its instances. `InstanceHost` turns it into the C table of one instance and checks everything that
/// comes from the plugin before it arrives here.
public protocol HostServices: AnyObject, Sendable {
    /// [any] The host's clock: real in live runs, the event's time in backtests and replays.
    func now() -> keel_time

    /// [any] An event whose size, kind, texts and lists were checked. Valid for the call: copy `pointee.size` bytes and set
    /// `at_host` in the copy. Never call a plugin from here: queue. KEEL_E_AGAIN is allowed for lossy kinds (10..29) only.
    func emit(_ event: UnsafePointer<keel_event>, from instance: InstanceHost) -> keel_status

    /// [any] One line: valid UTF-8 without control characters, secrets taken out, rate limited.
    func log(_ line: LogLine)

    /// [any] The instance says that it is broken. `why` below zero.
    func failed(_ instance: InstanceHost, why: keel_status, text: String)

    /// [lane] A secret that the manifest grants to this instance. Overwrite your own copies when you can.
    func secret(_ name: String, for instance: InstanceHost) -> Result<[UInt8], HostStatus>

    /// [lane] Durable on return; empty bytes remove the key. Keep the instances' keys apart by `instance.name`.
    func put(_ key: String, _ bytes: [UInt8], for instance: InstanceHost) -> keel_status

    /// [lane] KEEL_E_NOT_FOUND for a key that was never put or was removed.
    func get(_ key: String, for instance: InstanceHost) -> Result<[UInt8], HostStatus>

    /// [any] nil: no such instrument in this run.
    func instrument(_ id: keel_instrument_id) -> InstrumentRecord?

    /// [any] An optional table by id ("keel.metrics/1"), valid while the instance lives; nil: the host has none.
    func service(_ id: String, for instance: InstanceHost) -> UnsafeRawPointer?
}

/// A negative `keel_status` as an error.
public struct HostStatus: Error, Hashable, Sendable {
    public let status: keel_status
    public init(_ status: keel_status) { self.status = status < 0 ? status : KEEL_E_INTERNAL }
}

/// One line for the log.
public struct LogLine: Hashable, Sendable {
    public enum Level: UInt32, Hashable, Sendable, Comparable, CaseIterable {
        case trace, debug, info, warn, error, fatal, hostMisbehaving, pluginMisbehaving
        public static func < (a: Level, b: Level) -> Bool { a.rawValue < b.rawValue }
    }
    public let level: Level
    public let instance: String
    /// The host's clock.
    public let at: keel_time
    public let text: String

    public init(level: Level, instance: String, at: keel_time, text: String) {
        self.level = level
        self.instance = instance
        self.at = at
        self.text = text
    }
}

/// One instrument as instances see it.
public struct InstrumentRecord: Hashable, Sendable {
    public var id: keel_instrument_id
    /// KEEL_KIND_*.
    public var kind: UInt32
    public var symbol: String
    public var venueSymbol: String
    public var baseAsset: String
    public var quoteAsset: String
    public var tick: Fixed
    public var lot: Fixed
    public var minQty: Fixed
    public var maxQty: Fixed
    public var multiplier: Fixed
    public var minNotional: Amount

    public init(
        id: keel_instrument_id, kind: UInt32 = KEEL_KIND_SPOT, symbol: String, venueSymbol: String = "", baseAsset: String = "",
        quoteAsset: String = "", tick: Fixed, lot: Fixed, minQty: Fixed = .zero, maxQty: Fixed = .zero, multiplier: Fixed = .one,
        minNotional: Amount = .zero
    ) {
        self.id = id
        self.kind = kind
        self.symbol = symbol
        self.venueSymbol = venueSymbol
        self.baseAsset = baseAsset
        self.quoteAsset = quoteAsset
        self.tick = tick
        self.lot = lot
        self.minQty = minQty
        self.maxQty = maxQty
        self.multiplier = multiplier
        self.minNotional = minNotional
    }
}
