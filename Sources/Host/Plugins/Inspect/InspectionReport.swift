import PluginAPI
import PluginKit

/// What the inspecting child sends through its pipe: a letter for each stage it enters, then one JSON object.
enum InspectionReport {
    static let loading = UInt8(ascii: "l")
    static let entry = UInt8(ascii: "e")
    static let describing = UInt8(ascii: "d")
    static let result = UInt8(ascii: "r")
    /// A schema is 1 MiB at most, a library has 64 components: more is not a report.
    static let largest = 80 << 20

    struct Found: Hashable {
        var abiMajor: UInt32
        var abiMinor: UInt32
        var components: [ComponentMetadata]
    }

    static func encode(_ found: Result<Found, LoadError>) -> [UInt8] {
        switch found {
        case .success(let found):
            let json: JSONValue = [
                "abi_major": JSONValue(found.abiMajor), "abi_minor": JSONValue(found.abiMinor),
                "components": JSONValue(found.components.map(\.json)),
            ]
            return json.bytes(.compact)
        case .failure(let error): return encode(error).bytes(.compact)
        }
    }

    /// Only what a child can find: the rest is the parent's.
    private static func encode(_ error: LoadError) -> JSONValue {
        switch error {
        case .wontLoad(_, let reason): ["error": "wont-load", "what": JSONValue(reason)]
        case .noEntry: ["error": "no-entry"]
        case .noTable: ["error": "no-table"]
        case .needsNewerHost(_, let needs, _): ["error": "needs-newer-host", "needs": JSONValue(needs.map { JSONValue($0) })]
        case .needsOlderHost(_, let has, _): ["error": "needs-older-host", "has": JSONValue(has)]
        case .badDescriptor(_, let component, let what): ["error": "bad-descriptor", "component": JSONValue(component), "what": JSONValue(what)]
        default: ["error": "inspector", "what": JSONValue(error.description)]
        }
    }

    /// The child ran foreign code: its words are data, checked like any other.
    static func decode(_ bytes: [UInt8], path: String) -> Result<Found, LoadError> {
        do {
            let json = try JSONValue(parsing: bytes)
            if let error = try json["error"].ifPresent?.text { return .failure(try decodeError(error, json, path)) }
            var components: [ComponentMetadata] = []
            for item in try json["components"].list { components.append(try ComponentMetadata(try item.value)) }
            return .success(
                Found(
                    abiMajor: UInt32(truncatingIfNeeded: try json["abi_major"].int64),
                    abiMinor: UInt32(truncatingIfNeeded: try json["abi_minor"].int64), components: components))
        } catch {
            return .failure(.inspector(path: path, reason: "its report is damaged (\(error)); something in the library wrote into it"))
        }
    }

    private static func decodeError(_ error: String, _ json: JSONValue, _ path: String) throws(JSONAccessError) -> LoadError {
        switch error {
        case "wont-load": return .wontLoad(path: path, reason: printable(try json["what"].text))
        case "no-entry": return .noEntry(path: path)
        case "no-table": return .noTable(path: path)
        case "needs-newer-host":
            var needs: [UInt32] = []
            for item in try json["needs"].list { needs.append(UInt32(truncatingIfNeeded: try item.int64)) }
            return .needsNewerHost(path: path, needs: needs, speaks: KEEL_ABI_MAJOR)
        case "needs-older-host":
            return .needsOlderHost(path: path, has: UInt32(truncatingIfNeeded: try json["has"].int64), speaks: KEEL_ABI_MAJOR)
        case "bad-descriptor":
            return .badDescriptor(path: path, component: printable(try json["component"].text), what: printable(try json["what"].text))
        default: return .inspector(path: path, reason: printable(try json["what"].text))
        }
    }
}
