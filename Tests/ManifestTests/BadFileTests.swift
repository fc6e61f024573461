import Foundation
import PluginKit
import Testing

@testable import HostManifest

/// Issue "Bad input": each gets one clear message and no manifest.
@Suite struct BadFileTests {
    func message(_ text: String) -> String { check(text).text }

    @Test func empty() {
        #expect(message("") == "plugins.json:1:1: error: not JSON: it is empty")
        #expect(message("\n \t\n") == "plugins.json:3:1: error: not JSON: it is empty")
    }

    @Test func truncatedAnywhere() {
        // Wherever the file was cut, it is one message with a place, and never a manifest.
        let bytes = Array(goodManifest.utf8)
        for cut in 1..<bytes.count {
            let report = ManifestReader(environment: [:]).check(ManifestFile(name: "plugins.json", folder: ".", bytes: Array(bytes[..<cut])))
            #expect(report.manifest == nil)
            #expect(report.problems.count == 1)
            #expect(report.problems.first.flatMap(report.position(of:)) != nil)
        }
        let (text, places) = unmarked(String(goodManifest.dropLast(2)) + "▸")
        #expect(
            message(text)
                == "plugins.json:\(places[0]): error: not JSON: it ends inside an object\n    hint: is the file complete? A bracket or quotation mark may be missing before its end")
    }

    @Test func fiftyMegabytes() throws {
        let folder = try TestFolder()
        let path = try folder.write("plugins.json", "")
        #expect(truncate(path, 50_000_000) == 0)
        let report = ManifestReader(environment: [:]).read(path)
        #expect(report.text == "\(path): error: the file is too large: 50000000 bytes, and a manifest has at most 4194304\n    hint: is this the right file?")
    }

    @Test func deeplyNested() {
        #expect(message(String(repeating: "[", count: 100_000)) == "plugins.json:1:65: error: not JSON: it is nested deeper than 64 levels")
        #expect(message(String(repeating: "{\"a\":", count: 65)) == "plugins.json:1:321: error: not JSON: it is nested deeper than 64 levels")
    }

    @Test func notUTF8() {
        let (text, places) = unmarked(goodManifest.changing("keel.sim", "keel.▸sim"))
        var bytes = Array(text.utf8)
        let broken = bytes.firstRange(of: Array("sim\", \"file".utf8))?.lowerBound ?? 0
        bytes[broken] = 0xE9
        let report = ManifestReader(environment: [:]).check(ManifestFile(name: "plugins.json", folder: ".", bytes: bytes))
        #expect(report.text == "plugins.json:\(places[0]): error: not JSON: this byte is not UTF-8: save the file as UTF-8")
    }

    @Test func utf16() throws {
        let bytes = [UInt8](try #require(goodManifest.data(using: .utf16)))
        let report = ManifestReader(environment: [:]).check(ManifestFile(name: "plugins.json", folder: ".", bytes: bytes))
        #expect(report.problems.map(\.kind) == [.json(.notUTF8)])
    }

    @Test func byteOrderMark() {
        #expect(message("\u{feff}" + goodManifest) == "plugins.json:1:1: error: not JSON: it starts with a byte order mark: save the file as UTF-8 without one")
    }

    @Test func notAnObject() {
        #expect(message("[]") == "plugins.json:1:1: error: this is a list, not an object")
        #expect(message("hello") == "plugins.json:1:1: error: not JSON: \"hello\" where a value should be")
    }

    @Test func missingFile() {
        let report = ManifestReader(environment: [:]).read("/nowhere/plugins.json")
        #expect(report.text == "/nowhere/plugins.json: error: there is no file \"/nowhere/plugins.json\"\n    hint: name the manifest, or run keel in its folder")
    }

    @Test func aFolderInstead() throws {
        let folder = try TestFolder()
        let report = ManifestReader(environment: [:]).read(folder.path)
        #expect(report.problems.map(\.kind) == [.file(.notAFile(folder.path))])
    }

    @Test(.enabled(if: geteuid() != 0, "root may read everything")) func unreadable() throws {
        let folder = try TestFolder()
        let path = try folder.write("plugins.json", goodManifest, mode: 0)
        let report = ManifestReader(environment: [:]).read(path)
        #expect(report.problems.map(\.kind) == [.file(.unreadable(path, code: EACCES))])
    }
}
