import Glibc

/// Where a manifest's `file` leads to.
///
/// A plain word ("Sim") is libSim.so in the host's own plugin folder. Everything else is a path, relative to the manifest's folder; it
/// must end in .so. No name is ever searched for in library paths.
public struct LibraryPlace: Hashable, Sendable {
    /// Absolute, all symbolic links resolved.
    public let path: String
    /// In the host's own plugin folder: needs no pin, and may run inside the host.
    public let isBundled: Bool

    /// `base`: the manifest's folder. `bundled`: the host's own plugin folders, first match wins.
    public init(file: String, base: String, bundled: [String]) throws(LoadError) {
        if file.isEmpty { throw .emptyName }
        if file.utf8.contains(0) { throw .badName(String(file.prefix(40)), why: "it has a NUL inside") }
        if file.utf8.count > 4096 { throw .badName("\(file.prefix(40))...", why: "it is longer than 4096 bytes") }
        if !file.contains("/"), !file.hasSuffix(".so") {
            path = try Self.find(bundledName: file, folders: bundled)
            isBundled = true
            return
        }
        guard file.hasSuffix(".so") else { throw .badName(file, why: "a path to a library ends in .so") }
        let written = file.hasPrefix("/") ? file : "\(base)/\(file)"
        guard let resolved = canonical(written) else { throw Self.unresolved(written) }
        let inside: String
        if file.hasPrefix("/") || file.split(separator: "/").contains("..") {
            // The user named another folder; only the last step may not lead elsewhere.
            inside = parent(written)
        } else {
            inside = base
        }
        guard let folder = canonical(inside) else { throw .missing(path: written) }
        guard resolved.hasPrefix(folder == "/" ? "/" : folder + "/") else {
            throw .symlinkOut(path: written, target: resolved, folder: folder)
        }
        path = resolved
        isBundled = bundled.contains { canonical($0) == parent(resolved) }
    }

    private static func find(bundledName name: String, folders: [String]) throws(LoadError) -> String {
        guard name.utf8.allSatisfy({ ($0 >= 48 && $0 < 58) || ($0 >= 65 && $0 < 91) || ($0 >= 97 && $0 < 123) || $0 == 95 || $0 == 45 }) else {
            throw .badName(name, why: "the name of a bundled plugin has letters, digits, - and _ only; a path ends in .so")
        }
        for folder in folders {
            let written = "\(folder)/lib\(name).so"
            guard let resolved = canonical(written) else { continue }
            guard let real = canonical(folder), resolved.hasPrefix(real + "/") else {
                throw .symlinkOut(path: written, target: resolved, folder: folder)
            }
            return resolved
        }
        throw .notBundled(name: name, searched: folders)
    }

    private static func unresolved(_ path: String) -> LoadError {
        switch errno {
        case ENOENT, ENOTDIR: .missing(path: path)
        case ELOOP: .badName(path, why: "its symbolic links go in a circle")
        default: .unreadable(path: path, reason: String(cString: strerror(errno)))
        }
    }
}

/// `realpath`: nil with errno set if any part is missing.
func canonical(_ path: String) -> String? {
    guard let resolved = realpath(path, nil) else { return nil }
    defer { free(resolved) }
    return String(cString: resolved)
}

func parent(_ path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
}

/// The program that runs, as a path.
public func thisProgram() -> String? { canonical("/proc/self/exe") }

/// The host's own plugin folders: beside the program, and ../lib/keel/plugins from it.
public func bundledPluginFolders(program: String? = thisProgram()) -> [String] {
    guard let program else { return [] }
    let folder = parent(program)
    return [folder, "\(parent(folder))/lib/keel/plugins"].compactMap(canonical)
}
