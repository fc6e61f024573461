import HostManifest
import PluginKit

extension Verb {
    static let check = Verb(
        words: ["check"],
        summary: "check a manifest, its plugins and its secrets; nothing is started",
        details: """
            Everything that can be checked offline is checked, and every problem is shown at once, each with file, line,
            column and path, and with a hint where there is one. Exit code 0: the manifest can be run (there may be
            warnings). Exit code 4: it can't.
            """,
        arguments: [Argument("MANIFEST", .optional, "the manifest (default: plugins.json)")],
        options: [.json, Option("no-secrets", "don't look for the secrets that plugins are granted")],
        run: { call in
            let report = call.readManifest(checksSecrets: !call.flag("no-secrets"))
            if call.wantsJSON {
                call.terminal.out(report.json.text(.pretty))
            } else {
                for problem in report.problems { call.terminal.out(report.styled(problem, call.terminal)) }
                call.terminal.out(report.verdict(call.terminal))
            }
            return report.errors.isEmpty ? .ok : .invalid
        })
}

extension ManifestReport {
    /// A problem for a person's eyes: the same text as in a pipe, with colour.
    func styled(_ problem: ManifestProblem, _ terminal: Terminal) -> String {
        let path = problem.path == .root ? "" : "\(problem.path): "
        let severity = terminal.styled(problem.severity.rawValue + ":", problem.severity == .error ? .red : .yellow)
        return "\(terminal.bold(location(of: problem) + ":")) \(severity) \(terminal.dim(path))\(problem.what)"
            + (problem.hint.map { "\n    \(terminal.styled("hint:", .cyan)) \($0)" } ?? "")
    }

    func verdict(_ terminal: Terminal) -> String {
        func count(_ number: Int, _ one: String) -> String { "\(number) \(one)\(number == 1 ? "" : "s")" }
        let warned = warnings.isEmpty ? "" : ", \(count(warnings.count, "warning"))"
        guard let manifest else { return "\(file.name): \(terminal.styled("not valid", .red)), \(count(errors.count, "error"))\(warned)" }
        let plugins = manifest.plugins.filter(\.isEnabled).count
        return "\(file.name): \(terminal.styled("valid", .green))\(warned): mode \(manifest.mode.rawValue), \(count(plugins, "plugin")), "
            + "\(count(manifest.instruments.count, "instrument")), \(count(manifest.pipelines.count, "pipeline"))"
    }

    /// For verbs that need a valid manifest: the manifest, or the whole report on the error stream and exit code 4.
    func required(_ terminal: Terminal) throws(Failure) -> Manifest {
        for problem in problems { terminal.error(styled(problem, terminal)) }
        guard let manifest else { throw Failure(.invalid, "\(file.name) is not valid: nothing was started") }
        return manifest
    }
}
