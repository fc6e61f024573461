import Foundation
import HostRun

extension Verb {
    static let stop = Verb(
        words: ["stop"],
        summary: "stop the running host in order",
        details: """
            No new entries, what is in flight comes home, plugins save their state, the ledger is closed. Positions and resting
            orders stay as they are: keel flatten closes them first. Returns when the host has ended.
            """,
        arguments: [manifestArgument],
        options: [.json, .state, Option("within", value: "SECONDS", "how long to wait for it (default: 60)")],
        run: { call in
            guard let seconds = Int32(call.value("within") ?? "60"), seconds > 0 else { throw call.mistake("--within takes a number of seconds") }
            let reply = try call.ask(ControlRequest(.stop), seconds: seconds)
            if call.wantsJSON {
                call.terminal.out(String(decoding: reply.body, as: UTF8.self))
            } else {
                let summary = try JSONDecoder().decode(RunSummary.self, from: reply.body)
                call.terminal.out("stopped\n\(summary.text)")
            }
            return .ok
        })
}
