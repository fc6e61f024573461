import CSystem
import Foundation
import Glibc
import HostLedger

/// Looks at everything around a host that can keep it from trading safely. Changes nothing.
public struct Doctor {
    public enum Verdict: String, Codable, Sendable { case ok, warning, problem }

    public struct Finding: Codable, Equatable, Sendable {
        public var subject: String
        public var verdict: Verdict
        public var text: String
        public var advice: String?

        public init(_ subject: String, _ verdict: Verdict, _ text: String, advice: String? = nil) {
            self.subject = subject
            self.verdict = verdict
            self.text = text
            self.advice = advice
        }
    }

    /// Less than this is a problem, less than four times this a warning.
    static let leastSpace: UInt64 = 256 << 20
    static let leastDescriptors: UInt64 = 1024
    /// A clock that may be off by more is useless to venues that check a request's time.
    static let mostClockError: Int64 = 1_000_000_000

    public let folder: RunFolder

    public init(_ folder: RunFolder) { self.folder = folder }

    /// What can be seen without plugins.
    public func examine() -> [Finding] { [space(), permissions(), ledger(), clock(), descriptors(), killSwitch(), host()] }

    func space() -> Finding {
        var path = folder.path
        while access(path, F_OK) != 0, path != "/", !path.isEmpty { path = (path as NSString).deletingLastPathComponent }
        var facts = statvfs()
        guard statvfs(path.isEmpty ? "." : path, &facts) == 0 else { return Finding("disk", .problem, "\(path): \(String(cString: strerror(errno)))") }
        let free = UInt64(facts.f_bavail) &* UInt64(facts.f_frsize)
        return Doctor.judge(free: free, files: UInt64(facts.f_favail), path: path)
    }

    static func judge(free: UInt64, files: UInt64, path: String) -> Finding {
        let text = "\(free >> 20) MiB free for \(path)"
        if free < leastSpace { return Finding("disk", .problem, text, advice: "free some: a full disk halts entries") }
        if files < 1_000, files > 0 { return Finding("disk", .problem, "\(files) files left on \(path)", advice: "remove files: the disk's file table is nearly full") }
        return Finding("disk", free < leastSpace * 4 ? .warning : .ok, text)
    }

    func permissions() -> Finding {
        var facts = stat()
        guard lstat(folder.path, &facts) == 0 else {
            return errno == ENOENT
                ? Finding("state", .ok, "\(folder.path) does not exist yet: keel run makes it")
                : Finding("state", .problem, "\(folder.path): \(String(cString: strerror(errno)))")
        }
        if facts.st_mode & S_IFMT != S_IFDIR { return Finding("state", .problem, "\(folder.path) is not a folder") }
        if facts.st_uid != geteuid() {
            return Finding("state", .problem, "\(folder.path) belongs to user \(facts.st_uid)", advice: "run keel as that user, or chown the folder")
        }
        if facts.st_mode & 0o077 != 0 {
            return Finding("state", .warning, "others may look into \(folder.path)", advice: "chmod 700 \(folder.path) (keel run does it)")
        }
        if access(folder.path, W_OK) != 0 { return Finding("state", .problem, "\(folder.path) can't be written", advice: "is its file system mounted read-only?") }
        return Finding("state", .ok, "\(folder.path) is yours alone")
    }

    func ledger() -> Finding {
        guard access(folder.ledger, F_OK) == 0 else { return Finding("ledger", .ok, "none yet") }
        do throws(LedgerRefusal) {
            let findings = try LedgerCheck.findings(path: folder.ledger)
            if findings.isEmpty { return Finding("ledger", .ok, "\(folder.ledger) is whole") }
            return Finding(
                "ledger", .problem, "\(folder.ledger): \(findings.prefix(3).joined(separator: "; "))", advice: "keep a copy and restore a backup: don't trade on it")
        } catch {
            return Finding("ledger", .problem, error.description)
        }
    }

    func clock() -> Finding {
        var most: Int64 = 0
        return Doctor.judge(clock: csystem_clock_state(&most), error: most)
    }

