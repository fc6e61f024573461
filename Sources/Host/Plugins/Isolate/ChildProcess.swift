import CSystem
import Glibc

/// How a child ended.
public enum ChildEnd: Hashable, Sendable, CustomStringConvertible {
    case exited(Int32)
    case signalled(Int32)

    public var description: String {
        switch self {
        case .exited(let code): "exit code \(code)"
        case .signalled(let signal): signalName(signal)
        }
    }
}

func signalName(_ signal: Int32) -> String {
    switch signal {
    case SIGSEGV: "SIGSEGV, a bad address"
    case SIGBUS: "SIGBUS, a bad address"
    case SIGILL: "SIGILL, a trap"
    case SIGTRAP: "SIGTRAP, a trap"
    case SIGABRT: "SIGABRT, it gave up"
    case SIGFPE: "SIGFPE, bad arithmetic"
    case SIGKILL: "SIGKILL"
    case SIGTERM: "SIGTERM"
    case SIGPIPE: "SIGPIPE"
    case SIGSYS: "SIGSYS, a forbidden system call"
    case SIGXCPU: "SIGXCPU, too much processor time"
    default: "signal \(signal)"
    }
}

struct SystemError: Error, Hashable {
    let code: Int32
}

/// A child that dies with the thread that started it, held by a descriptor: its number is never used to signal it.
final class ChildProcess: Sendable {
    private let pidfd: Int32
    /// For messages and /proc while it isn't reaped.
    let pid: Int32

    private init(pidfd: Int32, pid: Int32) {
        self.pidfd = pidfd
        self.pid = pid
    }

    deinit { close(pidfd) }

    /// Readable once the child has ended.
    var descriptor: Int32 { pidfd }

    static func start(
        _ program: String, _ arguments: [String], descriptors: [Int32], limits: csystem_worker_limits
    ) -> Result<ChildProcess, SystemError> {
        var pidfd: Int32 = -1
        var pid: Int32 = -1
        let argv = CStrings(arguments)
        let envp = CStrings(childEnvironment())
        let failure = csystem_worker_start(program, argv.list, envp.list, descriptors, Int32(descriptors.count), limits, &pidfd, &pid)
        withExtendedLifetime((argv, envp)) {}
        return failure == 0 ? .success(ChildProcess(pidfd: pidfd, pid: pid)) : .failure(SystemError(code: failure))
    }

    func kill() { _ = csystem_worker_kill(pidfd, SIGKILL) }

    /// nil: it still runs after `limit` nanoseconds (nil: wait for ever). Reaps it: the second caller gets nil.
    func end(within limit: Int64?) -> ChildEnd? { reap(within: limit)?.end }

    func reap(within limit: Int64?) -> (end: ChildEnd, peakMemory: UInt64)? {
        if let limit {
            let until = Monotonic.now() + limit
            while csystem_wait_ready(pidfd, 1, until - Monotonic.now()) <= 0 {
                if Monotonic.now() >= until { return nil }
            }
        }
        var end = csystem_worker_end()
        guard csystem_worker_reap(pidfd, 1, &end) == 1 else { return nil }
        return (end.signal == 0 ? .exited(end.code) : .signalled(end.signal), end.peak_memory)
    }

    func killAndEnd() -> ChildEnd {
        kill()
        return end(within: nil) ?? .signalled(SIGKILL)
    }

    /// Bytes of memory it holds now; nil if it ended.
    func memoryInUse() -> UInt64? {
        let fd = Glibc.open("/proc/\(pid)/statm", O_RDONLY | O_CLOEXEC)
        guard fd >= 0 else { return nil }
        defer { close(fd) }
        var buffer = [UInt8](repeating: 0, count: 256)
        let got = read(fd, &buffer, buffer.count)
        guard got > 0 else { return nil }
        let fields = String(decoding: buffer[..<got], as: UTF8.self).split(separator: " ")
        guard fields.count > 1, let pages = UInt64(fields[1]) else { return nil }
        return pages &* UInt64(sysconf(Int32(_SC_PAGESIZE)))
    }
}

/// What a child sees of the environment: nothing that could be a secret, everything a library needs to find its way.
func childEnvironment() -> [String] {
    let kept: Set<String> = [
        "PATH", "HOME", "USER", "LANG", "LANGUAGE", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR",
        "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY",
    ]
    // A backtrace takes seconds that a crashed broker does not have.
    var result = ["SWIFT_BACKTRACE=enable=no"]
    var place = environ
    while let entry = place.pointee {
        let text = String(cString: entry)
        if let name = text.split(separator: "=", maxSplits: 1).first.map(String.init), kept.contains(name) || name.hasPrefix("LC_") {
            result.append(text)
        }
        place += 1
    }
    return result
}

/// A NULL-terminated list of C strings.
final class CStrings {
    let list: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>
    private let count: Int

    init(_ texts: [String]) {
        count = texts.count
        list = .allocate(capacity: texts.count + 1)
        for (index, text) in texts.enumerated() { (list + index).initialize(to: strdup(text)) }
        (list + texts.count).initialize(to: nil)
    }

    deinit {
        for index in 0..<count { free(list[index]) }
        list.deallocate()
    }
}
