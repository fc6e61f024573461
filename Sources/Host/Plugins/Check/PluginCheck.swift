import CSystem
import Glibc
import PluginKit

/// `keel plugin check`: every conformance check of a plugin, each in a process of its own.
public struct PluginCheck: Sendable {
    public struct Options: Sendable {
        public var file: String
        /// nil: keel-check.json beside the library or up to four folders above it.
        public var profile: String?
        /// Shell patterns on ids and names; empty: everything.
        public var include: [String] = []
        public var exclude: [String] = []
        /// nil: a new one for each run, printed in the report.
        public var seed: UInt64?
        /// Checks at the same time; nil: one a processor.
        public var jobs: Int?
        /// Overrides every check's own limit, in seconds.
        public var limit: Double?

        public init(file: String) { self.file = file }
    }

    /// Runs the checks. `executable` starts a program that hands its further arguments to `PluginCheck.child`: the first
    /// word is its path.
    public static func run(_ options: Options, executable: [String], progress: ((CheckResult) -> Void)? = nil) throws -> CheckReport {
        guard let program = executable.first else { throw PluginCheckError.noProgram }
        var status = stat()
        guard stat(options.file, &status) == 0 else { throw PluginCheckError.noFile(options.file, String(cString: strerror(errno))) }
        guard status.st_mode & S_IFMT == S_IFREG else { throw PluginCheckError.notAFile(options.file) }
        let began = CheckClock.monotonic()
        let order = try order(options, executable)
        var report = CheckReport(file: options.file, seed: order.seed)
        let checks = Dictionary(uniqueKeysWithValues: Check.all.map { ($0.id, $0) })
        var problem = ""
        try lines(of: [program] + executable.dropFirst() + [order.json.text(.compact)]) { line in
            guard let value = try? JSONValue(parsing: line), let object = value.asObject else { return }
            if let text = object["problem"]?.asText { problem = text }
            if let id = object["id"]?.asText {
                report.components.append(
                    CheckReport.Component(
                        id: id, name: object["name"]?.asText ?? "", version: object["version"]?.asText ?? "",
                        interfaces: (object["interfaces"]?.asList ?? []).compactMap(\.asText)))
            }
            guard let id = object["check"]?.asText, let check = checks[id] else { return }
            let result = CheckResult(
                check: id, name: check.name, sentence: check.sentence, component: object["component"]?.asText,
                status: object["status"]?.asText.flatMap(CheckStatus.init(rawValue:)) ?? .fail, message: object["message"]?.asText ?? "",
                rule: CheckRule.cite(check.rule), milliseconds: object["ms"]?.asNumber?.double ?? 0, output: object["output"]?.asText ?? "")
            report.results.append(result)
            progress?(result)
        }
        if !problem.isEmpty { throw PluginCheckError.profile(problem) }
        let places = Dictionary(uniqueKeysWithValues: Check.all.enumerated().map { ($0.element.id, $0.offset) })
        report.results.sort { (places[$0.check] ?? 0, $0.component ?? "") < (places[$1.check] ?? 0, $1.component ?? "") }
        report.seconds = Double(CheckClock.monotonic() - began) / 1e9
        return report
    }

    /// Runs one check in this process, under whatever debugger it is in.
    public static func runHere(_ options: Options, check id: String) throws -> CheckResult {
        guard let check = Check.all.first(where: { $0.id == id || $0.name == id }) else { throw PluginCheckError.unknownCheck(id) }
        let order = try order(options, [])
        let profile = try order.readProfile()
        let bench = Bench(order, profile, nil, check.id)
        let began = CheckClock.monotonic()
        let (status, message) = CheckProcess.verdict(of: check, bench)
        return CheckResult(
            check: check.id, name: check.name, sentence: check.sentence, component: nil, status: status, message: message, rule: CheckRule.cite(check.rule),
            milliseconds: Double(CheckClock.monotonic() - began) / 1e6, output: "")
    }

    /// The checking process. `arguments`: what `run` added behind `executable`.
    public static func child(_ arguments: [String]) -> Int32 {
        signal(SIGPIPE, SIG_IGN)
        // Results keep standard output; what a plugin prints goes elsewhere.
        let out = fcntl(1, F_DUPFD_CLOEXEC, 100)
        func problem(_ text: String) -> Int32 {
            let bytes = JSONValue(JSONObject([("problem", JSONValue(text))])).bytes(.compact) + [10]
            _ = write(out, bytes, bytes.count)
            return 4
        }
        do {
            guard let text = arguments.last else { return problem("a checking process needs its order") }
            let order = try CheckOrder(parsing: text)
            let profile = try order.readProfile()
            if let single = order.single {
                guard let check = (Check.all + [heapWorkout]).first(where: { $0.id == single }) else { return problem("there is no check \(single)") }
                _ = csystem_guard_install(out)
                let line = CheckProcess.outcome(of: check, Bench(order, try profile.about(order.component), order.component, single))
                _ = write(out, line, line.count)
                return 0
            }
            CheckProcess(order: order, profile: profile, out: out).run()
            return 0
        } catch let error as CheckProfileError {
            return problem("\(error)")
        } catch {
            return problem("\(error)")
        }
    }

