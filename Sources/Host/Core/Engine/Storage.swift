import PluginAPI
import PluginKit

/// The engine's own scalars and queues, in raw memory for the same reason as the books.
struct Core {
    var now: Int64 = 0
    var busy = false
    var started = false
    var killed = false
    var gateClosed = false
    var stopping = false
    var ledgerFailed = false
    var probedAt: Int64 = 0
    /// Something was recorded or changed since the last boundary.
    var dirty = false
    var requests: UInt64 = 0
    var malformed: UInt64 = 0
    var busTopics: UInt32 = 0
    var events: UInt64 = 0
    /// UTC day the books count their traded volume of.
    var deltaDay: Int64 = -1
    var queue = EventQueue()
    var timers: TimerQueue
    /// Large enough for what venues may report again; without restarts (backtests) that is little.
    var seen: SeenFills
}

/// One pipeline at run time.
struct Pipeline {
    let index: Int
    let settings: PipelineSettings
    let currencyHash: UInt64
    let firstBook: Int
    let bookCount: Int
    let broker: Int
    let chain: [Decider]
    /// Union of what its deciders want to see.
    let wants: UInt64
    let barsWanted: Int
    var state: PipelineState
    var serving = -1
    /// Place in the chain of the one that would be asked next: its observer may ask for it.
    var listening = 0
    var minute = MinuteWindow()
    /// Cost of the answers being waited for.
    var reserved = Amount.zero
    // Equity in steps of 1e-16, kept up to date on every price without a division.
    var equity: Int128 = 0
    /// The last equity that was rounded to eight decimals, and to what.
    var roundedFrom: Int128 = 0
    var rounded = Amount.zero
    var peak: Int128 = 0
    /// Equity below this (or above `peak`) needs a look at the breakers.
    var floor: Int128 = .min
    /// Equity at which the day's loss is full; nil: no such limit.
    var dayLimit: Amount?
    var isDirty = false
    var noneLeft = false
    /// Deciders whose trial call is under way, as bits of places.
    var trials: UInt64 = 0

    struct Decider {
        let name: String
        let port: Int
        let deadline: Int64
        let inline: Bool
    }
}

/// A broker's connection and the state of agreement with it.
struct BrokerSlot {
    let port: Int
    let name: String
    let features: UInt64
    let canReplace: Bool
    var linkDown = false
    var links: [(name: String, state: UInt32)] = []
    var synced = false
    var agreed = false
    var request: UInt64 = 0
    var askedAt: Int64 = 0
    var attempts = 0
    var syncedAt: Int64 = 0
    var wanted = false
    var report = VenueReport()
    var kept: [[UInt8]] = []
    var totals = AssetTotals()
    var isDirty = false
}

/// What a broker last said it holds, by asset. Found by the hash of the name's bytes: a venue may tell it after every fill.
struct AssetTotals {
    private var hashes: [UInt64] = []
    private var names: [String] = []
    private var totals: [Amount] = []
    private static let most = 4096

    subscript(_ asset: String) -> Amount? { names.firstIndex(of: asset).map { totals[$0] } }

    /// False: the asset was not known, and nothing changed.
    mutating func set(_ name: UnsafeRawBufferPointer, _ total: Amount) -> Bool {
        let hash = Mix.hash(name).lo
        for index in 0..<hashes.count where hashes[index] == hash {
            totals[index] = total
            return true
        }
        return false
    }

    mutating func add(_ asset: String, _ name: UnsafeRawBufferPointer, _ total: Amount) {
        guard names.count < Self.most else { return }
        hashes.append(Mix.hash(name).lo)
        names.append(asset)
        totals.append(total)
    }
}

/// When orders left, for the limit a minute.
struct MinuteWindow {
    private var times: [Int64] = []
    private var first = 0

    mutating func count(at now: Int64) -> Int {
        while first < times.count, times[first] <= now - 60_000_000_000 { first += 1 }
        if first > 1024, first * 2 > times.count {
            times.removeFirst(first)
            first = 0
        }
        return times.count - first
    }

    mutating func add(_ time: Int64) { times.append(time) }
}

/// Which books a port's events of an instrument go to, and which simulated venues see them before.
struct Route {
    var firstBook: Int32 = 0
    var bookCount: Int32 = 0
    var firstVenue: Int32 = 0
    var venueCount: Int32 = 0
}

struct VenueCall {
    let instance: OpaquePointer?
    let call: @convention(c) (OpaquePointer?, UnsafePointer<keel_event>?) -> Void
}

/// What a request is about, packed into its number: counter (36 bits) | book or broker (20) | kind (8).
enum RequestKind: UInt64 { case ask = 1, shadow, submit, cancel, replace, route, sync }

extension UInt64 {
    @inline(__always) var requestKind: RequestKind? { RequestKind(rawValue: self & 0xFF) }
    @inline(__always) var requestOwner: Int { Int(self >> 8 & 0xF_FFFF) }
}
