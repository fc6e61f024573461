import Foundation
import HostManifest
import PluginKit
import Testing

@testable import keel

@Suite struct CheckTests {
    @Test func theDefaultManifest() throws {
        let manifest = try CopiedManifest()
        let result = call(["check", manifest.path], catalogue: { _ in TestCatalogue() })
        #expect(result.code == .ok)
        #expect(result.out == "\(manifest.path): valid: mode paper, 4 plugins, 1 instrument, 1 pipeline\n")
        #expect(result.error == "")
        let json = try JSONValue(parsing: call(["check", manifest.path, "--json"], catalogue: { _ in TestCatalogue() }).out)
        #expect(try json["valid"].bool)
        #expect(try json["problems"].list.isEmpty)
    }

    @Test func problemsAndExitCodeFour() throws {
        let manifest = try CopiedManifest(changing: [(#""fallback": "emacross""#, #""fallback": "emacros""#), (#""seed": 7"#, #""sede": 7"#)])
        let result = call(["check", manifest.path], catalogue: { _ in TestCatalogue() })
        #expect(result.code == .invalid)
        #expect(result.out.contains("$.pipelines[0].decide.fallback: there is no plugin \"emacros\"\n    hint: did you mean \"emacross\"?\n"))
        #expect(result.out.contains("$.sede: \"sede\" is not known here\n    hint: did you mean \"seed\"?\n"))
        #expect(result.out.hasSuffix(": not valid, 2 errors\n"))
        let json = call(["check", manifest.path, "--json"], catalogue: { _ in TestCatalogue() })
        #expect(json.code == .invalid)
        #expect(try JSONValue(parsing: json.out)["problems"].list.count == 2)
    }

    @Test func aMissingFile() {
        let result = call(["check", "/nowhere/plugins.json"])
        #expect(result.code == .invalid)
        #expect(result.out.hasPrefix("/nowhere/plugins.json: error: there is no file \"/nowhere/plugins.json\"\n"))
        // The others that need a manifest say the same, on the error stream.
        for line in [["plan", "/nowhere/plugins.json"], ["plugin", "enable", "sim", "--manifest", "/nowhere/plugins.json"]] {
            let result = call(line)
            #expect(result.code == .invalid)
            #expect(result.out == "")
            #expect(result.error.contains("there is no file \"/nowhere/plugins.json\""))
        }
    }

    @Test func secretsCanBeLeftOut() throws {
        let manifest = try CopiedManifest(changing: [(#""file": "Sim","#, #""file": "Sim", "secrets": ["venue.key"],"#)])
        #expect(call(["check", manifest.path]).code == .invalid)
        #expect(call(["check", manifest.path, "--no-secrets"]).code == .ok)
        let given = call(["check", manifest.path], environment: ["KEEL_SECRET_VENUE_KEY": "hunter2"])
        #expect(given.code == .ok)
        #expect(!given.out.contains("hunter2"))
    }
}

@Suite struct PlanTests {
    @Test func drawsFromFeedToBroker() throws {
        let manifest = try CopiedManifest()
        let result = call(["plan", manifest.path], catalogue: { _ in TestCatalogue() })
        #expect(result.code == .ok)
        let lines = result.out.split(separator: "\n").map(String.init)
        #expect(lines.first == "btc  paper  capital: 10000 USDT")
        // In the order data takes.
        let stages = ["feed ", "bars ", "gate ", "decide ", "risk ", "position ", "route ", "broker "]
        let places = stages.compactMap { stage in lines.firstIndex { $0.dropFirst(4).hasPrefix(stage) } }
        #expect(places.count == stages.count)
        #expect(places == places.sorted())
        for text in ["sim  →  BTC/USDT", "rules within 8s", "or emacross within 8s", "stop at -4 %", "(orders: market, limit, reduce-only)", "keel.sim  1.0.0  feed + broker"] {
            #expect(result.out.contains(text), "\(text)")
        }
    }

    @Test func jsonIsAManifestWithEveryDefault() throws {
        let manifest = try CopiedManifest()
        let result = call(["plan", manifest.path, "--json"], catalogue: { _ in TestCatalogue() })
        let plan = try JSONValue(parsing: result.out)
        #expect(try plan["manifest"]["pipelines"][0]["risk"]["losing_streak"].int == 5)
        #expect(try plan["libraries"]["sim"]["components"][0]["id"].text == "keel.sim")
        // It can be checked itself.
        let written = try CopiedManifest()
        try plan["manifest"].value.text(.pretty).write(toFile: written.path, atomically: true, encoding: .utf8)
        #expect(call(["check", written.path], catalogue: { _ in TestCatalogue() }).code == .ok)
    }

    @Test func anInvalidManifestHasNoPlan() throws {
        let manifest = try CopiedManifest(changing: [(#""version": 1"#, #""version": 9"#)])
        let result = call(["plan", manifest.path])
        #expect(result.code == .invalid)
        #expect(result.out == "")
        #expect(result.error.contains("$.version"))
    }
}

@Suite struct PluginEditTests {
    @Test func disableAndEnable() throws {
        let manifest = try CopiedManifest()
        let before = manifest.text
        let disabled = call(["plugin", "disable", "emacross", "--manifest", manifest.path])
        #expect(disabled.code == .ok)
        #expect(disabled.out.hasPrefix("emacross is disabled\nwarning: $.pipelines[0].decide.fallback (line "))
        #expect(manifest.text == before.replacingOccurrences(of: "\"file\": \"EMACross\", \"enabled\": true", with: "\"file\": \"EMACross\", \"enabled\": false"))
        #expect(manifest.text != before)
        // The check names the same place.
        let check = call(["check", manifest.path])
        #expect(check.code == .invalid)
        #expect(check.out.contains("$.pipelines[0].decide.fallback: the plugin \"emacross\" is disabled, and this refers to it"))
        #expect(call(["plugin", "disable", "emacross", "--manifest", manifest.path]).out.hasPrefix("emacross is disabled already\n"))
        let enabled = call(["plugin", "enable", "emacross", "--manifest", manifest.path, "--json"])
        #expect(try JSONValue(parsing: enabled.out)["changed"].bool)
        #expect(manifest.text == before)
    }

    @Test func anUnknownName() throws {
        let manifest = try CopiedManifest()
        let before = manifest.text
        let result = call(["plugin", "disable", "emacros", "--manifest", manifest.path])
        #expect(result.code == .invalid)
        #expect(result.error.contains("there is no plugin \"emacros\": did you mean \"emacross\"?"))
        #expect(manifest.text == before)
    }

    @Test func pinWritesTheHashes() throws {
        let manifest = try CopiedManifest()
        let before = manifest.text
        let result = call(["plugin", "pin", "--manifest", manifest.path], catalogue: { _ in TestCatalogue() })
        #expect(result.code == .ok)
        #expect(result.out.split(separator: "\n").count == 4)
        let check = call(["check", manifest.path], catalogue: { _ in TestCatalogue() })
        #expect(check.code == .ok)
        let plan = call(["plan", manifest.path], catalogue: { _ in TestCatalogue() })
        #expect(plan.out.contains("pinned") && !plan.out.contains("not pinned"))
        // Again: nothing changes. One name: only that one.
        let after = manifest.text
        #expect(call(["plugin", "pin", "sim", "--manifest", manifest.path], catalogue: { _ in TestCatalogue() }).out.contains("(as before)"))
        #expect(manifest.text == after)
        #expect(after.count > before.count)
        // A pin that doesn't hold is an error, and pinning again mends it.
        let broken = try CopiedManifest(changing: [(#""file": "Sim","#, "\"file\": \"Sim\", \"sha256\": \"\(String(repeating: "0", count: 64))\",")])
        #expect(call(["check", broken.path], catalogue: { _ in TestCatalogue() }).out.contains("$.plugins.sim.sha256: the library is not the pinned one"))
        #expect(call(["plugin", "pin", "sim", "--manifest", broken.path], catalogue: { _ in TestCatalogue() }).code == .ok)
        #expect(call(["check", broken.path], catalogue: { _ in TestCatalogue() }).code == .ok)
    }

    @Test func pinNamesWhatItCannotPin() throws {
        let manifest = try CopiedManifest(changing: [(#""file": "Sim","#, #""file": "Gone","#)])
        let before = manifest.text
        let result = call(["plugin", "pin", "--manifest", manifest.path], catalogue: { _ in TestCatalogue() })
        #expect(result.code == .invalid)
        #expect(result.error == "error: sim can't be pinned: there is no library \"Gone\"\n")
        #expect(manifest.text == before)
    }
}

@Suite struct SchemaVerbTests {
    @Test func printsAndWrites() throws {
        #expect(call(["schema"]).out == ManifestSchema.text)
        #expect(call(["schema", "decision"]).out == DecisionDefinition.schemaText)
        #expect(call(["schema", "else"]).code == .usage)
        let manifest = try CopiedManifest()
        let result = call(["schema", "--write", manifest.folder])
        #expect(result.code == .ok)
        #expect(try String(contentsOfFile: manifest.folder + "/plugins.v1.json", encoding: .utf8) == ManifestSchema.text)
        #expect(call(["schema", "--write", manifest.folder + "/none"]).code == .error)
    }
}
