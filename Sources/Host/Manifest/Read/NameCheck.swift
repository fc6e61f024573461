import HostCore
import PluginKit

/// Whether every name in the pipelines stands for something, and for the right number of things.
struct NameCheck {
    let document: JSONDocument
    let draft: ManifestDraft
    private var problems: [ManifestProblem] = []

    init(document: JSONDocument, draft: ManifestDraft) {
        self.document = document
        self.draft = draft
    }

    /// Names as written, also those of entries that have problems of their own: one mistake, one message.
    private var pluginNames: [String]? { document.root.find("plugins")?.asObject?.names }
    private var symbols: [String]? { document.root.find("instruments")?.asObject?.names }

    mutating func run() -> [ManifestProblem] {
        problems = []
        checkVenueSymbols()
        guard let pipelines = document.root.find("pipelines")?.asList else { return problems }
        // Read from the text, so that a pipeline with a problem of its own has its names checked too.
        let path = JSONPath.name(.root, "pipelines")
        for (place, pipeline) in pipelines.enumerated() { checkReferences(pipeline, path.appending(place)) }
        checkPipelineNames(pipelines, path)
        checkShared(pipelines, path)
        checkCurrencies(path)
        let isEnabled = { (pipeline: JSONValue) in pipeline.find("enabled")?.asBool ?? true }
        if !pipelines.contains(where: isEnabled), let value = document.root.find("pipelines") {
            problems.append(ManifestProblem(path, value, .nothingEnabled, .warning))
        }
        return problems
    }

    private func isEnabled(_ plugin: String) -> Bool {
        document.root.find("plugins")?.find(plugin)?.find("enabled")?.asBool ?? true
    }

    private mutating func checkReferences(_ pipeline: JSONValue, _ path: JSONPath) {
        let runs = pipeline.find("enabled")?.asBool ?? true
        for reference in PluginReference.all(in: pipeline, path) {
            guard let pluginNames else { break }
            if !pluginNames.contains(reference.name) {
                let near = Suggestion.nearest(to: reference.name, among: pluginNames)
                problems.append(ManifestProblem(reference.path, start: reference.start, .unknownPlugin(reference.name, near: near)))
            } else if runs, !isEnabled(reference.name) {
                problems.append(ManifestProblem(reference.path, start: reference.start, .disabledPlugin(reference.name)))
            }
        }
        guard let symbols else { return }
        for (place, value) in (pipeline.find("instruments")?.asList ?? []).enumerated() {
            guard let symbol = value.asText, !symbols.contains(symbol) else { continue }
            let near = Suggestion.nearest(to: symbol, among: symbols)
            problems.append(ManifestProblem(path.appending("instruments").appending(place), value, .unknownInstrument(symbol, near: near)))
        }
    }

    private mutating func checkPipelineNames(_ pipelines: [JSONValue], _ path: JSONPath) {
        var taken: [String: JSONPath] = [:]
        for (place, pipeline) in pipelines.enumerated() {
            guard let value = pipeline.find("name"), let name = value.asText else { continue }
            // Names become parts of file names, and not every file system tells capitals apart.
            if let first = taken[name.lowercased()] {
                problems.append(ManifestProblem(path.appending(place).appending("name"), value, .pipelineNameTaken(name, first: first.description)))
            } else {
                taken[name.lowercased()] = path.appending(place)
            }
        }
    }

    /// The same instrument through the same broker twice: the venue knows one position where Keel would count two.
    private mutating func checkShared(_ pipelines: [JSONValue], _ path: JSONPath) {
        var owners: [String: [String: String]] = [:]
        for (place, pipeline) in pipelines.enumerated() where pipeline.find("enabled")?.asBool ?? true {
            guard let broker = pipeline.find("broker")?.asText, let list = pipeline.find("instruments")?.asList else { continue }
            let name = pipeline.find("name")?.asText ?? path.appending(place).description
            var own: Set<String> = []
            for (index, value) in list.enumerated() {
                guard let symbol = value.asText, own.insert(symbol).inserted else { continue }
                if let owner = owners[broker]?[symbol] {
                    let symbolPath = path.appending(place).appending("instruments").appending(index)
                    problems.append(ManifestProblem(symbolPath, value, .instrumentTaken(symbol, broker: broker, pipeline: owner)))
                } else {
                    owners[broker, default: [:]][symbol] = name
                }
            }
        }
    }

    private mutating func checkCurrencies(_ path: JSONPath) {
        guard let pipelines = document.root.find("pipelines")?.asList, pipelines.count == draft.pipelines.count else { return }
        for (place, pipeline) in draft.pipelines.enumerated() where pipeline.currency == nil {
            let quotes = pipeline.settings.instruments.compactMap { symbol in
                draft.instruments.first { $0.name == symbol }.map { InstrumentSettings($0.value, symbol: symbol).quote }
            }
            let different = quotes.reduce(into: [String]()) { if !$0.contains($1) { $0.append($1) } }
            if different.count > 1 {
                problems.append(ManifestProblem(path.appending(place), pipelines[place], .currencyUnclear(different)))
            }
        }
    }

    private mutating func checkVenueSymbols() {
        guard let pluginNames, let instruments = document.root.find("instruments")?.asObject else { return }
        for instrument in instruments.members {
            let path = JSONPath.name(.name(.root, "instruments"), instrument.name).appending("venue_symbols")
            for member in instrument.value.find("venue_symbols")?.asObject?.members ?? [] where !pluginNames.contains(member.name) {
                let near = Suggestion.nearest(to: member.name, among: pluginNames)
                problems.append(ManifestProblem(path.appending(member.name), start: member.start, .unknownPlugin(member.name, near: near)))
            }
        }
    }
}

/// A place in a pipeline that names a plugin, and what it is needed as.
public struct PluginReference: Sendable, Equatable {
    public var name: String
    public var role: ComponentDescription.Role
    public var path: JSONPath
    public var start: UInt32

    /// In the order they are written about: feeds, deciders, router, broker.
    static func all(in pipeline: JSONValue, _ path: JSONPath) -> [PluginReference] {
        var references: [PluginReference] = []
        func add(_ value: JSONValue?, _ path: JSONPath, _ role: ComponentDescription.Role) {
            guard let value, let name = value.asText else { return }
            references.append(PluginReference(name: name, role: role, path: path, start: value.start))
        }
        func addEach(_ value: JSONValue?, _ path: JSONPath, _ role: ComponentDescription.Role) {
            for (place, element) in (value?.asList ?? []).enumerated() { add(element, path.appending(place), role) }
        }
        addEach(pipeline.find("feeds"), path.appending("feeds"), .feed)
        let chain = pipeline.find("decide")
        let chainPath = path.appending("decide")
        add(chain?.find("primary"), chainPath.appending("primary"), .decider)
        add(chain?.find("fallback"), chainPath.appending("fallback"), .decider)
        addEach(chain?.find("fallback"), chainPath.appending("fallback"), .decider)
        add(pipeline.find("route"), path.appending("route"), .router)
        add(pipeline.find("broker"), path.appending("broker"), .broker)
        return references
    }

    /// Every reference of every pipeline, enabled or not.
    public static func all(in document: JSONDocument) -> [PluginReference] {
        let path = JSONPath.name(.root, "pipelines")
        return (document.root.find("pipelines")?.asList ?? []).enumerated().flatMap { all(in: $1, path.appending($0)) }
    }
}
