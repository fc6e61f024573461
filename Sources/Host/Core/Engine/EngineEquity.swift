import PluginAPI
import PluginKit

// Equity, the breakers that hang on it, and the day.
extension Engine {
    /// Equity at the newest prices, to eight decimals.
    func equity(_ pipeline: UnsafeMutablePointer<Pipeline>) -> Amount {
        // Asked for several times at the same prices.
        let fine = pipeline.pointee.equity
        if fine == pipeline.pointee.roundedFrom { return pipeline.pointee.rounded }
        let amount = Amount(fine: fine, rounding: .down)
        pipeline.pointee.roundedFrom = fine
        pipeline.pointee.rounded = amount
        return amount
    }

    /// Equity from scratch, in the steps it is kept in.
    func remark(_ pipeline: UnsafeMutablePointer<Pipeline>) {
        var sum = Int128(Fixed.scale).multipliedReportingOverflow(by: pipeline.pointee.state.cash.raw).partialValue
        for index in pipeline.pointee.firstBook..<(pipeline.pointee.firstBook + pipeline.pointee.bookCount) {
            let book = books + index
            setUnits(book)
            sum = sum &+ value(book)
        }
        pipeline.pointee.equity = sum
        setFloor(pipeline)
    }

    /// Equity after a change of one book's position and of cash.
    func reprice(_ book: UnsafeMutablePointer<Book>, _ pipeline: UnsafeMutablePointer<Pipeline>, cash: Amount) {
        let before = book.pointee.units
        let wasWide = book.pointee.unitsAreWide
        setUnits(book)
        if wasWide || book.pointee.unitsAreWide { return remark(pipeline) }
        let (change, overflow) = book.pointee.units.subtractingReportingOverflow(before)
        if overflow { return remark(pipeline) }
        let product = change.multipliedFullWidth(by: book.pointee.marked)
        let scaled = cash.raw.multipliedReportingOverflow(by: Int128(Fixed.scale)).partialValue
        pipeline.pointee.equity = pipeline.pointee.equity &+ scaled &+ (Int128(product.high) << 64 | Int128(product.low))
    }

    /// Position times multiplier. What does not fit 64 bits is valued whenever it changes instead of on every price.
    func setUnits(_ book: UnsafeMutablePointer<Book>) {
        let multiplier = book.pointee.instrument.multiplier
        let quantity = book.pointee.position.quantity
        let units = multiplier == .one ? quantity : (try? quantity.multiplied(by: multiplier)) ?? quantity
        if let small = Int64(exactly: units.raw) {
            book.pointee.units = small
            book.pointee.unitsAreWide = false
        } else {
            book.pointee.units = 0
            book.pointee.unitsAreWide = true
        }
    }

    private func value(_ book: UnsafeMutablePointer<Book>) -> Int128 {
        if book.pointee.unitsAreWide {
            return book.pointee.position.quantity.raw.multipliedReportingOverflow(by: Int128(book.pointee.marked)).partialValue
        }
        let product = book.pointee.units.multipliedFullWidth(by: book.pointee.marked)
        return Int128(product.high) << 64 | Int128(product.low)
    }

    /// The equity below which a breaker may have to open.
    func setFloor(_ pipeline: UnsafeMutablePointer<Pipeline>) {
        let risk = pipeline.pointee.settings.risk
        var floor = Int128.min
        if let fraction = risk.drawdown, !pipeline.pointee.state.drawdownOpen, pipeline.pointee.peak > 0 {
            floor = pipeline.pointee.peak &- part(pipeline.pointee.peak, fraction)
        }
        if let limit = pipeline.pointee.dayLimit, pipeline.pointee.state.dailyLossUntil <= now {
            floor = max(floor, limit.raw.multipliedReportingOverflow(by: Int128(Fixed.scale)).partialValue)
        }
        pipeline.pointee.floor = floor
    }

    /// The day's equity was set: what may be lost of it follows.
    func setDayLimit(_ pipeline: UnsafeMutablePointer<Pipeline>) {
        let start = pipeline.pointee.state.day.startEquity
        pipeline.pointee.dayLimit = nil
        if let fraction = pipeline.pointee.settings.risk.dailyLoss, start.isPositive, let part = try? start.multiplied(by: fraction) {
            pipeline.pointee.dayLimit = try? start.subtracting(part)
        }
    }

