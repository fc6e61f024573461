import HostCore
import PluginAPI
import PluginKit
import Tape

/// A result for programs. Prices, quantities and money are numbers with all their decimals: read them as decimals where it matters.
public enum ReportJSON {
    static func exact(_ value: Fixed) -> JSONValue { JSONNumber(value.description).map { JSONValue(.number($0)) } ?? .null }
    static func exact(_ value: Amount) -> JSONValue { JSONNumber(value.description).map { JSONValue(.number($0)) } ?? .null }
    static func number(_ value: Double?) -> JSONValue { value.map { JSONValue($0) } ?? .null }

    public static func figures(_ f: Figures) -> JSONValue {
        [
            "net_profit": number(f.netProfit), "total_return": number(f.totalReturn), "years": number(f.years), "cagr": number(f.cagr),
            "volatility": number(f.volatility), "sharpe": number(f.sharpe), "sortino": number(f.sortino), "calmar": number(f.calmar),
            "max_drawdown": number(f.maxDrawdown), "sqn": number(f.sqn), "probabilistic_sharpe": number(f.probabilisticSharpe),
            "minimum_track_record": number(f.minimumTrackRecord), "skew": number(f.skew), "kurtosis": number(f.kurtosis), "periods": JSONValue(f.periods),
            "periods_per_year": number(f.periodsPerYear), "trades": JSONValue(f.trades), "win_rate": number(f.winRate),
            "profit_factor": number(f.profitFactor), "payoff": number(f.payoff), "average_trade": number(f.averageTrade), "best_trade": number(f.bestTrade),
            "worst_trade": number(f.worstTrade), "longest_losing_streak": JSONValue(f.longestLosing),
            "average_hold_seconds": number(f.averageHold.map { $0 / 1e9 }), "turnover_per_year": number(f.turnoverPerYear),
            "time_in_market": number(f.timeInMarket), "average_exposure": number(f.averageExposure),
        ]
    }

