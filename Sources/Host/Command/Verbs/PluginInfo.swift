import HostLedger
import HostManifest
import HostPlugins
import HostRun
import PluginAPI
import PluginKit

extension Verb {
    static let pluginInfo = Verb(
        words: ["plugin", "info"], summary: "say everything a library tells of itself, with its configuration's properties",
        details: """
            PLUGIN is an entry of the manifest, a library's path ending in .so, the name of one of keel's own libraries (Sim), or the
            id of a component in one of them (keel.sim). The library is looked at in a child; none of it runs in this process.
            """,
        arguments: [Argument("PLUGIN", .one, "an entry's name, a library, or a component of keel's own")], options: [.manifest, .json],
        run: { call in
            let shelf = try PluginShelf(call)
            let found = try PluginSearch(shelf: shelf).find(call.arguments[0])
            if call.wantsJSON {
                call.terminal.out(found.json.text(.pretty))
            } else {
                call.terminal.raw(.out, found.text(call.terminal))
            }
            return .ok
        })
}

/// From what a user calls a plugin to its library.
private struct PluginSearch {
    let shelf: PluginShelf

    func find(_ name: String) throws(Failure) -> PluginInfo {
        if let entry = shelf.entries.first(where: { $0.name == name }) { return PluginInfo(try library(entry), only: entry.component) }
        var entry = PluginEntry(name: name)
        entry.file = name
        if name.hasSuffix(".so") {
            // A path as the user's shell has it, not as the manifest would.
            entry.file = name.contains("/") ? name : "./" + name
            do { return PluginInfo(try shelf.catalogue.library(entry, in: "."), only: nil) } catch { throw Failure(.invalid, error.what, hint: error.hint) }
        }
        let bundled = shelf.catalogue.bundled()
        if let match = bundled.first(where: { $0.file == name }) { return PluginInfo(match.library, only: nil) }
        if let match = bundled.first(where: { $0.library.metadata.component(name) != nil }) { return PluginInfo(match.library, only: name) }
        let known = shelf.entries.map(\.name) + bundled.map(\.file) + bundled.flatMap { $0.library.metadata.components.map(\.id) }
        throw Failure(
            .invalid, "there is no plugin \"\(name)\"",
            hint: Suggestion.nearest(to: name, among: known).map { "did you mean \"\($0)\"?" } ?? "keel plugin list shows what there is")
    }

    private func library(_ entry: PluginEntry) throws(Failure) -> PreparedLibrary {
        do { return try shelf.catalogue.library(entry, in: shelf.folder) } catch { throw Failure(.invalid, "\(entry.name): \(error.what)", hint: error.hint) }
    }
}

/// A library, or one component of it, in words.
private struct PluginInfo {
    let library: PreparedLibrary
    let components: [ComponentMetadata]

    init(_ library: PreparedLibrary, only id: String?) {
        self.library = library
        let all = library.metadata.components
        // An entry that names a component the library hasn't got is shown what it has.
        components = id.flatMap { id in all.contains { $0.id == id } ? all.filter { $0.id == id } : nil } ?? all
    }

    var json: JSONValue {
        let list = components.map { component -> JSONValue in
            var value = component.json
            // As JSON inside the JSON, not as text.
            value.set("config_schema", (try? JSONValue(parsing: component.configSchema)) ?? .null)
            return value
        }
        return [
            "path": JSONValue(library.path), "sha256": JSONValue(library.sha256), "bundled": JSONValue(library.isBundled),
            "abi": JSONValue("\(library.metadata.abiMajor).\(library.metadata.abiMinor)"), "size": JSONValue(library.metadata.size),
            "needs": JSONValue(library.metadata.needed.map { JSONValue($0) }), "components": JSONValue(list),
        ]
    }

    func text(_ terminal: Terminal) -> String {
        var text = "\(library.path)\n  sha256 \(library.sha256)\n  ABI \(library.metadata.abiMajor).\(library.metadata.abiMinor), \(library.metadata.size) bytes"
        text += library.isBundled ? ", of the host's own folder\n" : "\n"
        for component in components { text += "\n" + describe(component, terminal) }
        return text
    }

