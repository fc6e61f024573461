import HostCore
import PluginKit

// The stages of a pipeline. Each line is a key of the manifest, its reader, its schema and its entry in docs/manifest.md.

/// The member's place, or the object's where it is left out.
func place(of name: String, in value: JSONValue) -> UInt32 { value.find(name)?.start ?? value.start }

let gateTable = Table<GateSettings>(
    "gate",
    [
        Setting(
            "candle", \.candle, .optional(.span(Span.second ... Span.day)),
            "Layer 1: asks the decider each time a bar of this length closes."),
        Setting("timer", \.timer, .flag, "Layer 2: asks when the decider's own next check is due, held between `min_interval` and `max_interval`."),
        Setting("min_interval", \.minimumInterval, .span(Span.millisecond ... Span.day), "Shortest time the decider may set for its next check."),
        Setting(
            "max_interval", \.maximumInterval, .span(Span.millisecond ... 7 * Span.day),
            "Longest time it may set, and the time to the first check after the start."),
        Setting(
            "price_z", \.priceZ, .optional(.statistic(0.1 ... 100)),
            "Layer 3: asks when the last log return lies so many standard deviations from its mean."),
        Setting("volume_z", \.volumeZ, .optional(.statistic(0.1 ... 100)), "Layer 3: the same for the log volume."),
        Setting("z_window", \.zWindow, .count(2 ... 1_000_000), "Observations in the exponential window of both z-scores."),
        Setting("z_warmup", \.zWarmup, .count(0 ... 1_000_000), "Observations that must have been seen before a z-score counts."),
        Setting("z_cooldown", \.zCooldown, .span(0 ... Span.day), "Least time between two passes of layer 3."),
        Setting("wakes", \.wakes, .flag, "Layer 4: asks when a wake condition that the decider set has come true."),
        Setting("asks", \.asks, .flag, "Layer 4: asks when the decider's own `observe` says so."),
        Setting(
            "watchdog", \.watchdog, .optional(.span(Span.second ... 7 * Span.day)),
            "Forces a decision when none was made for so long although market data arrives or should."),
    ],
    check: { gate, value, path, problems in
        if gate.candle == nil, !gate.timer, gate.priceZ == nil, gate.volumeZ == nil, !gate.wakes, !gate.asks, gate.watchdog == nil {
            problems.append(ManifestProblem(path, value, .contradiction("every layer of the gate is off: nothing would ever ask the decider")))
        }
        if gate.minimumInterval > gate.maximumInterval {
            let name = value.find("min_interval") == nil ? "max_interval" : "min_interval"
            problems.append(
                ManifestProblem(
                    path.appending(name), start: place(of: name, in: value),
                    .contradiction(
                        "min_interval (\(SpanText.format(gate.minimumInterval))) is longer than max_interval (\(SpanText.format(gate.maximumInterval)))")))
        }
    })

/// A chain with its per-decider deadlines in the order they are written.
struct ChainDraft: Sendable {
    var settings = ChainSettings(primary: "")
    var deadlines: [Named<Int64>] = []
}

