import PluginKit

/// A symbol in every form it is written in: the one place where they are told apart.
///
/// `BTC/USDT` is spot, `BTC/USDT:USDT` the perpetual settled in USDT, `BTC/USDT:USDT-270326` a contract that ends on
/// that day; Binance writes `BTCUSDT`, `BTCUSDT` and `BTCUSDT_270326`. Spot and perpetual share Binance's name, so a bare one needs the product.
public struct SymbolName: Hashable, Sendable {
    public var base: String
    public var quote: String
    /// nil: spot.
    public var settle: String?
    /// yymmdd; nil: perpetual or spot.
    public var expiry: String?

    public init(base: String, quote: String, settle: String? = nil, expiry: String? = nil) {
        self.base = base
        self.quote = quote
        self.settle = settle
        self.expiry = expiry
    }

    /// Reads Keel's form; nil if it isn't.
    public init?(_ text: String) {
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        let pair = parts[0].split(separator: "/", omittingEmptySubsequences: false)
        guard pair.count == 2, !pair[0].isEmpty, !pair[1].isEmpty else { return nil }
        base = pair[0].uppercased()
        quote = pair[1].uppercased()
        guard parts.count == 2 else { return }
        let rest = parts[1].split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
        guard !rest[0].isEmpty else { return nil }
        settle = rest[0].uppercased()
        guard rest.count == 2 else { return }
        guard rest[1].utf8.count == 6, rest[1].utf8.allSatisfy({ $0 >= 48 && $0 <= 57 }) else { return nil }
        expiry = String(rest[1])
    }

    public var product: Product { settle == nil ? .spot : .futures }

    /// Binance's form.
    public var venue: String { base + quote + (expiry.map { "_\($0)" } ?? "") }

    /// Keel's form.
    public var keel: String { "\(base)/\(quote)" + (settle.map { ":\($0)" } ?? "") + (expiry.map { "-\($0)" } ?? "") }

    /// Any form a person writes, brought to Binance's: `BTC/USDT`, `btc/usdt:usdt`, `BTCUSDT`, `btcusdt`.
    public static func venue(_ text: String) -> String? {
        if text.contains("/") { return SymbolName(text)?.venue }
        guard !text.isEmpty, !text.utf8.contains(where: { $0 <= 32 || $0 == UInt8(ascii: "\"") || $0 == UInt8(ascii: "&") }) else { return nil }
        return text.uppercased()
    }
}
