import PluginKit

/// What the plugins themselves say about their entries: do they exist, are they the pinned ones, do they take this
/// configuration, can they do what the pipelines want of them.
struct CatalogueCheck {
    let catalogue: any PluginCatalogue
    let document: JSONDocument
    let file: ManifestFile
    let draft: ManifestDraft
    let mode: Manifest.Mode
    private(set) var libraries: [String: LibraryDescription] = [:]
    private var components: [String: ComponentDescription] = [:]
    private var problems: [ManifestProblem] = []

    init(catalogue: any PluginCatalogue, document: JSONDocument, file: ManifestFile, draft: ManifestDraft, mode: Manifest.Mode) {
        self.catalogue = catalogue
        self.document = document
        self.file = file
        self.draft = draft
        self.mode = mode
    }

    mutating func run(_ manifest: inout Manifest) -> [ManifestProblem] {
        problems = []
        for (place, entry) in manifest.plugins.enumerated() where entry.isEnabled {
            if let config = check(entry) { manifest.plugins[place].config = config }
        }
        checkSingle(manifest.plugins)
        checkDuplicates(manifest.plugins)
        checkRoles()
        checkEndpoints(manifest)
        return problems
    }

    private func path(_ entry: PluginEntry) -> JSONPath { .name(.name(.root, "plugins"), entry.name) }

    private mutating func add(_ entry: PluginEntry, _ key: String, _ kind: ManifestProblem.Kind, _ severity: ManifestProblem.Severity = .error) {
        let path = path(entry)
        let value = document.root.find(path)
        problems.append(ManifestProblem(path.appending(key), start: value?.find(key)?.start ?? value?.start, kind, severity))
    }

    /// The configuration with the defaults of its schema, if it could be checked.
    private mutating func check(_ entry: PluginEntry) -> JSONValue? {
        let library: LibraryDescription
        do {
            library = try catalogue.describe(entry, in: file.folder, allowsUnpinned: mode != .live)
        } catch {
            switch error.concern {
            case .library: add(entry, "file", .plugin(error))
            case .wrongPin(let found): add(entry, "sha256", .wrongPin(found: found))
            case .noPin: add(entry, "sha256", .notPinned)
            }
            return nil
        }
        libraries[entry.name] = library
        if let pin = entry.sha256, pin != library.sha256 {
            add(entry, "sha256", .wrongPin(found: library.sha256))
        } else if entry.sha256 == nil, !library.isBundled {
            add(entry, "sha256", .notPinned, mode == .live ? .error : .warning)
        }
        guard let component = library.components.first(where: { $0.id == entry.component }) else {
            let ids = library.components.map(\.id)
            add(entry, "component", .unknownComponent(entry.component, near: Suggestion.nearest(to: entry.component, among: ids), all: ids))
            return nil
        }
        components[entry.name] = component
        let isolation = entry.isolation ?? (library.isBundled ? .none : .process)
        if isolation == .none, component.needsProcess { add(entry, "isolation", .needsProcess(component.id)) }
        return checkConfig(entry, component)
    }

