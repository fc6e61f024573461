import Foundation
import HostBacktest
import HostCore
import HostManifest
import HostPlugins
import HostRun
import PluginAPI
import PluginKit
import Tape

extension Verb {
    static let decisionsRecord = Verb(
        words: ["decisions", "record"],
        summary: "fill the gaps of a model's recorded answers over a tape, within a budget",
        details: """
            Runs the pipelines over the tape as keel backtest does. Where the record has no answer for a snapshot, the model is called and
            its answer stored, until the budget is used up. Without --confirm nobody is called: what is missing is counted and its cost
            estimated. Afterwards keel backtest runs from the record: --set plugins.NAME.component=COMPONENT.recorded.
            The deciders must have a component COMPONENT.recorder beside their own, as keel.claude has.
            """,
        arguments: [Argument("MANIFEST", .optional, "the manifest (default: plugins.json)")],
        options: BacktestCall.options + [
            Option("budget", value: "DOLLARS", "the most that may be spent, as in 5.00"), Option("confirm", "really spend it"), .json,
        ],
        run: { call in
            let setup = BacktestCall(call: call)
            let file = try setup.file()
            let tapes = try setup.tapes()
            var budget = Amount.zero
            if let text = call.value("budget") {
                guard let amount = Amount(text), amount.isPositive else { throw call.mistake("--budget takes US dollars above zero, not \"\(text)\"") }
                budget = amount
            }
            if call.flag("confirm"), budget.isZero { throw call.mistake("--confirm spends money: say how much with --budget") }
            let changes = try setup.changes()
            let plain = try manifest(setup, file, changes)
            let callers = try setup.loader(plain, file).callers(try setup.request(plain, tapes: tapes))
            if callers.isEmpty { throw Failure(.usage, "no decider of these pipelines calls a model: there is nothing to record", hint: "keel backtest runs them as they are") }

            let counted = try run(setup, file, changes, callers, budget: .zero, plain, tapes)
            var totals = Totals(counted)
            let words = "\(totals.answered) answers are recorded, \(totals.missing) are missing; recording them costs at most \(totals.estimate) US dollars"
            let spends = call.flag("confirm") && totals.missing > 0
            if !call.wantsJSON {
                call.terminal.out(words)
                call.terminal.out("an estimate, with HOLD in every gap: what is answered changes what is asked next")
                if totals.missing > 0, !spends { call.terminal.out("nobody was called. To record: --budget \(budget.isZero ? totals.estimate : budget) --confirm") }
            }
            if spends {
                let estimate = totals.estimate
                totals = Totals(try run(setup, file, changes, callers, budget: budget, plain, tapes))
                totals.estimate = estimate
                if !call.wantsJSON {
                    call.terminal.out(
                        "recorded \(totals.recorded), failed \(totals.failed), still missing \(totals.missing - totals.recorded), spent \(totals.spent) of \(budget) US dollars"
                            + (totals.isOut ? ": the budget is used up" : ""))
                }
            }
            if call.wantsJSON {
                let value: JSONValue = [
                    "answered": JSONValue(totals.answered), "missing": JSONValue(totals.missing), "recorded": JSONValue(totals.recorded),
                    "failed": JSONValue(totals.failed), "estimate_usd": JSONValue(totals.estimate), "spent_usd": JSONValue(totals.spent),
                    "budget_usd": JSONValue(budget), "confirmed": JSONValue(call.flag("confirm")), "out_of_budget": JSONValue(totals.isOut),
                ]
                call.terminal.out(value.text(.pretty))
            }
            return .ok
        })

    private struct Totals {
        var answered: Int64 = 0
        var missing: Int64 = 0
        var recorded: Int64 = 0
        var failed: Int64 = 0
        var estimate = Amount.zero
        var spent = Amount.zero
        var isOut = false

        init(_ result: BacktestResult) {
            for description in result.descriptions.values {
                func count(_ name: String) -> Int64 { description.find(name)?.asNumber?.int64 ?? 0 }
                func money(_ name: String) -> Amount { description.find(name)?.asText.flatMap { Amount($0) } ?? .zero }
                answered += count("answered")
                missing += count("missing")
                recorded += count("recorded")
                failed += count("failed")
                estimate = (try? estimate.adding(money("estimate_usd"))) ?? estimate
                spent = (try? spent.adding(money("spent_usd"))) ?? spent
                if description.find("out_of_budget")?.asBool == true { isOut = true }
            }
        }
    }

    private static func manifest(_ setup: BacktestCall, _ file: ManifestFile, _ changes: [ManifestChange]) throws -> Manifest {
        let report = try setup.report(file, changes)
        if let manifest = report.manifest { return manifest }
        for problem in report.problems { setup.call.terminal.error(report.styled(problem, setup.call.terminal)) }
        throw Failure(.invalid, "\(file.name) is not valid: nothing was run")
    }

    /// One pass over the tape with the recorders in the place of the deciders that call out.
    private static func run(
        _ setup: BacktestCall, _ file: ManifestFile, _ changes: [ManifestChange], _ callers: [String], budget: Amount, _ plain: Manifest, _ tapes: [TapeFile]
    ) throws -> BacktestResult {
        var all = changes
        for name in callers {
            guard let entry = plain.plugin(name) else { continue }
            all.append(ManifestChange(path: "plugins[\(name)].component", value: entry.component + ".recorder"))
            all.append(ManifestChange(path: "plugins[\(name)].config.budget", value: "\"\(budget)\""))
        }
        let changed = try manifest(setup, file, all)
        var request = try setup.request(changed, tapes: tapes)
        request.recorders = Set(callers)
        let secrets = SecretStore(changed.secrets, file: file, environment: setup.call.environment)
        request.secrets = { name in
            do throws(SecretError) { return .success(try secrets.secret(name).bytes) } catch { return .failure(HostStatus(KEEL_E_AUTH)) }
        }
        let backtest: Backtest
        do { backtest = try setup.loader(changed, file).backtest(request) } catch let error as BacktestError {
            throw Failure(error.isRefusal ? .refused : .invalid, error.description)
        }
        let bar = setup.call.progress(budget.isZero ? "counting" : "recording", unit: "events")
        defer { bar.finish() }
        return try backtest.run { done, of in
            bar.update(Int64(done), total: Int64(of))
            return true
        }
    }
}
