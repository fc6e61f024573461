import CSystem
import Foundation
import Glibc

/// Unix stream sockets by folder and name. The folder is opened first and reached through /proc, because a socket's
/// own path may have 107 bytes and a state folder's path more.
enum LocalSocket {
    static func listen(folder: String, name: String) throws(RunError) -> Int32 {
        let fd = try make()
        do throws(RunError) {
            try withAddress(folder: folder, name: name) { address, length, path throws(RunError) in
                // Only ever called under the state folder's lock: what is there is a dead host's.
                unlink(path)
                guard bind(fd, address, length) == 0 else { throw .system(call: "bind", what: "\(folder)/\(name)", code: errno) }
                chmod(path, 0o600)
            }
            guard Glibc.listen(fd, 16) == 0 else { throw .system(call: "listen", what: "\(folder)/\(name)", code: errno) }
        } catch {
            close(fd)
            throw error
        }
        return fd
    }

    /// nil: nobody listens.
    static func connect(folder: String, name: String) throws(RunError) -> Int32? {
        let fd = try make()
        var connected = false
        do throws(RunError) {
            try withAddress(folder: folder, name: name) { address, length, _ throws(RunError) in
                connected = Glibc.connect(fd, address, length) == 0
                guard connected || errno == ENOENT || errno == ECONNREFUSED || errno == ENOTDIR else {
                    throw .system(call: "connect", what: "\(folder)/\(name)", code: errno)
                }
            }
        } catch {
            close(fd)
            if case .system("open", _, ENOENT) = error { return nil }
            throw error
        }
        if connected { return fd }
        close(fd)
        return nil
    }

    private static func make() throws(RunError) -> Int32 {
        let fd = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard fd >= 0 else { throw .system(call: "socket", what: "control socket", code: errno) }
        return fd
    }

    private static func withAddress(
        folder: String, name: String,
        _ body: (UnsafePointer<sockaddr>, socklen_t, String) throws(RunError) -> Void
    ) throws(RunError) {
        let directory = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard directory >= 0 else { throw .system(call: "open", what: folder, code: errno) }
        defer { close(directory) }
        let path = "/proc/self/fd/\(directory)/\(name)"
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        guard bytes.count < MemoryLayout.size(ofValue: address.sun_path) else {
            throw .folder(path: folder, problem: "the control socket's name is too long")
        }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        let length = socklen_t(MemoryLayout<sockaddr_un>.size)
        var failure: RunError?
        withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { general in
                do throws(RunError) { try body(general, length, path) } catch { failure = error }
            }
        }
        if let failure { throw failure }
    }

    /// Reads one line, without its newline. nil: the peer closed first, sent more than `limit` bytes or took too long.
    static func readLine(_ fd: Int32, limit: Int = 1 << 22, milliseconds: Int32) -> Data? {
        var line = Data()
        var chunk = [UInt8](repeating: 0, count: 4096)
        let end = HostClock.monotonic() + Int64(milliseconds) * 1_000_000
        while line.count <= limit {
            let left = (end - HostClock.monotonic()) / 1_000_000
            guard left > 0 else { return nil }
            var interest = pollfd(fd: fd, events: Int16(POLLIN), revents: 0)
            let ready = poll(&interest, 1, Int32(min(left, 60_000)))
            if ready < 0, errno != EINTR { return nil }
            guard ready > 0 else { continue }
            let count = read(fd, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return nil }
            if let newline = chunk[..<count].firstIndex(of: 10) {
                line.append(contentsOf: chunk[..<newline])
                return line
            }
            line.append(contentsOf: chunk[..<count])
        }
        return nil
    }

    /// False: the peer is gone.
    @discardableResult
    static func writeLine(_ fd: Int32, _ line: Data) -> Bool {
        var bytes = [UInt8](line)
        bytes.append(10)
        var written = 0
        return bytes.withUnsafeBytes { buffer in
            while written < buffer.count, let base = buffer.baseAddress {
                let count = send(fd, base + written, buffer.count - written, Int32(MSG_NOSIGNAL))
                if count < 0 {
                    if errno == EINTR { continue }
                    return false
                }
                written += count
            }
            return true
        }
    }
}
