import PluginAPI
import PluginKit

/// keel-check.json: what a plugin's author tells the checks about it. docs/plugin-guide.md describes each key.
public struct CheckProfile: Sendable {
    enum Venue: Sendable {
        case none
        /// The plugin is a simulated venue: scenario name to the members of the configuration that bring it about.
        case inline([(scenario: String, overrides: JSONObject)])
        case recorded(String)
        case command([String])
    }

    struct Environment: Sendable {
        var name: String
        var config: JSONObject
        /// Shell patterns.
        var hosts: [String]
    }

    public struct Skip: Sendable {
        public var check: String
        public var reason: String
    }

    /// The profile's folder: the paths in it start there.
    public var folder = "."
    var config = JSONObject()
    var secrets: [(name: String, value: String)] = []
    var instrument = CheckInstrument()
    var price = Fixed(raw: 10_000_000_000)
    var quantity = Fixed(raw: 30_000_000)
    var venue = Venue.none
    public var skips: [Skip] = []
    /// How long the plugin may take to notice by itself what the venue's stream doesn't say, for B19.
    var noticesWithin: keel_span = .seconds(60)
    /// For B24: members that go over the configuration, to have stop leave open orders or cancel them.
    var stopLeaves: JSONObject?
    var stopCancels: JSONObject?
    /// For B25: what isn't live, and which hosts it may look for.
    var environments: [Environment] = []
    /// For B25: members that mix environments.
    var mixed: [JSONObject] = []
    /// State version to the file with a sample of it.
    var states: [UInt32: String] = [:]
    /// The same library built with a sanitizer, for M05.
    var sanitized: String?
    /// Libraries it may need beyond the usual ones, for L06.
    var libraries: [String] = []
    /// Imports L08 accepts, with the author's reason.
    var imports: [(name: String, reason: String)] = []

    /// What differs for single components of a library with several.
    private var components: [String: JSONField] = [:]

    public init() {}

    public init(parsing bytes: [UInt8], folder: String) throws {
        self.folder = folder
        try read(JSONField(JSONValue(parsing: bytes)))
        // Mistakes in there are told now, not when that component's turn comes.
        for id in components.keys { _ = try about(id) }
    }

    /// The profile as it is for one component.
    func about(_ component: String?) throws -> CheckProfile {
        guard let component, let own = components[component] else { return self }
        var profile = self
        try profile.read(own)
        return profile
    }

    private mutating func read(_ root: JSONField) throws {
        for (name, field) in try root.members {
            switch name {
            case "$schema", "about": break
            case "config": config = try CheckProfile.object(field)
            case "secrets": secrets = try field.members.map { ($0.name, try $0.field.text) }
            case "instrument": instrument = try CheckProfile.instrument(field)
            case "price": price = try field.fixed
            case "quantity": quantity = try field.fixed
            case "venue": venue = try CheckProfile.venue(field)
            case "skip": skips = try field.list.map { Skip(check: try $0["check"].text, reason: try $0["reason"].text) }
            case "notices_within": noticesWithin = try CheckProfile.span(field)
            case "stop":
                for (way, members) in try field.members {
                    switch way {
                    case "leave": stopLeaves = try CheckProfile.object(members)
                    case "cancel": stopCancels = try CheckProfile.object(members)
                    default: throw CheckProfileError.unknownKey(way, "leave or cancel")
                    }
                }
            case "environments":
                environments = try field.list.map {
                    Environment(name: try $0["name"].text, config: try CheckProfile.object($0["config"]), hosts: try $0["hosts"].list.map { try $0.text })
                }
            case "mixed": mixed = try field.list.map(CheckProfile.object)
            case "states":
                for (version, path) in try field.members {
                    guard let number = UInt32(version) else { throw CheckProfileError.badVersion(version) }
                    states[number] = try path.text
                }
            case "sanitized": sanitized = try field.text
            case "libraries": libraries = try field.list.map { try $0.text }
            case "components": components = Dictionary(try field.members.map { ($0.name, $0.field) }, uniquingKeysWith: { $1 })
            case "imports": imports = try field.members.map { ($0.name, try $0.field.text) }
            default: throw CheckProfileError.unknownKey(name, Suggestion.nearest(to: name, among: CheckProfile.keys))
            }
        }
        for skip in skips where skip.reason.isEmpty { throw CheckProfileError.noReason(skip.check) }
        for skip in skips where !Check.all.contains(where: { $0.id == skip.check }) { throw CheckProfileError.unknownCheck(skip.check) }
    }