let chainTable = Table<ChainDraft>(
    "decide",
    [
        Setting("primary", \.settings.primary, .plugin, required: true, "The decider that is asked first."),
        Setting(
            "fallback", \.settings.fallbacks, .oneOrMore(.plugin),
            "Asked when the one before it fails, is too late, has its breaker open or would cost too much."),
        Setting("deadline", \.settings.deadline, .span(Span.millisecond ... Span.day), "How long each decider may take."),
        Setting(
            "deadlines", \.deadlines, .map(.span(Span.millisecond ... Span.day), names: Names.pattern, form: "name of a plugin", words: "object: decider to duration"),
            "Other deadlines for single deciders of the chain."),
        Setting("failures", \.settings.failures, .count(1 ... 1000), "So many failures in a row open a decider's circuit breaker."),
        Setting("pause", \.settings.pause, .span(Span.second ... 7 * Span.day), "After this, an open breaker lets one trial call through."),
        Setting(
            "daily_cost", \.settings.dailyCost, .optional(.money, off: "null: no cap"),
            "US dollars the chain may spend on answers in a UTC day; checked before each call."),
        Setting("assumed_cost", \.settings.assumedCost, .money, "US dollars one call is taken to cost until a real figure is known."),
        Setting("shadow", \.settings.shadow, .flag, "The first fallback also answers what the primary saw, for comparison only."),
        Setting(
            "reuse", \.settings.reuse, .optional(.span(Span.second ... Span.day), off: "null: it is always asked"),
            "How long the primary's HOLD stands for what it would be asked again by a closed candle, a timer or a review, while nothing has moved: the call is saved."),
        Setting("reuse_move", \.settings.reuseMove, .share, "A price that moved by more than this share since then has moved."),
        Setting("max_age", \.settings.maximumAge, .span(Span.millisecond ... Span.day), "A decision on a snapshot older than this is refused."),
    ],
    check: { chain, value, path, problems in
        var seen: Set<String> = []
        let fallback = value.find("fallback")
        for (place, name) in chain.settings.fallbacks.enumerated() {
            let isList = fallback?.asList != nil
            let namePath = isList ? path.appending("fallback").appending(place) : path.appending("fallback")
            let start = (isList ? fallback?.asList?[place] : fallback)?.start
            if name == chain.settings.primary {
                problems.append(ManifestProblem(namePath, start: start, .fallbackIsPrimary(name)))
            } else if !seen.insert(name).inserted {
                problems.append(ManifestProblem(namePath, start: start, .repeated(name)))
            }
        }
        for deadline in chain.deadlines where deadline.name != chain.settings.primary && !chain.settings.fallbacks.contains(deadline.name) {
            let start = value.find("deadlines")?.asObject?.member(deadline.name)?.start
            problems.append(ManifestProblem(path.appending("deadlines").appending(deadline.name), start: start, .notInChain(deadline.name)))
        }
    })

let riskTable = Table<RiskSettings>(
    "risk",
    [
        Setting("max_fraction", \.maximumFraction, .share, "Largest share of the equity one decision may commit."),
        Setting(
            "equity_limits", \.limitsByEquity, .flag,
            "Entries need equity above zero and stay within `max_fraction` of it. `false` goes with mode `backtest` only: for comparisons with programs that know no limits."),
        Setting("max_order", \.maximumOrder, .optional(.money, off: "null: not limited"), "Largest notional of one order."),
        Setting("max_position", \.maximumPosition, .optional(.money, off: "null: not limited"), "Largest notional of one position."),
        Setting(
            "max_exposure", \.maximumExposure, .optional(.notNegative, off: "null: not limited"),
            "Largest sum of all open positions of the pipeline, as a multiple of its equity."),
        Setting(
            "daily_loss", \.dailyLoss, .optional(.share, off: "null: not limited"),
            "Loss since the start of the UTC day, as a share of the equity then, that blocks entries until the next day."),
        Setting(
            "drawdown", \.drawdown, .optional(.share, off: "null: not limited"),
            "Fall from the equity's peak that blocks entries until an operator resets it."),
        Setting(
            "losing_streak", \.losingStreak, .optional(.count(1 ... 1000), off: "null: not limited"), "Losing trades in a row that block entries for `streak_pause`."),
        Setting("streak_pause", \.streakPause, .span(0 ... 30 * Span.day), "How long a losing streak blocks entries."),
        Setting("orders_per_minute", \.ordersPerMinute, .optional(.count(1 ... 100_000), off: "null: not limited"), "Most orders in a minute."),
        Setting(
            "price_collar", \.priceCollar, .optional(.share, off: "null: not limited"),
            "How far a limit price, or the last price against the decision's, may be off, as a share of the price."),
        Setting("cooldown", \.cooldown, .span(0 ... 30 * Span.day), "Least time between an exit and the next entry of the same instrument."),
        Setting("min_hold", \.minimumHold, .span(0 ... 30 * Span.day), "Least time between an entry and an exit that the decider asks for. Protective exits don't wait."),
        Setting("freshness", \.freshness, .optional(.span(Span.millisecond ... Span.day), off: "null: not checked"), "Market data older than this blocks entries."),
        Setting(
            "clock_skew", \.clockSkew, .optional(.span(Span.millisecond ... Span.hour), off: "null: not checked"),
            "Difference between the venue's clock and the host's that blocks entries."),
        Setting("allow_short", \.allowShort, .flag, "Positions below zero may be opened."),
        Setting(
            "kelly", \.kelly, .optional(.share), "Share of the full Kelly fraction that caps a size once there is history."),
        Setting("kelly_trades", \.kellyTrades, .count(1 ... 100_000), "Closed trades that count as history."),
        Setting("order_timeout", \.orderTimeout, .span(Span.millisecond ... Span.hour), "An order that is not confirmed for so long is in doubt."),
    ])

