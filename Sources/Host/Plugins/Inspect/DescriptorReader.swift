import PluginAPI
import PluginKit

/// Reads a library's descriptors: bounded, every text checked, nothing trusted but the addresses themselves.
///
/// A bad address still ends the process, which is why this runs in a child first.
struct DescriptorReader {
    struct Fault: Error, Hashable {
        let component: String
        let what: String
        init(_ what: String, in component: String = "") {
            self.component = component
            self.what = what
        }
    }

    static let mostComponents = 64
    static let longestName = 256
    static let longestSchema = 1 << 20

    /// Components with their tables' sizes and required functions checked.
    static func read(_ library: UnsafePointer<keel_library>) throws(Fault) -> [ComponentMetadata] {
        let size = UnsafeRawPointer(library).load(as: UInt32.self)
        guard size >= MemoryLayout<keel_library>.size, size <= ComponentTables.largestTable else {
            throw Fault("keel_library says struct_size \(size), ABI \(KEEL_ABI_MAJOR) needs \(MemoryLayout<keel_library>.size)")
        }
        let count = Int(library.pointee.component_count)
        guard count > 0, let list = library.pointee.components else { throw Fault("it has no components") }
        guard count <= mostComponents else { throw Fault("it says it has \(count) components, the limit is \(mostComponents)") }
        var found: [ComponentMetadata] = []
        for index in 0..<count {
            guard let component = list[index] else { throw Fault("component number \(index + 1) is NULL") }
            let metadata = try read(component, number: index + 1)
            if found.contains(where: { $0.id == metadata.id }) { throw Fault("the id comes twice in one library", in: metadata.id) }
            found.append(metadata)
        }
        return found
    }

    private static func read(_ component: UnsafePointer<keel_component>, number: Int) throws(Fault) -> ComponentMetadata {
        let size = UnsafeRawPointer(component).load(as: UInt32.self)
        guard size >= MemoryLayout<keel_component>.size, size <= ComponentTables.largestTable else {
            throw Fault("component number \(number) says struct_size \(size), ABI \(KEEL_ABI_MAJOR) needs \(MemoryLayout<keel_component>.size)")
        }
        let c = component.pointee
        let id = try text(c.id, "id", "number \(number)", required: true)
        guard isComponentID(id) else {
            throw Fault("the id \"\(printable(id))\" is not of the form com.example.name (ASCII letters, digits, - and _)", in: "number \(number)")
        }
        var metadata = ComponentMetadata(
            id: id, name: try text(c.name, "name", id, required: true), version: try text(c.version, "version", id, required: true))
        metadata.vendor = try text(c.vendor, "vendor", id)
        metadata.license = try text(c.license, "license", id)
        metadata.url = try text(c.url, "url", id)
        metadata.toolchain = try text(c.toolchain, "toolchain", id)
        metadata.flags = c.flags
        metadata.configSchema = try text(c.config_schema, "config_schema", id, limit: longestSchema)
        if !metadata.configSchema.isEmpty {
            let schema: JSONValue
            do throws(JSONError) {
                schema = try JSONValue(parsing: metadata.configSchema)
            } catch {
                throw Fault("config_schema is not JSON: \(error)", in: id)
            }
            guard schema.asObject != nil else { throw Fault("config_schema is not a JSON object", in: id) }
        }
        metadata.stateVersion = c.state_version
        metadata.stateOldest = c.state_oldest
        guard c.state_oldest <= c.state_version else {
            throw Fault("state_oldest \(c.state_oldest) is above state_version \(c.state_version)", in: id)
        }
        metadata.checksConfig = c.check_config != nil
        for (missing, name) in [(c.create == nil, "create"), (c.start == nil, "start"), (c.stop == nil, "stop"), (c.destroy == nil, "destroy")]
        where missing {
            throw Fault("\(name) is NULL", in: id)
        }
        try readInterfaces(c, &metadata)
        return metadata
    }

    private static func readInterfaces(_ c: keel_component, _ metadata: inout ComponentMetadata) throws(Fault) {
        let id = metadata.id
        let count = Int(c.interface_count)
        if count == 0 { throw Fault("it lists no interface, so it can't do anything", in: id) }
        guard let list = c.interfaces else { throw Fault("interface_count is \(count), interfaces is NULL", in: id) }
        guard count <= ComponentTables.mostInterfaces else { throw Fault("it says it has \(count) interfaces", in: id) }
        for index in 0..<count {
            let name = try text(list[index].id, "id of interface number \(index + 1)", id, required: true)
            guard let table = list[index].table else { throw Fault("the table of \(printable(name)) is NULL", in: id) }
            if metadata.interfaces.contains(name) { throw Fault("the interface \(printable(name)) comes twice", in: id) }
            metadata.interfaces.append(name)
            try readTable(name, table, &metadata)
        }
    }

