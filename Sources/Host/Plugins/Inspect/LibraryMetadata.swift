import PluginAPI
import PluginKit

/// What a component can be asked to do.
public enum Role: String, Hashable, Sendable, CaseIterable {
    case feed, broker, decider, router

    var interfaceID: String {
        switch self {
        case .feed: KEEL_FEED
        case .broker: KEEL_BROKER
        case .decider: KEEL_DECIDER
        case .router: KEEL_ROUTER
        }
    }
}

/// One component as its descriptor says: read once, in a child, and kept beside the library's copy.
public struct ComponentMetadata: Hashable, Sendable {
    public var id: String
    public var name: String
    public var vendor: String
    public var version: String
    public var license: String
    public var url: String
    public var toolchain: String
    /// KEEL_COMPONENT_*.
    public var flags: UInt32
    /// JSON Schema as text; empty: it takes no configuration.
    public var configSchema: String
    public var stateVersion: UInt32
    public var stateOldest: UInt32
    /// Every interface id it lists, known or not.
    public var interfaces: [String]
    /// Brokers: KEEL_ORD_* that submit accepts.
    public var orderFeatures: UInt64 = 0
    /// Brokers: replaces in one step; otherwise the host cancels, then submits.
    public var replacesOrders = false
    /// Feeds: KEEL_CH_* it serves, and the longest silence of a healthy stream.
    public var channels: UInt64 = 0
    public var silence: keel_span = 0
    /// Deciders: KEEL_WANT_*, bars a series, and whether they watch every market event.
    public var wants: UInt64 = 0
    public var barsWanted: UInt32 = 0
    public var observes = false
    public var checksConfig = false

    public var roles: [Role] { Role.allCases.filter { interfaces.contains($0.interfaceID) } }
    public func offers(_ interface: String) -> Bool { interfaces.contains(interface) }
    public func has(_ flag: UInt32) -> Bool { flags & flag != 0 }

    public init(id: String, name: String, version: String) {
        self.id = id
        self.name = name
        self.version = version
        vendor = ""
        license = ""
        url = ""
        toolchain = ""
        flags = 0
        configSchema = ""
        stateVersion = 0
        stateOldest = 0
        interfaces = []
    }
}

/// A library as inspection found it.
public struct LibraryMetadata: Hashable, Sendable {
    /// Of the bytes, in hex: what a pin names.
    public var sha256: String
    public var size: Int
    /// Where the user's file was when it was inspected.
    public var path: String
    public var abiMajor: UInt32
    public var abiMinor: UInt32
    public var components: [ComponentMetadata]
    /// Libraries it needs (DT_NEEDED).
    public var needed: [String]

    public init(
        sha256: String, size: Int, path: String, abiMajor: UInt32, abiMinor: UInt32, components: [ComponentMetadata], needed: [String]
    ) {
        self.sha256 = sha256
        self.size = size
        self.path = path
        self.abiMajor = abiMajor
        self.abiMinor = abiMinor
        self.components = components
        self.needed = needed
    }

    public func component(_ id: String) -> ComponentMetadata? { components.first { $0.id == id } }

    /// Raised whenever this reader learns to see more: older cached metadata is read anew.
    static let format: Int64 = 1
}

extension ComponentMetadata {
    public var json: JSONValue {
        [
            "id": JSONValue(id), "name": JSONValue(name), "vendor": JSONValue(vendor), "version": JSONValue(version),
            "license": JSONValue(license), "url": JSONValue(url), "toolchain": JSONValue(toolchain), "flags": JSONValue(flags),
            "config_schema": JSONValue(configSchema), "state_version": JSONValue(stateVersion), "state_oldest": JSONValue(stateOldest),
            "interfaces": JSONValue(interfaces.map { JSONValue($0) }), "roles": JSONValue(roles.map { JSONValue($0.rawValue) }),
            "order_features": JSONValue(orderFeatures), "replaces_orders": JSONValue(replacesOrders), "channels": JSONValue(channels),
            "silence": JSONValue(silence), "wants": JSONValue(wants), "bars_wanted": JSONValue(barsWanted), "observes": JSONValue(observes),
            "checks_config": JSONValue(checksConfig),
        ]
    }

    public init(_ json: JSONValue) throws(JSONAccessError) {
        self.init(id: try json["id"].text, name: try json["name"].text, version: try json["version"].text)
        vendor = try json["vendor"].text
        license = try json["license"].text
        url = try json["url"].text
        toolchain = try json["toolchain"].text
        flags = UInt32(truncatingIfNeeded: try json["flags"].int64)
        configSchema = try json["config_schema"].text
        stateVersion = UInt32(truncatingIfNeeded: try json["state_version"].int64)
        stateOldest = UInt32(truncatingIfNeeded: try json["state_oldest"].int64)
        for item in try json["interfaces"].list { interfaces.append(try item.text) }
        orderFeatures = json.find("order_features")?.asNumber?.uint64 ?? 0
        replacesOrders = try json["replaces_orders"].bool
        channels = json.find("channels")?.asNumber?.uint64 ?? 0
        silence = try json["silence"].int64
        wants = json.find("wants")?.asNumber?.uint64 ?? 0
        barsWanted = UInt32(truncatingIfNeeded: try json["bars_wanted"].int64)
        observes = try json["observes"].bool
        checksConfig = try json["checks_config"].bool
    }
}

extension LibraryMetadata {
    public var json: JSONValue {
        [
            "format": JSONValue(Self.format), "sha256": JSONValue(sha256), "size": JSONValue(size), "path": JSONValue(path),
            "abi": JSONValue("\(abiMajor).\(abiMinor)"), "abi_major": JSONValue(abiMajor), "abi_minor": JSONValue(abiMinor),
            "components": JSONValue(components.map(\.json)), "needed": JSONValue(needed.map { JSONValue($0) }),
        ]
    }

    /// nil in place of an error for another format: the caller inspects anew.
    public init?(_ json: JSONValue) throws(JSONAccessError) {
        guard try json["format"].int64 == Self.format else { return nil }
        sha256 = try json["sha256"].text
        size = try json["size"].int
        path = try json["path"].text
        abiMajor = UInt32(truncatingIfNeeded: try json["abi_major"].int64)
        abiMinor = UInt32(truncatingIfNeeded: try json["abi_minor"].int64)
        components = []
        needed = []
        for item in try json["components"].list { components.append(try ComponentMetadata(try item.value)) }
        for item in try json["needed"].list { needed.append(try item.text) }
    }
}
