struct FuturesAccount {
    var wallet: [String: Int128] = [:]
}
final class FuturesEngine {
    var now: Int64
    var listings: [String: Listing] = [:]
    var names: [String] = []
    var liquidity: Int64 = one
    var tellsAverage = false
    var emit: (_ account: Int, _ event: Out) -> Void = { _, _ in }
    var liquidated: (_ symbol: String, _ event: Out) -> Void = { _, _ in }
    init(seed: UInt64, now: Int64, accounts: [Account], symbols: [SymbolRules] = SymbolRules.futures, minuteDays: Int64 = 3) { self.now = now }
    func step(_ time: Int64, number: Int64) { now = time }
    func markEvent(_ symbol: String, _ now: Int64) -> Out? { nil }
    func setFunding(_ symbol: String?, _ rate: Int64) {}
    func transfer(_ account: Account, _ asset: String, _ amount: Int128) {}
    var books: Out { Out.object { _ in } }
}
enum FuturesRoutes {
    static let table: [String: Route] = [:]
    static let methods: [String: String] = [:]
}
