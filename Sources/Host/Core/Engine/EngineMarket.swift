import PluginAPI
import PluginKit

// The market path: what happens on every tick. No allocation, no reference counts, no dispatch but the plugins' own calls.
extension Engine {
    @inline(__always)
    func market(_ event: UnsafePointer<keel_event>, _ kind: UInt32, from port: Int) {
        core.pointee.events &+= 1
        let id = Int(event.pointee.instrument)
        guard id < stride else { return }
        let route = routes + (port &* stride &+ id)
        let first = Int(route.pointee.firstBook)
        if event.pointee.flags & Engine.historyFlags != 0, kind == KEEL_EV_TRADE || kind == KEEL_EV_BAR {
            for place in first..<(first &+ Int(route.pointee.bookCount)) { history(event, kind, books + Int(routeBooks[place])) }
            return
        }
        for place in first..<(first &+ Int(route.pointee.bookCount)) {
            let book = books + Int(routeBooks[place])
            switch kind {
            case KEEL_EV_TRADE: trade(event, book)
            case KEEL_EV_QUOTE: quote(event, book)
            case KEEL_EV_BAR: bar(event, book)
            default: otherMarket(event, kind, book)
            }
        }
    }

    @inline(__always)
    private func trade(_ event: UnsafePointer<keel_event>, _ book: UnsafeMutablePointer<Book>) {
        guard let trade = body(event, as: keel_ev_trade.self), trade.pointee.price > 0, trade.pointee.qty >= 0 else { return countBad(book) }
        let price = trade.pointee.price
        let quantity = trade.pointee.qty
        let source = event.pointee.at_source
        let time = source != 0 ? source : event.pointee.at_host
        book.pointee.last = price
        book.pointee.tradeAt = min(time, core.pointee.now)
        book.pointee.skew = source != 0 ? event.pointee.at_host &- source : 0
        mark(book, price)
        let size = Double(quantity)
        book.pointee.taken += size
        book.pointee.delta += trade.pointee.side == KEEL_BUY ? size : trade.pointee.side == KEEL_SELL ? -size : 0

        var bits: UInt32 = 0
        for index in 0..<book.pointee.seriesCount {
            if book.pointee.series[index].add(price: price, quantity: quantity, at: time) { barClosed(book, index) }
        }
        if book.pointee.candle.tick(at: time) { bits = KEEL_GATE_CANDLE; armBars(book) }
        bits |= zLayer(book, .trade, price: price, volume: size)
        bits |= observe(event, book)
        if price <= book.pointee.guardLow || price >= book.pointee.guardHigh { bits |= guards(book, low: price, high: price, last: price) }
        book.pointee.counters.events &+= 1
        if bits != 0 { pass(book, bits, onEvent: true) }
        if core.pointee.busTopics & 1 != 0 {
            publishTick(book, price: price, quantity: quantity, side: trade.pointee.side)
        }
    }

    @inline(__always)
    private func quote(_ event: UnsafePointer<keel_event>, _ book: UnsafeMutablePointer<Book>) {
        guard let quote = body(event, as: keel_ev_quote.self), quote.pointee.bid >= 0, quote.pointee.ask >= 0, quote.pointee.bid_qty >= 0,
            quote.pointee.ask_qty >= 0, quote.pointee.ask == 0 || quote.pointee.bid <= quote.pointee.ask
        else { return countBad(book) }
        let source = event.pointee.at_source
        let time = source != 0 ? source : event.pointee.at_host
        book.pointee.bid = quote.pointee.bid
        book.pointee.ask = quote.pointee.ask
        book.pointee.bidQuantity = quote.pointee.bid_qty
        book.pointee.askQuantity = quote.pointee.ask_qty
        book.pointee.quoteAt = min(time, core.pointee.now)
        book.pointee.skew = source != 0 ? event.pointee.at_host &- source : 0
        var bits: UInt32 = 0
        // Where there are trades or bars, they make the price; a quote stands in for them only where there is nothing else.
        if book.pointee.tradeAt == 0, book.pointee.barAt == 0, quote.pointee.bid > 0, quote.pointee.ask > 0 {
            let price = quote.pointee.bid &+ (quote.pointee.ask &- quote.pointee.bid) / 2
            book.pointee.last = price
            mark(book, price)
            for index in 0..<book.pointee.seriesCount {
                if book.pointee.series[index].add(price: price, quantity: 0, at: time) { barClosed(book, index) }
            }
            if book.pointee.candle.tick(at: time) { bits = KEEL_GATE_CANDLE; armBars(book) }
            bits |= zLayer(book, .quote, price: price, volume: 0)
            if price <= book.pointee.guardLow || price >= book.pointee.guardHigh { bits |= guards(book, low: price, high: price, last: price) }
        }
        bits |= observe(event, book)
        book.pointee.counters.events &+= 1
        if !book.pointee.parents.isEmpty { outlet.routerEvent(book.pointee.routerPort, event) }
        if bits != 0 { pass(book, bits, onEvent: true) }
    }