    /// `fills`, `trades`, `equity_curve` are left out where `whole` is false.
    public static func value(_ result: BacktestResult, whole: Bool = true) -> JSONValue {
        func name(_ instrument: Int) -> JSONValue { JSONValue(instrument > 0 && instrument <= result.instruments.count ? result.instruments[instrument - 1] : "") }
        var object = JSONObject()
        object["format"] = "keel.backtest/1"
        object["mode"] = JSONValue(result.mode)
        object["pipelines"] = JSONValue(result.pipelines.map { JSONValue($0) })
        object["instruments"] = JSONValue(result.instruments.map { JSONValue($0) })
        object["tapes"] = JSONValue(result.tapes.map { JSONValue($0) })
        object["changes"] = JSONValue(result.changes.map { JSONValue($0) })
        object["seed"] = JSONValue(result.seed)
        object["currency"] = JSONValue(result.currency)
        object["from"] = JSONValue(result.from)
        object["to"] = JSONValue(result.to)
        object["start_equity"] = exact(result.startEquity)
        object["equity"] = exact(result.equity)
        object["cash"] = exact(result.cash)
        object["fees"] = exact(result.fees)
        object["funding"] = exact(result.funding)
        object["turnover"] = exact(result.turnover)
        object["positions"] = JSONValue(
            zip(result.instruments, zip(result.positions, result.lastPrices)).map { ["instrument": JSONValue($0), "quantity": exact($1.0), "price": exact($1.1)] })
        let buys = result.fills.reduce(0) { $0 + ($1.side == KEEL_BUY ? 1 : 0) }
        object["counts"] = [
            "events": JSONValue(result.events), "fills": JSONValue(result.fills.count), "buys": JSONValue(buys), "sells": JSONValue(result.fills.count - buys),
            "trades": JSONValue(result.trades.count), "decisions": JSONValue(result.answers.reduce(0) { $0 + $1.asked }),
            "refusals": JSONValue(result.refusals.reduce(0) { $0 + $1.count }), "rejected_orders": JSONValue(result.rejectedOrders),
        ]
        object["metrics"] = figures(Figures(result))
        object["deciders"] = JSONValue(
            result.answers.map {
                [
                    "pipeline": JSONValue($0.pipeline), "decider": JSONValue($0.decider), "asked": JSONValue($0.asked), "orders": JSONValue($0.orders),
                    "holds": JSONValue($0.holds), "refused": JSONValue($0.refused), "invalid": JSONValue($0.invalid), "shadow": JSONValue($0.shadow),
                    "from_record": JSONValue($0.fromRecord), "cost": exact($0.cost),
                ]
            })
        object["comparisons"] = JSONValue(
            result.comparisons.map { pipeline, c in
                func side(_ side: Comparison.Side) -> JSONValue {
                    [
                        "decider": JSONValue(side.decider), "answers": JSONValue(side.answers), "entries": JSONValue(side.entries), "exits": JSONValue(side.exits),
                        "made": JSONValue(side.made), "fees": JSONValue(side.fees), "cost": exact(side.cost), "cost_per_decision": JSONValue(side.costPerDecision),
                    ]
                }
                return [
                    "pipeline": JSONValue(pipeline), "snapshots": JSONValue(c.pairs), "agreed": JSONValue(c.agreed), "agreement": JSONValue(c.agreement),
                    "primary": side(c.primary), "shadow": side(c.shadow),
                ]
            })
        object["gates"] = JSONValue(
            result.gates.map { gate in
                let c = gate.counters
                return [
                    "pipeline": JSONValue(gate.pipeline), "instrument": JSONValue(gate.instrument), "events": JSONValue(c.events), "passed": JSONValue(c.passed),
                    "timer_passes": JSONValue(c.timerPasses), "candle": JSONValue(c.candle), "timer": JSONValue(c.timer), "price_z": JSONValue(c.priceZ),
                    "volume_z": JSONValue(c.volumeZ), "wake": JSONValue(c.wake), "asked": JSONValue(c.asked), "review": JSONValue(c.review),
                    "watchdog": JSONValue(c.watchdog), "busy": JSONValue(c.busy), "blocked": JSONValue(c.blocked), "stale": JSONValue(c.stale), "reused": JSONValue(c.reused),
                ]
            })
        object["refusals"] = JSONValue(JSONObject(result.refusals.map { ($0.rule.rawValue, JSONValue($0.count)) }))
        object["exits"] = JSONValue(result.exits.map { ["why": JSONValue($0.why.rawValue), "count": JSONValue($0.count), "profit": JSONValue($0.profit)] })
        object["takeovers"] = JSONValue(result.takeovers)
        object["findings"] = JSONValue(
            result.findings.map {
                ["weight": JSONValue($0.weight.rawValue), "kind": JSONValue($0.kind), "text": JSONValue($0.text), "advice": JSONValue($0.advice)]
            })
        object["seconds"] = ["engine": JSONValue(result.engineSeconds), "whole": JSONValue(result.wholeSeconds)]
        if whole {
            object["fills"] = JSONValue(
                result.fills.map {
                    [
                        "index": JSONValue($0.index), "time": JSONValue($0.time), "instrument": name($0.instrument),
                        "side": $0.side == KEEL_BUY ? "buy" : "sell", "price": exact($0.price), "quantity": exact($0.quantity), "fee": exact($0.fee),
                        "order": JSONValue($0.order.description),
                    ]
                })
            object["trades"] = JSONValue(
                result.trades.map {
                    [
                        "instrument": name($0.instrument), "direction": $0.direction > 0 ? "long" : "short", "opened": JSONValue($0.opened),
                        "closed": JSONValue($0.closed), "quantity": JSONValue($0.quantity), "entry": JSONValue($0.entry), "exit": JSONValue($0.exit),
                        "profit": JSONValue($0.profit), "fees": JSONValue($0.fees),
                    ]
                })
            object["equity_curve"] = JSONValue(result.curve.map { [JSONValue($0.time), JSONValue($0.equity), JSONValue($0.exposure)] })
        }
        return JSONValue(object)
    }
}
