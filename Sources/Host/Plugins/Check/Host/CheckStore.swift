import Glibc
import PluginKit

/// What a plugin keeps with put: in memory, or in a folder that outlives the process.
final class CheckStore {
    private var values: [String: [UInt8]] = [:]
    private let folder: String?

    init(folder: String? = nil) { self.folder = folder }

    func put(_ key: String, _ bytes: UnsafeRawBufferPointer) -> Bool {
        guard let folder else {
            values[key] = bytes.isEmpty ? nil : [UInt8](bytes)
            return true
        }
        let path = folder + "/" + CheckStore.fileName(key)
        if bytes.isEmpty { return unlink(path) == 0 || errno == ENOENT }
        // A whole value or the old one: what durable means to the plugin.
        let temporary = path + ".new"
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { return false }
        let written = write(descriptor, bytes.baseAddress, bytes.count)
        close(descriptor)
        return written == bytes.count && rename(temporary, path) == 0
    }

    func get(_ key: String) -> [UInt8]? {
        guard let folder else { return values[key] }
        return readFile(folder + "/" + CheckStore.fileName(key))
    }

    private static func fileName(_ key: String) -> String {
        key.utf8.map { byte in
            let hex = String(byte, radix: 16)
            return hex.count == 1 ? "0" + hex : hex
        }.joined()
    }
}

/// A whole file's bytes, or nil.
func readFile(_ path: String) -> [UInt8]? {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var status = stat()
    if fstat(descriptor, &status) == 0 { bytes.reserveCapacity(Int(status.st_size)) }
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while true {
        let count = read(descriptor, &buffer, buffer.count)
        if count < 0 { return nil }
        if count == 0 { return bytes }
        bytes.append(contentsOf: buffer[0..<count])
    }
}
