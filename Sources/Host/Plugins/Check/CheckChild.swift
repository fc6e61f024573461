import CSystem
import Glibc
import PluginKit

/// What a checking process is told by the process that started it.
struct CheckOrder: Sendable {
    var file: String
    var profile: String?
    var seed: UInt64
    /// Ids to run; empty: all.
    var checks: [String]
    var jobs: Int
    var secondsLimit: Double?
    /// How this program was started as a checking process, to start itself once more.
    var again: [String]
    /// Set: run this one check of this component here and now, and print its result.
    var single: String?
    var component: String?

    var json: JSONValue {
        var object = JSONObject([
            ("file", JSONValue(file)), ("seed", JSONValue(String(seed))), ("checks", JSONValue(checks.map { JSONValue($0) })),
            ("jobs", JSONValue(jobs)), ("again", JSONValue(again.map { JSONValue($0) })),
        ])
        if let profile { object["profile"] = JSONValue(profile) }
        if let secondsLimit { object["limit"] = JSONValue(secondsLimit) }
        if let single { object["single"] = JSONValue(single) }
        if let component { object["component"] = JSONValue(component) }
        return JSONValue(object)
    }
}

extension CheckOrder {
    init(parsing text: String) throws {
        let field = try JSONField(JSONValue(parsing: text))
        file = try field["file"].text
        guard let seed = UInt64(try field["seed"].text) else { throw CheckProfileError.unknownKey("seed", nil) }
        self.seed = seed
        checks = try field["checks"].list.map { try $0.text }
        jobs = try field["jobs"].int
        again = try field["again"].list.map { try $0.text }
        profile = try field["profile"].ifPresent?.text
        secondsLimit = try field["limit"].ifPresent?.double
        single = try field["single"].ifPresent?.text
        component = try field["component"].ifPresent?.text
    }

    func readProfile() throws -> CheckProfile {
        guard let profile else { return CheckProfile() }
        guard let bytes = readFile(profile) else { throw VenueError.didNotStart("\(profile) can't be read") }
        let folder = profile.lastIndex(of: "/").map { String(profile[..<$0]) } ?? "."
        return try CheckProfile(parsing: bytes, folder: folder)
    }
}

/// The checking process: it has one thread and never loads the plugin itself. Each check runs in a fork of it.
struct CheckProcess {
    let order: CheckOrder
    let profile: CheckProfile
    /// Where result lines go; standard output belongs to the plugin.
    let out: Int32

    private struct Running {
        var check: Check
        var component: String?
        var process: pid_t
        var pipe: Int32
        var output: Int32
        var received: [UInt8] = []
        var started: Int64
        var deadline: Int64
        var timedOut = false
        var ended = false
    }

    func say(_ value: JSONValue) {
        var bytes = value.bytes(.compact) + [10]
        while !bytes.isEmpty {
            let count = write(out, bytes, bytes.count)
            if count <= 0 { return }
            bytes.removeFirst(count)
        }
    }

    func run() {
        let wanted = Check.all.filter { order.checks.isEmpty || order.checks.contains($0.id) }
        var jobs: [(Check, String?)] = wanted.filter { $0.scope == .file }.map { ($0, nil) }
        let components = inspect()
        switch components {
        case .success(let components):
            for component in components {
                say(component)
                guard let id = component.find("id")?.asText else { continue }
                let refusal = refusal(of: id)
                let interfaces = Set((component.find("interfaces")?.asList ?? []).compactMap(\.asText))
                for check in wanted {
                    if let refusal, check.needsInstance {
                        if case .interface(let needed) = check.scope, !interfaces.contains(needed) { continue }
                        report(check, id, .skip, refusal, 0, "")
                        continue
                    }
                    switch check.scope {
                    case .file: continue
                    case .component: jobs.append((check, id))
                    case .interface(let needed):
                        if interfaces.contains(needed) { jobs.append((check, id)) }
                        // A role it doesn't have is not worth a line; an extension it could have is.
                        else if !roleInterfaces.contains(needed) { report(check, id, .skip, "the component does not list \(needed)", 0, "") }
                    }
                }
            }
        case .failure(let failure):
            // L04 says why; everything else could only say it again.
            for check in wanted where check.scope == .component && check.id != "L04" {
                report(check, nil, .skip, "the library can't be inspected: \(failure.words)", 0, "")
            }
            for check in wanted where check.id == "L04" { jobs.append((check, nil)) }
        }
        perform(jobs)
    }