    @inline(__always)
    private func bar(_ event: UnsafePointer<keel_event>, _ book: UnsafeMutablePointer<Book>) {
        guard let bar = body(event, as: keel_ev_bar.self), isSound(bar) else { return countBad(book) }
        let duration = bar.pointee.duration
        let price = bar.pointee.bar.close
        let closedAt = bar.pointee.bar.open_time &+ duration
        if bar.pointee.bar_flags & KEEL_BAR_CLOSED == 0 { return formingBar(event, bar, book) }
        // A bar that lies before what is known already (a gap filled late) is history, not news.
        let isNews = closedAt >= book.pointee.barAt
        var bits: UInt32 = 0
        for index in 0..<book.pointee.seriesCount where book.pointee.series[index].duration % duration == 0 {
            if book.pointee.series[index].add(bar.pointee.bar, length: duration) { barClosed(book, index) }
        }
        guard isNews else { return }
        book.pointee.barAt = min(closedAt, core.pointee.now)
        if book.pointee.barLength == 0 || duration < book.pointee.barLength {
            // Statistics of bars of different lengths are never mixed: the shortest counts.
            if book.pointee.statistics.stream == .bar { book.pointee.statistics = GateStatistics() }
            book.pointee.barLength = duration
        }
        if duration > book.pointee.barLength {
            bits = observe(event, book)
        } else {
            if closedAt >= book.pointee.tradeAt {
                book.pointee.last = price
                mark(book, price)
            }
            if book.pointee.candle.barClosed(at: closedAt) { bits = KEEL_GATE_CANDLE }
            bits |= zLayer(book, .bar, price: price, volume: Amount(bar.pointee.bar.volume).double)
            bits |= observe(event, book)
            // The range of a bar means something only if nothing finer was seen and the position was there all along.
            let opened = bar.pointee.bar.open_time
            let whole = book.pointee.tradeAt <= opened && book.pointee.position.opened <= opened
            let low = whole ? bar.pointee.bar.low : price
            let high = whole ? bar.pointee.bar.high : price
            if low <= book.pointee.guardLow || high >= book.pointee.guardHigh { bits |= guards(book, low: low, high: high, last: price) }
        }
        book.pointee.counters.events &+= 1
        if bits != 0 { pass(book, bits, onEvent: true) }
        if core.pointee.busTopics & 1 != 0 { publishTick(book, price: price, quantity: 0, side: KEEL_SIDE_NONE) }
    }

    func isSound(_ bar: UnsafePointer<keel_ev_bar>) -> Bool {
        let value = bar.pointee.bar
        return value.low > 0 && value.high >= value.low && value.open >= value.low && value.open <= value.high && value.close >= value.low
            && value.close <= value.high && value.volume.hi >= 0 && bar.pointee.duration > 0 && value.open_time > 0
            && value.open_time < Int64.max / 2 && bar.pointee.duration < Int64.max / 4
    }

