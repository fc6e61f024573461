import HostCore
import PluginAPI
import PluginKit

/// Keeps cash, positions and the equity curve of a run from its fills and the market's prices.
///
/// Money is exact. The running equity between fills, and all that is derived from it, is a double: statistics only. It is
/// set right from the exact numbers at every fill and every sample.
final class Score {
    private struct Holding {
        var position = Amount.zero
        /// What the open units cost, fees of the opening fills apart.
        var cost = 0.0
        var fees = 0.0
        var opened: Int64 = 0
    }

    private(set) var startEquity: Amount
    private(set) var cash: Amount
    private(set) var fees = Amount.zero
    private(set) var funding = Amount.zero
    private(set) var turnover = Amount.zero
    private(set) var fills: [BacktestResult.Fill] = []
    private(set) var trades: [BacktestResult.Trade] = []
    private(set) var samples: [BacktestResult.Sample] = []
    private(set) var curve: [BacktestResult.Sample] = []

    private var holdings: [Holding]
    private let multipliers: [Double]
    private let exactMultipliers: [Fixed]

    // The hot part: flat memory, one entry an instrument.
    private let units: UnsafeMutablePointer<Double>
    private let lastPrice: UnsafeMutablePointer<Int64>
    /// When each instrument's price was last heard of.
    private let heardAt: UnsafeMutablePointer<Int64>
    private var running: Double
    private var peak: Double
    private var peakTime: Int64 = 0
    private(set) var maxDrawdown = 0.0
    private(set) var drawdownPeak: Int64 = 0
    private(set) var drawdownTrough: Int64 = 0
    private var peakEquity = 0.0
    private var troughEquity = 0.0
    /// A fill or payment came since the last mark. Falls are looked for at marks only: between a fill and the next price
    /// the position is worth what was paid, not what the market says.
    private var touched = false
    private var open = 0
    private var heldSince: Int64 = 0
    private var held: Int64 = 0
    private var nextSample = Int64.max
    private var nextPeriod = Int64.max
    private var nextPoint = Int64.max
    private let period: Int64
    private let step: Int64
    private(set) var now: Int64 = 0
    private var began: Int64 = 0
    private(set) var overflowed = false

    /// `first`...`last`: the times the run spans, as the tape says.
    init(startEquity: Amount, multipliers: [Fixed], first: Int64, last: Int64, period: Int64? = nil) {
        self.startEquity = startEquity
        cash = startEquity
        exactMultipliers = multipliers
        self.multipliers = multipliers.map { $0.isZero ? 1 : $0.double }
        holdings = Array(repeating: Holding(), count: multipliers.count + 1)
        units = .allocate(capacity: multipliers.count + 1)
        units.initialize(repeating: 0, count: multipliers.count + 1)
        lastPrice = .allocate(capacity: multipliers.count + 1)
        lastPrice.initialize(repeating: 0, count: multipliers.count + 1)
        heardAt = .allocate(capacity: multipliers.count + 1)
        heardAt.initialize(repeating: 0, count: multipliers.count + 1)
        running = startEquity.double
        peak = running
        let length = max(1, last - first)
        let day: Int64 = 86_400_000_000_000
        // Enough returns to speak about spread, and no finer than that needs.
        self.period = period ?? (length >= 30 * day ? day : length >= 2 * day ? 3_600_000_000_000 : length >= 3_600_000_000_000 ? 60_000_000_000 : 1_000_000_000)
        step = max(1_000_000, length / 1200)
        begin(at: first)
    }

    deinit {
        units.deallocate()
        lastPrice.deallocate()
        heardAt.deallocate()
    }

    /// The money there is to begin with, known once the venue has told its balances.
    func begin(with equity: Amount, at time: Int64) {
        startEquity = equity
        cash = equity
        running = equity.double
        peak = running
        samples = []
        curve = []
        begin(at: time)
    }

    var samplePeriod: Int64 { period }

