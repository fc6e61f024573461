import PluginKit

/// Takes a command line apart: which verb, which arguments, or which help is wanted.
struct CommandLineParser {
    let verbs: [Verb]

    enum Outcome {
        case run(Verb, arguments: [String], flags: Set<String>, values: [String: [String]])
        /// Help on a verb, or on every verb whose words start so; nil words: the overview.
        case help([String])
        case version(json: Bool)
    }

    private var words: [[String]] { verbs.filter { !$0.isHidden }.map(\.words) }

    func parse(_ line: [String]) throws(Failure) -> Outcome {
        guard let first = line.first else { throw Failure(.usage, "no verb is named", hint: "keel --help") }
        switch first {
        case "--help", "-h": return .help([])
        case "--version", "-V", "version": return .version(json: line.contains("--json"))
        case "help": return .help(Array(line.dropFirst().filter { !$0.hasPrefix("-") }))
        default: break
        }
        let named = verbs.filter { line.starts(with: $0.words) }.max { $0.words.count < $1.words.count }
        guard let verb = named else { return try group(line) }
        return try parse(Array(line.dropFirst(verb.words.count)), verb)
    }

    /// The line starts with no verb, but perhaps with the first word of several.
    private func group(_ line: [String]) throws(Failure) -> Outcome {
        let first = line[0]
        let members = words.filter { $0.count > 1 && $0[0] == first }
        if members.isEmpty {
            if first.hasPrefix("-") { throw Failure(.usage, "the verb comes before its options: \"\(first)\" is none", hint: "keel --help") }
            let firsts = Array(Set(words.map { $0[0] })).sorted()
            let near = Suggestion.nearest(to: first, among: firsts)
            throw Failure(.usage, "there is no verb \"\(first)\"", hint: near.map { "did you mean \"\($0)\"?" } ?? "keel --help")
        }
        if line.dropFirst().contains(where: { $0 == "--help" || $0 == "-h" }) { return .help([first]) }
        let seconds = members.map { $0[1] }
        guard line.count > 1 else { throw Failure(.usage, "keel \(first) needs one of: \(seconds.joined(separator: ", "))", hint: "keel \(first) --help") }
        let near = Suggestion.nearest(to: line[1], among: seconds)
        throw Failure(.usage, "there is no verb \"\(first) \(line[1])\"", hint: near.map { "did you mean \"\(first) \($0)\"?" } ?? "keel \(first) --help")
    }

    private func parse(_ line: [String], _ verb: Verb) throws(Failure) -> Outcome {
        let help = "keel \(verb.name) --help"
        var arguments: [String] = []
        var flags: Set<String> = []
        var values: [String: [String]] = [:]
        var rest = line[...]
        var optionsEnded = false
        while let word = rest.popFirst() {
            if optionsEnded || !word.hasPrefix("-") || word == "-" {
                arguments.append(word)
                continue
            }
            if word == "--" {
                optionsEnded = true
                continue
            }
            if word == "--help" || word == "-h" { return .help(verb.words) }
            guard word.hasPrefix("--") else { throw Failure(.usage, "there is no option \"\(word)\": options have two dashes", hint: help) }
            let parts = word.dropFirst(2).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let name = String(parts.first ?? "")
            guard let option = verb.options.first(where: { $0.name == name }) else {
                let near = Suggestion.nearest(to: name, among: verb.options.map(\.name))
                throw Failure(.usage, "keel \(verb.name) has no option \"--\(name)\"", hint: near.map { "did you mean \"--\($0)\"?" } ?? help)
            }
            guard option.value != nil else {
                if parts.count > 1 { throw Failure(.usage, "\"--\(name)\" takes no value", hint: help) }
                flags.insert(name)
                continue
            }
            guard let value = parts.count > 1 ? String(parts[1]) : rest.popFirst() else {
                throw Failure(.usage, "\"--\(name)\" needs a value", hint: "keel \(verb.name) \(option.usage)")
            }
            if values[name] != nil, !option.repeats { throw Failure(.usage, "\"--\(name)\" stands there twice", hint: help) }
            values[name, default: []].append(value)
        }
        let least = verb.arguments.count { if case .one = $0.count { true } else { false } }
        let hasMany = verb.arguments.contains { if case .any = $0.count { true } else { false } }
        if arguments.count < least {
            let missing = verb.arguments.filter { if case .one = $0.count { true } else { false } }[arguments.count]
            throw Failure(.usage, "keel \(verb.name) needs \(missing.name): \(missing.help)", hint: help)
        }
        if !hasMany, arguments.count > verb.arguments.count {
            throw Failure(.usage, "\"\(arguments[verb.arguments.count])\" is one argument too many", hint: help)
        }
        return .run(verb, arguments: arguments, flags: flags, values: values)
    }
}
