import PluginAPI
import PluginKit

/// The market data of an instance: streams of every subscribed symbol, whole and in order, and the word when they are not.
///
/// Everything runs on the instance's lane. Connections, requests and clock come from outside, so tests drive it with scripted ones.
public final class MarketData {
    public let product: Product
    public let settings: DataSettings
    let requests: any MarketRequests
    let sink: any MarketSink
    let reactor: any Reactor
    let parser = StreamParser()
    var feeds: [SymbolKey: SymbolFeed] = [:]
    private var lines: [StreamLine] = []
    private var lineOf: [StreamKey: StreamLine] = [:]
    private var lastSerial = 0
    private let connect: (StreamPath) throws(PluginError) -> any StreamSocket
    private var clockwork: UInt64?
    private var stopped = false
    public private(set) var derivatives: DerivativesPoller
    /// Told each mark price: the trading side's filters use it.
    public var onMark: (SymbolKey, Fixed) -> Void = { _, _ in }
    /// Messages that were left out, and why, by reason.
    public private(set) var faults: [String: Int] = [:]
    public private(set) var messages: UInt64 = 0
    public private(set) var lostTrades: Int64 = 0
    public private(set) var filledTrades = 0
    public private(set) var filledCandles = 0

    public init(
        _ product: Product, settings: DataSettings, requests: any MarketRequests, sink: any MarketSink, on reactor: any Reactor,
        connect: @escaping (StreamPath) throws(PluginError) -> any StreamSocket
    ) {
        self.product = product
        self.settings = settings
        self.requests = requests
        self.sink = sink
        self.reactor = reactor
        self.connect = connect
        derivatives = DerivativesPoller(settings.derivatives, requests: requests, sink: sink, on: reactor)
    }

    public func stop() {
        stopped = true
        if let clockwork { reactor.cancelTimer(clockwork) }
        clockwork = nil
        derivatives.stop()
        for line in lines { line.end() }
        lines = []
        lineOf = [:]
        feeds = [:]
    }

    // MARK: subscriptions

    /// The candle that tells whether a symbol is alive: the shortest that is wanted.
    var pulse: Interval { settings.intervals.first ?? .minute1 }

    private func kinds(_ channels: Channels) -> Set<StreamKind> {
        var kinds: Set<StreamKind> = []
        if channels.contains(.quotes) { kinds.insert(.ticker) }
        if channels.contains(.trades) { kinds.insert(.trades) }
        if channels.contains(.depth) { kinds.insert(.depth) }
        if channels.contains(.bars) { for interval in settings.intervals { kinds.insert(.candles(interval)) } }
        if channels.contains(.values), product == .futures { kinds.insert(.mark) }
        // Candles come in any case: by them a quiet market is told from a dead stream.
        if !kinds.isEmpty { kinds.insert(.candles(pulse)) }
        return kinds
    }

    public func subscribe(_ instrument: UInt32, _ symbol: SymbolKey, _ wanted: Channels) {
        if wanted.contains(.urgent) { derivatives.hurry(symbol, true) }
        let channels = wanted.subtracting(.urgent)
        if channels.isEmpty { return }
        let feed = feeds[symbol] ?? SymbolFeed(symbol)
        feeds[symbol] = feed
        if let place = feed.listeners.firstIndex(where: { $0.instrument == instrument }) {
            feed.listeners[place].channels.formUnion(channels)
        } else {
            feed.listeners.append((instrument, channels))
        }
        adjust(feed)
        if clockwork == nil, !stopped { tick() }
    }

    public func unsubscribe(_ instrument: UInt32, _ symbol: SymbolKey, _ channels: Channels) {
        if channels.contains(.urgent) { derivatives.hurry(symbol, false) }
        guard let feed = feeds[symbol], let place = feed.listeners.firstIndex(where: { $0.instrument == instrument }) else { return }
        feed.listeners[place].channels.subtract(channels)
        if feed.listeners[place].channels.isEmpty { feed.listeners.remove(at: place) }
        adjust(feed)
        if feed.listeners.isEmpty {
            feed.epoch += 1
            feeds[symbol] = nil
        }
    }