    private func begin(at time: Int64) {
        began = time
        now = time
        peakTime = time
        nextPeriod = (time / period + 1) * period
        nextPoint = time + step
        nextSample = min(nextPeriod, nextPoint)
        samples.append(.init(time: time, equity: running, exposure: 0))
        curve.append(.init(time: time, equity: running, exposure: 0))
    }

    /// Before an event of time `time` is handed on: the state until now is what the boundaries before it saw.
    @inline(__always)
    func advance(to time: Int64) {
        if time >= nextSample { sample(upTo: time) }
        now = time
    }

    private func sample(upTo time: Int64) {
        settle()
        let exposure = exposureNow()
        while nextPeriod <= time {
            samples.append(.init(time: nextPeriod, equity: running, exposure: exposure))
            nextPeriod += period
        }
        if nextPoint <= time {
            curve.append(.init(time: now, equity: running, exposure: exposure))
            nextPoint = time - (time - began) % step + step
        }
        nextSample = min(nextPeriod, nextPoint)
    }

    /// An instrument's price after an event was processed. `instrument` is the run's number, from 1.
    @inline(__always)
    func mark(_ instrument: Int, price: Int64) {
        let held = units[instrument]
        let change = price &- lastPrice[instrument]
        lastPrice[instrument] = price
        heardAt[instrument] = now
        if held != 0 || touched {
            touched = false
            running += held * Double(change) * 1e-8
            if running > peak {
                peak = running
                peakTime = now
            } else if running < peak * (1 + maxDrawdown) {
                fell()
            }
        }
    }

    private func fell() {
        settle()
        guard peak > 0, running / peak - 1 < maxDrawdown else { return }
        maxDrawdown = max(-1, running / peak - 1)
        drawdownPeak = peakTime
        drawdownTrough = now
        peakEquity = peak
        troughEquity = running
    }

    private func exposureNow() -> Double {
        var notional = 0.0
        for index in holdings.indices where units[index] != 0 { notional += abs(units[index]) * Double(lastPrice[index]) * 1e-8 }
        return running > 0 ? notional / running : 0
    }

    /// The running equity from the exact numbers.
    private func settle() { running = equity.double }

    /// Cash and positions at their last prices.
    var equity: Amount {
        var total = cash
        for index in holdings.indices where !holdings[index].position.isZero {
            guard let value = worth(holdings[index].position, Fixed(raw: lastPrice[index]), index), let sum = try? total.adding(value) else { return total }
            total = sum
        }
        return total
    }

    var positions: [Amount] { holdings.dropFirst().map(\.position) }
    var lastPrices: [Fixed] { holdings.indices.dropFirst().map { Fixed(raw: lastPrice[$0]) } }
    var timeInMarket: Double { now > began ? Double(held + (open > 0 ? now - heldSince : 0)) / Double(now - began) : 0 }

    private func worth(_ quantity: Amount, _ price: Fixed, _ instrument: Int) -> Amount? {
        guard let value = try? quantity.multiplied(by: price) else { return nil }
        let multiplier = instrument > 0 ? exactMultipliers[instrument - 1] : .one
        return multiplier == .one || multiplier.isZero ? value : try? value.multiplied(by: multiplier)
    }

    func fill(_ tally: FillTally, index: Int) {
        fill(
            BacktestResult.Fill(
                index: index, time: tally.time, pipeline: tally.pipeline, instrument: Int(tally.instrument), side: tally.side, price: tally.price,
                quantity: tally.quantity, fee: tally.fee, order: tally.order))
    }

