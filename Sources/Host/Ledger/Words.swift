import HostCore
import PluginAPI
import PluginKit

/// The words the ledger uses for the contract's numbers, both ways. An unknown number is kept as "?7".
enum Words {
    static func side(_ value: UInt32) -> String { word(value, sides) }
    static func side(_ text: String) -> UInt32? { number(text, sides) }
    private static let sides: [(UInt32, String)] = [(KEEL_SIDE_NONE, "none"), (KEEL_BUY, "buy"), (KEEL_SELL, "sell")]

    static func action(_ value: UInt32) -> String { word(value, [(KEEL_ACT_HOLD, "hold"), (KEEL_ACT_BUY, "buy"), (KEEL_ACT_SELL, "sell")]) }
    static func purpose(_ value: UInt32) -> String { word(value, [(KEEL_PURPOSE_ENTRY, "entry"), (KEEL_PURPOSE_REVIEW, "review")]) }
    static func regime(_ value: UInt32) -> String {
        word(value, [(KEEL_REGIME_UNKNOWN, "unknown"), (KEEL_REGIME_CALM, "calm"), (KEEL_REGIME_VOLATILE, "volatile")])
    }
    static func macro(_ value: UInt32) -> String {
        word(value, [
            (KEEL_MACRO_UNKNOWN, "unknown"), (KEEL_MACRO_GOLDILOCKS, "goldilocks"), (KEEL_MACRO_REFLATION, "reflation"), (KEEL_MACRO_STAGFLATION, "stagflation"),
            (KEEL_MACRO_SLOWDOWN, "slowdown"),
        ])
    }
    static func volatility(_ value: UInt32) -> String { word(value, [(0, "quiet"), (1, "usual"), (2, "wild")]) }
    static func liquidity(_ value: UInt32) -> String {
        word(value, [(KEEL_LIQUIDITY_UNKNOWN, "unknown"), (KEEL_LIQUIDITY_MAKER, "maker"), (KEEL_LIQUIDITY_TAKER, "taker")])
    }
    static func link(_ value: UInt32) -> String { word(value, [(KEEL_LINK_UP, "up"), (KEEL_LINK_DOWN, "down"), (KEEL_LINK_DEGRADED, "degraded")]) }
    static func session(_ value: UInt32) -> String {
        word(value, [(KEEL_SESSION_OPEN, "open"), (KEEL_SESSION_CLOSED, "closed"), (KEEL_SESSION_AUCTION, "auction"), (KEEL_SESSION_HALTED, "halted")])
    }
    static func venueState(_ value: UInt32) -> String {
        word(value, [
            (0, ""), (KEEL_ORDER_PENDING, "pending"), (KEEL_ORDER_OPEN, "open"), (KEEL_ORDER_FILLED, "filled"), (KEEL_ORDER_CANCELED, "cancelled"),
            (KEEL_ORDER_REJECTED, "rejected"), (KEEL_ORDER_EXPIRED, "expired"), (KEEL_ORDER_IN_DOUBT, "in doubt"),
        ])
    }

    static func role(_ value: OrderRole) -> String {
        switch value {
        case .entry: "entry"
        case .exit: "exit"
        }
    }
    static func role(_ text: String) -> OrderRole? { OrderRole.allCases.first { role($0) == text } }
    static func status(_ text: String) -> OrderStatus? { OrderStatus.allCases.first { $0.word == text } }

    /// Why the decider was asked: "candle", "price_z+wake", ...
    static func gate(_ bits: UInt32) -> String {
        flags(UInt64(bits), [
            (UInt64(KEEL_GATE_CANDLE), "candle"), (UInt64(KEEL_GATE_TIMER), "timer"), (UInt64(KEEL_GATE_PRICE_Z), "price_z"),
            (UInt64(KEEL_GATE_VOLUME_Z), "volume_z"), (UInt64(KEEL_GATE_WAKE), "wake"), (UInt64(KEEL_GATE_ASKED), "asked"),
            (UInt64(KEEL_GATE_REVIEW), "review"), (UInt64(KEEL_GATE_WATCHDOG), "watchdog"),
        ])
    }

    /// A number of a refusal or breaker as its column holds it: moments as text, spans in seconds, everything else as it is.
    static func number(_ value: Amount, _ unit: NumberUnit) -> String {
        unit == .time ? TimeText.utc(Int64(clamping: value.raw)) : unit.text(value)
    }

    /// Both columns for people; nil: a unit this version does not know.
    static func against(_ value: String, _ limit: String, _ unit: NumberUnit?) -> String {
        if value == "0", limit == "0" { return "" }
        switch unit {
        case .time: return ": until \(limit)"
        case .code where limit == "0": return ": code \(value)"
        case .span: return limit == "0" ? ": \(value) s" : ": \(value) s against a limit of \(limit) s"
        case .amount, .count, .code, nil: return ": \(value) against a limit of \(limit)"
        }
    }

    /// What sort of order: "market", "limit+post_only", ...
    static func kind(_ features: UInt64) -> String {
        flags(features, [
            (KEEL_ORD_MARKET, "market"), (KEEL_ORD_LIMIT, "limit"), (KEEL_ORD_STOP, "stop"), (KEEL_ORD_STOP_LIMIT, "stop_limit"), (KEEL_ORD_TAKE, "take"),
            (KEEL_ORD_TAKE_LIMIT, "take_limit"), (KEEL_ORD_POST_ONLY, "post_only"), (KEEL_ORD_REDUCE_ONLY, "reduce_only"), (KEEL_ORD_IOC, "ioc"),
            (KEEL_ORD_FOK, "fok"),
        ])
    }

    private static func flags(_ bits: UInt64, _ names: [(UInt64, String)]) -> String {
        var parts = names.filter { bits & $0.0 != 0 }.map(\.1)
        let unknown = names.reduce(bits) { $0 & ~$1.0 }
        if unknown != 0 { parts.append("?\(unknown)") }
        return parts.joined(separator: "+")
    }

    private static func word(_ value: UInt32, _ names: [(UInt32, String)]) -> String { names.first { $0.0 == value }?.1 ?? "?\(value)" }
    private static func number(_ text: String, _ names: [(UInt32, String)]) -> UInt32? {
        if let known = names.first(where: { $0.1 == text }) { return known.0 }
        return text.first == "?" ? UInt32(text.dropFirst()) : nil
    }

    /// 128 bits as 32 hexadecimal digits: hashes and fill keys.
    static func hex(_ hi: UInt64, _ lo: UInt64) -> String { pad(hi) + pad(lo) }
    static func hex(_ text: String) -> (hi: UInt64, lo: UInt64)? {
        guard text.utf8.count == 32, let hi = UInt64(text.prefix(16), radix: 16), let lo = UInt64(text.suffix(16), radix: 16) else { return nil }
        return (hi, lo)
    }
    private static func pad(_ value: UInt64) -> String {
        let text = String(value, radix: 16)
        return String(repeating: "0", count: 16 - text.count) + text
    }
}
