import Glibc

extension Scaffold {
    /// Writes a new project. Nothing is written if any of its files is there already.
    public func write(into folder: String) throws -> [String] {
        for file in files where access("\(folder)/\(file.path)", F_OK) == 0 { throw ScaffoldError.exists("\(folder)/\(file.path)") }
        for file in files { try Scaffold.write(file.text, to: "\(folder)/\(file.path)") }
        return files.map(\.path)
    }

    /// Brings the header and the helpers of a project up to this program's; the author's own files stay as they are.
    public static func upgrade(_ folder: String) throws -> [String] {
        guard let bytes = readFile("\(folder)/keel/VERSION") else { throw ScaffoldError.notAProject("\(folder)/keel/VERSION can't be read") }
        let scaffold = try read(version: String(decoding: bytes, as: UTF8.self))
        var changed: [String] = []
        for file in scaffold.files where file.isVendored {
            let path = "\(folder)/\(file.path)"
            if readFile(path) == Array(file.text.utf8) { continue }
            try write(file.text, to: path)
            changed.append(file.path)
        }
        return changed
    }

    /// The tools its build needs and this machine lacks, each as "cc, gcc or clang".
    public func missingTools(path: String) -> [String] {
        let folders = path.split(separator: ":").map(String.init)
        return language.tools.filter { group in
            !group.contains { tool in folders.contains { access("\($0)/\(tool)", X_OK) == 0 } }
        }.map { $0.count > 1 ? $0.dropLast().joined(separator: ", ") + " or " + ($0.last ?? "") : $0[0] }
    }

    private static func write(_ text: String, to path: String) throws {
        var made = path.hasPrefix("/") ? "" : "."
        for part in path.split(separator: "/").dropLast() {
            made += "/" + part
            if mkdir(made, 0o755) != 0, errno != EEXIST { throw ScaffoldError.notWritten(made, String(cString: strerror(errno))) }
        }
        // A whole file or the old one.
        let temporary = path + ".new"
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw ScaffoldError.notWritten(path, String(cString: strerror(errno))) }
        let bytes = Array(text.utf8)
        var at = 0
        while at < bytes.count {
            let count = bytes.withUnsafeBytes { raw in raw.baseAddress.map { Glibc.write(descriptor, $0 + at, bytes.count - at) } ?? -1 }
            if count <= 0 { break }
            at += count
        }
        let whole = at == bytes.count && fsync(descriptor) == 0
        close(descriptor)
        guard whole, rename(temporary, path) == 0 else {
            let why = String(cString: strerror(errno))
            unlink(temporary)
            throw ScaffoldError.notWritten(path, why)
        }
    }
}