    /// Brings a symbol's streams to what its listeners want.
    private func adjust(_ feed: SymbolFeed) {
        let wanted = kinds(feed.wanted)
        let now = reactor.now()
        for kind in feed.watches.keys where !wanted.contains(kind) {
            feed.watches[kind] = nil
            let key = StreamKey(symbol: feed.symbol, kind: kind)
            lineOf.removeValue(forKey: key)?.remove([key])
            forget(kind, feed)
        }
        var added: [ObjectIdentifier: [StreamKey]] = [:]
        for kind in wanted where feed.watches[kind] == nil {
            feed.watches[kind] = StreamWatch(isSteady: kind == .mark, at: now)
            if kind == .depth { feed.depth = DepthSync(product) }
            if case .candles(let interval) = kind, feed.candles[interval] == nil { feed.candles[interval] = GapTrack(mostHeld: 10_000) }
            let key = StreamKey(symbol: feed.symbol, kind: kind)
            let line = line(for: kind)
            lineOf[key] = line
            added[ObjectIdentifier(line), default: []].append(key)
            line.reserved += 1
        }
        for line in lines {
            guard let keys = added[ObjectIdentifier(line)] else { continue }
            line.reserved = 0
            line.add(keys)
        }
        for line in lines where line.streams.isEmpty { line.end() }
        lines.removeAll { $0.streams.isEmpty }
        if product == .futures {
            let instruments = feed.listeners.filter { $0.channels.contains(.values) }.map(\.instrument)
            derivatives.follow(feed.symbol, instruments)
        }
    }

    private func forget(_ kind: StreamKind, _ feed: SymbolFeed) {
        feed.epoch += 1
        switch kind {
        case .trades:
            feed.trades.reset()
            feed.lastTrade = -1
        case .ticker: feed.lastTicker = -1
        case .depth: feed.depth = nil
        case .mark: feed.lastMark = 0
        case .candles(let interval): feed.candles[interval] = nil
        }
    }

    private func line(for kind: StreamKind) -> StreamLine {
        let path = StreamPath.of(kind, product)
        if let free = lines.first(where: { $0.path == path && $0.streams.count + $0.reserved < settings.streamsPerConnection }) { return free }
        let number = lines.count { $0.path == path } + 1
        let line = StreamLine(
            name: number == 1 ? path.name : "\(path.name) \(number)", path: path, product: product, times: settings.line, on: reactor,
            serial: { [weak self] in
                self?.lastSerial += 1
                return self?.lastSerial ?? 0
            }, connect: connect)
        line.onMessage = { [weak self, weak line] bytes, serial in
            guard let self, let line else { return }
            self.message(bytes, line, serial)
        }
        line.onOpened = { [weak self, weak line] _, isFirst in
            guard let self, let line, isFirst else { return }
            for key in line.streams { self.feeds[key.symbol]?.watches[key.kind]?.restart(at: self.reactor.now()) }
        }
        line.onSubscribed = { [weak self] streams, serial in self?.resume(streams, serial) }
        line.onRefused = { [weak self, weak line] streams, why in
            guard let self, let line else { return }
            let names = streams.prefix(5).map(\.name).joined(separator: ", ")
            self.sink.log(.error, "the venue refuses \(streams.count) subscriptions (\(names)): \(why)")
            self.sink.link(line.name, .degraded, why: .rejected, "\(streams.count) subscriptions are refused: \(why)")
        }
        line.onState = { [weak self, weak line] down in
            guard let self, let line else { return }
            if let down {
                self.sink.link(line.name, .down, why: line.isStale ? .timeout : .network, down)
            } else {
                self.sink.link(line.name, .up, why: nil, "")
            }
        }
        line.onGone = { [weak self, weak line] serial in
            guard let self, let line else { return }
            self.gone(line, serial)
        }
        line.isHeard = { [weak self] key, serial in self?.isHeard(key, on: serial) ?? true }
        lines.append(line)
        return line
    }

    /// A replacement has taken over a stream once it was heard there, or while the market gives nothing to hear.
    private func isHeard(_ key: StreamKey, on serial: Int) -> Bool {
        guard let watch = feeds[key.symbol]?.watches[key.kind] else { return true }
        return watch.heardOn == serial || watch.silence(at: reactor.now()) >= settings.limits.freshness / 2
    }

