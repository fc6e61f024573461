import Glibc
import PluginAPI

/// A library in this process's memory. Never closed: an image with Swift code can't be.
struct OpenLibrary: @unchecked Sendable {
    typealias Entry = @convention(c) (UInt32) -> UnsafePointer<keel_library>?
    let path: String
    let entry: Entry

    /// Runs the library's constructors. `shown`: the path for messages.
    init(_ path: String, shown: String) throws(LoadError) {
        // Not in Swift's C module; part of the ABI of glibc and musl.
        let noDelete: Int32 = 0x1000
        guard let handle = dlopen(path, RTLD_NOW | RTLD_LOCAL | noDelete) else {
            throw .wontLoad(path: shown, reason: Self.reason(path))
        }
        guard let symbol = dlsym(handle, "keel_plugin_entry") else { throw .noEntry(path: shown) }
        self.path = path
        entry = unsafeBitCast(symbol, to: Entry.self)
    }

    /// The dynamic linker's words without the path of the copy, and what can be done about the usual ones.
    private static func reason(_ path: String) -> String {
        var text = dlerror().map { String(cString: $0) } ?? "no reason given"
        if text.hasPrefix(path + ": ") { text.removeFirst(path.utf8.count + 2) }
        if text.contains("cannot open shared object file") { text += "; install the library it needs, or link it statically" }
        if text.contains("undefined symbol") { text += "; link the library that has it, with -z defs to see such gaps at build time" }
        if text.contains("version `") { text += "; it was built on a newer system, build it here or on an older one" }
        if text.contains("failed to map segment") { text += "; is the cache folder on a file system mounted noexec?" }
        return text
    }

    /// The library for this host's ABI, or which side is behind.
    func negotiate(shown: String) throws(LoadError) -> UnsafePointer<keel_library> {
        let ours = KEEL_ABI_MAJOR
        if let library = entry(ours) {
            let size = UnsafeRawPointer(library).load(as: UInt32.self)
            guard size >= 8 else { throw .badDescriptor(path: shown, component: "", what: "keel_library says struct_size \(size)") }
            let major = UInt32(library.pointee.abi_major)
            if major == ours { return library }
            throw major > ours
                ? .needsNewerHost(path: shown, needs: [major], speaks: ours) : .needsOlderHost(path: shown, has: major, speaks: ours)
        }
        // It must answer for every major, so asking tells what it is for.
        let newer = (ours + 1..<ours + 16).filter { entry($0) != nil }
        if !newer.isEmpty { throw .needsNewerHost(path: shown, needs: newer, speaks: ours) }
        for older in (0..<ours).reversed() where entry(older) != nil { throw .needsOlderHost(path: shown, has: older, speaks: ours) }
        throw .noTable(path: shown)
    }
}
