import PluginAPI
import PluginKit

// The venue's own market, as a feed.

extension Sim {
    func subscribe(_ instrument: UInt32, _ channels: Channels, _ request: Request) throws {
        guard let place = place(of: instrument), let known = listings[place].instrument else {
            return request.done(.notFound("the host knows no instrument \(instrument)"))
        }
        let had = !listings[place].subscribed.isEmpty
        guard try listings[place].own || begin(place, known) else {
            return request.done(.notFound("\(known.symbol) is not on the tape \(config.tape)"))
        }
        listings[place].subscribed.formUnion(channels)
        if !had { host.link(.up, name: known.symbol) }
        refresh()
        request.done()
    }

    func unsubscribe(_ instrument: UInt32, _ channels: Channels, _ request: Request) throws {
        if let place = byID[instrument] {
            listings[place].subscribed.subtract(channels)
            let market = venue.markets[place].pointee
            // Nobody listens any more; but orders and positions still need their market.
            if listings[place].subscribed.isEmpty, listings[place].own, market.working == 0, market.position == 0, venue.nextArrival == nil {
                source?.end(instrument)
                listings[place].own = false
                refresh()
            }
        }
        request.done()
    }

    private func begin(_ place: Int, _ instrument: Instrument) throws -> Bool {
        let market = venue.markets[place]
        guard let source, try source.begin(instrument, at: host.now, last: market.pointee.last > 0 ? Fixed(raw: market.pointee.last) : nil) else {
            return false
        }
        listings[place].own = true
        memory.pointee.market = nil
        if marketEnd == nil, config.length > 0, !(source is TapeSource) {
            let (end, overflow) = host.now.addingReportingOverflow(config.length)
            marketEnd = overflow ? .max : end
        }
        return true
    }

    /// An order for an instrument whose market nobody has shown us yet: our own begins, if we have one.
    func beginMarket(_ place: Int) throws {
        guard !listings[place].own, let known = listings[place].instrument, try begin(place, known) else { return }
        playSource(to: host.now)
    }

    /// Each event meets the orders first and is told afterwards.
    func playSource(to now: Int64) {
        if sourceEnded { return }
        playing = true
        defer { playing = false }
        source?.play(to: min(now, marketEnd ?? .max)) { pointer in
            let event = Event(pointer)
            guard let place = byID[event.instrument] else { return }
            apply(event, place)
            let wanted: Channels =
                switch event.kind {
                case KEEL_EV_QUOTE: .quotes
                case KEEL_EV_TRADE: .trades
                case KEEL_EV_BAR: .bars
                case KEEL_EV_VALUE: .values
                default: []
                }
            if !wanted.isDisjoint(with: listings[place].subscribed) { host.emit(pointer) }
        }
        if let tape = source as? TapeSource, tape.ended {
            sourceEnded = true
            host.link(.down, name: config.tape, message: tape.failure ?? "the tape has ended")
        } else if let marketEnd, now >= marketEnd {
            sourceEnded = true
            host.link(.down, name: "synthetic", message: "the market has ended")
        }
    }
}
