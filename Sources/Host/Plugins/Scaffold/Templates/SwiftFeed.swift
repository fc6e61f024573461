extension Templates {
    /// A feed in Swift.
    static let swiftFeed = ###"""
// @NAME@: a feed for Keel, in Swift, straight on the header.
//
// It makes up a market: a price that walks up and down, one quote an instrument every `every` milliseconds of the host's
// clock. Replace `walk` with your data source; `Line` is a connection that never blocks and comes back by itself, and the
// host's watch() tells you when a socket of your own is ready.
import CKeel

// Configuration: the members of Feed and the schema.
private let schema: StaticString = """
    {"type":"object","properties":{
      "every":{"type":"integer","minimum":1,"maximum":60000,"default":100,"x-unit":"ms","description":"Time between two quotes."}}}
    """

final class Feed: Plugin {
    private struct Stream {
        var tick: keel_fixed
        var price: keel_fixed
        var steps: UInt64 = 0
    }

    private let every: Int64
    private var pace: UInt64 = 0
    private var streams: [keel_instrument_id: Stream] = [:]

    required init(host: UnsafePointer<keel_host>, config: [UInt8]) throws {
        every = try Config(config, [("every", .integer(1...60000), false)]).integers["every"] ?? 100
        try super.init(host: host, config: config)
    }

    override func start() throws {
        pace = try timer(after: every * 1_000_000, every: every * 1_000_000)
        link(KEEL_LINK_UP, KEEL_OK, "market")
    }

    override func stop() {
        _ = host.pointee.timer_stop(host, pace)
        streams = [:]
    }

    override func timerFired(_ timer: UInt64) {
        for id in streams.keys.sorted() {
            guard var stream = streams[id] else { continue }
            Feed.walk(id, &stream)
            streams[id] = stream
            var quote = keel_ev_quote()
            quote.head.at_source = now
            quote.bid = stream.price
            quote.ask = stream.price + stream.tick
            quote.bid_qty = Int64(1 + stream.steps % 7) * Int64(KEEL_ONE)
            quote.ask_qty = quote.bid_qty
            emit(quote, \.head, kind: KEEL_EV_QUOTE, instrument: id)
        }
    }

    /// The next price: a walk that looks random and is the same each time.
    private static func walk(_ id: keel_instrument_id, _ stream: inout Stream) {
        stream.steps += 1
        let mixed = (stream.steps + UInt64(id)) &* 0x9e37_79b9_7f4a_7c15
        stream.price = max(1000 * stream.tick, stream.price + Int64(mixed >> 62) * stream.tick - stream.tick)
    }

    func subscribe(_ id: keel_instrument_id, _ channels: UInt64, _ request: UInt64) throws {
        try needsRunning()
        if channels & ~KEEL_CH_QUOTES != 0 || channels == 0 { throw Refusal(KEEL_E_UNSUPPORTED, "this feed has quotes only") }
        let about = try instrument(id)
        let tick = about.tick > 0 ? about.tick : Int64(KEEL_ONE) / 100
        if streams[id] == nil { streams[id] = Stream(tick: tick, price: tick * 10_000) }  // a second time changes nothing
        done(request)
    }

    func unsubscribe(_ id: keel_instrument_id, _ request: UInt64) throws {
        try needsRunning()
        streams[id] = nil
        done(request)
    }
}

private let table = keel_feed(
    struct_size: UInt32(MemoryLayout<keel_feed>.size), reserved: 0, channels: KEEL_CH_QUOTES, silence: 0,
    subscribe: { instance, id, channels, request, error in guarded(error) { try me(instance, as: Feed.self).subscribe(id, channels, request) } },
    unsubscribe: { instance, id, _, request, error in guarded(error) { try me(instance, as: Feed.self).unsubscribe(id, request) } })

nonisolated(unsafe) private let library = component(
    Feed.self, id: "@ID@", name: "@NAME@", role: "keel.feed/1", table: table, schema: schema, flags: 0,
    create: { _, host, _, json, out, error in Plugin.create(Feed.self, host, json, out, error) })

@c @implementation
public func keel_plugin_entry(_ abi_major: UInt32) -> UnsafePointer<keel_library>! { abi_major == KEEL_ABI_MAJOR ? library : nil }

"""###
}
