import PluginKit

/// Tokens of one call, as the reply counts them.
public struct Usage: Equatable, Sendable {
    public var input: UInt64 = 0
    public var cacheRead: UInt64 = 0
    public var cacheWrite5m: UInt64 = 0
    public var cacheWrite1h: UInt64 = 0
    public var output: UInt64 = 0

    public init(input: UInt64 = 0, cacheRead: UInt64 = 0, cacheWrite5m: UInt64 = 0, cacheWrite1h: UInt64 = 0, output: UInt64 = 0) {
        self.input = input
        self.cacheRead = cacheRead
        self.cacheWrite5m = cacheWrite5m
        self.cacheWrite1h = cacheWrite1h
        self.output = output
    }

    public var prompt: UInt64 { input &+ cacheRead &+ cacheWrite5m &+ cacheWrite1h }
}

/// What a token costs, in picodollars (1e-12 US dollars): whole numbers for every published price.
public struct TokenPrice: Equatable, Sendable {
    public var input, output, write5m, write1h, read: Int64

    /// From dollars a million tokens.
    public init(input: Fixed, output: Fixed, write5m: Fixed, write1h: Fixed, read: Fixed) {
        // 1 dollar a million is 1e6 picodollars a token; a Fixed holds 1e8 steps a dollar.
        self.input = input.raw / 100
        self.output = output.raw / 100
        self.write5m = write5m.raw / 100
        self.write1h = write1h.raw / 100
        self.read = read.raw / 100
    }

    /// List prices of November 2026, dollars a million tokens: input, output, cache write 5 min and 1 h, cache read.
    /// They change: a configuration may replace them, and must for a model that isn't here.
    static let list: [(models: [String], price: String)] = [
        (["claude-fable-5-2", "claude-mythos-5-2"], "8 40 10 16 0.20"),
        (["claude-fable-5-1", "claude-mythos-5-1"], "10 50 12.50 20 0.25"),
        (["claude-fable-5", "claude-mythos-5"], "10 50 12.50 20 1.00"),
        (["claude-opus-5-5"], "4 20 5 8 0.20"),
        (["claude-opus-5", "claude-opus-4-8", "claude-opus-4-7", "claude-opus-4-6", "claude-opus-4-5"], "5 25 6.25 10 0.50"),
        (["claude-sonnet-5-5"], "2 10 2.50 4 0.10"),
        (["claude-sonnet-5"], "2 10 2.50 4 0.20"),
        (["claude-sonnet-4-6", "claude-sonnet-4-5"], "3 15 3.75 6 0.30"),
        (["claude-haiku-5-5"], "0.10 0.50 0.125 0.20 0.01"),
        (["claude-haiku-4-5"], "1 5 1.25 2 0.10"),
    ]

    /// "input output write5m write1h read", dollars a million tokens; nil: not five decimals.
    public init?(_ text: String) {
        let parts = text.split(separator: " ").compactMap { Fixed(String($0)) }
        guard parts.count == 5, parts.allSatisfy({ !$0.isNegative }) else { return nil }
        self.init(input: parts[0], output: parts[1], write5m: parts[2], write1h: parts[3], read: parts[4])
    }

    /// nil: the model isn't known, and a price is never guessed. Dated names (`-20251101`) cost what the plain ones do.
    public static func of(_ model: String, prompt: UInt64) -> TokenPrice? {
        let plain = model.split(separator: "-").last.map { $0.count == 8 && $0.allSatisfy(\.isNumber) } == true ? String(model.dropLast(9)) : model
        guard let entry = list.first(where: { $0.models.contains(plain) }), var price = TokenPrice(entry.price) else { return nil }
        if plain == "claude-haiku-5-5", prompt > 100_000 {
            price.input *= 5
            price.output *= 5
            price.write5m *= 5
            price.write1h *= 5
            price.read *= 5
        }
        return price
    }

    /// Rounded up to 1e-8 dollars, so that many small calls are never free.
    public func cost(_ usage: Usage) -> Amount {
        let parts: [(UInt64, Int64)] = [
            (usage.input, input), (usage.output, output), (usage.cacheWrite5m, write5m), (usage.cacheWrite1h, write1h), (usage.cacheRead, read),
        ]
        let pico = parts.reduce(Int128(0)) { $0 + Int128($1.0) * Int128($1.1) }
        return Amount(raw: (pico + 9_999) / 10_000)
    }
}
