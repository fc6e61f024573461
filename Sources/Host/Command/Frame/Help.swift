/// Texts of `--help`, made of the same table that parses the command line.
struct Help {
    let verbs: [Verb]
    let terminal: Terminal

    func overview() -> String {
        var text = "keel - a plugin-based strategy host\n\n\(terminal.bold("usage:")) keel VERB [arguments] [options]\n\n\(terminal.bold("verbs:"))\n"
        text += list(verbs.filter { !$0.isHidden })
        text += "\n\(terminal.bold("everywhere:"))\n"
        text += columns([("--help", "what a verb takes"), ("--version", "version of the program and of the plugin interface"), ("--json", "JSON instead of text")])
        text += "\n\(terminal.bold("exit codes:"))\n"
        text += columns(ExitCode.allCases.map { ("\($0.rawValue)", $0.meaning) })
        return text
    }

    /// One verb in full, or the list of a group's; nil: there is neither.
    func text(for words: [String]) -> String? {
        if let verb = verbs.first(where: { $0.words == words }) { return text(for: verb) }
        let members = verbs.filter { !$0.isHidden && $0.words.starts(with: words) }
        return members.isEmpty ? nil : "\(terminal.bold("verbs:"))\n" + list(members)
    }

    private func text(for verb: Verb) -> String {
        let words = ["keel", verb.name] + verb.arguments.map(\.usage) + (verb.options.isEmpty ? [] : ["[options]"])
        var text = "\(verb.summary)\n\n\(terminal.bold("usage:")) \(words.joined(separator: " "))\n"
        if !verb.arguments.isEmpty { text += "\n\(terminal.bold("arguments:"))\n" + columns(verb.arguments.map { ($0.name, $0.help) }) }
        if !verb.options.isEmpty {
            text += "\n\(terminal.bold("options:"))\n" + columns(verb.options.map { ($0.usage, $0.help + ($0.repeats ? " (may be repeated)" : "")) })
        }
        if !verb.details.isEmpty { text += "\n\(verb.details)\n" }
        return text
    }

    /// Every verb in Markdown, for docs/cli.md.
    func reference() -> String {
        verbs.filter { !$0.isHidden }.map { verb in
            let usage = (["keel", verb.name] + verb.arguments.map(\.usage) + (verb.options.isEmpty ? [] : ["[options]"])).joined(separator: " ")
            var text = "### \(usage.replacing("[", with: "\\["))\n\n\(verb.summary.prefix(1).uppercased())\(verb.summary.dropFirst()).\n"
            if !verb.details.isEmpty { text += "\n\(verb.details)\n" }
            let rows = verb.arguments.map { ("`\($0.name)`", $0.help) } + verb.options.map { ("`\($0.usage)`", $0.help + ($0.repeats ? " (may be repeated)" : "")) }
            if !rows.isEmpty { text += "\n| | |\n|---|---|\n" + rows.map { "| \($0.0) | \($0.1.replacing("|", with: "\\|")) |\n" }.joined() }
            return text
        }.joined(separator: "\n")
    }

    private func list(_ verbs: [Verb]) -> String {
        columns(verbs.map { (([$0.name] + $0.arguments.map(\.usage)).joined(separator: " "), $0.summary) })
    }

    private func columns(_ rows: [(String, String)]) -> String {
        let width = min(rows.map(\.0.count).max() ?? 0, 34)
        return rows.map { name, text in
            name.count > width
                ? "  \(name)\n  \(String(repeating: " ", count: width))  \(text)\n"
                : "  \(name)\(String(repeating: " ", count: width - name.count))  \(text)\n"
        }.joined()
    }
}
