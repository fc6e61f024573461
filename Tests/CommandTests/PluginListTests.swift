import Foundation
import PluginKit
import TestSupport
import Testing

@Suite("plugin list, plugin info", .enabled(if: BuiltProgram.folder != nil, "the keel program is not built"))
struct PluginListTests {
    @Test("the manifest's entries with what keeps them from being used, and what else is installed")
    func list() throws {
        let place = try Workplace()
        try BadInputTests.build(place, BadInputTests.source(BadInputTests.good))
        try place.write(
            Workplace.manifest(
                decider: #"""
                    { "component": "com.test.own", "file": "plugins/own.so" },
                        "gone": { "component": "com.test.gone", "file": "plugins/gone.so", "enabled": false },
                        "ema": { "component": "keel.emacross", "file": "EMACross", "isolation": "process" }
                    """#))
        let listed = try place.keel("plugin", "list")
        #expect(listed.code == 0, "\(listed.said)")
        func row(_ name: String) -> [Substring] { listed.out.split(separator: "\n").first { $0.hasPrefix(name + " ") }?.split(separator: " ", omittingEmptySubsequences: true) ?? [] }
        #expect(row("own").joined(separator: " ") == "own com.test.own 1.0.0 decider own process no plugins/own.so")
        #expect(row("sim").joined(separator: " ") == "sim keel.sim 1.0.0 feed, broker in the host not needed Sim")
        #expect(row("ema").joined(separator: " ") == "ema keel.emacross 1.0.0 decider own process not needed EMACross")
        #expect(row("gone").contains("disabled"))
        #expect(listed.out.contains("gone: ") && listed.out.contains("there is no such file"))
        // What the manifest doesn't name stands below.
        let installed = listed.out.components(separatedBy: "INSTALLED").last ?? ""
        #expect(!installed.contains("keel.sim") && !installed.contains("keel.emacross"))
        let json = try JSONField(JSONValue(parsing: try place.keel("plugin", "list", "--json").out))
        let own = try #require(try json["plugins"].list.first { try $0["name"].text == "own" })
        #expect(try own["isolation"].text == "process" && own["sha256"].text.count == 64 && own["pin"].value.isNull && !own["bundled"].bool)
        // An enabled entry that can't be used is the answer too.
        unlink(place.folder.file("plugins/own.so"))
        let broken = try place.keel("plugin", "list")
        #expect(broken.code == 4 && row("own").count > 0 && broken.out.contains("own: "), "\(broken.said)")
        #expect(try place.keel("plugin", "list", "nothing.json").code == 4)
    }

    @Test("without a manifest there is what came with the program")
    func bare() throws {
        let place = try Workplace()
        let listed = try place.keel("plugin", "list")
        #expect(listed.code == 0 && listed.out.hasPrefix("there is no plugins.json here\n") && listed.out.contains("keel.sim "), "\(listed.said)")
        #expect(!FileManager.default.fileExists(atPath: place.folder.file("state")))
    }

    @Test("everything a library tells of itself, by entry, path, bundled name and component")
    func info() throws {
        let place = try Workplace()
        try BadInputTests.build(place, BadInputTests.source(BadInputTests.good))
        try place.write(Workplace.manifest(decider: #"{ "component": "com.test.own", "file": "plugins/own.so" }"#))
        for name in ["own", "plugins/own.so"] {
            let told = try place.keel("plugin", "info", name)
            #expect(told.code == 0 && told.out.contains("com.test.own 1.0.0  Own, MIT") && told.out.contains("roles: decider"), "\(told.said)")
            #expect(told.out.contains("runs on the engine's thread; deterministic") && told.out.contains("word  A word.\n          string"), "\(told.said)")
        }
        for name in ["sim", "Sim", "keel.sim"] {
            let told = try place.keel("plugin", "info", name)
            #expect(told.code == 0 && told.out.contains("keel.sim 1.0.0") && told.out.contains("of the host's own folder"), "\(told.said)")
            #expect(told.out.contains("taker_fee ") && told.out.contains("string = \"0.001\""), "\(told.said)")
        }
        let json = try JSONField(JSONValue(parsing: try place.keel("plugin", "info", "Sim", "--json").out))
        let component = try #require(try json["components"].list.first)
        #expect(try component["id"].text == "keel.sim" && component["config_schema"]["type"].text == "object")
        let unknown = try place.keel("plugin", "info", "Sin")
        #expect(unknown.code == 4 && unknown.error.contains("there is no plugin \"Sin\"") && unknown.error.contains("did you mean"), "\(unknown.said)")
    }
}
