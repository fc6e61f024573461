import Foundation
import HostRun

extension Verb {
    static let replay = Verb(
        words: ["replay"],
        summary: "feed a recorded run through the same engine again, without plugins, network or cost",
        details: """
            RUN is a run's number, or \"last\". With --verify every effect is compared with the recorded one, byte for byte, and exit code 7
            says that something differs; if the run was restarted, the run that went on must have restored exactly what this one ended with.
            """,
        arguments: [Argument("RUN", .one, "number of the run, or last"), manifestArgument],
        options: [.json, .state, Option("verify", "compare, and fail on the first difference")],
        run: { call in
            let folder = try call.runFolder()
            let runs = folder.recordedRuns()
            guard let first = call.arguments.first, let run = first == "last" ? runs.last : UInt32(first) else {
                throw Failure(.usage, call.arguments.first == "last" ? "nothing was recorded in \(folder.path)" : "RUN must be a number, or last")
            }
            var reports: [ReplayReport] = []
            do throws(RunError) {
                var outcome = try Replay.replay(journal: folder.journal(run: run))
                if call.flag("verify"), let next = runs.first(where: { $0 > run }),
                    let origin = try? Replay.origin(journal: folder.journal(run: next)), origin.follows == run, !outcome.report.isTorn
                {
                    outcome.report.next = next
                    if outcome.report.difference == nil { outcome.report.difference = Replay.difference(between: outcome.state, and: origin.restored) }
                }
                reports.append(outcome.report)
            } catch {
                throw Failure(error)
            }
            if call.wantsJSON {
                let encoder = JSONEncoder()
                encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
                call.terminal.out(String(decoding: try encoder.encode(reports), as: UTF8.self))
            } else {
                for report in reports {
                    call.terminal.out(report.text)
                    if let next = report.next, report.difference == nil { call.terminal.out("run \(next) went on from exactly this state") }
                    call.terminal.out(report.summary.text)
                }
            }
            return call.flag("verify") && reports.contains { $0.difference != nil } ? .checkFailed : .ok
        })
}
