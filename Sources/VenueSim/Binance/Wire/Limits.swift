import PluginKit

/// How much of what is allowed, by window. Windows begin at whole multiples of their length, as on the exchange.
struct LimitRules {
    struct Orders {
        var interval: String
        var number: Int64
        var length: Int64
        var limit: Int64
        /// "10s", "1d".
        var label: String
    }

    var weight: Int64
    var orders: [Orders]
    /// Requests of any weight in five minutes.
    var raw: Int64?
    /// Refused requests in one window after which the address is banned.
    var patience: Int64 = 20

    static let spot = LimitRules(
        weight: 6_000,
        orders: [
            Orders(interval: "SECOND", number: 10, length: 10_000, limit: 100, label: "10s"), Orders(interval: "DAY", number: 1, length: 86_400_000, limit: 200_000, label: "1d"),
        ], raw: 300_000)
    static let futures = LimitRules(
        weight: 2_400,
        orders: [
            Orders(interval: "SECOND", number: 10, length: 10_000, limit: 300, label: "10s"), Orders(interval: "MINUTE", number: 1, length: 60_000, limit: 1_200, label: "1m"),
        ])
}

/// Counts of one product. Every client of a loopback server has the same address, so the weight is one for all.
final class Limits {
    var rules: LimitRules
    private var minute: Int64 = -1
    private(set) var used: Int64 = 0
    /// What is said to be used, whatever is.
    var said: Int64?
    private var refused: Int64 = 0
    private var fiveMinutes: Int64 = -1
    private var raw: Int64 = 0
    private var banUntil: Int64 = 0
    private var bans = 0
    private var counts: [Int: [(window: Int64, count: Int64)]] = [:]

    init(_ rules: LimitRules) { self.rules = rules }

    private func roll(_ now: Int64) {
        if now / 60_000 != minute {
            minute = now / 60_000
            used = 0
            refused = 0
        }
        if now / 300_000 != fiveMinutes {
            fiveMinutes = now / 300_000
            raw = 0
        }
    }

    func ban(until time: Int64) { banUntil = time }

    func charge(_ weight: Int64, now: Int64) throws(Refusal) {
        roll(now)
        if now < banUntil { throw banned(now) }
        used += weight
        raw += 1
        let isTooMuch = used > rules.weight
        if !isTooMuch, raw <= rules.raw ?? .max { return }
        refused += 1
        if refused > rules.patience {
            bans += 1
            // Two minutes, then longer each time, three days at most.
            banUntil = now + min(120_000 << Int64(min(bans - 1, 12)), 259_200_000)
            refused = 0
            throw banned(now)
        }
        let wait = isTooMuch ? (minute + 1) * 60_000 - now : (fiveMinutes + 1) * 300_000 - now
        let text = isTooMuch
            ? "Too much request weight used; current limit is \(rules.weight) request weight per 1 MINUTE. Please use WebSocket Streams for live updates to avoid polling the API."
            : "Too many requests; current limit is \(rules.raw ?? 0) requests per 5 MINUTE. Please use WebSocket Streams for live updates to avoid polling the API."
        throw Refusal(-1003, text, status: 429, retryAfter: (wait + 999) / 1_000)
    }

    private func banned(_ now: Int64) -> Refusal {
        Refusal(
            -1003, "Way too much request weight used; IP banned until \(banUntil). Please use WebSocket Streams for live updates to avoid bans.", status: 418,
            retryAfter: (banUntil - now + 999) / 1_000)
    }

    func refund(_ weight: Int64) { used = max(0, used - weight) }

    func count(_ account: Int, now: Int64) -> [Int64] {
        let held = counts[account] ?? []
        return rules.orders.enumerated().map { place, rule in place < held.count && held[place].window == now / rule.length ? held[place].count : 0 }
    }

    /// Room for `number` new orders of an account, taken if it is there. A batch may take one slot of one window and five of another.
    func takeOrders(_ account: Int, _ numbers: [Int64], now: Int64) throws(Refusal) {
        var now_ = count(account, now: now)
        for (place, rule) in rules.orders.enumerated() {
            let number = place < numbers.count ? numbers[place] : numbers.last ?? 1
            now_[place] += number
            if number > 0, now_[place] > rule.limit {
                let wait = (now / rule.length + 1) * rule.length - now
                throw Refusal(
                    -1015, "Too many new orders; current limit is \(rule.limit) orders per \(rule.number) \(rule.interval).", status: 429, retryAfter: (wait + 999) / 1_000)
            }
        }
        counts[account] = rules.orders.enumerated().map { (now / $1.length, now_[$0]) }
    }

    /// An order got its first fill.
    func giveBack(_ account: Int, now: Int64) {
        counts[account] = zip(rules.orders, count(account, now: now)).map { (now / $0.length, max(0, $1 - 1)) }
    }

    func headers(_ account: Int?, now: Int64) -> [(name: String, value: String)] {
        roll(now)
        var headers = [(name: "x-mbx-used-weight", value: "\(said ?? used)"), (name: "x-mbx-used-weight-1m", value: "\(said ?? used)")]
        if let account {
            for (rule, count) in zip(rules.orders, count(account, now: now)) { headers.append(("x-mbx-order-count-\(rule.label)", "\(count)")) }
        }
        return headers
    }

    private func row(_ type: String, _ interval: String, _ number: Int64, _ limit: Int64, _ count: Int64?) -> Out {
        Out.object { out in
            out.text("rateLimitType", type)
            out.text("interval", interval)
            out.int("intervalNum", number)
            out.int("limit", limit)
            if let count { out.int("count", count) }
        }
    }

    /// As exchangeInfo lists them.
    var described: Out {
        var rows = [row("REQUEST_WEIGHT", "MINUTE", 1, rules.weight, nil)]
        rows += rules.orders.map { row("ORDERS", $0.interval, $0.number, $0.limit, nil) }
        if let raw = rules.raw { rows.append(row("RAW_REQUESTS", "MINUTE", 5, raw, nil)) }
        return Out.list(rows)
    }

    func orderRows(_ account: Int, now: Int64) -> [Out] {
        zip(rules.orders, count(account, now: now)).map { row("ORDERS", $0.interval, $0.number, $0.limit, $1) }
    }

    /// As a WebSocket API answer carries them.
    func rows(_ account: Int?, now: Int64) -> Out {
        roll(now)
        return Out.list((account.map { orderRows($0, now: now) } ?? []) + [row("REQUEST_WEIGHT", "MINUTE", 1, rules.weight, said ?? used)])
    }
}
