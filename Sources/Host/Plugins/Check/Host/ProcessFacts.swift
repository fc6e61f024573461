import CSystem
import Glibc

/// What the kernel says about this process: threads, open descriptors, printed bytes, memory.
struct ProcessFacts {
    var threads: Int
    var descriptors: Set<Int32>
    var printed: Int
    var heap: Int
    /// Resident pages, in bytes.
    var resident: Int

    static func now() -> ProcessFacts {
        let descriptors = Set(folderEntries("/proc/self/fd").compactMap { Int32($0) }.filter { fcntl($0, F_GETFD) >= 0 })
        let printed = max(0, lseek(1, 0, SEEK_END)) + 0
        return ProcessFacts(
            threads: folderEntries("/proc/self/task").count, descriptors: descriptors, printed: Int(printed), heap: csystem_heap_in_use(), resident: resident())
    }

    func newDescriptors(since before: ProcessFacts) -> String {
        descriptors.subtracting(before.descriptors).sorted().map { descriptor in
            var buffer = [CChar](repeating: 0, count: 512)
            let count = readlink("/proc/self/fd/\(descriptor)", &buffer, buffer.count - 1)
            let what = count > 0 ? String(decoding: buffer[0..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self) : "?"
            return "descriptor \(descriptor) (\(what))"
        }.joined(separator: ", ")
    }

    private static func resident() -> Int {
        guard let bytes = readFile("/proc/self/statm") else { return 0 }
        let words = String(decoding: bytes, as: UTF8.self).split(separator: " ")
        return words.count > 1 ? (Int(words[1]) ?? 0) * Lender.page : 0
    }
}

/// Names in a folder, without the dots.
func folderEntries(_ path: String) -> [String] {
    guard let folder = opendir(path) else { return [] }
    defer { closedir(folder) }
    var names: [String] = []
    while let entry = readdir(folder) {
        let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
            pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
        }
        if name != ".", name != ".." { names.append(name) }
    }
    return names
}

func temporaryFolder() throws -> String {
    var template = Array((environment("TMPDIR") ?? "/tmp").utf8CString.dropLast()) + Array("/keel-check-XXXXXX".utf8CString)
    guard let made = mkdtemp(&template) else { throw Verdict.fail("no temporary folder: \(String(cString: strerror(errno)))") }
    return String(cString: made)
}

/// Removes a folder of plain files.
func removeFolder(_ path: String) {
    for name in folderEntries(path) { unlink(path + "/" + name) }
    rmdir(path)
}

func copyFile(_ from: String, _ to: String) -> Bool {
    guard let bytes = readFile(from) else { return false }
    let descriptor = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o700)
    if descriptor < 0 { return false }
    defer { close(descriptor) }
    var at = 0
    while at < bytes.count {
        let count = bytes.withUnsafeBytes { raw in raw.baseAddress.map { write(descriptor, $0 + at, bytes.count - at) } ?? -1 }
        if count <= 0 { return false }
        at += count
    }
    return true
}

private func environment(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }

/// Runs `body` in a fork of its own; what it throws, it throws here. Crashes become failures.
func inFork(_ where_: String, limit: Double = 8, _ body: () throws -> Void) throws {
    _ = try valueFromFork(where_, limit: limit) { () -> Int64 in
        try body()
        return 0
    }
}

/// The least of up to five measurements, each in a fork of this process; stops at the first below `limit`.
func leastTime(below limit: Int64, _ measure: () throws -> Int64) throws -> Int64 {
    var least = Int64.max
    for _ in 0..<5 where least >= limit { least = min(least, try valueFromFork("", limit: 8, measure)) }
    return least
}

/// Like `inFork`, for a body that has a number to give back.
func valueFromFork(_ where_: String = "", limit: Double = 8, _ body: () throws -> Int64) throws -> Int64 {
    var ends: [Int32] = [0, 0]
    guard csystem_pipe(&ends) == 0 else { throw Verdict.fail("no pipe") }
    let child = csystem_fork()
    if child == 0 {
        close(ends[0])
        _ = csystem_die_with_parent(SIGKILL)
        _ = csystem_guard_install(ends[1])
        var line: String
        do {
            line = "=\(try body())\n"
        } catch Verdict.fail(let words) {
            line = "-\(words.replacing("\n", with: " "))\n"
        } catch Verdict.skip(let words) {
            line = "~\(words.replacing("\n", with: " "))\n"
        } catch {
            line = "-\(error)\n"
        }
        let bytes = Array(line.utf8)
        _ = write(ends[1], bytes, bytes.count)
        _exit(0)
    }
    close(ends[1])
    defer { close(ends[0]) }
    var received: [UInt8] = []
    let deadline = CheckClock.monotonic() + Int64(limit * 1e9)
    var timedOut = false
    while !(received.last == 10 && received.first != UInt8(ascii: "!")) {
        var polled = pollfd(fd: ends[0], events: Int16(POLLIN), revents: 0)
        let left = (deadline - CheckClock.monotonic()) / 1_000_000
        if left <= 0 || poll(&polled, 1, Int32(left)) <= 0 {
            timedOut = true
            break
        }
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = read(ends[0], &buffer, buffer.count)
        if count <= 0 { break }
        received.append(contentsOf: buffer[0..<count])
    }
    kill(child, SIGKILL)
    var status: Int32 = 0
    waitpid(child, &status, 0)
    let place = where_.isEmpty ? "" : "\(where_): "
    if timedOut { throw Verdict.fail("\(place)it did not end within \(limit) s") }
    let lines = String(decoding: received, as: UTF8.self).split(separator: "\n").map(String.init)
    if let line = lines.last, line.hasPrefix("="), let value = Int64(line.dropFirst()) { return value }
    if let line = lines.last, line.hasPrefix("~") { throw Verdict.skip(String(line.dropFirst())) }
    if let line = lines.last, line.hasPrefix("-") { throw Verdict.fail(place + line.dropFirst()) }
    throw Verdict.fail(place + CheckProcess.death(lines, status))
}
