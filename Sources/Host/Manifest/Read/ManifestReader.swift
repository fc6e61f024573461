import HostCore
import PluginKit

/// Reads a manifest in four steps, each noting every problem it sees: the text, the keys and values, the names, and what
/// the plugins themselves say. Nothing is started, and nothing outside the manifest and the libraries is looked at.
public struct ManifestReader: Sendable {
    /// The process's environment, handed in: secrets, LIVE_TRADING.
    public var environment: [String: String]
    /// Look for the secrets that plugins are granted. Off where only the manifest's own text matters.
    public var checksSecrets: Bool

    public init(environment: [String: String], checksSecrets: Bool = true) {
        self.environment = environment
        self.checksSecrets = checksSecrets
    }

    /// From a file by name. A missing or unreadable file is a problem in the report like any other.
    public func read(_ name: String, catalogue: (any PluginCatalogue)? = nil) -> ManifestReport {
        let file: ManifestFile
        do {
            file = try ManifestFile(reading: name)
        } catch {
            let problem = ManifestProblem(.root, start: nil, .file(error))
            return ManifestReport(file: ManifestFile(name: name, folder: ".", bytes: []), document: nil, manifest: nil, libraries: [:], problems: [problem])
        }
        return check(file, catalogue: catalogue)
    }

    public func check(_ file: ManifestFile, catalogue: (any PluginCatalogue)? = nil) -> ManifestReport {
        func report(_ document: JSONDocument?, _ manifest: Manifest?, _ problems: [ManifestProblem]) -> ManifestReport {
            ManifestReport(file: file, document: document, manifest: manifest, libraries: [:], problems: problems)
        }
        let document: JSONDocument
        do {
            let options = JSONOptions(depth: 64, maximumBytes: ManifestFile.limit, refusesDuplicates: false)
            document = try JSONDocument(parsing: file.bytes, options: options)
        } catch {
            if case .tooLarge(let bytes, let limit) = error.problem {
                return report(nil, nil, [ManifestProblem(.root, start: nil, .file(.tooLarge(bytes: bytes, limit: limit)))])
            }
            return report(nil, nil, [ManifestProblem(.root, start: UInt32(clamping: error.position.offset), .json(error.problem))]).placed(error.position)
        }
        var problems = document.duplicates.map { duplicate in
            ManifestProblem(JSONDocument.path(to: duplicate.position.offset, in: document.root), start: UInt32(clamping: duplicate.position.offset), .json(duplicate.problem))
        }
        var draft = ManifestDraft()
        rootTable.read(document.root, .root, into: &draft, &problems)
        var manifest = Manifest(draft)
        var libraries: [String: LibraryDescription] = [:]
        // A section that could not be read leaves nothing to resolve names against; what else is wrong is said already.
        var names = NameCheck(document: document, draft: draft)
        problems += names.run()
        if let catalogue {
            var plugins = CatalogueCheck(catalogue: catalogue, document: document, file: file, draft: draft, mode: draft.mode)
            problems += plugins.run(&manifest)
            libraries = plugins.libraries
        }
        if checksSecrets { problems += secretProblems(draft, document, file) }
        if draft.mode == .live, environment["LIVE_TRADING"] != "true" {
            problems.append(
                ManifestProblem(.name(.root, "mode"), start: place(of: "mode", in: document.root), .liveSwitchMissing(found: environment["LIVE_TRADING"])))
        }
        for (place, pipeline) in draft.pipelines.enumerated() where draft.mode != .backtest && !pipeline.settings.risk.limitsByEquity {
            let path = JSONPath.name(.root, "pipelines").appending(place).appending("risk").appending("equity_limits")
            problems.append(
                ManifestProblem(path, start: document.root.find(path)?.start, .contradiction("orders without regard to equity are for mode \"backtest\" only")))
        }
        problems.sort { ($0.start ?? 0) < ($1.start ?? 0) }
        let isValid = !problems.contains { $0.severity == .error }
        return ManifestReport(file: file, document: document, manifest: isValid ? manifest : nil, libraries: libraries, problems: problems)
    }