    private func gone(_ line: StreamLine, _ serial: Int) {
        // What was sent while nobody listened is unknown: a book starts anew, ids of the venue's next life may begin again.
        for key in line.streams {
            guard let feed = feeds[key.symbol] else { continue }
            if key.kind == .depth, feed.depth?.owner == serial { feed.depth?.reset() }
            if key.kind == .ticker, line.current == nil { feed.lastTicker = -1 }
        }
    }

    // MARK: what comes

    private func message(_ bytes: [UInt8], _ line: StreamLine, _ serial: Int) {
        messages &+= 1
        let message: StreamMessage
        do throws(StreamFault) {
            message = try parser.parse(bytes)
        } catch {
            return fault("\(error)", bytes)
        }
        switch message {
        case .trade(let trade):
            guard let feed = heard(trade.symbol, .trades, line, serial) else { return }
            take(trade, feed)
        case .lostTrade(let symbol, let id, let why):
            fault("\(why)", bytes)
            heard(symbol, .trades, line, serial)?.trades.pass(id)
        case .ticker(let ticker):
            guard let feed = heard(ticker.symbol, .ticker, line, serial), ticker.updateID > feed.lastTicker else { return }
            feed.lastTicker = ticker.updateID
            for listener in feed.listeners where listener.channels.contains(.quotes) { sink.quote(listener.instrument, ticker) }
        case .kline(let kline):
            guard let feed = heard(kline.symbol, .candles(kline.interval), line, serial) else { return }
            take(kline, feed)
        case .depth(let depth):
            guard let feed = heard(depth.symbol, .depth, line, serial) else { return }
            take(depth, feed, serial)
        case .mark(let mark):
            guard let feed = heard(mark.symbol, .mark, line, serial), mark.eventTime > feed.lastMark else { return }
            feed.lastMark = mark.eventTime
            if mark.mark > 0 { onMark(mark.symbol, Fixed(raw: mark.mark)) }
            derivatives.mark(mark)
        case .accepted(let id): line.answered(id, on: serial, refused: nil)
        case .refused(let id, let code, let text): line.answered(id, on: serial, refused: "\(text) (\(code))")
        case .shutdown:
            sink.log(.info, "the venue will end a connection (\(line.name)): it is being replaced")
            if line.current?.serial == serial { line.replace() }
        case .other: break
        }
    }

    @inline(__always)
    private func heard(_ symbol: SymbolKey, _ kind: StreamKind, _ line: StreamLine, _ serial: Int) -> SymbolFeed? {
        guard let feed = feeds[symbol], feed.watches[kind] != nil else { return nil }
        feed.watches[kind]?.message(at: reactor.now(), on: serial)
        line.heard(on: serial)
        return feed
    }

    private func fault(_ why: String, _ bytes: [UInt8]) {
        let known = faults[why] != nil
        if faults.count < 64 || known { faults[why, default: 0] += 1 }
        // Once for each kind of fault: a venue that changed its ways would fill the log.
        if !known, faults.count <= 64 {
            sink.log(.error, "a stream message is left out: \(why): \(String(decoding: bytes.prefix(200), as: UTF8.self))")
        }
    }

    private func take(_ trade: TradeMessage, _ feed: SymbolFeed) {
        feed.lastTrade = max(feed.lastTrade, trade.lastTrade)
        // A trade changes the best price's quantity and the candle: streams of these that say nothing now have missed it.
        let now = reactor.now()
        feed.watches[.ticker]?.missed(at: now)
        feed.watches[.candles(pulse)]?.missed(at: now)
        switch feed.trades.take(trade.id, trade) {
        case .deliver: tell(trade, feed, history: false)
        case .gap(let range): beginFill(feed, range)
        case .full: giveUpTrades(feed, "too many came meanwhile")
        case .old, .held: break
        }
    }

    private func beginFill(_ feed: SymbolFeed, _ range: Range<Int64>) {
        feed.fill = (feed.fill.number + 1, reactor.now())
        feed.pages[.trades] = nil
        feed.attempts[.trades] = nil
        fillTrades(feed, range)
    }