    /// A bar that is still forming moves the price and nothing else.
    private func formingBar(_ event: UnsafePointer<keel_event>, _ bar: UnsafePointer<keel_ev_bar>, _ book: UnsafeMutablePointer<Book>) {
        let price = bar.pointee.bar.close
        let source = event.pointee.at_source
        book.pointee.last = price
        book.pointee.barAt = max(book.pointee.barAt, min(source != 0 ? source : event.pointee.at_host, core.pointee.now))
        mark(book, price)
        var bits = observe(event, book)
        if price <= book.pointee.guardLow || price >= book.pointee.guardHigh { bits |= guards(book, low: price, high: price, last: price) }
        book.pointee.counters.events &+= 1
        if bits != 0 { pass(book, bits, onEvent: true) }
    }

    @inline(never)
    private func otherMarket(_ event: UnsafePointer<keel_event>, _ kind: UInt32, _ book: UnsafeMutablePointer<Book>) {
        switch kind {
        case KEEL_EV_VALUE: valueEvent(event, book)
        case KEEL_EV_NEWS: newsEvent(event, book)
        case KEEL_EV_DEPTH:
            let bits = event.pointee.instrument == 0 ? 0 : observe(event, book)
            if bits != 0 { pass(book, bits, onEvent: true) }
        default: break
        }
    }

    @inline(never)
    func countBad(_ book: UnsafeMutablePointer<Book>) {
        book.pointee.bad &+= 1
        if book.pointee.bad == 1 {
            alert(.warning, "malformed", book, "the feed of \(book.pointee.symbol) delivers prices that cannot be; they are left out")
        }
    }

    /// Layer 3 of the gate.
    @inline(__always)
    private func zLayer(_ book: UnsafeMutablePointer<Book>, _ stream: GateStatistics.Stream, price: Int64, volume: Double) -> UInt32 {
        guard book.pointee.layer.isOn || book.pointee.wakeVolumeSquared.isFinite else { return 0 }
        let layer = book.pointee.layer
        guard book.pointee.statistics.takes(stream) else { return 0 }
        book.pointee.statistics.addPrice(price, layer)
        book.pointee.statistics.addVolume(volume, layer)
        var bits: UInt32 = 0
        if book.pointee.statistics.priceExceeds(layer.priceLimitSquared) { bits = KEEL_GATE_PRICE_Z }
        if volume > 0, book.pointee.statistics.volumeExceeds(layer.volumeLimitSquared) { bits |= KEEL_GATE_VOLUME_Z }
        if bits != 0 {
            if core.pointee.now < book.pointee.statistics.quietUntil {
                bits = 0
            } else {
                book.pointee.statistics.quietUntil = core.pointee.now &+ layer.cooldown
            }
        }
        if volume > 0, book.pointee.statistics.volumeExceeds(book.pointee.wakeVolumeSquared) {
            bits |= wake(book) { $0.condition == KEEL_WAKE_VOLUME_Z && book.pointee.statistics.volumeExceeds($0.level.double * $0.level.double) }
        }
        return bits
    }

    /// Shows the event to the deciders; KEEL_GATE_ASKED if the one that would be asked wants to be.
    @inline(__always)
    func observe(_ event: UnsafePointer<keel_event>, _ book: UnsafeMutablePointer<Book>) -> UInt32 {
        var bits: UInt32 = 0
        let observers = book.pointee.observers
        for index in 0..<book.pointee.observerCount {
            let observer = observers + index
            if let call = observer.pointee.call { observer.pointee.answer.pointee = call(observer.pointee.instance, event) }
            if observer.pointee.answer.pointee == KEEL_ASK, observer.pointee.place == pipelines[book.pointee.pipeline].listening,
                pipelines[book.pointee.pipeline].settings.gate.asks
            {
                bits = KEEL_GATE_ASKED
            }
        }
        return bits
    }