    private static let keys = [
        "config", "secrets", "instrument", "price", "quantity", "venue", "skip", "states", "sanitized", "libraries", "imports", "components", "about",
        "notices_within", "stop", "environments", "mixed",
    ]

    /// Seconds or minutes: "30s", "2m".
    private static func span(_ field: JSONField) throws -> keel_span {
        let text = try field.text
        guard let number = Int64(text.dropLast()), number > 0, number <= 3600, text.hasSuffix("s") || text.hasSuffix("m") else {
            throw CheckProfileError.badSpan(text)
        }
        return .seconds(text.hasSuffix("m") ? number * 60 : number)
    }

    private static func object(_ field: JSONField) throws -> JSONObject {
        _ = try field.members
        return field.found?.asObject ?? JSONObject()
    }

    private static func venue(_ field: JSONField) throws -> Venue {
        // A component may do without the venue that the rest of its library needs.
        if field.found?.isNull == true { return .none }
        if let recorded = field["recorded"].ifPresent { return .recorded(try recorded.text) }
        if let command = field["command"].ifPresent { return .command(try command.list.map { try $0.text }) }
        if let inline = field["inline"].ifPresent { return .inline(try inline.members.map { ($0.name, try object($0.field)) }) }
        throw CheckProfileError.noVenue
    }

    private static func instrument(_ field: JSONField) throws -> CheckInstrument {
        var instrument = CheckInstrument()
        for (name, value) in try field.members {
            switch name {
            case "symbol":
                instrument.symbol = try value.text
                let parts = instrument.symbol.split(separator: ":")[0].split(separator: "/").map(String.init)
                if parts.count == 2 { (instrument.base, instrument.quote) = (parts[0], parts[1]) }
            case "venue_symbol": instrument.venueSymbol = try value.text
            case "kind":
                switch try value.text {
                case "spot": instrument.kind = KEEL_KIND_SPOT
                case "perp": instrument.kind = KEEL_KIND_PERP
                case "stock": instrument.kind = KEEL_KIND_STOCK
                case "future": instrument.kind = KEEL_KIND_FUTURE
                default: throw CheckProfileError.unknownKey("kind", "spot, perp, stock or future")
                }
            case "tick": instrument.tick = try value.fixed
            case "lot": instrument.lot = try value.fixed
            case "min_qty": instrument.minQty = try value.fixed
            case "max_qty": instrument.maxQty = try value.fixed
            case "multiplier": instrument.multiplier = try value.fixed
            case "min_notional": instrument.minNotional = try value.amount
            default: throw CheckProfileError.unknownKey(name, nil)
            }
        }
        return instrument
    }
}

public enum CheckProfileError: Error, CustomStringConvertible {
    case unknownKey(String, String?)
    case unknownCheck(String)
    case noReason(String)
    case badVersion(String)
    case badSpan(String)
    case noVenue

    public var description: String {
        switch self {
        case .unknownKey(let key, let near): "\"\(key)\" is not a key of a check profile" + (near.map { ": did you mean \"\($0)\"?" } ?? "")
        case .unknownCheck(let id): "there is no check \"\(id)\" to skip"
        case .noReason(let id): "the skip of \(id) needs a reason"
        case .badVersion(let text): "\"\(text)\" is not a state version"
        case .badSpan(let text): "\"\(text)\" is not a time like 30s or 2m"
        case .noVenue: "\"venue\" needs one of \"recorded\", \"command\" and \"inline\""
        }
    }
}
