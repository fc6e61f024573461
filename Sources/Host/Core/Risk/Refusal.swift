import PluginAPI
import PluginKit

/// What a number in a refusal or breaker is a number of. Its value is kept in the smallest step of each.
public enum NumberUnit: String, Sendable, CaseIterable, Codable {
    /// Money, price, quantity or ratio: steps of 1e-8.
    case amount
    /// Things counted: failures, orders, losing trades.
    case count
    /// A length of time: nanoseconds.
    case span
    /// A moment: nanoseconds since 1970.
    case time
    /// A KEEL_E_* status, a KEEL_* constant, or bits of one.
    case code

    /// As it reads: amounts as decimals, spans in seconds, moments in seconds since 1970, everything else as it is.
    public func text(_ value: Amount) -> String {
        switch self {
        case .amount: value.description
        case .count, .code: "\(value.raw)"
        // A nanosecond is a tenth of an amount's step; what is lost is told by no one.
        case .span, .time: Amount(raw: value.raw / 10).description
        }
    }

    /// For people: with its unit where it has one.
    public func words(_ value: Amount) -> String { self == .span ? text(value) + " s" : text(value) }
}

/// A rule that said no, with its numbers.
public struct Refusal: Error, Sendable, Equatable {
    public var rule: Rule
    /// What was found, and what was allowed, both in `unit`.
    public var value: Amount
    public var limit: Amount
    public var unit: NumberUnit

    public init(_ rule: Rule, _ value: Amount = .zero, _ limit: Amount = .zero) {
        self.rule = rule
        self.value = value
        self.limit = limit
        unit = .amount
    }

    /// Whole numbers: counts, codes, nanoseconds.
    public init(_ rule: Rule, _ unit: NumberUnit, _ value: some BinaryInteger, _ limit: some BinaryInteger = 0 as Int) {
        self.rule = rule
        self.value = Amount(raw: Int128(clamping: value))
        self.limit = Amount(raw: Int128(clamping: limit))
        self.unit = unit
    }
}