    private func perform(_ jobs: [(Check, String?)]) {
        var waiting = jobs[...]
        var running: [Running] = []
        while !waiting.isEmpty || !running.isEmpty {
            while running.count < max(1, order.jobs), let (check, component) = waiting.popFirst() {
                if let skip = ((try? profile.about(component)) ?? profile).skips.first(where: { $0.check == check.id }) {
                    report(check, component, .skip, "the profile skips it: \(skip.reason)", 0, "")
                    continue
                }
                if let started = start(check, component) { running.append(started) }
            }
            var polled = running.map { pollfd(fd: $0.pipe, events: Int16(POLLIN), revents: 0) }
            let next = running.map(\.deadline).min() ?? 0
            let wait = Int32(max(1, min((next - CheckClock.monotonic()) / 1_000_000 + 1, 1000)))
            if polled.isEmpty { continue }
            _ = poll(&polled, nfds_t(polled.count), wait)
            for index in running.indices {
                if polled[index].revents != 0 {
                    var buffer = [UInt8](repeating: 0, count: 8192)
                    let count = read(running[index].pipe, &buffer, buffer.count)
                    if count > 0 { running[index].received.append(contentsOf: buffer[0..<count]) } else { running[index].ended = true }
                    // A result line is the end, even if something the plugin left behind keeps the pipe open.
                    if running[index].received.last == 10, running[index].received.first == UInt8(ascii: "=") { running[index].ended = true }
                }
                if !running[index].ended, CheckClock.monotonic() > running[index].deadline {
                    running[index].timedOut = true
                    running[index].ended = true
                }
            }
            for entry in running where entry.ended { finish(entry) }
            running.removeAll { $0.ended }
        }
    }

    private func start(_ check: Check, _ component: String?) -> Running? {
        var ends: [Int32] = [0, 0]
        guard csystem_pipe(&ends) == 0 else { return nil }
        let output = csystem_memory_file("output")
        let child = csystem_fork()
        if child == 0 {
            close(ends[0])
            CheckProcess.becomeChild(ends[1], output)
            let line = CheckProcess.outcome(of: check, Bench(order, (try? profile.about(component)) ?? profile, component, check.id))
            _ = write(ends[1], line, line.count)
            _exit(0)
        }
        close(ends[1])
        if child < 0 {
            close(ends[0])
            close(output)
            return nil
        }
        setpgid(child, child)
        let limit = order.secondsLimit ?? check.limit
        let now = CheckClock.monotonic()
        return Running(check: check, component: component, process: child, pipe: ends[0], output: output, started: now, deadline: now + Int64(limit * 1e9))
    }