    static func judge(clock state: Int32, error: Int64) -> Finding {
        switch state {
        case 1 where error <= mostClockError: return Finding("clock", .ok, "synchronised, at most \(error / 1_000_000) ms off")
        case 1: return Finding("clock", .warning, "synchronised, but it may be \(error / 1_000_000) ms off", advice: "let the time service settle, or use a nearer server")
        case 0: return Finding("clock", .warning, "the kernel says it is not synchronised", advice: "run a time service (systemd-timesyncd, chrony): venues refuse requests from wrong clocks")
        default: return Finding("clock", .warning, "its state can't be read here (a container?)", advice: "check the time service of the machine")
        }
    }

    func descriptors() -> Finding {
        var limits = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limits)
        let most = UInt64(limits.rlim_cur)
        return Finding("open files", most < Doctor.leastDescriptors ? .warning : .ok, "\(most) allowed", advice: most < Doctor.leastDescriptors ? "ulimit -n 4096" : nil)
    }

    func killSwitch() -> Finding {
        let killSwitch = KillSwitch(folder: folder)
        guard killSwitch.isOn else { return Finding("kill switch", .ok, "off") }
        return Finding("kill switch", .warning, "ON\(killSwitch.reason.isEmpty ? "" : ": " + killSwitch.reason)", advice: "keel kill off, once the reason is gone")
    }

    func host() -> Finding {
        do throws(RunError) {
            let reply = try ControlClient.ask(ControlRequest(.status), folder: folder, milliseconds: 3_000)
            guard let report = try? JSONDecoder().decode(HostStatusReport.self, from: reply.body) else { return Finding("host", .warning, "runs, but is another version of keel") }
            if let failure = report.ledgerFailure { return Finding("host", .problem, failure) }
            let differing = report.instances.filter { $0.agrees == false }.map { "\($0.name): \($0.differences.joined(separator: ", "))" }
            if !differing.isEmpty { return Finding("host", .problem, "ledger and venue differ: \(differing.joined(separator: "; "))") }
            let down = report.instances.filter { $0.link == "down" || $0.isQuarantined }.map(\.name)
            if !down.isEmpty { return Finding("host", .warning, "down: \(down.joined(separator: ", "))") }
            return Finding("host", .ok, "run \(report.run), pid \(report.pid), \(report.isOpen ? "open" : "closed") for entries")
        } catch {
            if case .notRunning = error { return Finding("host", .ok, "none runs") }
            return Finding("host", .warning, error.description)
        }
    }

    /// Endpoints a plugin named in its own description: can they be reached at all?
    public static func probe(_ address: String, of plugin: String, milliseconds: Int32 = 3_000) -> Finding {
        guard let url = URLComponents(string: address), let name = url.host, !name.isEmpty else {
            return Finding("endpoint", .warning, "\(plugin): \"\(address)\" is not an address")
        }
        let port = url.port ?? (["https", "wss"].contains(url.scheme ?? "") ? 443 : 80)
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        let failure = getaddrinfo(name, "\(port)", &hints, &list)
        guard failure == 0 else { return Finding("endpoint", .problem, "\(plugin): \(name): \(String(cString: gai_strerror(failure)))", advice: "check the network and its name server") }
        defer { freeaddrinfo(list) }
        var last = "no address"
        var next = list
        while let info = next {
            next = info.pointee.ai_next
            let fd = socket(info.pointee.ai_family, info.pointee.ai_socktype | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue), info.pointee.ai_protocol)
            guard fd >= 0 else { continue }
            defer { close(fd) }
            if connect(fd, info.pointee.ai_addr, info.pointee.ai_addrlen) != 0, errno != EINPROGRESS {
                last = String(cString: strerror(errno))
                continue
            }
            var interest = pollfd(fd: fd, events: Int16(POLLOUT), revents: 0)
            guard poll(&interest, 1, milliseconds) == 1 else {
                last = "no answer within \(milliseconds) ms"
                continue
            }
            var code: Int32 = 0
            var length = socklen_t(4)
            getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &length)
            if code == 0 { return Finding("endpoint", .ok, "\(plugin): \(name):\(port) answers") }
            last = String(cString: strerror(code))
        }
        return Finding("endpoint", .problem, "\(plugin): \(name):\(port): \(last)", advice: "check the network, a proxy or the venue's status page")
    }
}