    private func tell(_ trade: TradeMessage, _ feed: SymbolFeed, history: Bool) {
        feed.lastTrade = max(feed.lastTrade, trade.lastTrade)
        for listener in feed.listeners where listener.channels.contains(.trades) {
            sink.trade(listener.instrument, trade, flags: history ? KEEL_EVF_REPLAY : 0)
        }
    }

    private func take(_ kline: KlineMessage, _ feed: SymbolFeed) {
        if kline.interval == pulse {
            feed.candleSeen = (kline.candle.openTime, kline.candle.trades)
            if feed.lastTrade < 0 {
                // What was traded before the subscription is nobody's fault: counting starts here.
                feed.lastTrade = kline.lastTrade
            } else if kline.lastTrade > feed.lastTrade {
                // The trade stream lags behind the candles: by a little always, by much never.
                feed.watches[.trades]?.missed(at: reactor.now())
            }
        }
        let place = kline.candle.openTime / kline.interval.milliseconds
        guard let last = feed.candles[kline.interval]?.last else {
            if kline.isClosed, feed.candles[kline.interval]?.isFilling == false, feed.candles[kline.interval]?.take(place, kline.candle) == .deliver {
                tell(kline.candle, kline.interval, feed, flags: 0)
            }
            return
        }
        if kline.isClosed {
            switch feed.candles[kline.interval]?.take(place, kline.candle) {
            case .deliver: tell(kline.candle, kline.interval, feed, flags: 0)
            case .gap(let range): fillCandles(feed, kline.interval, range, flags: KEEL_EVF_REPLAY)
            default: break
            }
        } else if place > last + 1, kline.eventTime >= kline.candle.openTime + 3_000, let range = feed.candles[kline.interval]?.resume() {
            // The one before it was never closed here: its closing message is lost.
            fillCandles(feed, kline.interval, range, flags: KEEL_EVF_REPLAY)
        }
    }

    private func tell(_ candle: Candle, _ interval: Interval, _ feed: SymbolFeed, flags: UInt32) {
        guard settings.intervals.contains(interval) else { return }
        for listener in feed.listeners where listener.channels.contains(.bars) { sink.bar(listener.instrument, candle, interval, flags: flags) }
    }

    private func take(_ message: DepthMessage, _ feed: SymbolFeed, _ serial: Int) {
        let change = DepthSync.Change(message: message, bids: parser.bids, asks: parser.asks)
        switch feed.depth?.take(change, from: serial) {
        case .applied:
            for listener in feed.listeners where listener.channels.contains(.depth) {
                sink.depth(listener.instrument, bids: change.bids, asks: change.asks, sequence: message.lastID, whole: false, time: message.eventTime)
            }
        case .waiting(ask: true): fetchDepth(feed, serial)
        case .broken(let why):
            sink.log(.warning, "the book of \(feed.symbol) is fetched anew: \(why)")
            fetchDepth(feed, serial)
        default: break
        }
    }

    // MARK: filling gaps

    /// Subscribed, for the first time or again: what was missed before is asked for.
    private func resume(_ streams: [StreamKey], _ serial: Int) {
        for key in streams {
            guard let feed = feeds[key.symbol] else { continue }
            switch key.kind {
            case .trades: if let range = feed.trades.resume() { beginFill(feed, range) }
            case .candles(let interval):
                let known = feed.candles[interval]?.last != nil
                let present = requests.venueTime / interval.milliseconds
                let wanted = settings.intervals.contains(interval) && settings.history > 0
                let first = wanted ? present - Int64(settings.history) : nil
                if let range = feed.candles[interval]?.resume(from: known ? nil : first) {
                    fillCandles(feed, interval, range, flags: known ? KEEL_EVF_REPLAY : KEEL_EVF_SNAPSHOT)
                }
            default: break
            }
        }
    }

    /// Another try, a little later each time; false: enough of them.
    private func again(_ kind: StreamKind, _ feed: SymbolFeed, after failure: VenueFailure?, _ work: @escaping () -> Void) -> Bool {
        let tries = feed.attempts[kind, default: 0] + 1
        feed.attempts[kind] = tries
        let isLimit = failure?.treatment == .limited || failure?.treatment == .banned
        guard tries <= 6 || isLimit else { return false }
        let wait = max(Int64(500_000_000) << Int64(min(tries - 1, 5)), failure?.retryAfter ?? 0)
        let epoch = feed.epoch
        let number = feed.fill.number
        _ = reactor.after(wait) { [weak self, weak feed] in
            guard let self, let feed, !self.stopped, feed.epoch == epoch, kind != .trades || feed.fill.number == number else { return }
            work()
        }
        return true
    }

