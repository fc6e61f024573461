import Foundation
import Testing

@testable import HostManifest

@Suite struct SecretTests {
    func store(_ folder: String, _ environment: [String: String] = [:], mapping: [String: String] = [:]) -> SecretStore {
        SecretStore(folder: folder, mapping: mapping, environment: environment)
    }

    func text(_ store: SecretStore, _ name: String) throws -> String { String(decoding: try store.secret(name).bytes, as: UTF8.self) }

    @Test func environmentFirstThenTheFolder() throws {
        let folder = try TestFolder()
        _ = try folder.write("venue.key", "from-file\n")
        #expect(try text(store(folder.path), "venue.key") == "from-file")
        #expect(try text(store(folder.path, ["KEEL_SECRET_VENUE_KEY": "standard"]), "venue.key") == "standard")
        let mapped = store(folder.path, ["KEEL_SECRET_VENUE_KEY": "standard", "VENUE_API_KEY": "mapped"], mapping: ["venue.key": "VENUE_API_KEY"])
        #expect(try text(mapped, "venue.key") == "mapped")
        #expect(mapped.variables(for: "venue.key") == ["VENUE_API_KEY", "KEEL_SECRET_VENUE_KEY"])
        #expect(SecretStore.variable(for: "binance-2.key") == "KEEL_SECRET_BINANCE_2_KEY")
    }

    @Test func keepsEverythingButTheLineEnd() throws {
        let folder = try TestFolder()
        _ = try folder.write("a", " spaces \r\n")
        _ = try folder.write("b", "two\nlines\n\n")
        #expect(try text(store(folder.path), "a") == " spaces ")
        #expect(try text(store(folder.path), "b") == "two\nlines\n")
    }

    @Test(arguments: [0o640, 0o604, 0o666, 0o700 | 0o010]) func widerFilesAreRefused(_ mode: Int) throws {
        let folder = try TestFolder()
        let path = try folder.write("a", "x", mode: mode)
        #expect(throws: SecretError.tooWide(path, mode: UInt32(mode), needed: 0o600)) { try store(folder.path).secret("a") }
    }

    @Test(arguments: [0o400, 0o600]) func narrowFilesAreTaken(_ mode: Int) throws {
        let folder = try TestFolder()
        _ = try folder.write("a", "x", mode: mode)
        #expect(try text(store(folder.path), "a") == "x")
    }

    @Test(arguments: [0o750, 0o705, 0o777]) func widerFoldersAreRefused(_ mode: Int) throws {
        let folder = try TestFolder()
        _ = try folder.write("a", "x")
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: folder.path)
        #expect(throws: SecretError.tooWide(folder.path, mode: UInt32(mode), needed: 0o700)) { try store(folder.path).secret("a") }
    }

    @Test func linksAndOtherThingsAreRefused() throws {
        let folder = try TestFolder()
        let real = try folder.write("real", "x")
        let link = folder.path + "/link"
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: real)
        #expect(throws: SecretError.notAFile(link)) { try store(folder.path).secret("link") }
        try FileManager.default.createDirectory(atPath: folder.path + "/inner", withIntermediateDirectories: false, attributes: [.posixPermissions: 0o700])
        #expect(throws: SecretError.notAFile(folder.path + "/inner")) { try store(folder.path).secret("inner") }
        #expect(mkfifo(folder.path + "/pipe", 0o600) == 0)
        #expect(throws: SecretError.notAFile(folder.path + "/pipe")) { try store(folder.path).secret("pipe") }
        let linked = folder.path + "/folder"
        try FileManager.default.createSymbolicLink(atPath: linked, withDestinationPath: folder.path)
        #expect(throws: SecretError.notAFolder(linked)) { try store(linked).secret("real") }
        #expect(throws: SecretError.notAFolder(real)) { try store(real).secret("a") }
    }

    @Test(arguments: ["", "..", "../real", "a/b", ".hidden", "a..b", "a.", "é", "a b", String(repeating: "a", count: 129)])
    func namesCannotLeaveTheFolder(_ name: String) throws {
        let folder = try TestFolder()
        #expect(throws: SecretError.badName(name)) { try store(folder.path, ["KEEL_SECRET_": "x"]).secret(name) }
    }

    @Test func emptyLongAndBinaryOnesAreRefused() throws {
        let folder = try TestFolder()
        let empty = try folder.write("empty", "\n")
        #expect(throws: SecretError.empty("empty", place: empty)) { try store(folder.path).secret("empty") }
        #expect(throws: SecretError.empty("e", place: "KEEL_SECRET_E")) { try store(folder.path, ["KEEL_SECRET_E": ""]).secret("e") }
        let long = try folder.write("long", String(repeating: "x", count: SecretStore.limit + 1))
        #expect(throws: SecretError.tooLong("long", place: long, limit: SecretStore.limit)) { try store(folder.path).secret("long") }
        let binary = try folder.write("binary", "a\0b")
        #expect(throws: SecretError.notText("binary", place: binary)) { try store(folder.path).secret("binary") }
        #expect(throws: SecretError.notFound("gone", variables: ["KEEL_SECRET_GONE"], file: folder.path + "/gone")) { try store(folder.path).secret("gone") }
    }

    @Test func nothingPrintsASecret() throws {
        let secret = try store("/nowhere", ["KEEL_SECRET_A": "hunter2"]).secret("a")
        var dumped = ""
        dump(secret, to: &dumped)
        for text in ["\(secret)", String(reflecting: secret), dumped, "\([secret])", "\(Optional(secret) as Any)"] { #expect(!text.contains("hunter2")) }
    }

    @Test func theManifestsSecretsMustBeThere() throws {
        let folder = try TestFolder()
        let text = goodManifest.changing(#""file": "Sim""#, #""file": "Sim", "secrets": [▸"venue.key"]"#)
        let (plain, places) = unmarked(text)
        let report = check(plain, folder: folder.path)
        #expect(
            report.text == "plugins.json:\(places[0]): error: $.plugins.sim.secrets[0]: the secret \"venue.key\" is nowhere to be found\n    hint: set KEEL_SECRET_VENUE_KEY in the environment, or write it into \(folder.path)/secrets/venue.key (mode 0600)")
        #expect(check(plain, environment: ["KEEL_SECRET_VENUE_KEY": "hunter2"]).text == "")
        // Of a disabled plugin, nothing is looked for.
        let disabled = goodManifest.changing(#""cross": { "component": "keel.emacross","#, #""cross": { "component": "keel.emacross", "enabled": false, "secrets": ["gone"],"#)
            .changing(#""fallback": "cross", "#, "")
        #expect(check(disabled).text == "")
        // Two secrets, one variable: one of them would be the wrong one.
        let twice = goodManifest.changing(#""file": "Sim""#, #""file": "Sim", "secrets": ["a.b", "a-b"]"#)
        #expect(check(twice, environment: ["KEEL_SECRET_A_B": "x"]).errors.map(\.kind) == [.secret(.sameVariable("a-b", "a.b", variable: "KEEL_SECRET_A_B"))])
    }
}