    /// The profile that belongs to a library: keel-check.json in its folder or up to four above.
    public static func profile(beside file: String) -> String? {
        var folder = file.lastIndex(of: "/").map { String(file[..<$0]) } ?? "."
        for _ in 0..<5 {
            let candidate = (folder.isEmpty ? "" : folder) + "/keel-check.json"
            if access(candidate, R_OK) == 0 { return candidate }
            if folder == "." || folder.isEmpty { folder += folder.isEmpty ? "/.." : "/.." } else { folder += "/.." }
        }
        return nil
    }

    private static func order(_ options: Options, _ executable: [String]) throws -> CheckOrder {
        guard let file = realpath(options.file, nil) else { throw PluginCheckError.noFile(options.file, String(cString: strerror(errno))) }
        defer { free(file) }
        let path = String(cString: file)
        let wanted = try selected(include: options.include, exclude: options.exclude)
        let jobs = options.jobs ?? max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN))))
        return CheckOrder(
            file: path, profile: options.profile ?? profile(beside: path), seed: options.seed ?? UInt64.random(in: 1...999_999), checks: wanted, jobs: jobs,
            secondsLimit: options.limit, again: executable, single: nil, component: nil)
    }

    static func selected(include: [String], exclude: [String]) throws -> [String] {
        func matches(_ patterns: [String], _ check: Check) -> Bool {
            patterns.contains { fnmatch($0, check.id, 0) == 0 || fnmatch($0, check.name, 0) == 0 }
        }
        if include.isEmpty, exclude.isEmpty { return [] }
        let ids = Check.all.filter { (include.isEmpty || matches(include, $0)) && !matches(exclude, $0) }.map(\.id)
        if ids.isEmpty { throw PluginCheckError.nothingSelected }
        return ids
    }

    /// Starts a program and hands over its output line by line, until it ends.
    private static func lines(of command: [String], _ body: (String) -> Void) throws {
        var ends: [Int32] = [0, 0]
        guard csystem_pipe(&ends) == 0 else { throw PluginCheckError.notStarted(String(cString: strerror(errno))) }
        defer { close(ends[0]) }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, ends[1], 1)
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        var words: [UnsafeMutablePointer<CChar>?] = command.map { strdup($0) }
        words.append(nil)
        defer { for word in words { free(word) } }
        var process: pid_t = 0
        let result = posix_spawn(&process, command[0], &actions, nil, words, environ)
        close(ends[1])
        guard result == 0 else { throw PluginCheckError.notStarted(String(cString: strerror(result))) }
        var received: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = read(ends[0], &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            if count <= 0 { break }
            received.append(contentsOf: buffer[0..<count])
            while let end = received.firstIndex(of: 10) {
                body(String(decoding: received[..<end], as: UTF8.self))
                received.removeSubrange(...end)
            }
        }
        var status: Int32 = 0
        waitpid(process, &status, 0)
        if status & 0x7f != 0 { throw PluginCheckError.childDied("it was killed by \(signalName(status & 0x7f))") }
        let code = (status >> 8) & 0xff
        if code != 0, code != 4 { throw PluginCheckError.childDied("it ended with code \(code)") }
    }
}

public enum PluginCheckError: Error, CustomStringConvertible {
    case noProgram
    case noFile(String, String)
    case notAFile(String)
    case unknownCheck(String)
    case nothingSelected
    case notStarted(String)
    case childDied(String)
    case profile(String)

    public var description: String {
        switch self {
        case .noProgram: "no program was named to run the checks in"
        case .noFile(let file, let why): "\(file): \(why)"
        case .notAFile(let file): "\(file) is not a file"
        case .unknownCheck(let id): "there is no check \"\(id)\": keel plugin check --list shows them"
        case .nothingSelected: "no check matches: keel plugin check --list shows them"
        case .notStarted(let why): "the checking process did not start: \(why)"
        case .childDied(let how): "the checking process itself broke off: \(how)"
        case .profile(let what): "the check profile is not valid: \(what)"
        }
    }
}
