import CSystem
import Glibc
import PluginKit

/// Looks at a library in a child process: whatever its code does there can't hurt the host.
public struct Inspector: Sendable {
    /// The keel program, or another that hands its arguments to `Worker.main`.
    public let program: String
    /// Seconds for all of it: start, load, entry, descriptors.
    public let limit: Double

    public init(program: String, limit: Double = 5) {
        self.program = program
        self.limit = limit
    }

    /// `library`: the copy in the cache. `shown`: the user's path, for messages.
    func inspect(_ library: String, shown: String) throws(LoadError) -> InspectionReport.Found {
        var ends: [Int32] = [-1, -1]
        let failure = csystem_pipe(&ends)
        guard failure == 0 else { throw .inspector(path: shown, reason: String(cString: strerror(failure))) }
        defer { close(ends[0]) }
        let null = Glibc.open("/dev/null", O_RDWR | O_CLOEXEC)
        let child = ChildProcess.start(
            program, ["keel", "worker", "--inspect", library, "--report", "3"], descriptors: [null, null, null, ends[1]],
            limits: csystem_worker_limits(memory: 4 << 30, files: 256))
        close(ends[1])
        close(null)
        let running: ChildProcess
        switch child {
        case .success(let started): running = started
        case .failure(let error): throw .inspector(path: shown, reason: "\(program) can't be started: \(String(cString: strerror(error.code)))")
        }
        let (bytes, inTime) = Self.readAll(ends[0], until: Monotonic.now() + Int64(limit * 1e9))
        if !inTime { running.kill() }
        // A plugin's own child may hold the pipe open or shut it early; the end of our child is what counts.
        let end = running.end(within: inTime ? 1_000_000_000 : nil) ?? running.killAndEnd()
        return try Self.judge(bytes, end, inTime: inTime, shown: shown, limit: limit)
    }

    static func judge(
        _ bytes: [UInt8], _ end: ChildEnd, inTime: Bool, shown: String, limit: Double
    ) throws(LoadError) -> InspectionReport.Found {
        var stage = InspectionStage.starting
        var rest = bytes[...]
        var reported = false
        loop: while let letter = rest.popFirst() {
            switch letter {
            case InspectionReport.loading: stage = .loading
            case InspectionReport.entry: stage = .entry
            case InspectionReport.describing: stage = .describing
            case InspectionReport.result: reported = true; break loop
            default: break loop
            }
        }
        if reported, end == .exited(0) { return try InspectionReport.decode(Array(rest), path: shown).get() }
        // What happens before the library is touched, or comes from outside, is not its doing and is not held against it.
        if stage == .starting { throw .inspector(path: shown, reason: "the inspector did not begin (\(inTime ? "\(end)" : "no answer in \(limit) s"))") }
        if !inTime { throw .hung(path: shown, stage: stage, seconds: limit) }
        switch end {
        case .signalled(SIGKILL): throw .inspector(path: shown, reason: "the inspector was killed from outside; is the memory used up?")
        case .signalled(let signal): throw .crashed(path: shown, stage: stage, how: signalName(signal))
        case .exited(let code): throw .endedEarly(path: shown, stage: stage, code: code)
        }
    }

    private static func readAll(_ fd: Int32, until end: Int64) -> (bytes: [UInt8], inTime: Bool) {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            let left = end - Monotonic.now()
            guard left > 0 else { return (bytes, false) }
            guard csystem_wait_ready(fd, 1, left) > 0 else { continue }
            let got = read(fd, &buffer, buffer.count)
            if got < 0, errno == EINTR { continue }
            if got <= 0 { return (bytes, true) }
            guard bytes.count + got <= InspectionReport.largest else { return (bytes, true) }
            bytes += buffer[..<got]
        }
    }
}