    private mutating func checkConfig(_ entry: PluginEntry, _ component: ComponentDescription) -> JSONValue? {
        let path = path(entry).appending("config")
        let written = document.root.find(path)
        let start = written?.start ?? document.root.find(self.path(entry))?.start
        let schema: JSONSchema
        do {
            schema = try JSONSchema(parsing: component.configSchema.isEmpty ? #"{"type":"object"}"# : component.configSchema)
        } catch {
            add(entry, "component", .badSchema(component: component.id, fault: error.faults.first?.description ?? "\(error)"))
            return nil
        }
        let (config, issues) = schema.check(written ?? [:], at: path)
        for issue in issues {
            problems.append(ManifestProblem(issue.path, start: issue.start == 0 ? start : issue.start, .issue(issue.kind), issue.isWarning ? .warning : .error))
        }
        let references = secretReferences(in: config, path)
        for reference in references where !entry.secrets.contains(reference.name) {
            problems.append(ManifestProblem(reference.path, start: reference.start == 0 ? start : reference.start, .secretNotGranted(reference.name)))
        }
        guard !issues.contains(where: { !$0.isWarning }) else { return nil }
        for complaint in catalogue.complaints(about: config, of: entry, in: file.folder) {
            let complaintPath = path.appending(complaint.path)
            problems.append(ManifestProblem(
                complaintPath, start: document.root.find(complaintPath)?.start ?? start,
                complaint.isUnanswered ? .unanswered(complaint.message) : .complaint(complaint.message)))
        }
        return config
    }

    private func secretReferences(in value: JSONValue, _ path: JSONPath) -> [(name: String, path: JSONPath, start: UInt32)] {
        if let name = JSONSchema.secretName(of: value) { return [(name, path, value.start)] }
        switch value.content {
        case .object(let object): return object.members.flatMap { secretReferences(in: $0.value, path.appending($0.name)) }
        case .list(let list): return list.enumerated().flatMap { secretReferences(in: $1, path.appending($0)) }
        default: return []
        }
    }

    /// A component that allows one instance a process may be in the host's process once.
    private mutating func checkSingle(_ entries: [PluginEntry]) {
        var first: [String: String] = [:]
        for entry in entries where entry.isEnabled {
            guard let component = components[entry.name], component.isSingle else { continue }
            let isolation = entry.isolation ?? (libraries[entry.name]?.isBundled == true ? .none : .process)
            guard isolation == .none else { continue }
            if let other = first[component.id] {
                add(entry, "component", .singleTwice(component: component.id, first: other))
            } else {
                first[component.id] = entry.name
            }
        }
    }

    /// An id belongs to one library: two that offer the same component are not both what they say.
    private mutating func checkDuplicates(_ entries: [PluginEntry]) {
        var owners: [String: LibraryDescription] = [:]
        for entry in entries where entry.isEnabled {
            guard let library = libraries[entry.name] else { continue }
            for component in library.components {
                if let owner = owners[component.id] {
                    guard owner.sha256 != library.sha256 else { continue }
                    add(entry, "file", .duplicateComponent(component.id, here: library.path, there: owner.path))
                } else {
                    owners[component.id] = library
                }
            }
        }
    }

    private mutating func checkRoles() {
        let path = JSONPath.name(.root, "pipelines")
        for (place, pipeline) in (document.root.find("pipelines")?.asList ?? []).enumerated() where pipeline.find("enabled")?.asBool ?? true {
            for reference in PluginReference.all(in: pipeline, path.appending(place)) {
                guard let component = components[reference.name], !component.roles.contains(reference.role) else { continue }
                let kind = ManifestProblem.Kind.wrongRole(
                    plugin: reference.name, component: component.id, wanted: reference.role.rawValue, has: component.roles.map(\.rawValue))
                problems.append(ManifestProblem(reference.path, start: reference.start, kind))
            }
        }
    }

    /// Real money needs the manifest, the environment and the endpoints to agree; so does its absence.
    private mutating func checkEndpoints(_ manifest: Manifest) {
        if mode == .backtest { return }
        let path = JSONPath.name(.root, "pipelines")
        var asked: [String: BrokerEndpoints] = [:]
        for (place, pipeline) in (document.root.find("pipelines")?.asList ?? []).enumerated() where pipeline.find("enabled")?.asBool ?? true {
            guard let value = pipeline.find("broker"), let broker = value.asText, let entry = manifest.plugin(broker), entry.isEnabled,
                components[broker]?.roles.contains(.broker) == true, asked[broker] == nil
            else { continue }
            let endpoints = catalogue.environment(of: entry, in: file.folder)
            asked[broker] = endpoints
            let brokerPath = path.appending(place).appending("broker")
            switch (mode, endpoints) {
            case (.live, .paper): problems.append(ManifestProblem(brokerPath, value, .notLive(broker: broker)))
            case (.live, .unknown): problems.append(ManifestProblem(brokerPath, value, .environmentUnknown(broker: broker)))
            case (.paper, .live): problems.append(ManifestProblem(brokerPath, value, .liveInPaper(broker: broker)))
            case (.paper, .unknown): problems.append(ManifestProblem(brokerPath, value, .environmentUnknown(broker: broker), .warning))
            case (.live, .live), (.paper, .paper), (_, .notAsked), (.backtest, _): break
            }
        }
    }
}
