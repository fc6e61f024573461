import Glibc
import HostPlugins
import PluginKit

extension Verb {
    static let pluginNew = Verb(
        words: ["plugin", "new"], summary: "write a new plugin project that builds and passes its checks",
        details: """
            The project needs nothing but a compiler and this program: the header comes with it. A broker brings a recorded
            venue, so that its orders can be checked without a network. --upgrade renews the header and the helpers of a
            project (the folder keel/ and exports.map) and leaves everything else alone.
            """,
        options: [
            Option("role", value: "ROLE", "feed, broker, decider or router"),
            Option("lang", value: "LANG", "c, cpp, swift, rust or zig"),
            Option("id", value: "ID", "the component's id, like com.acme.kraken: never used for anything else again"),
            Option("dir", value: "FOLDER", "where to write it (default: the last part of the id)"),
            Option("upgrade", "renew the header and the helpers of the project in --dir (default: this folder)"),
            .json,
        ],
        run: newPlugin)

    private static func newPlugin(_ call: Invocation) throws -> ExitCode {
        if call.flag("upgrade") { return try upgradePlugin(call) }
        guard let role = call.value("role"), let language = call.value("lang"), let id = call.value("id") else {
            throw call.mistake("a new plugin needs --role, --lang and --id")
        }
        guard let wantedRole = Scaffold.Role(rawValue: role) else {
            throw call.mistake("there is no role \"\(role)\"", hint: "one of \(Scaffold.Role.allCases.map(\.rawValue).joined(separator: ", "))")
        }
        guard let wantedLanguage = Scaffold.Language(rawValue: language) else {
            throw call.mistake("there is no template for \"\(language)\"", hint: "one of \(Scaffold.Language.allCases.map(\.rawValue).joined(separator: ", "))")
        }
        let scaffold: Scaffold
        do { scaffold = try Scaffold(role: wantedRole, language: wantedLanguage, id: id) } catch let error as ScaffoldError { throw call.mistake("\(error)") }
        let folder = call.value("dir") ?? scaffold.stem
        let written = try scaffold.write(into: folder)
        let missing = scaffold.missingTools(path: call.environment["PATH"] ?? "/usr/bin:/bin")
        if call.wantsJSON {
            let result: JSONValue = [
                "folder": JSONValue(folder), "files": JSONValue(written.map { JSONValue($0) }), "library": JSONValue("\(folder)/\(scaffold.library)"),
                "build": JSONValue(scaffold.buildCommand), "missing": JSONValue(missing.map { JSONValue($0) }),
            ]
            call.terminal.out(result.text(.pretty))
            return .ok
        }
        for file in written { call.terminal.out("  \(folder)/\(file)") }
        if !missing.isEmpty {
            call.terminal.out("\(call.terminal.styled("note:", .yellow)) this machine has no \(missing.joined(separator: " and no ")): the project is written, but it can't be built here")
        }
        call.terminal.out("next:  cd \(folder) && \(scaffold.buildCommand) && keel plugin check \(scaffold.library)")
        return .ok
    }

    private static func upgradePlugin(_ call: Invocation) throws -> ExitCode {
        for name in ["role", "lang", "id"] where call.value(name) != nil { throw call.mistake("--upgrade takes --\(name) from keel/VERSION") }
        let folder = call.value("dir") ?? "."
        let changed = try Scaffold.upgrade(folder)
        if call.wantsJSON {
            let result: JSONValue = ["folder": JSONValue(folder), "changed": JSONValue(changed.map { JSONValue($0) })]
            call.terminal.out(result.text(.pretty))
        } else if changed.isEmpty {
            call.terminal.out("everything is up to date")
        } else {
            for file in changed { call.terminal.out("  \(folder)/\(file)") }
        }
        return .ok
    }
}
