import Glibc
import PluginAPI
import PluginKit

public struct TestFailure: Error, CustomStringConvertible {
    public let description: String
    public init(_ description: String) { self.description = description }
}

/// What a refused call said.
public struct Refusal: Error, Equatable, CustomStringConvertible {
    public let status: keel_status
    public let message: String
    public var description: String { "\(status): \(message)" }
}

/// A plugin driven through its C tables only, as the host drives it.
public final class TestInstance {
    public let component: UnsafePointer<keel_component>
    public let host: TestHost
    public private(set) var raw: OpaquePointer?
    public private(set) var requests: UInt64 = 0

    public init(_ component: UnsafePointer<keel_component>, host: TestHost, config: String = "{}", name: String = "test") throws {
        self.component = component
        self.host = host
        var made: OpaquePointer?
        let create = component.pointee.create
        try TestInstance.check { error in
            TestInstance.borrow(name) { name in
                TestInstance.borrow(config) { config in create?(component, host.table, name, config, &made, error) ?? KEEL_E_INTERNAL }
            }
        }
        raw = made
    }

    deinit { destroy() }

    public func destroy() {
        if let raw { component.pointee.destroy(raw) }
        raw = nil
    }

    /// The component of a library built beside the test bundle.
    public static func bundled(_ name: String) throws -> UnsafePointer<keel_component> {
        var buffer = [CChar](repeating: 0, count: 4096)
        let length = readlink("/proc/self/exe", &buffer, buffer.count - 1)
        guard length > 0 else { throw TestFailure("/proc/self/exe can't be read") }
        let executable = String(decoding: buffer[..<length].map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let folder = executable.split(separator: "/").dropLast().joined(separator: "/")
        return try library("/\(folder)/lib\(name).so")
    }

    /// The component of that id, the first without one.
    public static func library(_ path: String, component wanted: String? = nil) throws -> UnsafePointer<keel_component> {
        guard let handle = dlopen(path, RTLD_NOW | RTLD_LOCAL | Int32(RTLD_NODELETE)) else { throw TestFailure(String(cString: dlerror())) }
        guard let symbol = dlsym(handle, "keel_plugin_entry") else { throw TestFailure("\(path) has no keel_plugin_entry") }
        typealias Entry = @convention(c) (UInt32) -> UnsafePointer<keel_library>?
        guard let library = unsafeBitCast(symbol, to: Entry.self)(KEEL_ABI_MAJOR) else { throw TestFailure("\(path) has nothing for ABI \(KEEL_ABI_MAJOR)") }
        for place in 0..<Int(library.pointee.component_count) {
            if let component = library.pointee.components[place], wanted == nil || String(cString: component.pointee.id) == wanted { return component }
        }
        throw TestFailure("\(path) has no component \(wanted ?? "")")
    }

    public static func borrow<Result>(_ text: String, _ body: (keel_str) -> Result) -> Result {
        var copy = text
        return copy.withUTF8 { bytes in
            bytes.withMemoryRebound(to: CChar.self) { body(keel_str(ptr: $0.baseAddress, len: $0.count)) }
        }
    }

    /// Runs a call with a `keel_error`, and throws what it said if the status is negative.
    public static func check(_ call: (UnsafeMutablePointer<keel_error>) -> keel_status) throws {
        var error = keel_error()
        error.struct_size = UInt32(MemoryLayout<keel_error>.size)
        let status = call(&error)
        if status >= 0 { return }
        let message = withUnsafeBytes(of: error.message) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        guard error.status == status else { throw TestFailure("status \(status), but keel_error says \(error.status): \(message)") }
        throw Refusal(status: status, message: message)
    }

    public func table<Table>(_ id: String, _: Table.Type) throws -> UnsafePointer<Table> {
        for place in 0..<Int(component.pointee.interface_count) {
            let interface = component.pointee.interfaces[place]
            if String(cString: interface.id) == id, let table = interface.table { return table.assumingMemoryBound(to: Table.self) }
        }
        throw TestFailure("no interface \(id)")
    }

    public func nextRequest() -> UInt64 {
        requests += 1
        return requests
    }

    public func start() throws { try TestInstance.check { component.pointee.start(raw, $0) } }

    @discardableResult
    public func stop() throws -> UInt64 {
        let request = nextRequest()
        try TestInstance.check { component.pointee.stop(raw, host.now + 1_000_000_000, request, $0) }
        return request
    }

    /// Moves the clock, and fires every timer that falls due on the way.
    public func advance(to time: Int64) {
        while let next = host.timers.filter({ $0.due <= time }).min(by: { ($0.due, $0.id) < ($1.due, $1.id) }) {
            host.now = max(host.now, next.due)
            if next.period > 0, let place = host.timers.firstIndex(where: { $0.id == next.id }) {
                host.timers[place].due += next.period
            } else {
                host.timers.removeAll { $0.id == next.id }
            }
            component.pointee.on_timer(raw, next.id, next.tag)
        }
        host.now = max(host.now, time)
    }

    public func save() throws -> [UInt8] {
        let state = try table(KEEL_STATE, keel_state.self)
        let sink = ByteSink()
        try TestInstance.check { error in sink.withWriter { state.pointee.save(raw, $0, error) } }
        return sink.bytes
    }

    public func load(_ bytes: [UInt8], version: UInt32, chunk: Int = 17) throws {
        let state = try table(KEEL_STATE, keel_state.self)
        let source = ByteSource(bytes, chunk: chunk)
        try TestInstance.check { error in source.withReader { state.pointee.load(raw, version, $0, error) } }
    }

    public func describe() throws -> JSONValue {
        let table = try table(KEEL_DESCRIBE, keel_describe.self)
        let sink = ByteSink()
        let status = sink.withWriter { table.pointee.describe(raw, $0) }
        guard status == KEEL_OK else { throw TestFailure("describe: \(status)") }
        return try JSONValue(parsing: sink.bytes)
    }
}

public final class ByteSink {
    public private(set) var bytes: [UInt8] = []
    public init() {}
    public func withWriter(_ body: (UnsafePointer<keel_writer>) -> keel_status) -> keel_status {
        let writer = keel_writer(
            ctx: Unmanaged.passUnretained(self).toOpaque(),
            write: { writer, bytes, count in
                guard let context = writer?.pointee.ctx else { return KEEL_E_INVALID }
                Unmanaged<ByteSink>.fromOpaque(context).takeUnretainedValue().bytes += UnsafeRawBufferPointer(start: bytes, count: count)
                return KEEL_OK
            })
        return withUnsafePointer(to: writer, body)
    }
}

public final class ByteSource {
    private let bytes: [UInt8]
    private let chunk: Int
    private var at = 0
    public init(_ bytes: [UInt8], chunk: Int) {
        self.bytes = bytes
        self.chunk = chunk
    }
    public func withReader(_ body: (UnsafePointer<keel_reader>) -> keel_status) -> keel_status {
        let reader = keel_reader(
            ctx: Unmanaged.passUnretained(self).toOpaque(),
            read: { reader, buffer, capacity in
                guard let context = reader?.pointee.ctx else { return Int64(KEEL_E_INVALID) }
                let source = Unmanaged<ByteSource>.fromOpaque(context).takeUnretainedValue()
                let count = min(source.chunk, capacity, source.bytes.count - source.at)
                guard count > 0, let buffer else { return 0 }
                source.bytes[source.at..<source.at + count].withUnsafeBytes { from in
                    if let base = from.baseAddress { buffer.copyMemory(from: base, byteCount: count) }
                }
                source.at += count
                return Int64(count)
            })
        return withUnsafePointer(to: reader, body)
    }
}
