import Foundation
import HostRun

extension Verb {
    static let flatten = Verb(
        words: ["flatten"],
        summary: "close every position of the running host at the market, and cancel everything else",
        details: "Entries are not halted by it: use keel kill on first if nothing may be opened again. Exit code 5: not flat in time.",
        arguments: [manifestArgument],
        options: [
            .json, .state, Option("pipeline", value: "NAME", "only this pipeline"),
            Option("within", value: "SECONDS", "how long to wait until it is flat (default: 30; 0: don't wait)"),
        ],
        run: { call in
            guard let seconds = Int(call.value("within") ?? "30"), seconds >= 0 else { throw call.mistake("--within takes a number of seconds") }
            let pipeline = call.value("pipeline")
            var reply = try call.ask(ControlRequest(.flatten, pipeline.map { ["pipeline": $0] } ?? [:]))
            func open() throws -> [String] {
                let report = try JSONDecoder().decode(HostStatusReport.self, from: reply.body)
                return report.pipelines.filter { pipeline == nil || $0.name == pipeline }.flatMap { each in
                    each.positions.map { "\(each.name): \($0.value) \($0.key)" }
                }.sorted()
            }
            let limit = Date().addingTimeInterval(Double(seconds))
            while try !open().isEmpty, Date() < limit {
                Thread.sleep(forTimeInterval: 0.1)
                reply = try call.ask(ControlRequest(.status))
            }
            let left = try open()
            if call.wantsJSON { call.terminal.out(String(decoding: reply.body, as: UTF8.self)) }
            if left.isEmpty {
                if !call.wantsJSON { call.terminal.out("flat") }
                return .ok
            }
            if seconds == 0 { return .ok }
            throw Failure(.timedOut, "not flat after \(seconds) s: \(left.joined(separator: ", "))")
        })
}
