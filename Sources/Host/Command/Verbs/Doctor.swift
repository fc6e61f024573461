import Foundation
import HostRun
import PluginKit

extension Verb {
    static let doctor = Verb(
        words: ["doctor"],
        summary: "look at everything that could keep a host from trading safely",
        details: "Disk, clock, permissions, ledger, plugins, secrets, the running host, and the endpoints that plugins name. Exit code 7: a problem was found.",
        arguments: [manifestArgument],
        options: [.json, .state, Option("offline", "don't try endpoints")],
        run: { call in
            let folder = try call.runFolder()
            var findings = Doctor(folder).examine()
            let report = call.readManifest()
            if report.errors.isEmpty {
                findings.append(Doctor.Finding("manifest", report.warnings.isEmpty ? .ok : .warning, "\(report.file.name) is valid"))
            }
            for problem in report.problems {
                findings.append(
                    Doctor.Finding(
                        "manifest", problem.severity == .error ? .problem : .warning, "\(report.location(of: problem)): \(problem.what)", advice: problem.hint))
            }
            if let manifest = report.manifest, !call.flag("offline") {
                for (plugin, address) in PluginEndpoints.all(manifest, file: report.file, folder: folder) {
                    findings.append(Doctor.probe(address, of: plugin))
                }
            }
            if call.wantsJSON {
                let encoder = JSONEncoder()
                encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
                call.terminal.out(String(decoding: try encoder.encode(findings), as: UTF8.self))
            } else {
                for finding in findings {
                    let mark =
                        switch finding.verdict {
                        case .ok: call.terminal.styled("ok      ", .green)
                        case .warning: call.terminal.styled("warning ", .yellow)
                        case .problem: call.terminal.styled("PROBLEM ", .red)
                        }
                    call.terminal.out("\(mark)\(finding.subject): \(finding.text)" + (finding.advice.map { "\n        \(call.terminal.dim($0))" } ?? ""))
                }
            }
            return findings.contains { $0.verdict == .problem } ? .checkFailed : .ok
        })
}
