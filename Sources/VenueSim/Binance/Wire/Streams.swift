import PluginKit

/// Who reads streams: one WebSocket connection.
protocol StreamReader: AnyObject {
    func deliver(_ stream: String, _ payload: Out)
}

/// The market streams of one product: who reads which, and what each has told so far.
final class Streams {
    private final class Stream {
        let name: StreamName
        var readers: [ObjectIdentifier: any StreamReader] = [:]
        var due: Int64
        var lastID: Int64
        var top: [Int64] = []
        var open: Int64 = 0
        var places: Set<Book.Place> = []
        var latest: Out?

        init(_ name: StreamName, due: Int64, lastID: Int64) {
            self.name = name
            self.due = due
            self.lastID = lastID
        }
    }

    let product: Product
    private let listings: [String: Listing]
    private let symbols: [String]
    private var streams: [String: Stream] = [:]
    /// Names in the order of subscription, so that what is sent is the same on every run.
    private var order: [String] = []
    /// The mark price payload, from the futures engine.
    var mark: (_ symbol: String, _ now: Int64) -> Out? = { _, _ in nil }
    /// Nothing is sent at all, with the sockets open.
    var isSilent = false
    /// Old news over and over.
    var isStale = false
    private var staleDue: Int64 = 0
    /// So many messages of each stream are lost.
    private var losing: [String: Int] = [:]

    func lose(_ count: Int) { for text in order { losing[text] = count } }

    init(_ product: Product, listings: [String: Listing], symbols: [String]) {
        self.product = product
        self.listings = listings
        self.symbols = symbols
    }

    func subscribe(_ reader: any StreamReader, _ text: String, group: StreamGroup, now: Int64) {
        guard let name = StreamName(text, product, symbols: symbols) else { return }
        if product == .futures, group != .any, group != name.kind.group { return }
        if streams[text] == nil {
            let listing = name.symbol.flatMap { listings[$0] }
            var last: Int64 = 0
            switch name.kind {
            case .trade: last = listing?.tape.lastID ?? 0
            case .aggregate: last = listing?.tape.lastAggregate ?? 0
            case .depth, .partial: last = listing?.book.updateID ?? 0
            default: break
            }
            streams[text] = Stream(name, due: now, lastID: last)
            order.append(text)
        }
        streams[text]?.readers[ObjectIdentifier(reader)] = reader
    }

    func unsubscribe(_ reader: any StreamReader, _ text: String) {
        streams[text]?.readers[ObjectIdentifier(reader)] = nil
        if streams[text]?.readers.isEmpty ?? false {
            streams[text] = nil
            order.removeAll { $0 == text }
        }
    }

    private func send(_ text: String, _ stream: Stream, _ payload: Out) {
        stream.latest = payload
        guard !isSilent else { return }
        if let left = losing[text], left > 0 {
            losing[text] = left - 1
            return
        }
        for reader in stream.readers.values { reader.deliver(text, payload) }
    }

    /// Sends what is new and due.
    func pump(_ now: Int64) {
        for name in symbols {
            guard let listing = listings[name], !listing.book.touched.isEmpty else { continue }
            for text in order {
                guard let stream = streams[text], stream.name.symbol == name, case .depth = stream.name.kind else { continue }
                stream.places.formUnion(listing.book.touched)
            }
            listing.book.touched = []
        }
        if isStale {
            guard now >= staleDue else { return }
            staleDue = now + 1_000
            for text in order { if let stream = streams[text], let latest = stream.latest { send(text, stream, latest) } }
            return
        }
        for text in order {
            guard let stream = streams[text] else { continue }
            if let symbol = stream.name.symbol {
                if let listing = listings[symbol] { pump(text, stream, listing, now) }
            } else {
                pumpAll(text, stream, now)
            }
        }
    }

    private func isDue(_ stream: Stream, every: Int64, _ now: Int64) -> Bool {
        guard now >= stream.due else { return false }
        stream.due = (now / every + 1) * every
        return true
    }

