import Foundation
import PluginKit
import Testing

@testable import HostManifest

@Suite struct EditTests {
    func edited(_ text: String, _ key: String, _ plugin: String, _ value: JSONValue) throws -> String {
        var edit = ManifestEdit(Array(text.utf8))
        try edit.set(key, of: plugin, to: value)
        return String(decoding: edit.bytes, as: UTF8.self)
    }

    static let cases: [(String, String)] = [
        // The value where the key stands; every space as it was.
        ("{ \"plugins\" : {\"sim\":{ \"enabled\"  :  true , \"x\":1} } }\n\n", "{ \"plugins\" : {\"sim\":{ \"enabled\"  :  false , \"x\":1} } }\n\n"),
        // Added after the last key, spaced as that one.
        ("{\"plugins\":{\"sim\":{\"x\":1}}}", "{\"plugins\":{\"sim\":{\"x\":1, \"enabled\": false}}}"),
        ("{\"plugins\":{\"sim\":{ \"x\": 1, \"y\": 2 }}}", "{\"plugins\":{\"sim\":{ \"x\": 1, \"y\": 2, \"enabled\": false }}}"),
        ("{\"plugins\":{\"sim\":{\r\n\t\t\"x\": [1,\n2]\r\n\t}}}", "{\"plugins\":{\"sim\":{\r\n\t\t\"x\": [1,\n2],\r\n\t\t\"enabled\": false\r\n\t}}}"),
        ("{\"plugins\":{\"sim\":{}}}", "{\"plugins\":{\"sim\":{ \"enabled\": false }}}"),
        ("{\"plugins\":{\"sim\":{\n  }}}", "{\"plugins\":{\"sim\":{ \"enabled\": false }}}"),
        // The same name elsewhere stays as it is.
        (
            "{\"enabled\":true,\"plugins\":{\"a\":{\"enabled\":true},\"sim\":{\"config\":{\"enabled\":true},\"enabled\":true}}}",
            "{\"enabled\":true,\"plugins\":{\"a\":{\"enabled\":true},\"sim\":{\"config\":{\"enabled\":true},\"enabled\":false}}}"
        ),
        // A value of another type is replaced whole.
        ("{\"plugins\":{\"sim\":{\"enabled\":{\"a\":[1,2]}}}}", "{\"plugins\":{\"sim\":{\"enabled\":false}}}"),
        ("{\"plugins\":{\"s\\u0069m\":{\"enabled\":true}}}", "{\"plugins\":{\"s\\u0069m\":{\"enabled\":false}}}"),
    ]

    @Test(arguments: cases) func changesOneValueAndNothingElse(_ before: String, _ after: String) throws {
        #expect(try edited(before, "enabled", "sim", false) == after)
        // There and back again.
        if before.contains("\"enabled\"  :  true") { #expect(try edited(after, "enabled", "sim", true) == before) }
        // What is so already stays byte for byte.
        #expect(try edited(after, "enabled", "sim", false) == after)
    }

    @Test func namesWhatIsMissing() {
        #expect(throws: ManifestEdit.Failure.noSuchEntry("smi", near: "sim")) { try edited("{\"plugins\":{\"sim\":{}}}", "enabled", "smi", true) }
        #expect(throws: ManifestEdit.Failure.noSuchEntry("sim", near: nil)) { try edited("[]", "enabled", "sim", true) }
        #expect(throws: ManifestEdit.Failure.self) { try edited("{", "enabled", "sim", true) }
    }

    @Test(arguments: [0o600, 0o644, 0o664]) func theFileKeepsItsMode(_ mode: Int) throws {
        let folder = try TestFolder()
        let path = try folder.write("plugins.json", goodManifest, mode: mode)
        let file = try ManifestFile(reading: path)
        var edit = ManifestEdit(file.bytes)
        try edit.set("enabled", of: "cross", to: false)
        try edit.write(to: path, expecting: file.bytes)
        let attributes = try FileManager.default.attributesOfItem(atPath: path)
        #expect(attributes[.posixPermissions] as? Int == mode)
        #expect(try ManifestFile(reading: path).bytes == edit.bytes)
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["plugins.json"])
    }

    @Test func followsALinkAndKeepsIt() throws {
        let folder = try TestFolder()
        let real = try folder.write("real.json", goodManifest)
        let link = folder.path + "/plugins.json"
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: "real.json")
        let file = try ManifestFile(reading: link)
        var edit = ManifestEdit(file.bytes)
        try edit.set("enabled", of: "cross", to: false)
        try edit.write(to: link, expecting: file.bytes)
        #expect(try FileManager.default.destinationOfSymbolicLink(atPath: link) == "real.json")
        #expect(try ManifestFile(reading: real).bytes == edit.bytes)
    }

    @Test func anotherWritersChangeIsNotLost() throws {
        let folder = try TestFolder()
        let path = try folder.write("plugins.json", goodManifest)
        let file = try ManifestFile(reading: path)
        var edit = ManifestEdit(file.bytes)
        try edit.set("enabled", of: "cross", to: false)
        _ = try folder.write("plugins.json", goodManifest + "\n")
        #expect(throws: ManifestEdit.Failure.changedMeanwhile(path)) { try edit.write(to: path, expecting: file.bytes) }
        #expect(try ManifestFile(reading: path).bytes == Array((goodManifest + "\n").utf8))
    }
}