    /// Keeps the pipeline's equity at the newest prices.
    @inline(__always)
    func mark(_ book: UnsafeMutablePointer<Book>, _ price: Int64) {
        let moved = price &- book.pointee.marked
        book.pointee.marked = price
        guard book.pointee.units != 0, moved != 0 else {
            if book.pointee.unitsAreWide, moved != 0 { remark(pipelines + book.pointee.pipeline) }
            return
        }
        let product = book.pointee.units.multipliedFullWidth(by: moved)
        let pipeline = pipelines + book.pointee.pipeline
        let equity = pipeline.pointee.equity &+ (Int128(product.high) << 64 | Int128(product.low))
        pipeline.pointee.equity = equity
        if equity > pipeline.pointee.peak || equity < pipeline.pointee.floor { equityMoved(pipeline) }
    }

    /// A price reached a guard: exits first, on the levels as they were before this range, then the new best price, stages
    /// and wake conditions.
    @inline(never)
    func guards(_ book: UnsafeMutablePointer<Book>, low: Int64, high: Int64, last: Int64) -> UInt32 {
        if !book.isFlat { watchPosition(book, low: Fixed(raw: low), high: Fixed(raw: high), last: Fixed(raw: last)) }
        let open = !book.isFlat
        let entry = book.pointee.position.entry
        let long = book.pointee.position.isLong
        let bits = wake(book) { condition in
            let bounds = condition.bounds(entry: entry, long: long, open: open)
            if let bound = bounds.low, low <= bound.raw { return true }
            if let bound = bounds.high, high >= bound.raw { return true }
            return false
        }
        setGuards(book)
        return bits
    }

    /// Takes out the conditions that have come true; KEEL_GATE_WAKE if there are any.
    func wake(_ book: UnsafeMutablePointer<Book>, where isTrue: (WakeCondition) -> Bool) -> UInt32 {
        guard !book.pointee.wakes.isEmpty else { return 0 }
        let before = book.pointee.wakes.count
        book.pointee.wakes.removeAll(where: isTrue)
        guard book.pointee.wakes.count < before else { return 0 }
        setDirty(book)
        setGuards(book)
        return KEEL_GATE_WAKE
    }

    /// Works out anew which prices mean something.
    func setGuards(_ book: UnsafeMutablePointer<Book>) {
        var low = Int64.min
        var high = Int64.max
        let position = book.pointee.position
        let open = !book.isFlat
        if open, position.exiting == nil {
            let levels = position.levels(book.pointee.rules)
            if position.isLong {
                low = max(levels.stop.raw, max(levels.trail.raw, levels.hard.raw))
                high = position.peak.raw == .max ? .max : position.peak.raw + 1
            } else {
                if levels.stop.isPositive { high = levels.stop.raw }
                if levels.trail.isPositive { high = min(high, levels.trail.raw) }
                if levels.hard.isPositive { high = min(high, levels.hard.raw) }
                low = position.peak.raw - 1
            }
            if book.pointee.hasStages { setStageGuards(book, &low, &high) }
        }
        var volume = Double.infinity
        for condition in book.pointee.wakes {
            let bounds = condition.bounds(entry: position.entry, long: position.isLong, open: open)
            if let bound = bounds.low { low = max(low, bound.raw) }
            if let bound = bounds.high { high = min(high, bound.raw) }
            if condition.condition == KEEL_WAKE_VOLUME_Z { volume = min(volume, condition.level.double * condition.level.double) }
        }
        book.pointee.guardLow = low
        book.pointee.guardHigh = high
        book.pointee.wakeVolumeSquared = volume
    }

    private func setStageGuards(_ book: UnsafeMutablePointer<Book>, _ low: inout Int64, _ high: inout Int64) {
        let position = book.pointee.position
        for (index, stage) in pipelines[book.pointee.pipeline].settings.position.stages.enumerated()
        where position.stagesDone & (1 << UInt64(index)) == 0 {
            guard let trigger = position.trigger(of: stage) else { continue }
            if position.isLong { high = min(high, trigger.raw) } else { low = max(low, trigger.raw) }
        }
    }

