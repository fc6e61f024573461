import Foundation
import HostRun

extension Verb {
    static let status = Verb(
        words: ["status"],
        summary: "what the running host does: pipelines, positions, plugins, links, agreement with the venues",
        arguments: [manifestArgument],
        options: [.json, .state],
        run: { call in
            let reply = try call.ask(ControlRequest(.status))
            let report = try JSONDecoder().decode(HostStatusReport.self, from: reply.body)
            call.terminal.out(call.wantsJSON ? String(decoding: reply.body, as: UTF8.self) : report.text)
            return .ok
        })
}
