import Foundation
import HostRun

extension Verb {
    static let monitor = Verb(
        words: ["monitor"],
        summary: "watch a running host for evidence: PASS, FAIL or NOT_OBSERVED, with times",
        details: """
            Prints each claim when its verdict changes, and all of them at the end. Ends when the time is over, or as soon as every
            required claim has passed; exit code 7 if one failed or was not seen. Without --require the claims that every healthy run
            shows are required: \(Evidence.Claim.expected.map(\.rawValue).joined(separator: ", ")).
            """,
        arguments: [manifestArgument],
        options: [
            .json, .state, Option("for", value: "SECONDS", "how long to watch (default: 60)"),
            Option("require", value: "CLAIM", repeats: true, "a claim that must pass: \(Evidence.Claim.allCases.map(\.rawValue).joined(separator: ", "))"),
        ],
        run: { call in
            guard let seconds = Double(call.value("for") ?? "60"), seconds > 0 else { throw call.mistake("--for takes a number of seconds") }
            let named = try call.all("require").map { word -> Evidence.Claim in
                guard let claim = Evidence.Claim(rawValue: word) else { throw call.mistake("there is no claim \"\(word)\"") }
                return claim
            }
            let required = named.isEmpty ? Evidence.Claim.expected : named
            let limit = Date().addingTimeInterval(seconds)
            var before: [Evidence.Claim: Evidence.Verdict] = [:]
            var evidence = Evidence()
            repeat {
                let reply = try call.ask(ControlRequest(.evidence))
                evidence = try JSONDecoder().decode(Evidence.self, from: reply.body)
                for finding in evidence.findings where before[finding.claim] ?? .notObserved != finding.verdict {
                    before[finding.claim] = finding.verdict
                    if !call.wantsJSON { call.terminal.out(line(finding)) }
                }
                if required.allSatisfy({ evidence[$0].verdict == .pass }) { break }
                Thread.sleep(forTimeInterval: min(0.5, max(0, limit.timeIntervalSinceNow)))
            } while Date() < limit
            if call.wantsJSON {
                let encoder = JSONEncoder()
                encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
                call.terminal.out(String(decoding: try encoder.encode(evidence), as: UTF8.self))
            } else {
                call.terminal.out("")
                for finding in evidence.findings { call.terminal.out(line(finding)) }
            }
            let healthy = required.allSatisfy { evidence[$0].verdict == .pass } && evidence.failed.isEmpty
            return healthy ? .ok : .checkFailed
        })

    private static func line(_ finding: Evidence.Finding) -> String {
        let word = finding.verdict.rawValue.padding(toLength: 13, withPad: " ", startingAt: 0)
        let when = finding.first > 0 ? " since \(RunLog.stamp(finding.first))" : ""
        let detail = finding.detail.isEmpty ? "" : " (\(finding.detail))"
        return "\(word)\(finding.claim.rawValue): \(finding.claim.meaning)\(when)\(detail)"
    }
}
