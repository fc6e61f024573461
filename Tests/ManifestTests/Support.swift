import Foundation
import PluginKit
import Testing

@testable import HostManifest

/// The top of the checkout.
let repository = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().path

/// A valid manifest that uses every section.
let goodManifest = """
    {
      "version": 1,
      "plugins": {
        "sim": { "component": "keel.sim", "file": "Sim" },
        "rules": { "component": "keel.rules", "file": "Rules", "config": { "fast": 5 } },
        "cross": { "component": "keel.emacross", "file": "EMACross" },
        "direct": { "component": "keel.direct", "file": "DirectRouter" }
      },
      "instruments": {
        "BTC/USDT": { "tick": "0.01", "lot": "0.00001", "venue_symbols": { "sim": "BTCUSDT" } },
        "ETH/USDT": { "tick": "0.01", "lot": "0.0001" }
      },
      "pipelines": [
        { "name": "btc", "feeds": ["sim"], "instruments": ["BTC/USDT"],
          "decide": { "primary": "rules", "fallback": "cross", "deadline": "8s" },
          "route": "direct", "broker": "sim", "capital": "10000" }
      ]
    }
    """

/// Plugins that exist only in tests.
struct TestCatalogue: PluginCatalogue {
    var libraries: [String: LibraryDescription] = TestCatalogue.bundled
    var endpoints: [String: BrokerEndpoints] = [:]
    var grumbles: [PluginComplaint] = []

    static func component(_ id: String, _ roles: [ComponentDescription.Role], schema: String = "", single: Bool = false, needsProcess: Bool = false)
        -> ComponentDescription
    {
        ComponentDescription(id: id, name: id, version: "1.0.0", roles: roles, configSchema: schema, needsProcess: needsProcess, isSingle: single)
    }

    static func library(_ components: ComponentDescription..., hash: Character = "a", bundled: Bool = true) -> LibraryDescription {
        LibraryDescription(path: "/plugins/x.so", sha256: String(repeating: hash, count: 64), isBundled: bundled, components: components)
    }

    static let rulesSchema = """
        { "type": "object", "properties": {
          "fast": { "type": "integer", "minimum": 1, "default": 10, "description": "Bars." },
          "slow": { "type": "integer", "minimum": 1, "default": 20, "description": "Bars." },
          "key": { "x-secret": true, "description": "Key." } } }
        """

    /// As much of the simulated venue's configuration as the default manifest uses.
    static let simSchema = #"""
        {"type": "object", "additionalProperties": false, "properties": {
          "length": {"type": "string", "description": "how long its market lasts", "default": "0s"},
          "prices": {"type": "object", "description": "starting prices", "additionalProperties": {"type": "string"}}}}
        """#

    static let bundled: [String: LibraryDescription] = [
        "Sim": library(component("keel.sim", [.feed, .broker], schema: simSchema)),
        "Rules": library(component("keel.rules", [.decider], schema: rulesSchema)),
        "EMACross": library(component("keel.emacross", [.decider])),
        "DirectRouter": library(component("keel.direct", [.router])),
    ]

    func describe(_ entry: PluginEntry, in folder: String, allowsUnpinned: Bool) throws(PluginFault) -> LibraryDescription {
        guard let library = libraries[entry.file] else { throw PluginFault("there is no library \"\(entry.file)\"", hint: "build it") }
        return library
    }

    func complaints(about config: JSONValue, of entry: PluginEntry, in folder: String) -> [PluginComplaint] { entry.name == "rules" ? grumbles : [] }
    func environment(of entry: PluginEntry, in folder: String) -> BrokerEndpoints { endpoints[entry.name] ?? .paper }
}

func check(_ text: String, catalogue: (any PluginCatalogue)? = nil, environment: [String: String] = [:], folder: String = "/nowhere") -> ManifestReport {
    ManifestReader(environment: environment).check(ManifestFile(name: "plugins.json", folder: folder, bytes: Array(text.utf8)), catalogue: catalogue)
}

extension String {
    /// One place replaced; it must be there exactly once, or the test says nothing.
    func changing(_ old: String, _ new: String, sourceLocation: SourceLocation = #_sourceLocation) -> String {
        let parts = components(separatedBy: old)
        #expect(parts.count == 2, "\"\(old)\" stands there \(parts.count - 1) times", sourceLocation: sourceLocation)
        return parts.joined(separator: new)
    }
}

/// A folder of its own for one test, removed with it.
final class TestFolder {
    let path: String

    init() throws {
        var template = Array((NSTemporaryDirectory() + "/keel-manifest-XXXXXX").utf8CString)
        guard mkdtemp(&template) != nil else { throw POSIXError(.EIO) }
        path = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func write(_ name: String, _ text: String, mode: Int = 0o600) throws -> String {
        let file = path + "/" + name
        try Data(text.utf8).write(to: URL(fileURLWithPath: file))
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: file)
        return file
    }
}

/// The text without its marks, and the line:column of each: counted here, independently of what is tested.
func unmarked(_ text: String) -> (text: String, places: [String]) {
    var plain = ""
    var places: [String] = []
    var line = 1
    var column = 1
    for scalar in text.unicodeScalars {
        if scalar == "▸" {
            places.append("\(line):\(column)")
            continue
        }
        plain.unicodeScalars.append(scalar)
        if scalar == "\n" { (line, column) = (line + 1, 1) } else { column += 1 }
    }
    return (plain, places)
}

/// The report, with a mark again where a problem lies at a marked place.
func reportOfMarked(_ marked: String, catalogue: (any PluginCatalogue)? = nil) -> String {
    let (text, places) = unmarked(marked)
    return places.reduce(check(text, catalogue: catalogue).text) { $0.replacingOccurrences(of: "plugins.json:\($1):", with: "▸:") }
}
