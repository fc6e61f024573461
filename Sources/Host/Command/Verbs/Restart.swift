import Foundation
import HostRun

extension Verb {
    static let restart = Verb(
        words: ["restart"],
        summary: "restart the running host in place, with the manifest and libraries as they are now",
        details: """
            The new manifest and libraries are checked first, in a process of their own; if anything is wrong the old host goes on
            untouched (exit code 4). Then the gate closes, what is in flight comes home, plugins save their state, and the host becomes
            the program on disk under the same pid, loads, restores, asks the venues, and opens again. Positions and orders stay.
            """,
        arguments: [manifestArgument],
        options: [.json, .state, Option("within", value: "SECONDS", "how long to wait for it (default: 120)")],
        run: { call in
            guard let seconds = Int32(call.value("within") ?? "120"), seconds > 0 else { throw call.mistake("--within takes a number of seconds") }
            let reply = try call.ask(ControlRequest(.restart), seconds: seconds)
            let report = try JSONDecoder().decode(RestartReport.self, from: reply.body)
            call.terminal.out(call.wantsJSON ? String(decoding: reply.body, as: UTF8.self) : report.text)
            if report.rolledBack != nil { return .invalid }
            return report.differences.isEmpty ? .ok : .refused
        })
}