    private func describe(_ c: ComponentMetadata, _ terminal: Terminal) -> String {
        var text = "\(terminal.bold(c.id)) \(c.version)  \(PlainText.of(c.name))"
        let origin = [c.vendor.isEmpty ? "" : "by \(c.vendor)", c.license, c.url].filter { !$0.isEmpty }.joined(separator: ", ")
        text += (origin.isEmpty ? "" : ", \(PlainText.of(origin))") + "\n"
        var facts: [String] = []
        facts.append("roles: \(c.roles.isEmpty ? "none" : c.roleWords)")
        let more = c.interfaces.filter { id in ![KEEL_FEED, KEEL_BROKER, KEEL_DECIDER, KEEL_ROUTER].contains(id) }
        if !more.isEmpty { facts.append("also: \(more.joined(separator: ", "))") }
        if c.roles.contains(.feed) {
            facts.append("channels: \(PluginInfo.names(c.channels, PluginInfo.channels))" + (c.silence > 0 ? "; silent for at most \(SpanText.format(c.silence))" : ""))
        }
        if c.roles.contains(.broker) { facts.append(Plan.orders(c.orderFeatures) + (c.replacesOrders ? "; replaces in one step" : "")) }
        if c.roles.contains(.decider) {
            let bars = c.barsWanted > 0 ? " (\(c.barsWanted) bars a series)" : ""
            facts.append("wants: \(PluginInfo.names(c.wants, PluginInfo.wants))\(bars)" + (c.observes ? "; sees every market event" : ""))
        }
        let traits = PluginInfo.traits.filter { c.has($0.0) }.map(\.1)
        if !traits.isEmpty { facts.append(traits.joined(separator: "; ")) }
        if c.stateVersion > 0 { facts.append("state version \(c.stateVersion), reads from \(c.stateOldest)") }
        for fact in facts { text += "  \(fact)\n" }
        let properties = ConfigProperties(schema: c.configSchema)
        text += properties.list.isEmpty ? "  no configuration\n" : "  configuration\n" + properties.text(terminal)
        return text
    }

    private static let channels: [(UInt64, String)] = [
        (KEEL_CH_QUOTES, "quotes"), (KEEL_CH_TRADES, "trades"), (KEEL_CH_BARS, "bars"), (KEEL_CH_VALUES, "values"), (KEEL_CH_DEPTH, "depth"), (KEEL_CH_NEWS, "news"),
    ]
    private static let wants: [(UInt64, String)] = [
        (KEEL_WANT_BARS, "bars"), (KEEL_WANT_VALUES, "values"), (KEEL_WANT_WEIGHTS, "weights"), (KEEL_WANT_PAST, "past decisions"), (KEEL_WANT_NEWS, "news"),
        (KEEL_WANT_MEMORY, "memory"),
    ]
    private static let traits: [(UInt32, String)] = [
        (KEEL_COMPONENT_INLINE, "runs on the engine's thread"), (KEEL_COMPONENT_DETERMINISTIC, "deterministic"), (KEEL_COMPONENT_SINGLE, "one instance a process"),
        (KEEL_COMPONENT_NEEDS_PROCESS, "only in a process of its own"),
    ]

    private static func names(_ bits: UInt64, _ names: [(UInt64, String)]) -> String {
        let found = names.filter { bits & $0.0 != 0 }.map(\.1)
        return found.isEmpty ? "none" : found.joined(separator: ", ")
    }
}

/// A configuration's properties, inner ones by their path.
struct ConfigProperties {
    struct Property {
        var path: String
        var form: String
        var standing: String
        var description: String
    }
    private(set) var list: [Property] = []

    init(schema text: String) {
        guard let schema = try? JSONValue(parsing: text) else { return }
        add(schema, "")
    }

    private mutating func add(_ schema: JSONValue, _ prefix: String) {
        let required = Set((schema.find("required")?.asList ?? []).compactMap(\.asText))
        for member in schema.find("properties")?.asObject?.members ?? [] {
            let (name, property) = (member.name, member.value)
            var description = property.find("description")?.asText ?? ""
            if property.find("deprecated")?.asBool == true { description += " (deprecated)" }
            let standing = property.find("default").map { "= \($0.text(.compact))" } ?? (required.contains(name) ? "required" : "")
            list.append(Property(path: prefix + name, form: ConfigProperties.form(property), standing: standing, description: description))
            add(property, prefix + name + ".")
        }
    }

    private static func form(_ property: JSONValue) -> String {
        if property.find("x-secret")?.asBool == true { return "secret" }
        if let choices = property.find("enum")?.asList { return choices.map { $0.asText ?? $0.text(.compact) }.joined(separator: "|") }
        let type = property.find("type")
        var form = type?.asText ?? (type?.asList ?? []).compactMap(\.asText).joined(separator: "|")
        let low = property.find("minimum"), high = property.find("maximum")
        if low != nil || high != nil { form += " \(low?.text(.compact) ?? "")..\(high?.text(.compact) ?? "")" }
        if let unit = property.find("x-unit")?.asText { form += " \(unit)" }
        return form
    }

    func text(_ terminal: Terminal) -> String {
        let width = list.map(\.path.count).max() ?? 0
        var text = ""
        for property in list {
            let name = property.path + String(repeating: " ", count: width - property.path.count)
            let facts = [property.form, property.standing].filter { !$0.isEmpty }.joined(separator: " ")
            text += "    \(terminal.styled(name, .cyan))  \(PlainText.of(property.description))\n"
            text += "    \(String(repeating: " ", count: width))  \(terminal.dim(PlainText.of(facts)))\n"
        }
        return text
    }
}
