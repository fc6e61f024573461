import HostCore

/// The number of the first run on a new ledger. Client order ids carry it, and venues remember them: where a ledger was lost, the
/// numbers of its runs must not come again.
public enum RunNumber {
    /// 2024-01-01: numbers counted from it stay readable, and leave room for four thousand years.
    static let epoch: Int64 = 1_704_067_200 * Span.second

    /// `recorded`: runs whose journals are still there; `asked`: what the operator says.
    public static func first(isLive: Bool, recorded: [UInt32], asked: UInt32?, now: Int64) -> UInt32 {
        var number = max(asked ?? 1, 1)
        if let last = recorded.max() { number = max(number, last == .max ? last : last + 1) }
        // With real money nothing is left to what is still there: minutes never come twice.
        if isLive, now > epoch { number = max(number, UInt32(clamping: (now - epoch) / Span.minute)) }
        return number
    }
}
