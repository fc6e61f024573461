import PluginAPI
import PluginKit

/// Which program this is.
enum Version {
    static let program = "0.1.0"
    static let abi = "\(KEEL_ABI_MAJOR).\(KEEL_ABI_MINOR)"

    static func text(json: Bool) -> String {
        if json {
            let value: JSONValue = ["program": JSONValue(program), "abi": JSONValue(abi)]
            return value.text(.compact)
        }
        return "keel \(program) (plugin interface \(abi))"
    }
}