    /// A process group of its own, standard streams of its own, a crash record, and gone when the checker goes.
    private static func becomeChild(_ record: Int32, _ output: Int32) {
        setpgid(0, 0)
        _ = csystem_die_with_parent(SIGKILL)
        let null = open("/dev/null", O_RDONLY)
        dup2(null, 0)
        dup2(output, 1)
        dup2(output, 2)
        csystem_unbuffer_output()
        var none = rlimit(rlim_cur: 0, rlim_max: 0)
        setrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &none)
        _ = csystem_guard_install(record)
    }

    /// "=pass\n", or the status and the message as a JSON text.
    static func outcome(of check: Check, _ bench: Bench) -> [UInt8] {
        let (status, message) = verdict(of: check, bench)
        return Array("=\(status.rawValue) \(JSONValue(message).text(.compact))\n".utf8)
    }

    static func verdict(of check: Check, _ bench: Bench) -> (CheckStatus, String) {
        do {
            try check.body(bench)
            return (.pass, "")
        } catch let verdict as Verdict {
            switch verdict {
            case .fail(let text): return (.fail, text)
            case .warn(let text): return (.warn, text)
            case .skip(let text): return (.skip, text)
            }
        } catch {
            return (.fail, "\(error)")
        }
    }

    private func finish(_ entry: Running) {
        // A plugin's own children go with it.
        kill(-entry.process, SIGKILL)
        kill(entry.process, entry.timedOut ? SIGKILL : 0)
        close(entry.pipe)
        var status: Int32 = 0
        waitpid(entry.process, &status, 0)
        let output = readOutput(entry.output)
        let took = Double(CheckClock.monotonic() - entry.started) / 1e6
        let lines = String(decoding: entry.received, as: UTF8.self).split(separator: "\n")
        if let line = lines.last(where: { $0.hasPrefix("=") }) {
            let words = line.dropFirst().split(separator: " ", maxSplits: 1)
            let status = words.first.flatMap { CheckStatus(rawValue: String($0)) } ?? .fail
            let message = words.count > 1 ? ((try? JSONValue(parsing: String(words[1])))?.asText ?? "") : ""
            return report(entry.check, entry.component, status, message, took, output)
        }
        if entry.timedOut {
            let limit = order.secondsLimit ?? entry.check.limit
            return report(entry.check, entry.component, .fail, "it did not end within \(limit) s", took, output)
        }
        report(entry.check, entry.component, .fail, CheckProcess.death(lines.map(String.init), status), took, output)
    }

    /// How a check's process ended when it ended without a result.
    static func death(_ lines: [String], _ status: Int32) -> String {
        if let line = lines.first(where: { $0.hasPrefix("!call ") }) {
            return "it made a system call it must not make here: \(line.split(separator: " ").last ?? "?")"
        }
        if let line = lines.first(where: { $0.hasPrefix("!crash ") }) {
            let words = line.split(separator: " ", maxSplits: 3).map(String.init)
            let signal = words.count > 1 ? signalName(Int32(words[1]) ?? 0) : "a signal"
            let place = words.count > 3 && words[3] != "-" ? ": it touched \(words[3]), which is no longer or never was its to touch" : ""
            return "it crashed with \(signal)" + (words.count > 2 && words[2] != "0x0" ? " at \(words[2])" : "") + place
        }
        let signal = status & 0x7f
        if signal == SIGSYS { return "it started a thread or a process where it must not" }
        if signal != 0 { return "it was killed by \(signalName(signal))" }
        return "it ended the process by itself, with code \((status >> 8) & 0xff)"
    }

    private func report(_ check: Check, _ component: String?, _ status: CheckStatus, _ message: String, _ took: Double, _ output: String) {
        var object = JSONObject([
            ("check", JSONValue(check.id)), ("status", JSONValue(status.rawValue)), ("message", JSONValue(message)),
            ("ms", JSONValue(took)), ("output", JSONValue(output)),
        ])
        if let component { object["component"] = JSONValue(component) }
        say(JSONValue(object))
    }

    private func readOutput(_ descriptor: Int32) -> String {
        defer { close(descriptor) }
        let end = lseek(descriptor, 0, SEEK_END)
        if end <= 0 { return "" }
        let start = max(0, end - 4096)
        var buffer = [UInt8](repeating: 0, count: Int(end - start))
        let count = pread(descriptor, &buffer, buffer.count, start)
        return count > 0 ? String(decoding: buffer[0..<count], as: UTF8.self) : ""
    }

    // MARK: inspection

    /// Why create doesn't take the profile's configuration, or nil. Said once instead of fifty times.
    private func refusal(of component: String) -> String? {
        do {
            try inFork("") {
                let bench = Bench(order, try profile.about(component), component, "probe")
                let result = try bench.instance().create(try bench.configText(unreachable: true))
                if !result.accepted { throw Verdict.skip(result.words) }
            }
            return nil
        } catch Verdict.skip(let words) {
            return "create refuses the profile's configuration: \(words); see G02 and G03, and \"config\" in keel-check.json"
        } catch {
            // A crash is for the checks to find.
            return nil
        }
    }

    private struct Failure: Error { var words: String }

    /// The components, read in a fork: a library that crashes while it is read harms nothing.
    private func inspect() -> Result<[JSONValue], Failure> {
        var ends: [Int32] = [0, 0]
        guard csystem_pipe(&ends) == 0 else { return .failure(Failure(words: "no pipe")) }
        let output = csystem_memory_file("output")
        defer { close(output) }
        let child = csystem_fork()
        if child == 0 {
            close(ends[0])
            CheckProcess.becomeChild(ends[1], output)
            var line: [UInt8] = []
            do {
                let first = try Subject.load(order.file, component: nil)
                let list = try Subject.components(of: first.library).map { pointer -> JSONValue in
                    let subject = try Subject.load(order.file, component: Subject.text(pointer.pointee.id))
                    return JSONValue(
                        JSONObject([
                            ("id", JSONValue(subject.id)), ("name", JSONValue(Subject.text(pointer.pointee.name) ?? "")),
                            ("version", JSONValue(Subject.text(pointer.pointee.version) ?? "")),
                            ("interfaces", JSONValue(subject.interfaces.map { JSONValue($0.id) })),
                        ]))
                }
                line = Array("=".utf8) + JSONValue(list).bytes(.compact) + [10]
            } catch Verdict.fail(let words) {
                line = Array("-\(words)\n".utf8)
            } catch {
                line = Array("-\(error)\n".utf8)
            }
            _ = write(ends[1], line, line.count)
            _exit(0)
        }
        close(ends[1])
        defer { close(ends[0]) }
        if child < 0 { return .failure(Failure(words: "no process")) }
        setpgid(child, child)
        var received: [UInt8] = []
        let deadline = CheckClock.monotonic() + 10_000_000_000
        var timedOut = false
        while received.last != 10 || received.first == UInt8(ascii: "!") {
            var polled = pollfd(fd: ends[0], events: Int16(POLLIN), revents: 0)
            let left = (deadline - CheckClock.monotonic()) / 1_000_000
            if left <= 0 || poll(&polled, 1, Int32(left)) <= 0 {
                timedOut = true
                break
            }
            var buffer = [UInt8](repeating: 0, count: 1 << 16)
            let count = read(ends[0], &buffer, buffer.count)
            if count <= 0 { break }
            received.append(contentsOf: buffer[0..<count])
        }
        kill(-child, SIGKILL)
        var status: Int32 = 0
        waitpid(child, &status, 0)
        if timedOut { return .failure(Failure(words: "reading its tables did not end within 10 s")) }
        if received.first == UInt8(ascii: "="), let list = (try? JSONValue(parsing: Array(received.dropFirst().dropLast())))?.asList { return .success(list) }
        let words = String(decoding: received, as: UTF8.self)
        if words.hasPrefix("-") { return .failure(Failure(words: String(words.dropFirst().dropLast()))) }
        return .failure(Failure(words: CheckProcess.death(words.split(separator: "\n").map(String.init), status)))
    }
}

let roleInterfaces: Set<String> = ["keel.feed/1", "keel.broker/1", "keel.decider/1", "keel.router/1"]

extension Bench {
    convenience init(_ order: CheckOrder, _ profile: CheckProfile, _ component: String?, _ check: String) {
        self.init(path: order.file, componentID: component, profile: profile, seed: order.seed, check: check)
        again = order.again
        self.order = order
    }
}