    /// A bar of one of the kept lengths is complete.
    @inline(__always)
    func barClosed(_ book: UnsafeMutablePointer<Book>, _ index: Int) {
        if index == book.pointee.atrSeries { averageRange(book, index) }
        if learner != nil { learn(book, index) }
    }

    @inline(never)
    private func averageRange(_ book: UnsafeMutablePointer<Book>, _ index: Int) {
        guard let bar = book.pointee.series[index].newest else { return }
        let period = pipelines[book.pointee.pipeline].settings.position.atrPeriod
        book.pointee.atr.add(
            high: Fixed(raw: bar.high).double, low: Fixed(raw: bar.low).double, close: Fixed(raw: bar.close).double, period: period)
        if !book.isFlat, book.pointee.position.tighten(book.pointee.rules, atr: book.pointee.atr.value(period: period)) {
            setGuards(book)
        }
        // The average itself must survive a restart, once an hour by default.
        setDirty(book)
    }

    @inline(never)
    private func learn(_ book: UnsafeMutablePointer<Book>, _ index: Int) {
        guard let learner, let bar = book.pointee.series[index].newest else { return }
        let regimes = learner.barClosed(
            pipeline: book.pointee.pipeline, instrument: book.pointee.instrument.id, bar: bar, duration: book.pointee.series[index].duration)
        take(regimes, book)
    }

    private func take(_ regimes: Regimes, _ book: UnsafeMutablePointer<Book>) {
        let changed = regimes.regime != book.pointee.regimes.regime || regimes.macro != book.pointee.regimes.macro
        book.pointee.regimes = regimes
        guard changed else { return }
        let bits = wake(book) { $0.condition == KEEL_WAKE_REGIME && $0.regime != regimes.regime }
        if bits != 0 { pass(book, bits, onEvent: false) }
    }

    private func valueEvent(_ event: UnsafePointer<keel_event>, _ book: UnsafeMutablePointer<Book>) {
        guard let value = body(event, as: keel_ev_value.self), value.pointee.value.isFinite else { return countBad(book) }
        let released = value.pointee.released != 0 ? value.pointee.released : event.pointee.at_host
        let index = book.pointee.values.take(
            name: textBytes(value.pointee.name, in: event), value: value.pointee.value, at: released, periodStart: value.pointee.period_start,
            periodEnd: value.pointee.period_end)
        book.pointee.counters.events &+= 1
        var bits = event.pointee.instrument == 0 ? 0 : observe(event, book)
        if let index {
            let taken = book.pointee.values.all[index]
            if taken.hash == KnownValue.fundingRate {
                bits |= wake(book) { $0.condition == KEEL_WAKE_FUNDING && abs(taken.value) >= $0.level.double }
            }
            if let learner,
                let regimes = learner.valueArrived(
                    pipeline: book.pointee.pipeline, instrument: event.pointee.instrument, name: taken.name, value: taken.value, time: released)
            {
                take(regimes, book)
            }
        }
        if bits != 0 { pass(book, bits, onEvent: true) }
    }

    private func newsEvent(_ event: UnsafePointer<keel_event>, _ book: UnsafeMutablePointer<Book>) {
        guard pipelines[book.pointee.pipeline].wants & KEEL_WANT_NEWS != 0, let news = body(event, as: keel_ev_news.self) else { return }
        var text = textString(news.pointee.title, in: event)
        let source = textString(news.pointee.source, in: event)
        if !source.isEmpty { text = "\(source): \(text)" }
        book.pointee.news.append(String(text.prefix(500)))
        if book.pointee.news.count > 16 { book.pointee.news.removeFirst() }
    }

    @inline(never)
    private func publishTick(_ book: UnsafeMutablePointer<Book>, price: Int64, quantity: Int64, side: UInt32) {
        publish(.marketTick, book.pointee.pipeline, book.pointee.instrument.id) {
            .tick(price: Fixed(raw: price), quantity: Fixed(raw: quantity), side: side)
        }
    }
}
