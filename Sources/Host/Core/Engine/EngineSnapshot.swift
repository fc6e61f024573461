import PluginAPI
import PluginKit

// What a decider sees: one flat block a book, only what the pipeline's deciders want, the same bytes for the same state.
extension Engine {
    /// Builds the snapshot in the book's own block. It stays valid until the next one of this book.
    func buildSnapshot(_ book: UnsafeMutablePointer<Book>, _ ask: inout Ask) {
        let pipeline = pipelines + book.pointee.pipeline
        let wants = pipeline.pointee.wants
        if !book.pointee.block.isNamed { book.pointee.block.name(symbol: book.pointee.symbol, pipeline: pipeline.pointee.settings.name) }
        takeLater(book)
        book.pointee.block.begin()
        fillMarket(book, ask)
        fillPosition(book, pipeline)
        fillLimits(book, pipeline)

        addStages(book, pipeline)
        if wants & KEEL_WANT_BARS != 0 { addSeries(book, most: pipeline.pointee.barsWanted) }
        if wants & KEEL_WANT_VALUES != 0 { addValues(book) }
        if wants & KEEL_WANT_WEIGHTS != 0, book.pointee.learns { addLearned(book) }
        if wants & KEEL_WANT_PAST != 0 { addPast(book) }
        if wants & KEEL_WANT_NEWS != 0 { addNews(book) }
        if wants & KEEL_WANT_MEMORY != 0 {
            let memory = book.pointee.block.text(book.pointee.memory)
            book.pointee.block.header.pointee.memory = memory
        }
        let hash = book.pointee.block.finish()
        ask.snapshotHi = hash.hi
        ask.snapshotLo = hash.lo
    }

    private func fillMarket(_ book: UnsafeMutablePointer<Book>, _ ask: Ask) {
        let header = book.pointee.block.header
        header.pointee.sequence = ask.sequence
        header.pointee.now = now
        header.pointee.instrument = book.pointee.instrument.id
        header.pointee.purpose = ask.purpose
        header.pointee.gate = ask.gate
        header.pointee.allowed = ask.allowed
        header.pointee.last = book.pointee.last
        // A quote that is out of date is no quote.
        let fresh = pipelines[book.pointee.pipeline].settings.risk.freshness
        if fresh == nil || now - book.pointee.quoteAt <= (fresh ?? 0) {
            header.pointee.bid = book.pointee.bid
            header.pointee.ask = book.pointee.ask
            header.pointee.bid_qty = book.pointee.bidQuantity
            header.pointee.ask_qty = book.pointee.askQuantity
        }
        header.pointee.tick = book.pointee.instrument.tick.raw
        header.pointee.lot = book.pointee.instrument.lot.raw
        header.pointee.min_qty = book.pointee.instrument.minimumQuantity.raw
        let regimes = book.pointee.regimes
        header.pointee.regime = regimes.regime
        header.pointee.macro = regimes.macro
        header.pointee.regime_probability = regimes.probability
        header.pointee.macro_probability = regimes.macroProbability
        header.pointee.price_z = book.pointee.statistics.priceZ ?? .nan
        header.pointee.volume_z = book.pointee.statistics.volumeZ ?? .nan
        header.pointee.atr = book.pointee.atr.value(period: pipelines[book.pointee.pipeline].settings.position.atrPeriod) ?? .nan
        header.pointee.funding_rate = book.pointee.derivatives.value(.funding)
        header.pointee.open_interest = book.pointee.derivatives.value(.openInterest)
        header.pointee.open_interest_change = book.pointee.derivatives.openInterestChange
        header.pointee.long_short = book.pointee.derivatives.value(.longShort)
        header.pointee.taker_ratio = book.pointee.derivatives.value(.takerRatio)
        let reported = book.pointee.values.all.isEmpty ? Double.nan : book.pointee.values.value(KnownValue.cumulativeDelta)
        header.pointee.cumulative_delta = reported.isNaN ? (book.pointee.taken > 0 ? book.pointee.delta / 1e8 : .nan) : reported
        header.pointee.liquidation = book.pointee.liquidation == 0 ? .nan : Fixed(raw: book.pointee.liquidation).double
        header.pointee.margin_ratio = book.pointee.marginRatio == 0 ? .nan : Fixed(raw: book.pointee.marginRatio).double
    }

    private func fillPosition(_ book: UnsafeMutablePointer<Book>, _ pipeline: UnsafeMutablePointer<Pipeline>) {
        let header = book.pointee.block.header
        let position = book.pointee.position
        let rules = book.pointee.rules
        header.pointee.equity = equity(pipeline).c
        header.pointee.cash = pipeline.pointee.state.cash.c
        header.pointee.realised_today = pipeline.pointee.state.day.realised.c
        header.pointee.fees_today = pipeline.pointee.state.day.fees.c
        header.pointee.stop_fraction = rules.stopLoss?.raw ?? 0
        header.pointee.trail_fraction = rules.trailing?.raw ?? 0
        header.pointee.trail_activation = rules.trailing == nil ? 0 : rules.trailingActivation.raw
        if book.isFlat { return }
        header.pointee.position = position.quantity.c
        header.pointee.entry = position.entry.raw
        header.pointee.opened = position.opened
        header.pointee.peak = position.peak.raw
        header.pointee.unrealised = position.unrealised(at: Fixed(raw: book.pointee.marked), instrument: book.pointee.instrument).c
        let levels = position.levels(rules)
        header.pointee.stop = levels.stop.raw
        header.pointee.trail = levels.trail.raw
        header.pointee.hard_stop = levels.hard.raw
    }