    /// A fraction of an equity, exact to 2^-32 of it, without a 128-bit division.
    private func part(_ equity: Int128, _ fraction: Fixed) -> Int128 {
        let ratio = Int128(fraction.raw) << 32 / Int128(Fixed.scale)
        return (equity >> 32) &* ratio
    }

    @inline(never)
    func equityMoved(_ pipeline: UnsafeMutablePointer<Pipeline>) {
        let equity = pipeline.pointee.equity
        if equity > pipeline.pointee.peak {
            pipeline.pointee.peak = equity
            setFloor(pipeline)
        }
        guard equity < pipeline.pointee.floor, core.pointee.started else { return }
        let amount = self.equity(pipeline)
        let risk = pipeline.pointee.settings.risk
        if let limit = pipeline.pointee.dayLimit, pipeline.pointee.state.dailyLossUntil <= now, amount < limit {
            pipeline.pointee.state.dailyLossUntil = nextDay(after: now)
            open(.dailyLoss, pipeline, until: pipeline.pointee.state.dailyLossUntil, value: amount, limit: limit)
        }
        if let fraction = risk.drawdown, !pipeline.pointee.state.drawdownOpen {
            let limit = pipeline.pointee.peak &- part(pipeline.pointee.peak, fraction)
            if equity < limit {
                pipeline.pointee.state.drawdownOpen = true
                open(.drawdown, pipeline, until: 0, value: amount, limit: Amount(raw: limit / Int128(Fixed.scale)))
            }
        }
        setFloor(pipeline)
    }

    func open(_ breaker: Breaker, _ pipeline: UnsafeMutablePointer<Pipeline>, until: Int64, value: Amount, limit: Amount, unit: NumberUnit = .amount) {
        note(breaker, pipeline, open: true, until: until, value: value, limit: limit, unit: unit)
        if breaker != .decider {
            alert(.critical, "breaker", pipeline, "\(breaker.rawValue) breaker opened: \(unit.words(value)) against \(unit.words(limit)); nothing is entered, exits go on")
            cancelEntries(pipeline)
        }
    }

    func note(
        _ breaker: Breaker, _ pipeline: UnsafeMutablePointer<Pipeline>, open: Bool, until: Int64, value: Amount, limit: Amount,
        unit: NumberUnit = .amount, port: Int = -1
    ) {
        setDirty(pipeline)
        let entry = BreakerRecord(
            time: now, pipeline: pipeline.pointee.index, breaker: breaker, open: open, until: until, value: value, limit: limit, unit: unit, port: port)
        if recordsSummary { record(.breaker(entry)) }
        publish(.breaker, pipeline.pointee.index, 0) { .breaker(entry) }
    }

    func nextDay(after time: Int64) -> Int64 { (time / Span.day + 1) * Span.day }

    /// A new UTC day starts its own accounts.
    func rollDays() {
        let day = now / Span.day
        if core.pointee.deltaDay != day {
            core.pointee.deltaDay = day
            for index in 0..<bookCount {
                books[index].delta = 0
                books[index].taken = 0
            }
        }
        for index in 0..<pipelineCount {
            let pipeline = pipelines + index
            if pipeline.pointee.peak == 0 { pipeline.pointee.peak = max(pipeline.pointee.equity, 0) }
            if pipeline.pointee.state.day.number != day {
                pipeline.pointee.state.day = DayState()
                pipeline.pointee.state.day.number = day
                pipeline.pointee.state.day.startEquity = equity(pipeline)
                if pipeline.pointee.state.dailyLossUntil != 0, pipeline.pointee.state.dailyLossUntil <= now {
                    pipeline.pointee.state.dailyLossUntil = 0
                    note(.dailyLoss, pipeline, open: false, until: 0, value: equity(pipeline), limit: .zero)
                }
                setDirty(pipeline)
            }
            if pipeline.pointee.state.costDay != day {
                pipeline.pointee.state.costDay = day
                pipeline.pointee.state.costToday = .zero
                setDirty(pipeline)
            }
            setDayLimit(pipeline)
            setFloor(pipeline)
        }
        core.pointee.timers.arm(.day, 0, at: nextDay(after: now))
    }
}