    private func fillTrades(_ feed: SymbolFeed, _ range: Range<Int64>) {
        if settings.tradePages == 0 { return tell(feed.trades.giveUp(), feed) }
        let limit = Int(min(Int64(range.upperBound == .max ? 1_000 : range.count), 1_000))
        let epoch = feed.epoch
        let number = feed.fill.number
        requests.get(MarketQuestion.trades(product, feed.symbol, from: range.lowerBound, limit: limit)) { [weak self, weak feed] reply in
            guard let self, let feed, !self.stopped, feed.epoch == epoch, feed.fill.number == number else { return }
            var failure: VenueFailure?
            switch reply {
            case .success(let value):
                do throws(StreamFault) {
                    return self.filled(feed, try RestRows.trades(value, symbol: feed.symbol), limit: limit, range)
                } catch {
                    failure = VenueFailure(.notDone, message: "\(error)")
                }
            case .failure(let why): failure = why
            }
            if self.again(.trades, feed, after: failure, { [weak self] in self?.fillTrades(feed, range) }) { return }
            self.giveUpTrades(feed, failure?.description ?? "")
        }
    }

    private func filled(_ feed: SymbolFeed, _ page: RestRows.Page<TradeMessage>, limit: Int, _ range: Range<Int64>) {
        // Each page is a request; a venue that answers with nothing new is asked again later, not at once.
        let pages = feed.pages[.trades, default: 0] + 1
        feed.pages[.trades] = pages
        // The venue's answers may lag behind its streams: an empty answer to a known hole is tried again.
        let complete = page.count < limit && (range.upperBound == .max || page.count > 0 || feed.attempts[.trades, default: 0] >= 3)
        let result = feed.trades.filled(page.rows.map { ($0.id, $0) }, isAll: complete)
        tell(result, feed)
        guard let next = result.next else {
            feed.pages[.trades] = nil
            feed.attempts[.trades] = nil
            return
        }
        if pages >= settings.tradePages { return giveUpTrades(feed, "more than \(settings.tradePages) requests would be needed") }
        if result.history.isEmpty {
            if again(.trades, feed, after: nil, { [weak self] in self?.fillTrades(feed, next) }) { return }
            return giveUpTrades(feed, "the venue doesn't give them")
        }
        fillTrades(feed, next)
    }

    private func tell(_ result: GapTrack<TradeMessage>.Filled, _ feed: SymbolFeed) {
        filledTrades += result.history.count
        for entry in result.history { tell(entry.item, feed, history: true) }
        for entry in result.live { tell(entry.item, feed, history: false) }
        let lost = result.lost.reduce(Int64(0)) { $0 + ($1.upperBound - $1.lowerBound) }
        if lost > 0 {
            lostTrades += lost
            sink.log(.warning, "\(lost) trades of \(feed.symbol) are lost: the venue doesn't have them any more, or not exactly")
        }
    }

    private func giveUpTrades(_ feed: SymbolFeed, _ why: String) {
        feed.fill.number += 1
        feed.pages[.trades] = nil
        feed.attempts[.trades] = nil
        sink.log(.warning, "a gap in the trades of \(feed.symbol) can't be filled: \(why)")
        tell(feed.trades.giveUp(), feed)
    }

