import PluginAPI
import PluginKit

/// What a fill does to a position and to cash. Exact: cost moves between open and closed without a remainder, so that
/// cash + open cost - realised profit + fees stays the capital whatever happens.
public struct FillEffect: Sendable, Equatable {
    public var position: PositionState
    public var cash: Amount
    /// Profit of what the fill closed, fees left out.
    public var realised: Amount
    /// Quantity it closed and quantity it opened.
    public var closed: Amount
    public var opened: Amount
}

extension PositionState {
    /// Pure: the position after a fill, and how cash changes. `money` is what it cost or brought, fees left out; `fee` what the venue
    /// took in the pipeline's currency; `feeQuantity` what it took out of the filled quantity itself (spot fees in the base asset). `isDust`: what is held is too little to count as a position,
    /// so buying on top of it opens a new one, and the dust goes into it.
    public func taking(
        side: UInt32, quantity filled: Fixed, price: Fixed, money: Amount, fee: Amount, feeQuantity: Amount = .zero, isDust: Bool = false,
        at time: Int64
    ) throws(NumberError) -> FillEffect {
        var next = self
        let buy = side == KEEL_BUY
        let change = Amount(raw: buy ? Int128(filled.raw) : -Int128(filled.raw))
        let cash = try (buy ? money.negated() : money).subtracting(fee)
        var realised = Amount.zero
        var closed = Amount.zero
        var opened = Amount.zero

        let size = try quantity.magnitude()
        let turned = isOpen && isLong != buy
        if turned {
            closed = min(size, Amount(filled))
            // Exact shares: of the money by quantity filled, of the cost by quantity held; the last part takes what is left.
            let moneyShare = closed == Amount(filled) ? money : try share(of: money, closed, of: Amount(filled))
            let costShare = closed == size ? cost : try share(of: cost, closed, of: size)
            realised = isLong ? try moneyShare.subtracting(costShare) : try costShare.subtracting(moneyShare)
            next.cost = try cost.subtracting(costShare)
            opened = try Amount(filled).subtracting(closed)
            if opened.isPositive {
                next.open(cost: try money.subtracting(moneyShare), size: opened, price: price, at: time)
            }
        } else {
            opened = Amount(filled)
            if isOpen, isDust {
                next.open(cost: try money.adding(cost), size: try opened.adding(size), price: price, at: time)
            } else if isOpen {
                next.cost = try cost.adding(money)
                next.committed = try committed.adding(money)
                next.initialQuantity = try initialQuantity.adding(opened)
                next.entry = try average(entry, size, price, opened)
            } else {
                next.open(cost: money, size: opened, price: price, at: time)
            }
        }
        next.quantity = try quantity.adding(change)
        if !feeQuantity.isZero {
            next.quantity = try next.quantity.subtracting(feeQuantity)
            if opened.isPositive { next.initialQuantity = try next.initialQuantity.subtracting(feeQuantity) }
        }
        next.profit = next.number != number ? try Amount.zero.subtracting(fee) : try profit.adding(realised).subtracting(fee)
        return FillEffect(position: next, cash: cash, realised: realised, closed: closed, opened: opened)
    }

    private mutating func open(cost: Amount, size: Amount, price: Fixed, at time: Int64) {
        let number = self.number &+ 1
        self = PositionState()
        self.number = number
        self.cost = cost
        committed = cost
        initialQuantity = size
        entry = price
        peak = price
        opened = time
    }

    private func share(of amount: Amount, _ part: Amount, of whole: Amount) throws(NumberError) -> Amount {
        let (wide, overflow) = amount.raw.multipliedReportingOverflow(by: part.raw)
        if overflow { return try amount.multiplied(by: try part.divided(by: whole).fixed()) }
        if whole.isZero { throw .divisionByZero("\(amount)") }
        return Amount(raw: wide / whole.raw)
    }

    private func average(_ a: Fixed, _ sizeA: Amount, _ b: Fixed, _ sizeB: Amount) throws(NumberError) -> Fixed {
        let sum = try sizeA.multiplied(by: a).adding(sizeB.multiplied(by: b))
        return try sum.divided(by: try sizeA.adding(sizeB)).fixed()
    }
}
