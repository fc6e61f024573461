import PluginKit

/// What the snapshot allows. The model is told, and may answer otherwise all the same: such an answer is refused, not bent.
struct Allowance: Equatable, Sendable {
    var mayBuy: Bool
    var maySell: Bool
    var mayShort: Bool
    /// There is something to sell.
    var isLong: Bool
    /// nil: a review, whose fraction is of the position.
    var mostFraction: Fixed?

    init(_ s: Snapshot) {
        mayBuy = s.mayBuy
        maySell = s.maySell
        mayShort = s.mayShort
        isLong = s.position.isPositive
        mostFraction = s.purpose == .review ? nil : Fixed(raw: s.max_fraction)
    }

    func problem(of answer: DecisionAnswer) -> DecisionProblem? {
        switch answer.action {
        case .hold: return nil
        case .buy: if !mayBuy { return DecisionProblem(path: "action", what: "BUY is not allowed now: may_buy is false") }
        case .sell:
            if !maySell { return DecisionProblem(path: "action", what: "SELL is not allowed now: may_sell is false") }
            if !isLong, !mayShort { return DecisionProblem(path: "action", what: "SELL is not allowed now: there is no position and may_short is false") }
        }
        if let most = mostFraction, answer.fraction > most {
            return DecisionProblem(path: "size_fraction", what: "\(answer.fraction) is above max_fraction, \(most)")
        }
        return nil
    }
}

extension CallOutcome {
    /// The same, unless it is an answer that isn't allowed.
    func within(_ allowance: Allowance) -> CallOutcome {
        guard case .answer(let answer, let usage, _) = self, let problem = allowance.problem(of: answer) else { return self }
        return .invalid(DecisionProblems([problem]), usage)
    }
}
