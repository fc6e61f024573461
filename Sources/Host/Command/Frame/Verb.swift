import HostManifest
import PluginKit

/// One verb of the program: what it is called, what it takes, what it does. A file each, a line each in `Verb.all`.
struct Verb: Sendable {
    /// `["check"]`, `["plugin", "enable"]`.
    let words: [String]
    /// One line, for the list of verbs.
    let summary: String
    /// Paragraphs for `--help`.
    var details = ""
    var arguments: [Argument] = []
    var options: [Option] = []
    /// Not in the list of verbs: for the program's own use.
    var isHidden = false
    let run: @Sendable (Invocation) throws -> ExitCode

    var name: String { words.joined(separator: " ") }

    struct Argument: Sendable {
        enum Count: Sendable { case one, optional, any }
        /// In capitals: MANIFEST.
        let name: String
        let count: Count
        let help: String

        init(_ name: String, _ count: Count = .one, _ help: String) {
            self.name = name
            self.count = count
            self.help = help
        }

        var usage: String {
            switch count {
            case .one: name
            case .optional: "[\(name)]"
            case .any: "[\(name)...]"
            }
        }
    }

    struct Option: Sendable {
        /// Without the dashes.
        let name: String
        /// In capitals; nil: a flag.
        let value: String?
        let repeats: Bool
        let help: String

        init(_ name: String, value: String? = nil, repeats: Bool = false, _ help: String) {
            self.name = name
            self.value = value
            self.repeats = repeats
            self.help = help
        }

        var usage: String { "--\(name)" + (value.map { " \($0)" } ?? "") }

        /// On every verb that prints.
        static let json = Option("json", "print JSON instead of text")
        static let manifest = Option("manifest", value: "FILE", "the manifest (default: plugins.json)")
    }
}

/// What the program has around it. Handed in, so that tests run verbs without a process.
struct Surroundings: Sendable {
    var terminal: Terminal
    var environment: [String: String]
    /// How plugins are looked into without running them here; nil: they aren't.
    var catalogue: (@Sendable (_ manifest: ManifestFile) -> any PluginCatalogue)?
    /// Nanoseconds of a clock that only goes forward.
    var clock: @Sendable () -> Int64
}

/// One call of a verb, its arguments taken apart and checked.
struct Invocation: Sendable {
    let verb: Verb
    let arguments: [String]
    let surroundings: Surroundings
    private let flags: Set<String>
    private let values: [String: [String]]

    var terminal: Terminal { surroundings.terminal }
    var environment: [String: String] { surroundings.environment }

    init(_ verb: Verb, arguments: [String], flags: Set<String>, values: [String: [String]], surroundings: Surroundings) {
        self.verb = verb
        self.arguments = arguments
        self.flags = flags
        self.values = values
        self.surroundings = surroundings
    }

    func flag(_ option: Verb.Option) -> Bool { flag(option.name) }
    func flag(_ name: String) -> Bool { flags.contains(name) }
    func value(_ option: Verb.Option) -> String? { value(option.name) }
    func value(_ name: String) -> String? { values[name]?.last }
    func all(_ name: String) -> [String] { values[name] ?? [] }

    var wantsJSON: Bool { flag(.json) }

    /// The manifest named as an argument, else by --manifest, else plugins.json.
    var manifestName: String {
        if let place = verb.arguments.firstIndex(where: { $0.name == "MANIFEST" }), arguments.indices.contains(place) { return arguments[place] }
        return value(.manifest) ?? "plugins.json"
    }

    /// The manifest, checked as far as this program can.
    func readManifest(checksSecrets: Bool = true) -> ManifestReport {
        let reader = ManifestReader(environment: environment, checksSecrets: checksSecrets)
        let name = manifestName
        do {
            let file = try ManifestFile(reading: name)
            return reader.check(file, catalogue: surroundings.catalogue?(file))
        } catch {
            return reader.read(name)
        }
    }

    /// A progress display for long work: shown on a terminal, silent elsewhere.
    func progress(_ title: String, total: Int64? = nil, unit: String = "") -> Progress {
        Progress(title, total: total, unit: unit, terminal: terminal, clock: surroundings.clock)
    }

    /// A usage mistake that only the verb can see.
    func mistake(_ message: String, hint: String? = nil) -> Failure { Failure(.usage, message, hint: hint ?? "keel \(verb.name) --help") }
}
