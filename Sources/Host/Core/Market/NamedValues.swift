import PluginAPI

/// Numbers with a name that feeds deliver: funding, open interest, macro series. Statistics only.
struct NamedValues {
    struct Value {
        var hash: UInt64
        var name: String
        var value: Double
        var at: Int64
        var periodStart: Int64
        var periodEnd: Int64
    }
    /// More names than this are not kept; the count says how many values were left out.
    static let most = 128
    private(set) var all: [Value] = []
    private(set) var leftOut: UInt64 = 0

    /// Takes a value in unless a newer period of the same name is known.
    mutating func take(name: String, value: Double, at: Int64, periodStart: Int64, periodEnd: Int64) -> Int? {
        guard value.isFinite, !name.isEmpty, name.utf8.count <= 64 else {
            leftOut &+= 1
            return nil
        }
        let hash = Mix.hash(name).lo
        if let index = all.firstIndex(where: { $0.hash == hash }) {
            // A newer period, or a later word on the same one.
            if periodEnd < all[index].periodEnd || (periodEnd == all[index].periodEnd && at < all[index].at) { return nil }
            all[index].value = value
            all[index].at = at
            all[index].periodStart = periodStart
            all[index].periodEnd = periodEnd
            return index
        }
        guard all.count < Self.most else {
            leftOut &+= 1
            return nil
        }
        all.append(
            Value(hash: hash, name: name, value: value, at: at, periodStart: periodStart, periodEnd: periodEnd))
        return all.count - 1
    }

    mutating func leaveOut() { leftOut &+= 1 }

    func value(_ hash: UInt64) -> Double {
        for entry in all where entry.hash == hash { return entry.value }
        return .nan
    }
}

/// Names that have a field of their own in the snapshot.
enum KnownValue {
    static let fundingRate = Mix.hash("funding_rate").lo
    static let openInterest = Mix.hash("open_interest").lo
    static let longShort = Mix.hash("long_short").lo
    static let takerRatio = Mix.hash("taker_ratio").lo
    static let cumulativeDelta = Mix.hash("cumulative_delta").lo
}
