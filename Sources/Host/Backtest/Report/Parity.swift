import HostLedger
import PluginKit
import Tape

/// One side of a comparison: what a run did, live or over a tape.
public struct ParitySide: Sendable {
    /// An order's fills taken together.
    public struct Deal: Sendable, Equatable {
        public var order: String
        public var symbol: String
        public var isBuy: Bool
        public var time: Int64
        public var price: Double
        public var quantity: Double
    }

    public struct Refusal: Sendable, Equatable {
        public var time: Int64
        public var symbol: String
        public var rule: String
    }

    public var name: String
    public var deals: [Deal]
    public var refusals: [Refusal] = []
    /// When it was up: deals outside nobody could have made.
    public var from: Int64
    public var to: Int64

    public init(name: String, deals: [Deal], refusals: [Refusal] = [], from: Int64, to: Int64) {
        self.name = name
        self.deals = deals.sorted { ($0.time, $0.order) < ($1.time, $1.order) }
        self.refusals = refusals
        self.from = from
        self.to = to
    }

    static func gathered(_ fills: [(order: String, symbol: String, isBuy: Bool, time: Int64, price: Double, quantity: Double)]) -> [Deal] {
        var deals: [String: Deal] = [:]
        var order: [String] = []
        for fill in fills {
            let key = fill.order.isEmpty ? "\(order.count)" : fill.order
            if var deal = deals[key] {
                let total = deal.quantity + fill.quantity
                if total > 0 { deal.price = (deal.price * deal.quantity + fill.price * fill.quantity) / total }
                deal.quantity = total
                deals[key] = deal
            } else {
                order.append(key)
                deals[key] = Deal(order: fill.order, symbol: fill.symbol, isBuy: fill.isBuy, time: fill.time, price: fill.price, quantity: fill.quantity)
            }
        }
        return order.compactMap { deals[$0] }
    }

    /// Of a ledger. `run`: nil for the last one. Other pipelines than `pipelines` are left out, if there are any.
    public static func ledger(_ path: String, run: Int?, pipelines: [String] = []) throws -> ParitySide {
        let database = try Database(path: path, mode: .readOnly)
        guard let number = try run.map(Int64.init) ?? database.integer("SELECT max(run) FROM runs") else { throw ParityError.noRun(path) }
        guard let started = try database.integer("SELECT started FROM runs WHERE run = ?", .integer(number)) else { throw ParityError.noRun("\(path), run \(number)") }
        let ended = try database.integer("SELECT max(time) FROM progress WHERE run = ?", .integer(number)) ?? .max
        let rows = try database.rows(
            "SELECT order_id, symbol, side, CASE at_venue WHEN 0 THEN time ELSE at_venue END, price, quantity, pipeline FROM fills WHERE run = ? ORDER BY time, id", [.integer(number)]
        ) { s throws(SQLiteError) in
            (order: try s.text(0), symbol: try s.text(1), isBuy: try s.text(2) == "buy", time: try s.integer(3), price: try s.fixed(4).double, quantity: try s.fixed(5).double, pipeline: try s.text(6))
        }.filter { pipelines.isEmpty || pipelines.contains($0.pipeline) }
        let refusals = try database.rows("SELECT time, symbol, rule FROM refusals WHERE run = ? ORDER BY time", [.integer(number)]) { s throws(SQLiteError) in
            Refusal(time: try s.integer(0), symbol: try s.text(1), rule: try s.text(2))
        }
        return ParitySide(
            name: "run \(number)", deals: gathered(rows.map { ($0.order, $0.symbol, $0.isBuy, $0.time, $0.price, $0.quantity) }), refusals: refusals, from: started, to: ended)
    }

    /// Of what `keel backtest --json` or `--out` wrote.
    public static func result(_ json: JSONValue, name: String) throws -> ParitySide {
        let fills = try json["fills"].list.map { fill in
            (
                order: try fill["order"].text, symbol: try fill["instrument"].text, isBuy: try fill["side"].text == "buy", time: try fill["time"].int64, price: try fill["price"].double,
                quantity: try fill["quantity"].double
            )
        }
        return ParitySide(name: name, deals: gathered(fills), from: try json["from"].int64, to: try json["to"].int64)
    }
}

public enum ParityError: Error, Equatable, Sendable, CustomStringConvertible {
    case noRun(String)
    case unreadable(String)

    public var description: String {
        switch self {
        case .noRun(let path): "\(path) has no such run"
        case .unreadable(let path): "\(path) is neither a state folder, a ledger nor a result written by keel backtest --out"
        }
    }
}

/// Where a live run and a backtest of the same time differ, and why.
public struct Parity: Sendable {
    public struct Match: Sendable, Equatable {
        public var live: ParitySide.Deal
        public var test: ParitySide.Deal
        /// Live after test, in nanoseconds.
        public var delay: Int64 { live.time - test.time }
        /// How much worse live traded, as a share of the price; below zero: better.
        public var worse: Double { test.price > 0 ? (live.isBuy ? live.price - test.price : test.price - live.price) / test.price : 0 }
        public var quantityShare: Double { test.quantity > 0 ? live.quantity / test.quantity : 0 }
    }

    public struct Lone: Sendable, Equatable {
        public var deal: ParitySide.Deal
        public var why: String
    }

    public var live: ParitySide
    public var test: ParitySide
    public var matches: [Match] = []
    /// In the backtest, not live.
    public var missed: [Lone] = []
    /// Live, not in the backtest.
    public var extra: [Lone] = []
    public var window: Int64

