import Glibc
import PluginAPI

/// The library under test, loaded into this process, and one of its components.
final class Subject {
    typealias Entry = @convention(c) (UInt32) -> UnsafePointer<keel_library>?

    let path: String
    let entry: Entry
    let library: UnsafePointer<keel_library>
    let component: UnsafePointer<keel_component>

    private init(path: String, entry: @escaping Entry, library: UnsafePointer<keel_library>, component: UnsafePointer<keel_component>) {
        self.path = path
        self.entry = entry
        self.library = library
        self.component = component
    }

    /// As the host loads it: everything bound at once, nothing shared, never unloaded.
    static func open(_ path: String) throws -> Entry {
        guard let handle = dlopen(path, RTLD_NOW | RTLD_LOCAL | Int32(RTLD_NODELETE)) else {
            throw Verdict.fail("the library does not load: \(dlerror().map { String(cString: $0) } ?? "dlopen says no more")")
        }
        guard let symbol = dlsym(handle, "keel_plugin_entry") else { throw Verdict.fail("the library has no keel_plugin_entry") }
        return unsafeBitCast(symbol, to: Entry.self)
    }

    static func load(_ path: String, component id: String?) throws -> Subject {
        let entry = try open(path)
        let library = try require(entry(KEEL_ABI_MAJOR), "keel_plugin_entry(\(KEEL_ABI_MAJOR)) returned NULL")
        let components = try components(of: library)
        guard let id else {
            return Subject(path: path, entry: entry, library: library, component: try require(components.first, "the library has no component"))
        }
        let found = components.first { text($0.pointee.id) == id }
        return Subject(path: path, entry: entry, library: library, component: try require(found, "the library has no component \"\(id)\""))
    }

    static func components(of library: UnsafePointer<keel_library>) throws -> [UnsafePointer<keel_component>] {
        let count = Int(library.pointee.component_count)
        try require(count > 0 && count <= 1024, "component_count is \(count)")
        let list = try require(library.pointee.components, "keel_library.components is NULL")
        return try (0..<count).map { try require(list[$0], "component \($0) is NULL") }
    }

    static func text(_ pointer: UnsafePointer<CChar>?) -> String? { pointer.flatMap { String(validatingCString: $0) } }

    var interfaces: [(id: String, table: UnsafeRawPointer?)] {
        let count = min(Int(component.pointee.interface_count), 1024)
        guard let list = component.pointee.interfaces else { return [] }
        return (0..<count).map { (Subject.text(list[$0].id) ?? "", list[$0].table) }
    }

    func lists(_ interface: String) -> Bool { interfaces.contains { $0.id == interface } }

    /// The table of an interface, if the component lists it.
    func table<T>(_ interface: String, as type: T.Type) -> UnsafePointer<T>? {
        interfaces.first { $0.id == interface }?.table?.assumingMemoryBound(to: T.self)
    }

    var id: String { Subject.text(component.pointee.id) ?? "?" }
    var isDeterministic: Bool { component.pointee.flags & KEEL_COMPONENT_DETERMINISTIC != 0 }
    var isSingle: Bool { component.pointee.flags & KEEL_COMPONENT_SINGLE != 0 }
    var needsProcess: Bool { component.pointee.flags & KEEL_COMPONENT_NEEDS_PROCESS != 0 }
}