    func fill(_ new: BacktestResult.Fill) {
        var fill = new
        let number = fill.instrument
        guard holdings.indices.contains(number), fill.quantity.isPositive else { return }
        let buy = fill.side == KEEL_BUY
        if heardAt[number] != 0 { fill.staleness = now - heardAt[number] }
        fills.append(fill)
        let signed = Amount(raw: buy ? Int128(fill.quantity.raw) : -Int128(fill.quantity.raw))
        guard let notional = worth(Amount(fill.quantity), fill.price, number), let after = try? holdings[number].position.adding(signed),
            let spent = try? (buy ? cash.subtracting(notional) : cash.adding(notional)), let left = try? spent.subtracting(fill.fee),
            let paid = try? fees.adding(fill.fee), let moved = try? turnover.adding(notional)
        else {
            overflowed = true
            return
        }
        cash = left
        fees = paid
        turnover = moved
        trade(number, fill, before: holdings[number].position.double, signed: signed.double)
        let wasOpen = !holdings[number].position.isZero
        holdings[number].position = after
        if wasOpen != !after.isZero {
            if open == 0 { heldSince = now }
            open += after.isZero ? -1 : 1
            if open == 0 { held += now - heldSince }
        }
        units[number] = after.double * (number > 0 ? multipliers[number - 1] : 1)
        if lastPrice[number] == 0 { lastPrice[number] = fill.price.raw }
        settle()
        touched = true
    }

    /// Average-cost accounting for the list of trades.
    private func trade(_ number: Int, _ record: BacktestResult.Fill, before: Double, signed: Double) {
        let price = record.price.double
        let multiplier = number > 0 ? multipliers[number - 1] : 1
        let fee = record.fee.double
        let quantity = abs(signed)
        var opening = quantity
        if before != 0, (before > 0) != (signed > 0) {
            let closing = min(quantity, abs(before))
            opening = quantity - closing
            let share = closing / abs(before)
            let cost = holdings[number].cost * share
            let entryFees = holdings[number].fees * share
            let exitFee = fee * closing / quantity
            let direction = before > 0 ? 1.0 : -1.0
            trades.append(
                .init(
                    pipeline: record.pipeline, instrument: number, direction: Int(direction), opened: holdings[number].opened, closed: now, quantity: closing,
                    entry: cost / closing / multiplier, exit: price, profit: direction * (closing * price * multiplier - cost) - entryFees - exitFee,
                    fees: entryFees + exitFee, fill: fills.count - 1))
            holdings[number].cost -= cost
            holdings[number].fees -= entryFees
        }
        if opening > 0 {
            if before == 0 || opening < quantity {
                holdings[number].cost = 0
                holdings[number].fees = 0
                holdings[number].opened = now
            }
            holdings[number].cost += opening * price * multiplier
            holdings[number].fees += fee * opening / quantity
        }
    }

    func pay(_ record: FundingRecord) {
        guard let next = try? cash.adding(record.amount), let sum = try? funding.adding(record.amount) else {
            overflowed = true
            return
        }
        cash = next
        funding = sum
        settle()
        touched = true
    }

    /// The last point, at the end of the run.
    func finish() {
        settle()
        let exposure = exposureNow()
        // A period that was cut short is no period: its return would not compare with the others.
        while nextPeriod <= now {
            samples.append(.init(time: nextPeriod, equity: running, exposure: exposure))
            nextPeriod += period
        }
        if curve.last.map({ $0.time < now }) ?? true { curve.append(.init(time: now, equity: running, exposure: exposure)) }
        // The chart shows the worst fall even where it lies between two points.
        if maxDrawdown < 0 {
            for (time, equity) in [(drawdownPeak, peakEquity), (drawdownTrough, troughEquity)] {
                guard let after = curve.firstIndex(where: { $0.time >= time }) else { continue }
                let near = curve[max(0, after - 1)].exposure
                if curve[after].time == time { curve[after].equity = equity } else { curve.insert(.init(time: time, equity: equity, exposure: near), at: after) }
            }
        }
    }

    /// Everything kept here.
    func write(to result: inout BacktestResult) {
        result.startEquity = startEquity
        result.cash = cash
        result.equity = equity
        result.fees = fees
        result.funding = funding
        result.positions = positions
        result.lastPrices = lastPrices
        result.fills = fills
        result.trades = trades
        result.samples = samples
        result.period = period
        result.curve = curve
        result.maxDrawdown = maxDrawdown
        result.drawdownPeak = drawdownPeak
        result.drawdownTrough = drawdownTrough
        result.timeInMarket = timeInMarket
        result.turnover = turnover
    }
}