    /// Deals of one instrument and side are paired in time order, within `window` of each other.
    public init(live: ParitySide, test: ParitySide, window: Int64 = 300_000_000_000) {
        self.live = live
        self.test = test
        self.window = window
        struct Key: Hashable {
            var symbol: String
            var isBuy: Bool
        }
        let from = max(live.from, test.from)
        let to = min(live.to, test.to)
        var lives = Dictionary(grouping: live.deals) { Key(symbol: $0.symbol, isBuy: $0.isBuy) }
        for (key, tests) in Dictionary(grouping: test.deals, by: { Key(symbol: $0.symbol, isBuy: $0.isBuy) }) {
            var left = lives[key] ?? []
            var rest: [ParitySide.Deal] = []
            var at = 0
            for deal in tests {
                while at < left.count, left[at].time < deal.time - window {
                    rest.append(left[at])
                    at += 1
                }
                if at < left.count, left[at].time <= deal.time + window {
                    matches.append(Match(live: left[at], test: deal))
                    at += 1
                } else {
                    missed.append(Lone(deal: deal, why: Self.why(missed: deal, live, from, to, window)))
                }
            }
            left = rest + left[min(at, left.count)...]
            lives[key] = left
        }
        for deal in lives.values.joined() {
            extra.append(Lone(deal: deal, why: deal.time < from || deal.time > to ? "the backtest did not cover that time" : "the backtest decided otherwise: other data, other settings or another state"))
        }
        matches.sort { $0.test.time < $1.test.time }
        missed.sort { $0.deal.time < $1.deal.time }
        extra.sort { $0.deal.time < $1.deal.time }
    }

    private static func why(missed deal: ParitySide.Deal, _ live: ParitySide, _ from: Int64, _ to: Int64, _ window: Int64) -> String {
        if deal.time < from || deal.time > to { return "the live run was not up" }
        let near = live.refusals.filter { $0.symbol == deal.symbol && abs($0.time - deal.time) <= window }
        if let refusal = near.min(by: { abs($0.time - deal.time) < abs($1.time - deal.time) }) { return "refused live: \(refusal.rule)" }
        return "not tried live: other data, a late decision, or an earlier difference"
    }

    public var text: String {
        typealias N = ReportNumbers
        var lines = ["\(live.name): \(N.count(live.deals.count)) orders filled; \(test.name): \(N.count(test.deals.count))"]
        lines.append("\(N.count(matches.count)) agree, \(N.count(missed.count)) only in the backtest, \(N.count(extra.count)) only live (paired within \(N.span(Double(window))))")
        if !matches.isEmpty {
            let delays = matches.map { Double($0.delay) }.sorted()
            let worse = matches.map(\.worse)
            let money = matches.reduce(0.0) { $0 + $1.worse * $1.test.price * $1.live.quantity }
            lines.append("latency  median \(Self.signedSpan(delays[delays.count / 2])), longest \(Self.signedSpan(delays.last ?? 0))")
            lines.append("price    \(Self.points(Metrics.mean(worse))) worse on average, worst \(Self.points(worse.max())); \(N.money(money)) in all")
            let partial = matches.filter { abs($0.quantityShare - 1) > 0.001 }
            if !partial.isEmpty { lines.append("quantity \(N.count(partial.count)) differ, live had \(N.percent(Metrics.mean(partial.map(\.quantityShare)), decimals: 0)) of the backtest's") }
        }
        for (title, list) in [("only in the backtest", missed), ("only live", extra)] where !list.isEmpty {
            lines += ["", title]
            for (why, group) in Dictionary(grouping: list, by: \.why).sorted(by: { ($1.value.count, $0.key) < ($0.value.count, $1.key) }) { lines.append("  \(ReportText.padLeft(N.count(group.count), 6))  \(why)") }
            for lone in list.prefix(10) {
                lines.append("  \(UTCTime.text(lone.deal.time))  \(lone.deal.symbol)  \(lone.deal.isBuy ? "buy" : "sell") \(N.ratio(lone.deal.quantity, decimals: 6)) at \(N.money(lone.deal.price)): \(lone.why)")
            }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private static func points(_ share: Double?) -> String { share.map { "\(ReportNumbers.grouped($0 * 10_000, 2, true)) bp" } ?? ReportNumbers.none }
    private static func signedSpan(_ value: Double) -> String { (value < 0 ? "−" : "") + ReportNumbers.span(abs(value)) }

    public var json: JSONValue {
        func deal(_ d: ParitySide.Deal) -> JSONValue {
            ["order": JSONValue(d.order), "instrument": JSONValue(d.symbol), "side": d.isBuy ? "buy" : "sell", "time": JSONValue(d.time), "price": JSONValue(d.price), "quantity": JSONValue(d.quantity)]
        }
        return [
            "format": "keel.parity/1", "live": JSONValue(live.name), "backtest": JSONValue(test.name), "window": JSONValue(window),
            "matched": JSONValue(
                matches.map { ["live": deal($0.live), "backtest": deal($0.test), "delay": JSONValue($0.delay), "worse": JSONValue($0.worse), "quantity_share": JSONValue($0.quantityShare)] }),
            "missed": JSONValue(missed.map { ["deal": deal($0.deal), "why": JSONValue($0.why)] }), "extra": JSONValue(extra.map { ["deal": deal($0.deal), "why": JSONValue($0.why)] }),
        ]
    }
}
