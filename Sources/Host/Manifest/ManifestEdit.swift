import Glibc
import PluginKit

/// Changes single values of a manifest and leaves every other byte as it was: indentation, order, line ends.
public struct ManifestEdit: Sendable {
    public private(set) var bytes: [UInt8]

    public init(_ bytes: [UInt8]) { self.bytes = bytes }

    public enum Failure: Error, Equatable, Sendable, CustomStringConvertible {
        case notJSON(JSONError)
        case noSuchEntry(String, near: String?)
        /// The text would no longer say the same elsewhere: never happens, and is checked every time.
        case damaged(String)
        case file(ManifestFileFault)
        case write(String, code: Int32)
        /// Someone else wrote the file meanwhile.
        case changedMeanwhile(String)

        public var description: String {
            switch self {
            case .notJSON(let error): "the manifest is not JSON: \(error)"
            case .noSuchEntry(let name, let near): "there is no plugin \"\(name)\"" + (near.map { ": did you mean \"\($0)\"?" } ?? "")
            case .damaged(let path): "the edit of \(path) would have changed more than that: nothing was written"
            case .file(let fault): fault.what
            case .write(let path, let code): "\"\(path)\" can't be written: \(String(cString: strerror(code)))"
            case .changedMeanwhile(let path): "\"\(path)\" was changed by someone else in the meantime: nothing was written"
            }
        }
    }

    /// Sets a key of a plugin entry: replaces its value where the key stands, or adds it after the last key.
    public mutating func set(_ key: String, of plugin: String, to value: JSONValue) throws(Failure) {
        let before: JSONValue
        do { before = try JSONValue(parsing: bytes, options: ManifestEdit.options) } catch { throw .notJSON(error) }
        let plugins = before.find("plugins")
        guard let entry = plugins?.find(plugin), let object = entry.asObject else {
            throw .noSuchEntry(plugin, near: Suggestion.nearest(to: plugin, among: plugins?.asObject?.names ?? []))
        }
        let path = JSONPath.name(.name(.root, "plugins"), plugin).appending(key)
        var edited = bytes
        if let old = object[key] {
            if old == value { return }
            edited.replaceSubrange(Int(old.start)..<Int(old.end), with: value.bytes(.compact))
        } else if let last = object.members.last {
            var addition: [UInt8] = [UInt8(ascii: ",")]
            addition += gap(before: Int(last.start))
            JSONValue.writeText(key, to: &addition)
            addition += ": ".utf8
            value.write(to: &addition, .compact)
            edited.insert(contentsOf: addition, at: Int(last.value.end))
        } else {
            var member: [UInt8] = [UInt8(ascii: "{"), UInt8(ascii: " ")]
            JSONValue.writeText(key, to: &member)
            member += ": ".utf8
            value.write(to: &member, .compact)
            member += " }".utf8
            edited.replaceSubrange(Int(entry.start)..<Int(entry.end), with: member)
        }
        // Read back what will be written: it must differ in this one value.
        var wantedEntry = entry
        wantedEntry.set(key, value)
        var wantedPlugins = plugins ?? [:]
        wantedPlugins.set(plugin, wantedEntry)
        var wanted = before
        wanted.set("plugins", wantedPlugins)
        guard let after = try? JSONValue(parsing: edited, options: ManifestEdit.options), after == wanted else { throw .damaged(path.description) }
        bytes = edited
    }

    private static let options = JSONOptions(maximumBytes: ManifestFile.limit)

    /// The white space in front of a name: how the file separates the members of this object.
    private func gap(before start: Int) -> [UInt8] {
        var from = start
        while from > 0, [UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\n"), UInt8(ascii: "\r")].contains(bytes[from - 1]) { from -= 1 }
        // The only member of a one-line object may stand right behind the bracket.
        return from == start ? [UInt8(ascii: " ")] : Array(bytes[from..<start])
    }

    /// Replaces the file's contents: whoever reads it, now or after a crash, sees the old text or the new one. Keeps mode and
    /// owner, follows a link to the file itself, and refuses if the file no longer holds `expected`.
    public func write(to name: String, expecting expected: [UInt8]) throws(Failure) {
        guard let resolved = realpath(name, nil) else { throw .file(.missing(name)) }
        let path = String(cString: resolved)
        free(resolved)
        let current: ManifestFile
        do { current = try ManifestFile(reading: path) } catch { throw .file(error) }
        guard current.bytes == expected else { throw .changedMeanwhile(name) }
        var facts = stat()
        guard stat(path, &facts) == 0 else { throw .write(name, code: errno) }

        var template = Array("\(path).XXXXXX".utf8CString)
        let fd = mkstemp(&template)
        guard fd >= 0 else { throw .write(name, code: errno) }
        let temporary = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
        var failure: Int32 = 0
        // A file of another owner stays theirs if we may do that; if not, its mode is what counts.
        if facts.st_uid != geteuid() || facts.st_gid != getegid() { _ = fchown(fd, facts.st_uid, facts.st_gid) }
        if fchmod(fd, facts.st_mode & 0o7777) != 0 { failure = errno }
        var written = 0
        while failure == 0, written < bytes.count {
            let count = bytes.withUnsafeBytes { buffer in Glibc.write(fd, buffer.baseAddress.map { $0 + written }, buffer.count - written) }
            if count < 0 {
                if errno != EINTR { failure = errno }
            } else {
                written += count
            }
        }
        if failure == 0, fsync(fd) != 0 { failure = errno }
        if close(fd) != 0, failure == 0 { failure = errno }
        if failure == 0, rename(temporary, path) != 0 { failure = errno }
        if failure != 0 {
            unlink(temporary)
            throw .write(name, code: failure)
        }
        let folder = open(current.folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        if folder >= 0 {
            fsync(folder)
            close(folder)
        }
    }
}