    private func pump(_ text: String, _ stream: Stream, _ listing: Listing, _ now: Int64) {
        switch stream.name.kind {
        case .trade:
            guard listing.tape.lastID > stream.lastID else { return }
            let fresh = listing.tape.trades.suffix(Int(clamping: listing.tape.lastID - stream.lastID))
            stream.lastID = listing.tape.lastID
            for trade in fresh { send(text, stream, listing.tradeEvent(trade, now, product)) }
        case .aggregate:
            guard listing.tape.lastAggregate > stream.lastID else { return }
            let fresh = listing.tape.aggregates.suffix(Int(clamping: listing.tape.lastAggregate - stream.lastID))
            stream.lastID = listing.tape.lastAggregate
            for trade in fresh { send(text, stream, listing.aggregateEvent(trade, now, product)) }
        case .bookTicker:
            let bid = listing.book.depth(.buy, 1).first
            let ask = listing.book.depth(.sell, 1).first
            let top = [bid?.price ?? 0, bid?.quantity ?? 0, ask?.price ?? 0, ask?.quantity ?? 0]
            guard top != stream.top else { return }
            stream.top = top
            send(text, stream, listing.bookTickerEvent(now, product))
        case .kline(let interval), .continuous(let interval):
            var isContinuous = false
            if case .continuous = stream.name.kind { isContinuous = true }
            let open = interval.start(now)
            if stream.open > 0, open > stream.open, let done = listing.candles.current(interval, at: stream.open) {
                send(text, stream, listing.klineEvent(done, interval, isClosed: true, now, product, isContinuous: isContinuous))
                stream.due = now
            }
            stream.open = open
            let every: Int64 = product == .futures ? 250 : interval == .s1 ? 1_000 : 2_000
            guard isDue(stream, every: every, now), let bar = listing.candles.current(interval, at: now) else { return }
            send(text, stream, listing.klineEvent(bar, interval, isClosed: false, now, product, isContinuous: isContinuous))
        case .depth(let every):
            guard !stream.places.isEmpty, isDue(stream, every: every, now) else { return }
            let last = listing.book.updateID
            send(text, stream, listing.depthEvent(stream.places, first: stream.lastID + 1, last: last, previous: product == .futures ? stream.lastID : nil, now))
            stream.lastID = last
            stream.places = []
        case .partial(let levels, let every):
            guard isDue(stream, every: every, now) else { return }
            send(text, stream, listing.partialEvent(levels, previous: stream.lastID, now, product))
            stream.lastID = listing.book.updateID
        case .miniTicker:
            if isDue(stream, every: product == .spot ? 1_000 : 2_000, now) { send(text, stream, listing.miniTickerEvent(now, product)) }
        case .ticker:
            if isDue(stream, every: product == .spot ? 1_000 : 2_000, now) { send(text, stream, listing.tickerEvent(now, product)) }
        case .average: if isDue(stream, every: 1_000, now) { send(text, stream, listing.averageEvent(now)) }
        case .mark(let every): if isDue(stream, every: every, now), let payload = mark(listing.rules.name, now) { send(text, stream, payload) }
        case .liquidations: break
        }
    }

    private func pumpAll(_ text: String, _ stream: Stream, _ now: Int64) {
        let all = symbols.compactMap { listings[$0] }
        switch stream.name.kind {
        case .miniTicker: if isDue(stream, every: 1_000, now) { send(text, stream, Out.list(all) { $0.miniTickerEvent(now, product) }) }
        case .ticker: if isDue(stream, every: 1_000, now) { send(text, stream, Out.list(all) { $0.tickerEvent(now, product) }) }
        case .mark(let every): if isDue(stream, every: every, now) { send(text, stream, Out.list(all.compactMap { mark($0.rules.name, now) })) }
        case .bookTicker: if isDue(stream, every: 5_000, now) { for listing in all { send(text, stream, listing.bookTickerEvent(now, product)) } }
        default: break
        }
    }

    /// A liquidation order, to those who read them.
    func liquidated(_ symbol: String, _ payload: Out) {
        for text in ["\(symbol.lowercased())@forceOrder", "!forceOrder@arr"] { if let stream = streams[text] { send(text, stream, payload) } }
    }
}
