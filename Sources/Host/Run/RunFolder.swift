import CSystem
import Foundation
import Glibc
import HostLedger

/// The folder a host keeps everything in. One host at a time; nobody else may look inside.
public struct RunFolder: Equatable, Sendable {
    public let path: String

    public init(_ path: String) { self.path = path }

    public var ledger: String { path + "/" + Ledger.name }
    public var journals: String { path + "/journal" }
    public func journal(run: UInt32) -> String { journals + "/\(run).journal" }
    /// Runs with a journal, in order.
    public func recordedRuns() -> [UInt32] {
        ((try? FileManager.default.contentsOfDirectory(atPath: journals)) ?? [])
            .compactMap { $0.hasSuffix(".journal") ? UInt32($0.dropLast(8)) : nil }.sorted()
    }

    /// Removes the journals that were last written before `time`; the running one and the two before it always stay. Gives what went.
    func removeJournals(olderThan time: Int64, running: UInt32) -> [UInt32] {
        var gone: [UInt32] = []
        for run in recordedRuns().filter({ $0 < running }).dropLast(2) {
            var facts = stat()
            guard lstat(journal(run: run), &facts) == 0 else { continue }
            let written = Int64(facts.st_mtim.tv_sec) * 1_000_000_000 + Int64(facts.st_mtim.tv_nsec)
            if written < time, unlink(journal(run: run)) == 0 { gone.append(run) }
        }
        return gone
    }

    public var cache: String { path + "/cache" }
    public var socketName: String { "control.sock" }
    /// Exists: no entries. Anyone who may write the folder can make it, with or without a host.
    public var killSwitch: String { path + "/KILL" }
    /// What a restart hands to the program it becomes.
    public var resume: String { path + "/resume.json" }
    /// The same while the successor is opening.
    public var resuming: String { path + "/resuming.json" }
    /// The manifest and libraries that traded last.
    public var lastGood: String { path + "/last-good.json" }
    public var lastRestart: String { path + "/restart.json" }

    /// Where an instance's own state waits for its successor.
    public func saved(instance: String, version: UInt32) -> String { path + "/saved/\(instance).\(version)" }
    public var savedFolder: String { path + "/saved" }

    /// Makes what is missing, for this user only, and refuses what others could change.
    public func prepare() throws(RunError) {
        try RunFolder.makePrivate(path)
        for inner in [journals, cache, savedFolder] { try RunFolder.makePrivate(inner) }
    }

    private static func makePrivate(_ path: String) throws(RunError) {
        var parents: [String] = []
        var parent = (path as NSString).deletingLastPathComponent
        while !parent.isEmpty, parent != "/", access(parent, F_OK) != 0 {
            parents.append(parent)
            parent = (parent as NSString).deletingLastPathComponent
        }
        for folder in parents.reversed() where mkdir(folder, 0o755) != 0 && errno != EEXIST {
            throw .system(call: "mkdir", what: folder, code: errno)
        }
        if mkdir(path, 0o700) != 0, errno != EEXIST { throw .system(call: "mkdir", what: path, code: errno) }
        var facts = stat()
        guard lstat(path, &facts) == 0 else { throw .system(call: "lstat", what: path, code: errno) }
        guard facts.st_mode & S_IFMT == S_IFDIR else { throw .folder(path: path, problem: "is not a folder") }
        guard facts.st_uid == geteuid() else {
            throw .folder(path: path, problem: "belongs to another user: run as that user, or choose another \"state\" folder")
        }
        if facts.st_mode & 0o077 != 0, chmod(path, 0o700) != 0 { throw .system(call: "chmod", what: path, code: errno) }
    }

    /// Replaces a file so that a crash leaves the old one or the new one, never half of either.
    public static func replace(_ path: String, with bytes: Data) throws(RunError) {
        let fresh = path + ".new"
        let fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard fd >= 0 else { throw .system(call: "open", what: fresh, code: errno) }
        var failure: Int32 = 0
        bytes.withUnsafeBytes { buffer in
            var written = 0
            while written < buffer.count, let base = buffer.baseAddress {
                let count = write(fd, base + written, buffer.count - written)
                if count < 0 {
                    if errno == EINTR { continue }
                    failure = errno
                    return
                }
                written += count
            }
            if fsync(fd) != 0 { failure = errno }
        }
        close(fd)
        guard failure == 0 else {
            unlink(fresh)
            throw .system(call: "write", what: fresh, code: failure)
        }
        guard rename(fresh, path) == 0 else { throw .system(call: "rename", what: path, code: errno) }
        syncFolder(of: path)
    }

    /// Removes a file for good; one that isn't there is no error.
    public static func remove(_ path: String) throws(RunError) {
        guard unlink(path) == 0 || errno == ENOENT else { throw .system(call: "unlink", what: path, code: errno) }
        syncFolder(of: path)
    }

    private static func syncFolder(of path: String) {
        let folder = (path as NSString).deletingLastPathComponent
        let fd = open(folder.isEmpty ? "." : folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard fd >= 0 else { return }
        fsync(fd)
        close(fd)
    }
}
