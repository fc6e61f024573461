import Foundation
import HostCore
import HostLedger
import HostManifest

extension Verb {
    static let learnerShow = Verb(
        words: ["learner", "show"],
        summary: "show what the host has learned: regimes, and each signal's chances",
        details: """
            From the saved state, whether a host runs or not. alpha and beta are the counts behind a signal's weight: discounted wins and
            losses, in a regime with what the other regimes lend it. A signal whose samples don't reach the manifest's learn.enough is not
            known yet. --journal lists the closed trades the figures come from.
            """,
        options: [.json, .manifest, .state, .last, Option("journal", "list what became of the decisions that opened positions")],
        run: { call in
            let reader = try call.openLedger()
            if call.flag("journal") { return try journal(reader, call) }
            guard let bytes = try reader.learnerState() else {
                if call.wantsJSON { call.terminal.out("null") } else { call.terminal.out("nothing has been learned yet") }
                return .ok
            }
            // The settings only say when there is enough; what was learned is in the ledger.
            let manifest = (try? ManifestFile(reading: call.manifestName)).flatMap { ManifestReader(environment: call.environment, checksSecrets: false).check($0).manifest }
            let settings = Dictionary((manifest?.pipelines ?? []).map { ($0.name, $0.learn) }) { first, _ in first }
            guard let view = MarketLearner.view(bytes, settings: settings) else {
                throw Failure(.error, "the learner's state was written by another version of this program")
            }
            if call.wantsJSON {
                try call.print(json: view)
                return .ok
            }
            show(view, call)
            return .ok
        })

    private static func show(_ view: LearnerView, _ call: Invocation) {
        func number(_ value: Double, _ digits: Int = 3) -> String { String(format: "%.\(digits)f", value) }
        var markets = TextTable("market", "regime", ">probability", "last day", ">days", ">calm sd %", ">volatile sd %", ">calm lasts", ">volatile lasts", "last fit")
        for market in view.markets {
            let states = market.states
            markets.add(
                market.name, market.regime, market.probability.map { number($0) } ?? "", market.volatility, "\(market.days)",
                states.isEmpty ? "" : number(states[0].deviation, 2), states.isEmpty ? "" : number(states[1].deviation, 2),
                states.isEmpty ? "" : number(states[0].stay, 1), states.isEmpty ? "" : number(states[1].stay, 1),
                market.refusal.isEmpty ? market.daysSinceFit.map { "\($0) days ago" } ?? "none yet" : "refused: \(market.refusal)")
        }
        call.print(markets, none: "no market is followed")
        call.terminal.out("macro: \(view.macro)\(view.macroProbability.map { ", probability \(number($0))" } ?? "")")
        for (pipeline, trades) in view.trades.sorted(by: { $0.key < $1.key }) { call.terminal.out("\(pipeline): \(trades) closed trades") }
        var signals = TextTable("pipeline", "signal", "regime", ">alpha", ">beta", ">weight", ">samples", "enough")
        for signal in view.signals {
            signals.add(
                signal.pipeline, PlainText.of(signal.signal), signal.regime, number(signal.alpha), number(signal.beta), number(signal.mean), number(signal.samples, 1),
                signal.enough ? "yes" : "no")
        }
        call.print(signals, none: "no signal has taken part in a closed trade")
    }

    private static func journal(_ reader: LedgerReader, _ call: Invocation) throws -> ExitCode {
        let outcomes = try reader.outcomes(try call.filter())
        if call.wantsJSON {
            try call.print(json: outcomes)
            return .ok
        }
        var table = TextTable("closed (UTC)", "pipeline", "symbol", "decider", "side", "regime", "macro", "last day", ">profit", ">percent", "why", "signals")
        for outcome in outcomes {
            table.add(
                ShortTime.of(outcome.time), outcome.pipeline, outcome.symbol, outcome.decider, outcome.side, outcome.regime, outcome.macro, outcome.volatility,
                outcome.profit.description, String(format: "%+.2f", outcome.ratio.double * 100), outcome.why,
                outcome.signals.map { PlainText.of($0.name) }.joined(separator: " "))
        }
        call.print(table, none: "no position has been closed yet")
        return .ok
    }
}