    /// Interfaces this host doesn't know are listed and left alone.
    private static func readTable(_ name: String, _ table: UnsafeRawPointer, _ metadata: inout ComponentMetadata) throws(Fault) {
        let id = metadata.id
        switch name {
        case KEEL_FEED:
            let feed = try load(keel_feed.self, table, name, id)
            try require([(feed.subscribe == nil, "subscribe"), (feed.unsubscribe == nil, "unsubscribe")], name, id)
            metadata.channels = feed.channels
            metadata.silence = max(0, feed.silence)
        case KEEL_BROKER:
            let broker = try load(keel_broker.self, table, name, id)
            try require([(broker.submit == nil, "submit"), (broker.cancel == nil, "cancel"), (broker.sync == nil, "sync")], name, id)
            metadata.orderFeatures = broker.order_features
            metadata.replacesOrders = broker.replace != nil
        case KEEL_DECIDER:
            let decider = try load(keel_decider.self, table, name, id)
            try require([(decider.decide == nil, "decide"), (decider.cancel == nil, "cancel")], name, id)
            metadata.wants = decider.wants
            metadata.barsWanted = decider.bars_wanted
            metadata.observes = decider.observe != nil
        case KEEL_ROUTER:
            let router = try load(keel_router.self, table, name, id)
            try require([(router.route == nil, "route"), (router.on_event == nil, "on_event"), (router.cancel == nil, "cancel")], name, id)
        case KEEL_STATE:
            let state = try load(keel_state.self, table, name, id)
            try require([(state.save == nil, "save"), (state.load == nil, "load")], name, id)
        case KEEL_DESCRIBE: try require([(try load(keel_describe.self, table, name, id).describe == nil, "describe")], name, id)
        case KEEL_RANKINGS: try require([(try load(keel_rankings.self, table, name, id).fetch == nil, "fetch")], name, id)
        case KEEL_ACCOUNT: try require([(try load(keel_account.self, table, name, id).summary == nil, "summary")], name, id)
        case KEEL_MARKET: try require([(try load(keel_market.self, table, name, id).on_market == nil, "on_market")], name, id)
        default: break
        }
    }

    private static func load<T: BitwiseCopyable>(_ type: T.Type, _ table: UnsafeRawPointer, _ name: String, _ id: String) throws(Fault) -> T {
        let size = table.load(as: UInt32.self)
        guard size >= MemoryLayout<T>.size, size <= ComponentTables.largestTable else {
            throw Fault("the table of \(name) says struct_size \(size), needed are \(MemoryLayout<T>.size)", in: id)
        }
        return table.load(as: type)
    }

    private static func require(_ functions: [(missing: Bool, name: String)], _ table: String, _ id: String) throws(Fault) {
        for function in functions where function.missing { throw Fault("\(function.name) of \(table) is NULL", in: id) }
    }

    private static func text(
        _ pointer: UnsafePointer<CChar>?, _ field: String, _ id: String, required: Bool = false, limit: Int = longestName
    ) throws(Fault) -> String {
        guard let pointer else {
            if required { throw Fault("\(field) is NULL", in: id) }
            return ""
        }
        let length = boundedLength(pointer, limit: limit + 1)
        if length > limit { throw Fault("\(field) is longer than \(limit) bytes", in: id) }
        guard let text = String(validating: UnsafeRawBufferPointer(start: pointer, count: length), as: UTF8.self) else {
            throw Fault("\(field) is not UTF-8", in: id)
        }
        if required, text.isEmpty { throw Fault("\(field) is empty", in: id) }
        return text
    }
}

/// com.example.name: at least two parts of ASCII letters, digits, - and _, none of them empty.
func isComponentID(_ id: String) -> Bool {
    let parts = id.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count >= 2, id.utf8.count <= 128 else { return false }
    return parts.allSatisfy { part in
        !part.isEmpty
            && part.utf8.allSatisfy {
                ($0 >= 48 && $0 < 58) || ($0 >= 65 && $0 < 91) || ($0 >= 97 && $0 < 123) || $0 == 45 || $0 == 95
            }
    }
}

/// Text from outside for a message: no control characters, not endless.
func printable(_ text: String) -> String {
    var result = ""
    for scalar in text.unicodeScalars.prefix(80) {
        result.unicodeScalars.append(scalar.value < 32 || (127..<160).contains(scalar.value) ? "\u{fffd}" : scalar)
    }
    return text.unicodeScalars.count > 80 ? result + "..." : result
}
