import Glibc
import HostPlugins
import PluginKit

extension Verb {
    static let pluginCheck = Verb(
        words: ["plugin", "check"], summary: "run the conformance checks on a plugin",
        details: """
            Every check runs in a process of its own with a time limit, on a host that is as awkward as the header allows.
            A failure names the rule of keel.h it is about. keel-check.json, in the library's folder or up to four above,
            tells the checks which configuration, instrument and venue to use and which checks to skip and why.

            Patterns are shell patterns on ids and names: "B*", "*memory*". Exit code 7: a check failed.
            """,
        arguments: [Argument("FILE", .optional, "the library")],
        options: [
            Option("include", value: "PATTERN", repeats: true, "only these checks"),
            Option("exclude", value: "PATTERN", repeats: true, "not these checks"),
            Option("only-failed", "print failures only"),
            Option("profile", value: "FILE", "the check profile (default: keel-check.json beside the library or above)"),
            Option("seed", value: "N", "where randomness starts (default: a new one, printed)"),
            Option("jobs", value: "N", "checks at the same time (default: one a processor)"),
            Option("timeout", value: "SECONDS", "instead of each check's own limit"),
            Option("junit", "print JUnit XML"),
            Option("list", "print all checks and the rules they stand on"),
            Option("reproduce", value: "SEED", "run --check once more with this seed"),
            Option("check", value: "ID", "the check to run again"),
            Option("in-process", "run it in this process, for a debugger"),
            .json,
        ],
        run: checkPlugin)

    /// What PluginCheck.run starts. Not for people.
    static let pluginCheckChild = Verb(
        words: ["plugin", "check-child"], summary: "the process conformance checks run in", arguments: [Argument("ORDER", .one, "what to do")], isHidden: true,
        run: { call in
            exit(PluginCheck.child(call.arguments))
        })

    private static func checkPlugin(_ call: Invocation) throws -> ExitCode {
        if call.flag("list") { return listChecks(call) }
        guard let file = call.arguments.first else { throw call.mistake("keel plugin check needs FILE: the library") }
        var options = PluginCheck.Options(file: file)
        options.include = call.all("include")
        options.exclude = call.all("exclude")
        options.profile = call.value("profile")
        options.seed = try number(call, "seed") { UInt64($0) }
        if let seed = try number(call, "reproduce", { UInt64($0) }) { options.seed = seed }
        options.jobs = try number(call, "jobs") { Int($0).flatMap { (1...64).contains($0) ? $0 : nil } }
        options.limit = try number(call, "timeout") { Double($0).flatMap { $0 > 0 && $0.isFinite ? $0 : nil } }
        if let check = call.value("check") {
            if call.flag("in-process") {
                let result = try checking { try PluginCheck.runHere(options, check: check) }
                call.terminal.out("\(result.check) \(result.name): \(result.status.rawValue)\(result.message.isEmpty ? "" : "\n\(result.message)\n\(result.rule)")")
                return result.status == .fail ? .checkFailed : .ok
            }
            options.include.append(check)
        } else if call.flag("in-process") || call.value("reproduce") != nil {
            throw call.mistake("--reproduce and --in-process go with --check ID")
        }
        let progress = call.progress("checking", total: Int64(Check.all.count))
        var done: Int64 = 0
        let report = try checking {
            try PluginCheck.run(options, executable: ["/proc/self/exe", "plugin", "check-child"]) { result in
                done += 1
                progress.update(done, note: result.check)
            }
        }
        progress.finish()
        if call.flag("junit") {
            call.terminal.raw(.out, report.junit)
        } else if call.wantsJSON {
            call.terminal.out(report.json.text(.pretty))
        } else {
            call.terminal.raw(.out, report.text(onlyFailed: call.flag("only-failed"), colour: call.terminal.usesColour))
        }
        return report.passed ? .ok : .checkFailed
    }

    private static func checking<T>(_ body: () throws -> T) throws -> T {
        do {
            return try body()
        } catch let error as PluginCheckError {
            switch error {
            case .noFile, .notAFile, .profile: throw Failure(.invalid, "\(error)")
            case .unknownCheck, .nothingSelected: throw Failure(.usage, "\(error)")
            case .noProgram, .notStarted, .childDied: throw Failure(.error, "\(error)")
            }
        } catch let error as CheckProfileError {
            throw Failure(.invalid, "\(error)")
        }
    }

    private static func number<T>(_ call: Invocation, _ name: String, _ read: (String) -> T?) throws -> T? {
        guard let text = call.value(name) else { return nil }
        guard let value = read(text) else { throw call.mistake("--\(name) can't be \"\(text)\"") }
        return value
    }

    private static func listChecks(_ call: Invocation) -> ExitCode {
        if call.wantsJSON {
            let list = Check.all.map { check -> JSONValue in
                [
                    "check": JSONValue(check.id), "name": JSONValue(check.name), "sentence": JSONValue(check.sentence), "rule": JSONValue(CheckRule.cite(check.rule)),
                    "seconds": JSONValue(check.limit),
                ]
            }
            call.terminal.out(JSONValue(list).text(.pretty))
            return .ok
        }
        for check in Check.all {
            call.terminal.out("\(check.id)  \(check.name): \(check.sentence)")
            call.terminal.out("     \(call.terminal.dim(CheckRule.cite(check.rule)))")
        }
        return .ok
    }
}
