import HostManifest
import PluginKit

// enable, disable and pin: one value of the manifest each, every other byte as it was.

extension Verb {
    static let pluginEnable = Verb(
        words: ["plugin", "enable"], summary: "set \"enabled\": true in the manifest",
        arguments: [Argument("NAME", .one, "the plugin's name in the manifest")], options: [.manifest, .json],
        run: { call in try setEnabled(true, call) })

    static let pluginDisable = Verb(
        words: ["plugin", "disable"], summary: "set \"enabled\": false in the manifest",
        details: "What still refers to the plugin is listed: the manifest is not valid until it refers to something else.",
        arguments: [Argument("NAME", .one, "the plugin's name in the manifest")], options: [.manifest, .json],
        run: { call in try setEnabled(false, call) })

    static let pluginPin = Verb(
        words: ["plugin", "pin"], summary: "write the libraries' hashes into the manifest",
        details: """
            A pinned library is loaded only while its bytes are the same. Pin again after you have replaced a library
            yourself; a pin that breaks without your doing is a reason to look closely.
            """,
        arguments: [Argument("NAME", .any, "plugins to pin (default: all that are enabled)")], options: [.manifest, .json],
        run: pin)

    private static func setEnabled(_ enabled: Bool, _ call: Invocation) throws -> ExitCode {
        let file = try manifestFile(call)
        let name = call.arguments[0]
        var edit = ManifestEdit(file.bytes)
        try editing(call) { () throws(ManifestEdit.Failure) in
            try edit.set("enabled", of: name, to: JSONValue(enabled))
            if edit.bytes != file.bytes { try edit.write(to: file.name, expecting: file.bytes) }
        }
        // What the edit broke, said now and not at the next start.
        let references = enabled ? [] : references(to: name, in: edit.bytes)
        if call.wantsJSON {
            let result: JSONValue = [
                "file": JSONValue(file.name), "plugin": JSONValue(name), "enabled": JSONValue(enabled), "changed": JSONValue(edit.bytes != file.bytes),
                "references": JSONValue(references.map { JSONValue($0) }),
            ]
            call.terminal.out(result.text(.pretty))
            return .ok
        }
        let state = enabled ? "enabled" : "disabled"
        call.terminal.out(edit.bytes == file.bytes ? "\(name) is \(state) already" : "\(name) is \(state)")
        for reference in references { call.terminal.out("\(terminalWarning(call)) \(reference) still refers to it: the manifest is not valid until it doesn't") }
        return .ok
    }

    private static func pin(_ call: Invocation) throws -> ExitCode {
        let file = try manifestFile(call)
        guard let catalogue = call.surroundings.catalogue?(file) else { throw Failure(.error, "this program was built without the plugin loader") }
        // Pins are set for libraries that are there; whether the rest of the manifest is valid is another question.
        let report = ManifestReader(environment: call.environment, checksSecrets: false).check(file, catalogue: catalogue)
        guard let document = report.document, document.root.asObject != nil else {
            for problem in report.problems { call.terminal.error(report.styled(problem, call.terminal)) }
            throw Failure(.invalid, "\(file.name) is no manifest: nothing was pinned")
        }
        let entries = document.root.find("plugins")?.asObject?.members ?? []
        let names = call.arguments.isEmpty ? entries.filter { $0.value.find("enabled")?.asBool ?? true }.map(\.name) : call.arguments
        var edit = ManifestEdit(file.bytes)
        var pinned: [(name: String, hash: String, changed: Bool)] = []
        for name in names {
            guard let entry = entries.first(where: { $0.name == name }) else {
                throw Failure(
                    .invalid, "there is no plugin \"\(name)\" in \(file.name)",
                    hint: Suggestion.nearest(to: name, among: entries.map(\.name)).map { "did you mean \"\($0)\"?" })
            }
            let library: LibraryDescription
            if let described = report.libraries[name] {
                library = described
            } else {
                var plugin = PluginEntry(name: name)
                plugin.component = entry.value.find("component")?.asText ?? ""
                plugin.file = entry.value.find("file")?.asText ?? ""
                do {
                    library = try catalogue.describe(plugin, in: file.folder, allowsUnpinned: true)
                } catch {
                    throw Failure(.invalid, "\(name) can't be pinned: \(error.what)", hint: error.hint)
                }
            }
            try editing(call) { () throws(ManifestEdit.Failure) in try edit.set("sha256", of: name, to: JSONValue(library.sha256)) }
            pinned.append((name, library.sha256, entry.value.find("sha256")?.asText != library.sha256))
        }
        if edit.bytes != file.bytes {
            try editing(call) { () throws(ManifestEdit.Failure) in try edit.write(to: file.name, expecting: file.bytes) }
        }
        if call.wantsJSON {
            let list = pinned.map { pin -> JSONValue in ["plugin": JSONValue(pin.name), "sha256": JSONValue(pin.hash), "changed": JSONValue(pin.changed)] }
            let result: JSONValue = ["file": JSONValue(file.name), "pinned": JSONValue(list)]
            call.terminal.out(result.text(.pretty))
        } else {
            for pin in pinned { call.terminal.out("\(pin.hash)  \(pin.name)\(pin.changed ? "" : "  (as before)")") }
        }
        return .ok
    }

    private static func terminalWarning(_ call: Invocation) -> String { call.terminal.styled("warning:", .yellow) }

    private static func manifestFile(_ call: Invocation) throws(Failure) -> ManifestFile {
        do {
            return try ManifestFile(reading: call.manifestName)
        } catch {
            let problem = ManifestReader(environment: [:]).read(call.manifestName).problems.first
            throw Failure(.invalid, problem?.what ?? "\(error)", hint: problem?.hint)
        }
    }

    private static func editing(_ call: Invocation, _ body: () throws(ManifestEdit.Failure) -> Void) throws(Failure) {
        do {
            try body()
        } catch {
            switch error {
            case .notJSON, .noSuchEntry: throw Failure(.invalid, "\(call.manifestName): \(error)")
            case .damaged, .file, .write, .changedMeanwhile: throw Failure(.error, "\(error)")
            }
        }
    }

    /// Places in enabled pipelines that name the plugin, as "plugins.json:12:3 ($.pipelines[0].broker)".
    private static func references(to name: String, in bytes: [UInt8]) -> [String] {
        guard let document = try? JSONDocument(parsing: bytes) else { return [] }
        return PluginReference.all(in: document).filter { reference in
            guard reference.name == name, let pipeline = reference.path.steps.prefix(2).last, case .place(let place) = pipeline else { return false }
            return document.root.find("pipelines")?.asList?[place].find("enabled")?.asBool ?? true
        }.map { "\($0.path) (line \(document.position(of: $0.start).line))" }
    }
}
