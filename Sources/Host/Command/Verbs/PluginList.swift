import HostManifest
import HostPlugins
import HostRun
import PluginKit

extension Verb {
    static let pluginList = Verb(
        words: ["plugin", "list"], summary: "list the manifest's plugins, and those that come with keel",
        details: """
            Of each entry: its component, version and roles, whether it runs in the host or in a process of its own, whether it is
            pinned, and what keeps it from being used. Below stand the components of the host's own plugin folder that the manifest
            doesn't name. Exit code 4: an enabled entry can't be used.
            """,
        arguments: [Argument("MANIFEST", .optional, "the manifest (default: plugins.json)")], options: [.json],
        run: { call in
            let shelf = try PluginShelf(call)
            let rows = shelf.entries.map { PluginRow($0, shelf) }
            let used = Set(rows.compactMap { row in row.component.map { $0.id } })
            let rest = shelf.catalogue.bundled().flatMap { file, library in library.metadata.components.filter { !used.contains($0.id) }.map { (file, $0) } }
            if call.wantsJSON {
                let installed = rest.map { file, component -> JSONValue in
                    [
                        "file": JSONValue(file), "component": JSONValue(component.id), "name": JSONValue(component.name), "version": JSONValue(component.version),
                        "roles": JSONValue(component.roles.map { JSONValue($0.rawValue) }),
                    ]
                }
                let result: JSONValue = [
                    "manifest": shelf.file.map { JSONValue($0.name) } ?? .null, "plugins": JSONValue(rows.map(\.json)), "installed": JSONValue(installed),
                ]
                call.terminal.out(result.text(.pretty))
            } else {
                if let missing = shelf.missing { call.terminal.out(missing) } else { call.terminal.raw(.out, PluginRow.table(rows, call.terminal)) }
                for row in rows { if let problem = row.problem { call.terminal.out("\(call.terminal.styled("error:", .red)) \(row.entry.name): \(problem)") } }
                if !rest.isEmpty {
                    var table = TextTable("INSTALLED", "VERSION", "ROLES", "FILE")
                    for (file, component) in rest { table.add(component.id, component.version, component.roleWords, file) }
                    call.terminal.raw(.out, "\n" + table.text(call.terminal))
                }
            }
            return rows.contains { $0.entry.isEnabled && $0.problem != nil } ? .invalid : .ok
        })
}

/// The manifest's entries, valid or not, and a loader to look into their libraries.
struct PluginShelf {
    let file: ManifestFile?
    /// There is no manifest: why.
    let missing: String?
    let entries: [PluginEntry]
    let catalogue: LoaderCatalogue
    var folder: String { file?.folder ?? "." }

    init(_ call: Invocation) throws {
        var found: ManifestFile?
        do throws(ManifestFileFault) { found = try ManifestFile(reading: call.manifestName) } catch {
            // Without a manifest there still is what came with the program. One that was asked for by name has to be there.
            guard case .missing = error, call.value(.manifest) == nil, call.arguments.isEmpty || !call.takesManifest else {
                throw Failure(.invalid, ManifestReader(environment: [:]).read(call.manifestName).text)
            }
        }
        file = found
        missing = found == nil ? "there is no \(call.manifestName) here" : nil
        if let found {
            let report = ManifestReader(environment: call.environment, checksSecrets: false).check(found)
            guard let document = report.document else { throw Failure(.invalid, report.text) }
            entries = report.manifest?.plugins ?? PluginShelf.entries(in: document)
        } else {
            entries = []
        }
        do throws(RunError) {
            if let found { catalogue = try Program.loaders(for: found) } else { catalogue = try LoaderCatalogue() }
        } catch { throw Failure(error) }
    }

    /// As much of each entry as can be read where the manifest has errors.
    private static func entries(in document: JSONDocument) -> [PluginEntry] {
        (document.root.find("plugins")?.asObject?.members ?? []).map { member in
            let value = member.value
            var entry = PluginEntry(name: member.name)
            entry.component = value.find("component")?.asText ?? ""
            entry.file = value.find("file")?.asText ?? ""
            entry.isEnabled = value.find("enabled")?.asBool ?? true
            entry.sha256 = value.find("sha256")?.asText
            entry.isolation = (value.find("isolation")?.asText).flatMap(PluginEntry.Isolation.init(rawValue:))
            return entry
        }
    }
}

extension Invocation {
    fileprivate var takesManifest: Bool { verb.arguments.contains { $0.name == "MANIFEST" } }
}

/// One entry of the list.
private struct PluginRow {
    let entry: PluginEntry
    var library: PreparedLibrary?
    var component: ComponentMetadata?
    var problem: String?

    init(_ entry: PluginEntry, _ shelf: PluginShelf) {
        self.entry = entry
        do {
            let library = try shelf.catalogue.library(entry, in: shelf.folder)
            self.library = library
            component = library.metadata.component(entry.component)
            if component == nil { problem = "\(library.path) has no component \"\(entry.component)\"; it offers \(library.metadata.components.map(\.id).joined(separator: ", "))" }
        } catch {
            problem = error.what
        }
    }

    private var isolation: PluginEntry.Isolation { entry.isolation ?? (library?.isBundled ?? entry.isBundled ? .none : .process) }
    private var pin: String { entry.sha256 != nil ? "yes" : library?.isBundled ?? entry.isBundled ? "not needed" : "no" }

    static func table(_ rows: [PluginRow], _ terminal: Terminal) -> String {
        var table = TextTable("NAME", "COMPONENT", "VERSION", "ROLES", "RUNS", "PINNED", "FILE")
        for row in rows {
            table.add(
                row.entry.name, row.entry.component, row.component?.version ?? "", row.component?.roleWords ?? "",
                !row.entry.isEnabled ? "disabled" : row.problem != nil ? "can't" : row.isolation == .process ? "own process" : "in the host", row.pin, row.entry.file)
        }
        return rows.isEmpty ? "the manifest has no plugins\n" : table.text(terminal)
    }

    var json: JSONValue {
        [
            "name": JSONValue(entry.name), "component": JSONValue(entry.component), "file": JSONValue(entry.file), "enabled": JSONValue(entry.isEnabled),
            "version": component.map { JSONValue($0.version) } ?? .null, "roles": JSONValue((component?.roles ?? []).map { JSONValue($0.rawValue) }),
            "isolation": JSONValue(isolation.rawValue), "pin": entry.sha256.map { JSONValue($0) } ?? .null,
            "path": library.map { JSONValue($0.path) } ?? .null, "sha256": library.map { JSONValue($0.sha256) } ?? .null,
            "bundled": library.map { JSONValue($0.isBundled) } ?? .null, "problem": problem.map { JSONValue($0) } ?? .null,
        ]
    }
}

extension ComponentMetadata {
    var roleWords: String { roles.map(\.rawValue).joined(separator: ", ") }
}