    /// Every granted secret of an enabled plugin must be there, and read from a place of its own.
    private func secretProblems(_ draft: ManifestDraft, _ document: JSONDocument, _ file: ManifestFile) -> [ManifestProblem] {
        let store = SecretStore(SecretSettings(draft.secrets), file: file, environment: environment)
        var problems: [ManifestProblem] = []
        var owners: [String: String] = [:]
        var seen: Set<String> = []
        for entry in draft.plugins where entry.value.isEnabled {
            let path = JSONPath.name(.name(.root, "plugins"), entry.name).appending("secrets")
            for (place, name) in entry.value.secrets.enumerated() where seen.insert(name).inserted {
                let secretPath = path.appending(place)
                let start = document.root.find(secretPath)?.start
                do {
                    _ = try store.secret(name)
                } catch {
                    problems.append(ManifestProblem(secretPath, start: start, .secret(error)))
                    continue
                }
                for variable in store.variables(for: name) where environment[variable] != nil {
                    if let other = owners[variable] {
                        problems.append(ManifestProblem(secretPath, start: start, .secret(.sameVariable(name, other, variable: variable))))
                    }
                    owners[variable] = name
                }
            }
        }
        return problems
    }
}

extension SecretSettings {
    init(_ draft: SecretDraft) {
        self = draft.settings
        environment = Dictionary(draft.environment.map { ($0.name, $0.value) }) { first, _ in first }
    }
}

extension Manifest {
    init(_ draft: ManifestDraft) {
        mode = draft.mode
        state = draft.state
        seed = draft.seed
        keepJournals = draft.keepJournals
        secrets = SecretSettings(draft.secrets)
        plugins = draft.plugins.map { named in
            var entry = named.value
            entry.name = named.name
            return entry
        }
        instruments = draft.instruments.map { InstrumentSettings($0.value, symbol: $0.name) }
        let all = draft.pipelines.map { ($0.isEnabled, PipelineSettings($0, instruments: draft.instruments, seed: draft.seed)) }
        pipelines = all.filter(\.0).map(\.1)
        disabledPipelines = all.filter { !$0.0 }.map(\.1)
    }
}

extension InstrumentSettings {
    init(_ draft: InstrumentDraft, symbol: String) {
        self = draft.settings
        self.symbol = symbol
        let parts = symbol.split(separator: "/", maxSplits: 1)
        base = draft.base ?? parts.first.map(String.init) ?? ""
        quote = draft.quote ?? parts.last.map { String($0.prefix { $0 != ":" }) } ?? ""
        venueSymbols = Dictionary(draft.venueSymbols.map { ($0.name, $0.value) }) { first, _ in first }
    }
}

extension PipelineSettings {
    init(_ draft: PipelineDraft, instruments: [Named<InstrumentDraft>], seed: UInt64) {
        self = draft.settings
        learn.signals.seed = seed
        chain = draft.chain.settings
        chain.deadlines = Dictionary(draft.chain.deadlines.map { ($0.name, $0.value) }) { first, _ in first }
        if let said = draft.currency {
            currency = said
        } else if let first = draft.settings.instruments.first, let named = instruments.first(where: { $0.name == first }) {
            currency = InstrumentSettings(named.value, symbol: named.name).quote
        }
    }
}

extension JSONDocument {
    /// The way to the innermost object around a byte, and the name that stands there: for a name that stands twice.
    static func path(to offset: Int, in root: JSONValue) -> JSONPath {
        var path = JSONPath.root
        var value = root
        while true {
            switch value.content {
            case .object(let object):
                guard let member = object.members.first(where: { Int($0.value.start) <= offset && offset < Int($0.value.end) }) else { return path }
                path = path.appending(member.name)
                value = member.value
            case .list(let list):
                guard let place = list.firstIndex(where: { Int($0.start) <= offset && offset < Int($0.end) }) else { return path }
                path = path.appending(place)
                value = list[place]
            default: return path
            }
        }
    }
}