    private func fillCandles(_ feed: SymbolFeed, _ interval: Interval, _ range: Range<Int64>, flags: UInt32) {
        let step = interval.milliseconds
        let limit = product == .spot ? 1_000 : 499
        let epoch = feed.epoch
        let kind = StreamKind.candles(interval)
        let to = range.upperBound == .max ? nil : range.upperBound * step - 1
        var question = MarketQuestion.candles(product, feed.symbol, interval, from: range.lowerBound * step, to: to, limit: limit)
        question.isPatient = flags == KEEL_EVF_SNAPSHOT
        requests.get(question) { [weak self, weak feed] reply in
            guard let self, let feed, !self.stopped, feed.epoch == epoch else { return }
            var failure: VenueFailure?
            switch reply {
            case .success(let value):
                do throws(StreamFault) {
                    let page = try RestRows.candles(value)
                    return self.filled(feed, interval, page.rows, isAll: page.count < limit, flags: flags)
                } catch {
                    failure = VenueFailure(.notDone, message: "\(error)")
                }
            case .failure(let why): failure = why
            }
            if self.again(kind, feed, after: failure, { [weak self] in self?.fillCandles(feed, interval, range, flags: flags) }) { return }
            feed.attempts[kind] = nil
            self.sink.log(.warning, "a gap in the \(interval.name) candles of \(feed.symbol) can't be filled: \(failure?.description ?? "")")
            if let result = feed.candles[interval]?.giveUp() { self.tell(result, interval, feed, flags: flags) }
        }
    }

    private func filled(_ feed: SymbolFeed, _ interval: Interval, _ rows: [Candle], isAll: Bool, flags: UInt32) {
        let step = interval.milliseconds
        // The last row is still forming unless its time is over, also by a clock that is a little ahead.
        let present = requests.venueTime - 1_500
        let closed = rows.filter { $0.openTime % step == 0 && $0.openTime + step <= present }
        guard let result = feed.candles[interval]?.filled(closed.map { ($0.openTime / step, $0) }, isAll: isAll || closed.count < rows.count) else { return }
        tell(result, interval, feed, flags: flags)
        guard let next = result.next else {
            feed.attempts[.candles(interval)] = nil
            return
        }
        if !result.history.isEmpty || !result.live.isEmpty { return fillCandles(feed, interval, next, flags: flags) }
        if again(.candles(interval), feed, after: nil, { [weak self] in self?.fillCandles(feed, interval, next, flags: flags) }) { return }
        feed.attempts[.candles(interval)] = nil
        if let result = feed.candles[interval]?.giveUp() { tell(result, interval, feed, flags: flags) }
    }

    private func tell(_ result: GapTrack<Candle>.Filled, _ interval: Interval, _ feed: SymbolFeed, flags: UInt32) {
        filledCandles += result.history.count
        for entry in result.history { tell(entry.item, interval, feed, flags: flags) }
        for entry in result.live { tell(entry.item, interval, feed, flags: 0) }
        // Times without a candle are times without a market: nothing is invented for them.
    }

    private func fetchDepth(_ feed: SymbolFeed, _ serial: Int) {
        let epoch = feed.epoch
        requests.get(MarketQuestion.depth(product, feed.symbol)) { [weak self, weak feed] reply in
            guard let self, let feed, !self.stopped, feed.epoch == epoch, feed.depth?.isLive == false else { return }
            guard case .success(let value) = reply, let snapshot = try? RestRows.depth(value) else {
                var failure: VenueFailure?
                if case .failure(let why) = reply { failure = why }
                // Dear and asked for by many at once after a loss: later each time, and without an end.
                if feed.attempts[.depth, default: 0] >= 6 { feed.attempts[.depth] = 5 }
                _ = self.again(.depth, feed, after: failure) { [weak self] in self?.fetchDepth(feed, serial) }
                return
            }
            feed.attempts[.depth] = nil
            switch feed.depth?.join(snapshot, connection: serial) {
            case .live:
                // The image as the venue gave it, then what followed: the same messages make the same events, however late the image came.
                for listener in feed.listeners where listener.channels.contains(.depth) {
                    self.sink.depth(
                        listener.instrument, bids: Array(snapshot.bids.prefix(1_000)), asks: Array(snapshot.asks.prefix(1_000)), sequence: snapshot.lastID,
                        whole: true, time: 0)
                    for change in feed.depth?.joined ?? [] {
                        self.sink.depth(
                            listener.instrument, bids: change.bids, asks: change.asks, sequence: change.message.lastID, whole: false,
                            time: change.message.eventTime)
                    }
                }
            case .tooOld, .hole:
                _ = self.reactor.after(250_000_000) { [weak self, weak feed] in
                    guard let self, let feed, !self.stopped, feed.epoch == epoch, feed.depth?.isLive == false else { return }
                    self.fetchDepth(feed, serial)
                }
            case nil: break
            }
        }
    }