    private func fillLimits(_ book: UnsafeMutablePointer<Book>, _ pipeline: UnsafeMutablePointer<Pipeline>) {
        let header = book.pointee.block.header
        let risk = pipeline.pointee.settings.risk
        header.pointee.max_fraction = risk.maximumFraction.raw
        header.pointee.max_position = (risk.maximumPosition ?? .zero).c
        header.pointee.max_order = (risk.maximumOrder ?? .zero).c
        if let limit = pipeline.pointee.dayLimit, let left = try? Amount(header.pointee.equity).subtracting(limit) {
            header.pointee.daily_loss_left = max(left, .zero).c
        }
        header.pointee.kelly_cap = Sizing.kellyCap(pipeline.pointee.state.kelly, risk)?.raw ?? 0
        if let most = risk.ordersPerMinute {
            header.pointee.orders_left = UInt32(clamping: most - pipeline.pointee.minute.count(at: now))
        } else {
            header.pointee.orders_left = .max
        }
        header.pointee.losing_streak = UInt32(clamping: pipeline.pointee.state.losingStreak)
        header.pointee.min_check = pipeline.pointee.settings.gate.minimumInterval
        header.pointee.max_check = pipeline.pointee.settings.gate.maximumInterval
    }

    private func addStages(_ book: UnsafeMutablePointer<Book>, _ pipeline: UnsafeMutablePointer<Pipeline>) {
        guard book.pointee.hasStages else { return }
        let stages = pipeline.pointee.settings.position.stages
        let list = book.pointee.block.list(of: stages.count, stride: MemoryLayout<keel_stage>.stride)
        for (index, stage) in stages.enumerated() {
            let done: UInt32 = book.pointee.position.stagesDone & (1 << UInt64(index)) != 0 ? 1 : 0
            book.pointee.block.store(
                keel_stage(
                    trigger: (book.isFlat ? nil : book.pointee.position.trigger(of: stage))?.raw ?? stage.gain.raw,
                    fraction: stage.fraction.raw, done: done, reserved: 0), at: index, of: list)
        }
        book.pointee.block.header.pointee.stages = list
    }

    private func addSeries(_ book: UnsafeMutablePointer<Book>, most: Int) {
        let stride = MemoryLayout<keel_bar>.stride
        let list = book.pointee.block.list(of: book.pointee.seriesCount, stride: MemoryLayout<keel_series>.stride)
        for index in 0..<book.pointee.seriesCount {
            let count = min(most > 0 ? most : .max, book.pointee.series[index].count)
            let bars = book.pointee.block.list(of: count, stride: stride)
            if count > 0 { _ = book.pointee.series[index].copy(most: count, to: book.pointee.block.address(Int(bars.off))) }
            book.pointee.block.store(keel_series(duration: book.pointee.series[index].duration, bars: bars), at: index, of: list)
        }
        book.pointee.block.header.pointee.series = list
    }

    private func addValues(_ book: UnsafeMutablePointer<Book>) {
        let values = book.pointee.values.all
        let list = book.pointee.block.list(of: values.count, stride: MemoryLayout<keel_named>.stride)
        for (index, value) in values.enumerated() {
            let name = book.pointee.block.text(value.name)
            book.pointee.block.store(keel_named(name: name, value: value.value, at: value.at, period_end: value.periodEnd), at: index, of: list)
        }
        book.pointee.block.header.pointee.values = list
    }

    private func addLearned(_ book: UnsafeMutablePointer<Book>) {
        guard let learner else { return }
        let weights = learner.weights(book: book.pointee.index, regime: book.pointee.regimes.regime, at: now)
        let list = book.pointee.block.list(of: weights.count, stride: MemoryLayout<keel_weight>.stride)
        for (index, weight) in weights.enumerated() {
            let name = book.pointee.block.text(weight.signal)
            book.pointee.block.store(
                keel_weight(signal: name, mean: weight.mean, draw: weight.draw, observations: weight.observations), at: index, of: list)
        }
        book.pointee.block.header.pointee.weights = list
        let similar = book.pointee.block.text(learner.similar(book: book.pointee.index))
        book.pointee.block.header.pointee.similar = similar
    }

    private func addPast(_ book: UnsafeMutablePointer<Book>) {
        let past = book.pointee.past
        let list = book.pointee.block.list(of: past.count, stride: MemoryLayout<keel_past>.stride)
        for (index, decision) in past.enumerated() {
            let decider = book.pointee.block.text(decision.decider)
            let reason = book.pointee.block.text(decision.reason)
            book.pointee.block.store(
                keel_past(
                    at: decision.time, action: decision.action, outcome_known: decision.outcome == nil ? 0 : 1, confidence: decision.confidence.raw,
                    outcome: decision.outcome ?? 0, decider: decider, reason: reason), at: index, of: list)
        }
        book.pointee.block.header.pointee.past = list
    }

    private func addNews(_ book: UnsafeMutablePointer<Book>) {
        let news = book.pointee.news
        let list = book.pointee.block.list(of: news.count, stride: MemoryLayout<keel_text>.stride)
        for (index, item) in news.enumerated() {
            let text = book.pointee.block.text(item)
            book.pointee.block.store(text, at: index, of: list)
        }
        book.pointee.block.header.pointee.news = list
    }
}
