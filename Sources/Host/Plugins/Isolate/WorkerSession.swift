import CSystem
import Glibc
import PluginAPI

/// One worker process as the host holds it: the child, the socket, its output. Used on one thread.
final class WorkerSession {
    let child: ChildProcess
    let socket: PacketSocket
    /// What it prints: descriptor, log level, the line not ended yet.
    private(set) var output: [(fd: Int32, level: UInt32, line: [UInt8])]
    private let buffer: UnsafeMutableRawBufferPointer
    private var assembler = FrameAssembler(fromWorker: true)
    private(set) var lastSerial: UInt64 = 0
    /// Instruments it was told about.
    var told: Set<keel_instrument_id> = []

    private init(child: ChildProcess, socket: PacketSocket, output: [Int32]) {
        self.child = child
        self.socket = socket
        self.output = zip(output, [KEEL_LOG_INFO, KEEL_LOG_WARN]).map { ($0, $1, []) }
        buffer = .allocate(byteCount: PacketSocket.bufferSize, alignment: 16)
    }

    deinit {
        for stream in output { close(stream.fd) }
        buffer.deallocate()
    }

    static func start(_ settings: IsolationSettings, library: String, component: String) -> Result<WorkerSession, SystemError> {
        var ends: [Int32] = [-1, -1]
        let failure = csystem_packet_pair(&ends)
        if failure != 0 { return .failure(SystemError(code: failure)) }
        let host = PacketSocket(ends[0])
        let worker = PacketSocket(ends[1])
        var outEnds: [Int32] = [-1, -1]
        var errorEnds: [Int32] = [-1, -1]
        let noOut = csystem_pipe(&outEnds)
        if noOut != 0 { return .failure(SystemError(code: noOut)) }
        let noError = csystem_pipe(&errorEnds)
        if noError != 0 {
            for fd in outEnds { close(fd) }
            return .failure(SystemError(code: noError))
        }
        let null = Glibc.open("/dev/null", O_RDONLY | O_CLOEXEC)
        defer { for fd in [null, outEnds[1], errorEnds[1]] { close(fd) } }
        // A wait for an answer ends now and then to look at the clock.
        var pause = timeval(tv_sec: 0, tv_usec: 10_000)
        setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &pause, socklen_t(MemoryLayout<timeval>.size))
        for fd in [outEnds[0], errorEnds[0]] { _ = csystem_set_nonblocking(fd, 1) }
        var limits = csystem_worker_limits(memory: 0, files: settings.openFiles)
        if let memory = settings.memoryLimit {
            // Behind the host's own watch, for a leak too fast to be seen in time.
            limits.memory = memory.addingReportingOverflow(memory / 4).partialValue
        }
        // Behind the host's limit: the host ends a call it waits for, the worker names what hangs when nobody waits.
        let ownLimit = settings.callLimit + settings.callLimit / 4 + 100_000_000
        let started = ChildProcess.start(
            settings.program, ["keel", "worker", "--serve", "3", "--library", library, "--component", component, "--limit", "\(ownLimit)"],
            descriptors: [null, outEnds[1], errorEnds[1], worker.fd], limits: limits)
        switch started {
        case .success(let child): return .success(WorkerSession(child: child, socket: host, output: [outEnds[0], errorEnds[0]]))
        case .failure(let error):
            for fd in [outEnds[0], errorEnds[0]] { close(fd) }
            return .failure(error)
        }
    }

    func nextSerial() -> UInt64 {
        lastSerial &+= 1
        return lastSerial
    }

    enum Received {
        case message(FrameHeader, UnsafeRawBufferPointer)
        case assembled(FrameHeader, [UInt8])
        case part
        case nothing
        case closed
        case fault(FrameFault)
    }

    /// The next packet. `wait`: up to the socket's pause. A message in place is valid until the next call.
    func receive(wait: Bool) -> Received {
        let got = csystem_packet_receive(socket.fd, buffer.baseAddress, UInt64(buffer.count), wait ? 1 : 0)
        switch got {
        case 1...:
            do throws(FrameFault) {
                switch try assembler.accept(UnsafeRawBufferPointer(rebasing: buffer[..<Int(got)])) {
                case .partial: return .part
                case .inPlace(let head, let payload): return .message(head, payload)
                case .assembled(let head, let bytes): return .assembled(head, bytes)
                }
            } catch {
                return .fault(error)
            }
        case -Int64(EAGAIN), -Int64(EINTR): return .nothing
        case -Int64(EMSGSIZE): return .fault(.length(says: UInt32.max, has: buffer.count))
        default: return .closed
        }
    }

    /// Whole lines that the worker printed; `ended` also gives the rest that has no end.
    func takeOutput(ended: Bool, _ line: (UInt32, [UInt8]) -> Void) {
        for index in output.indices {
            var chunk = [UInt8](repeating: 0, count: 4096)
            var taken = 0
            // A worker that prints without end must not hold the lane.
            while taken < 1 << 20 {
                let got = read(output[index].fd, &chunk, chunk.count)
                if got < 0, errno == EINTR { continue }
                if got <= 0 { break }
                taken += got
                output[index].line += chunk[..<got]
                var rest = output[index].line[...]
                while let end = rest.firstIndex(of: 10) {
                    line(output[index].level, Array(rest[..<end]))
                    rest = rest[(end + 1)...]
                }
                while rest.count >= InstanceHost.longestLine {
                    line(output[index].level, Array(rest.prefix(InstanceHost.longestLine)))
                    rest = rest.dropFirst(InstanceHost.longestLine)
                }
                output[index].line = Array(rest)
            }
            if ended, !output[index].line.isEmpty {
                line(output[index].level, output[index].line)
                output[index].line = []
            }
        }
    }
}