    // MARK: freshness

    /// Once a second: connections that are old or dead, streams that are silent.
    private func tick() {
        clockwork = reactor.after(1_000_000_000) { [weak self] in
            guard let self, !self.stopped else { return }
            for line in self.lines { line.look() }
            self.lookAtStreams()
            self.derivatives.tick()
            self.tick()
        }
    }

    /// How long trades may wait for the ones before them.
    private static let longestWait: Int64 = 3_000_000_000

    private func lookAtStreams() {
        let now = reactor.now()
        for feed in feeds.values where feed.trades.isFilling && feed.trades.isHolding && now - feed.fill.since >= Self.longestWait {
            giveUpTrades(feed, "the venue did not give them within \(Self.longestWait / 1_000_000_000) s")
        }
        var stale: [ObjectIdentifier: (line: StreamLine, names: [String], silence: Int64)] = [:]
        for feed in feeds.values {
            for (kind, watch) in feed.watches {
                let key = StreamKey(symbol: feed.symbol, kind: kind)
                // A connection that isn't there yet has its own way of being late.
                guard let line = lineOf[key], line.current?.isOpen == true else { continue }
                switch watch.verdict(at: now, settings.limits) {
                case .fresh: break
                case .doubtful: lookElsewhere(feed)
                case .stale(let silence):
                    var entry = stale[ObjectIdentifier(line)] ?? (line, [], 0)
                    entry.names.append(key.name)
                    entry.silence = max(entry.silence, silence)
                    stale[ObjectIdentifier(line)] = entry
                }
            }
        }
        for entry in stale.values {
            let names = entry.names.sorted()
            let shown = names.prefix(4).joined(separator: ", ") + (names.count > 4 ? " and \(names.count - 4) more" : "")
            entry.line.stale("\(shown): subscribed, but silent for \(entry.silence / 1_000_000_000) s")
        }
    }

    /// Asks the venue by another way whether there was anything to say.
    private func lookElsewhere(_ feed: SymbolFeed) {
        guard !feed.isAsking else { return }
        feed.isAsking = true
        let epoch = feed.epoch
        requests.get(MarketQuestion.candles(product, feed.symbol, pulse, limit: 1)) { [weak self, weak feed] reply in
            guard let self, let feed else { return }
            feed.isAsking = false
            guard !self.stopped, feed.epoch == epoch else { return }
            var candle: Candle?
            if case .success(let value) = reply { candle = (try? RestRows.candles(value))?.rows.last }
            let now = self.reactor.now()
            var missed = true  // Neither way answers: nothing speaks for the stream.
            if let candle {
                guard let seen = feed.candleSeen else {
                    // Never heard of a candle: what lies before the subscription proves nothing, so the next look compares with this one.
                    feed.candleSeen = (candle.openTime, candle.trades)
                    return
                }
                missed = candle.openTime > seen.openTime ? candle.trades > 0 : candle.trades > seen.trades
            }
            for (kind, watch) in feed.watches {
                guard case .doubtful = watch.verdict(at: now, self.settings.limits) else { continue }
                if missed { feed.watches[kind]?.missed(at: now) } else { feed.watches[kind]?.confirmed(at: now) }
            }
        }
    }

    // MARK: for people

    public var description: JSONValue {
        var connections: [JSONValue] = []
        for line in lines {
            let state: String
            switch line.state {
            case .new: state = "connecting"
            case .up: state = line.next == nil ? "up" : "being replaced"
            case .down(let why): state = "down: \(why)"
            }
            connections.append([
                "name": JSONValue(line.name), "state": JSONValue(state), "streams": JSONValue(line.streams.count), "attempts": JSONValue(line.attempts),
                "replacements": JSONValue(line.replacements),
            ])
        }
        return [
            "symbols": JSONValue(feeds.count), "connections": JSONValue(connections), "messages": JSONValue(messages),
            "left_out": JSONValue(faults.values.reduce(0, +)), "trades_filled": JSONValue(filledTrades), "trades_lost": JSONValue(lostTrades),
            "candles_filled": JSONValue(filledCandles), "derivatives": derivatives.description,
        ]
    }
}