let stageTable = Table<PositionSettings.Stage>(
    "position.stages[]",
    [
        Setting("gain", \.gain, .positive, required: true, "Gain since entry, as a share of the entry price, at which this stage closes its part."),
        Setting("fraction", \.fraction, .someShare, required: true, "Share of the initial quantity it closes."),
    ])

let positionTable = Table<PositionSettings>(
    "position",
    [
        Setting("stop_loss", \.stopLoss, .optional(.someShare), "Closes the position at this loss, as a share of the entry price."),
        Setting("trailing", \.trailing, .optional(.someShare), "Closes it at this fall from the best price since entry."),
        Setting("trailing_activation", \.trailingActivation, .notNegative, "Gain from which the trailing stop is in force."),
        Setting("atr_multiple", \.atrMultiple, .optional(.statistic(0.1 ... 100)), "Hard stop so many average true ranges from the entry; it only tightens."),
        Setting("atr_period", \.atrPeriod, .count(1 ... 1000), "Bars in the average true range."),
        Setting("atr_bars", \.atrBars, .span(Span.second ... 7 * Span.day), "Length of those bars."),
        Setting(
            "stages", \.stages, .list(stageTable.codec(PositionSettings.Stage(gain: .zero, fraction: .zero)), of: "objects"),
            inner: AnyTable(stageTable, PositionSettings.Stage(gain: .zero, fraction: .zero)), "Parts of the position that are closed on the way up, smallest gain first."),
        Setting("exit_probability", \.exitProbability, .optional(.someShare), "Exit probability stated by the decider that closes the position."),
        Setting("interval", \.interval, .span(Span.millisecond ... Span.hour), "Longest time between two looks at the position."),
        Setting("review", \.review, .optional(.span(Span.second ... Span.day)), "How often the decider reviews an open position."),
        Setting("exit_score", \.exitScore, .statistic(-1 ... 1), "Score of five signals below which the review closes the position when no decider answers."),
    ],
    check: { position, value, path, problems in
        var total = Fixed.zero
        let stages = value.find("stages")?.asList ?? []
        for (place, stage) in position.stages.enumerated() {
            let stagePath = path.appending("stages").appending(place)
            let start = stages.indices.contains(place) ? stages[place].start : value.start
            total = (try? total.adding(stage.fraction)) ?? .max
            if total > .one {
                problems.append(ManifestProblem(stagePath, start: start, .contradiction("up to this stage more than the whole position is closed (\(total))")))
                break
            }
            if place > 0, stage.gain <= position.stages[place - 1].gain {
                problems.append(ManifestProblem(stagePath, start: start, .contradiction("its gain is not above that of the stage before it")))
            }
        }
    })

let learnTable = Table<LearnSettings>(
    "learn",
    [
        Setting("enabled", \.isEnabled, .flag, "Learns from closed trades and follows the market's regimes, if a decider of the chain asks for weights."),
        Setting(
            "reward", \.signals.reward, .choice,
            "`binary`: a trade is won or lost after fees. `graded`: a large win counts more than a small one."),
        Setting("scale", \.signals.scale, .statistic(0.0001 ... 10), "Profit that counts as one unit of risk for graded rewards, as a share of what was committed."),
        Setting("discount", \.signals.discount, .statistic(0.5 ... 1), "What a closed trade leaves of all earlier ones: 0.99 remembers about 100 trades."),
        Setting("pooling", \.signals.pooling, .statistic(0 ... 1000), "How many trades in this regime the trades of all other regimes together are worth."),
        Setting("enough", \.signals.enough, .statistic(0 ... 100_000), "Trades a signal must have taken part in before its weight counts as known."),
        Setting(
            "refit_days", \.refitDays, .optional(.count(1 ... 365), off: "null: no regimes"),
            "How often the two-state model of daily returns is fitted anew."),
    ])
