// Small helpers over keel.h, without Foundation. Written by `keel plugin new`; --upgrade replaces this file, so keep your
// own code elsewhere.
import CKeel
import Glibc

/// A refusal on its way to keel_error.
struct Refusal: Error {
    var status: keel_status
    var why: String
    init(_ status: keel_status, _ why: String) {
        self.status = status
        self.why = why
    }
}

/// Runs the inside of a call: what it throws becomes a status and a message.
func guarded(_ error: UnsafeMutablePointer<keel_error>?, _ body: () throws -> Void) -> keel_status {
    do {
        try body()
        return KEEL_OK
    } catch let refusal as Refusal {
        fill(error, refusal)
        return refusal.status
    } catch let other {
        fill(error, Refusal(KEEL_E_INTERNAL, "\(other)"))
        return KEEL_E_INTERNAL
    }
}

/// Rule 3: never past the struct_size the caller set.
private func fill(_ error: UnsafeMutablePointer<keel_error>?, _ refusal: Refusal) {
    guard let error else { return }
    let raw = UnsafeMutableRawPointer(error), size = Int(error.pointee.struct_size)
    if size >= 8 { raw.storeBytes(of: refusal.status, toByteOffset: 4, as: keel_status.self) }
    guard size > 24 else { return }
    let room = min(size - 24, 256) - 1
    var text = refusal.why.utf8.prefix(room)
    while !text.isEmpty, String(text) == nil { text = text.dropLast() }
    for (index, byte) in text.enumerated() { raw.storeBytes(of: byte, toByteOffset: 24 + index, as: UInt8.self) }
    raw.storeBytes(of: 0, toByteOffset: 24 + text.count, as: UInt8.self)
}

/// A borrowed text, copied.
func bytes(_ text: keel_str) -> [UInt8] {
    guard text.len > 0, let pointer = text.ptr else { return [] }
    return [UInt8](UnsafeRawBufferPointer(start: pointer, count: text.len))
}

func string(_ text: keel_str) -> String { String(decoding: bytes(text), as: UTF8.self) }

func withText<T>(_ text: String, _ body: (keel_str) -> T) -> T {
    var copy = text
    return copy.withUTF8 { utf8 in
        utf8.withMemoryRebound(to: CChar.self) { body(keel_str(ptr: $0.baseAddress, len: $0.count)) }
    }
}

/// Created, running, stopped.
enum State { case created, running, stopped }

/// What every plugin of this file's making has; a role is a subclass.
class Plugin {
    let host: UnsafePointer<keel_host>
    private(set) var state = State.created

    /// A subclass reads its configuration here: no I/O, no secrets yet.
    required init(host: UnsafePointer<keel_host>, config: [UInt8]) throws { self.host = host }

    func start() throws {}
    /// Ends what is open; the DONE of stop itself follows.
    func stop() {}
    func timerFired(_ timer: UInt64) {}
    func ready(_ bits: UInt32) {}

    func needsRunning() throws {
        if state != .running { throw Refusal(KEEL_E_STATE, "it is not running") }
    }

    // MARK: the host

    var now: keel_time { host.pointee.now(host) }

    func log(_ level: UInt32, _ text: String) { withText(text) { host.pointee.log(host, level, $0) } }

    func timer(after delay: keel_span, every period: keel_span = 0) throws -> UInt64 {
        var id: UInt64 = 0
        guard host.pointee.timer(host, delay, period, 0, &id) == KEEL_OK else { throw Refusal(KEEL_E_INTERNAL, "the host gave no timer") }
        return id
    }

    func instrument(_ id: keel_instrument_id) throws -> keel_instrument {
        var about = keel_instrument()
        about.struct_size = UInt32(MemoryLayout<keel_instrument>.size)
        guard host.pointee.instrument(host, id, &about) == KEEL_OK else { throw Refusal(KEEL_E_NOT_FOUND, "unknown instrument") }
        return about
    }

    func secret(_ name: String) -> String? {
        final class Sink { var bytes: [UInt8] = [] }
        let sink = Sink()
        var writer = keel_writer(ctx: Unmanaged.passUnretained(sink).toOpaque()) { writer, bytes, length in
            guard let ctx = writer?.pointee.ctx, let bytes else { return KEEL_OK }
            Unmanaged<Sink>.fromOpaque(ctx).takeUnretainedValue().bytes += UnsafeRawBufferPointer(start: bytes, count: length)
            return KEEL_OK
        }
        let status = withText(name) { host.pointee.secret(host, $0, &writer) }
        return withExtendedLifetime(sink) { status == KEEL_OK ? String(decoding: sink.bytes, as: UTF8.self) : nil }
    }

    // MARK: events

    /// Emits an event with texts laid behind its body; `places` says where each of them is noted.
    func emit<Event>(_ event: Event, _ head: WritableKeyPath<Event, keel_event>, kind: UInt32, flags: UInt32 = 0, instrument: UInt32 = 0, request: UInt64 = 0,
                     texts: [(WritableKeyPath<Event, keel_text>, String)] = []) {
        var event = event
        var tail: [UInt8] = []
        for (place, text) in texts {
            event[keyPath: place] = keel_text(off: UInt32(MemoryLayout<Event>.size + tail.count), len: UInt32(text.utf8.count))
            tail += Array(text.utf8)
        }
        event[keyPath: head].size = UInt32(MemoryLayout<Event>.size + tail.count)
        event[keyPath: head].kind = UInt16(kind)
        event[keyPath: head].flags = UInt16(flags)
        event[keyPath: head].instrument = instrument
        event[keyPath: head].request = request
        let out = UnsafeMutableRawPointer.allocate(byteCount: MemoryLayout<Event>.size + tail.count, alignment: 8)
        defer { out.deallocate() }
        withUnsafeBytes(of: event) { out.copyMemory(from: $0.baseAddress ?? UnsafeRawPointer(out), byteCount: MemoryLayout<Event>.size) }
        tail.withUnsafeBytes { if let base = $0.baseAddress { (out + MemoryLayout<Event>.size).copyMemory(from: base, byteCount: tail.count) } }
        // KEEL_E_AGAIN comes for lossy kinds only: the host is busy, and the next one will do.
        _ = host.pointee.emit(host, out.assumingMemoryBound(to: keel_event.self))
    }

    /// The last event of a request.
    func done(_ request: UInt64, _ status: keel_status = KEEL_OK, _ why: String = "") {
        var event = keel_ev_done()
        event.status = status
        emit(event, \.head, kind: KEEL_EV_DONE, request: request, texts: [(\.message, why)])
    }

    func link(_ state: UInt32, _ why: keel_status, _ name: String) {
        var event = keel_ev_link()
        event.state = state
        event.why = why
        emit(event, \.head, kind: KEEL_EV_LINK, texts: [(\.name, name)])
    }

    // MARK: life, as the component's table wants it

    static func create(_ type: Plugin.Type, _ host: UnsafePointer<keel_host>?, _ json: keel_str, _ out: UnsafeMutablePointer<OpaquePointer?>?,
                       _ error: UnsafeMutablePointer<keel_error>?) -> keel_status {
        guarded(error) {
            // Rule 3: struct_size comes before everything behind it.
            guard let host, Int(host.pointee.struct_size) >= MemoryLayout<keel_host>.size, UInt32(host.pointee.abi_major) == KEEL_ABI_MAJOR else {
                throw Refusal(KEEL_E_UNSUPPORTED, "this plugin needs a host of ABI \(KEEL_ABI_MAJOR)")
            }
            let plugin = try type.init(host: host, config: bytes(json))
            out?.pointee = OpaquePointer(Unmanaged.passRetained(plugin).toOpaque())
        }
    }

    static func start(_ instance: OpaquePointer?, _ error: UnsafeMutablePointer<keel_error>?) -> keel_status {
        guarded(error) {
            let plugin = me(instance)
            if plugin.state == .running { throw Refusal(KEEL_E_STATE, "it is running already") }
            try plugin.start()
            plugin.state = .running
        }
    }

    static func stop(_ instance: OpaquePointer?, _ request: UInt64, _ error: UnsafeMutablePointer<keel_error>?) -> keel_status {
        guarded(error) {
            let plugin = me(instance)
            try plugin.needsRunning()
            plugin.stop()
            plugin.state = .stopped
            plugin.done(request)  // the very last event
        }
    }

    static func destroy(_ instance: OpaquePointer?) {
        guard let instance else { return }
        Unmanaged<Plugin>.fromOpaque(UnsafeRawPointer(instance)).release()
    }
}

/// The plugin behind the pointer. A host never calls without one.
func me(_ instance: OpaquePointer?) -> Plugin {
    guard let instance else { fatalError("the host called without an instance") }
    return Unmanaged<Plugin>.fromOpaque(UnsafeRawPointer(instance)).takeUnretainedValue()
}

func me<Role: Plugin>(_ instance: OpaquePointer?, as type: Role.Type) -> Role { unsafeDowncast(me(instance), to: type) }

/// Strict: bytes of an order behind the part we know must be zero.
func refuseUnknownTail(_ order: UnsafePointer<keel_order>) throws {
    let known = MemoryLayout<keel_order>.size
    for at in known..<max(known, Int(order.pointee.struct_size)) where UnsafeRawPointer(order).load(fromByteOffset: at, as: UInt8.self) != 0 {
        throw Refusal(KEEL_E_UNSUPPORTED, "the order has parts this plugin doesn't know")
    }
}

// MARK: tables

/// Puts a table where it stays for the life of the process.
func forever<T>(_ value: T) -> UnsafePointer<T> {
    let pointer = UnsafeMutablePointer<T>.allocate(capacity: 1)
    pointer.initialize(to: value)
    return UnsafePointer(pointer)
}

func forever(_ text: StaticString) -> UnsafePointer<CChar> { UnsafeRawPointer(text.utf8Start).assumingMemoryBound(to: CChar.self) }

/// A component with one role, and extensions if it has any.
func component<Table>(_ type: @escaping @autoclosure () -> Plugin.Type, id: StaticString, name: StaticString, role: StaticString, table: Table, schema: StaticString,
                      flags: UInt32, extensions: [keel_interface] = [], create: @escaping @convention(c) (UnsafePointer<keel_component>?, UnsafePointer<keel_host>?, keel_str, keel_str,
                                                                       UnsafeMutablePointer<OpaquePointer?>?, UnsafeMutablePointer<keel_error>?) -> keel_status) -> UnsafePointer<keel_library> {
    var component = keel_component()
    component.struct_size = UInt32(MemoryLayout<keel_component>.size)
    component.flags = flags
    component.id = forever(id)
    component.name = forever(name)
    component.vendor = forever("")
    component.version = forever("0.1.0")
    component.license = forever("MIT")
    component.url = forever("")
    component.toolchain = forever("swift, static")
    component.config_schema = forever(schema)
    let interfaces = [keel_interface(id: forever(role), table: UnsafeRawPointer(forever(table)))] + extensions
    let list = UnsafeMutablePointer<keel_interface>.allocate(capacity: interfaces.count)
    list.initialize(from: interfaces, count: interfaces.count)
    component.interfaces = UnsafePointer(list)
    component.interface_count = UInt32(interfaces.count)
    component.create = create
    component.start = { Plugin.start($0, $1) }
    component.stop = { instance, _, request, error in Plugin.stop(instance, request, error) }
    component.destroy = { Plugin.destroy($0) }
    component.on_timer = { instance, timer, _ in me(instance).timerFired(timer) }
    component.on_fd = { instance, _, bits in me(instance).ready(bits) }
    let components = forever(Optional(forever(component)))
    return forever(keel_library(struct_size: UInt32(MemoryLayout<keel_library>.size), abi_major: 1, abi_minor: 0, components: components, component_count: 1, reserved: 0))
}

// MARK: decimals

func decimal(_ value: keel_fixed) -> String {
    let part = String(value.magnitude % 100_000_000)
    return "\(value < 0 ? "-" : "")\(value.magnitude / 100_000_000)." + String(repeating: "0", count: 8 - part.count) + part
}

/// nil if it is no number, has more than eight places or doesn't fit: never a rounded value.
func parseDecimal(_ text: some StringProtocol) -> keel_fixed? {
    let negative = text.hasPrefix("-")
    let parts = text.drop { $0 == "-" }.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
    var places = parts.count > 1 ? String(parts[1]) : ""
    while places.hasSuffix("0") { places.removeLast() }
    guard let first = parts.first, !first.isEmpty, places.count <= 8, (String(first) + places).utf8.allSatisfy({ $0 >= 48 && $0 <= 57 }),
          let whole = Int64(first), let part = Int64(places + String(repeating: "0", count: 8 - places.count)) else { return nil }
    let (scaled, over) = whole.multipliedReportingOverflow(by: 100_000_000)
    let (value, more) = scaled.addingReportingOverflow(part)
    return over || more ? nil : negative ? -value : value
}

// MARK: configuration: a flat JSON object

/// The host has checked the configuration already; a plugin checks again all the same, because a mistyped limit must
/// never be ignored. Whole numbers, texts and secret references are enough for most plugins.
struct Config {
    enum Kind { case integer(ClosedRange<Int64>), text, secret }
    private(set) var integers: [String: Int64] = [:]
    private(set) var texts: [String: String] = [:]

    init(_ bytes: [UInt8], _ fields: [(name: String, kind: Kind, required: Bool)]) throws {
        var json = Json(bytes: bytes)
        guard json.take("{") else { throw Refusal(KEEL_E_INVALID, "the configuration must be an object") }
        var seen: Set<String> = []
        if !json.take("}") {
            repeat {
                guard let name = json.text(), json.take(":") else { throw Refusal(KEEL_E_INVALID, "the configuration can't be read") }
                guard let field = fields.first(where: { $0.name == name }) else { throw Refusal(KEEL_E_INVALID, "\"\(name)\" is no property of this plugin") }
                seen.insert(name)
                switch field.kind {
                case .integer(let range):
                    guard let value = json.integer(), range.contains(value) else {
                        throw Refusal(KEEL_E_INVALID, "\"\(name)\" must be a whole number from \(range.lowerBound) to \(range.upperBound)")
                    }
                    integers[name] = value
                case .text:
                    guard let value = json.text() else { throw Refusal(KEEL_E_INVALID, "\"\(name)\" must be a text") }
                    texts[name] = value
                case .secret:
                    guard json.take("{"), json.text() == "$secret", json.take(":"), let value = json.text(), json.take("}") else {
                        throw Refusal(KEEL_E_INVALID, "\"\(name)\" must be a reference like {\"$secret\": \"name\"}")
                    }
                    texts[name] = value
                }
            } while json.take(",")
            guard json.take("}") else { throw Refusal(KEEL_E_INVALID, "the configuration can't be read") }
        }
        guard json.isAtEnd else { throw Refusal(KEEL_E_INVALID, "something follows the configuration") }
        for field in fields where field.required && !seen.contains(field.name) { throw Refusal(KEEL_E_INVALID, "\"\(field.name)\" is missing") }
    }
}

private struct Json {
    let bytes: [UInt8]
    var at = 0

    init(bytes: [UInt8]) { self.bytes = bytes }

    private mutating func skipSpace() { while at < bytes.count, [32, 9, 10, 13].contains(bytes[at]) { at += 1 } }

    mutating func take(_ wanted: Unicode.Scalar) -> Bool {
        skipSpace()
        guard at < bytes.count, bytes[at] == UInt8(ascii: wanted) else { return false }
        at += 1
        return true
    }

    var isAtEnd: Bool {
        mutating get {
            skipSpace()
            return at == bytes.count
        }
    }

    /// A text without escapes.
    mutating func text() -> String? {
        guard take("\"") else { return nil }
        let start = at
        while at < bytes.count, bytes[at] != UInt8(ascii: "\"") {
            if bytes[at] < 32 || bytes[at] == UInt8(ascii: "\\") { return nil }
            at += 1
        }
        guard at < bytes.count else { return nil }
        at += 1
        return String(validating: bytes[start..<at - 1], as: UTF8.self)
    }

    mutating func integer() -> Int64? {
        skipSpace()
        let start = at
        while at < bytes.count, bytes[at] == UInt8(ascii: "-") || (bytes[at] >= 48 && bytes[at] <= 57) { at += 1 }
        if at < bytes.count, [UInt8(ascii: "."), UInt8(ascii: "e"), UInt8(ascii: "E")].contains(bytes[at]) { return nil }
        return Int64(String(decoding: bytes[start..<at], as: UTF8.self))
    }
}

// MARK: a connection that speaks lines

/// Everything happens on the lane, nothing ever blocks (rule 5), and a lost connection comes back with growing pauses.
final class Line {
    private unowned let owner: Plugin
    private let onLine: (String) -> Void
    private let onLink: (Bool) -> Void
    private var port: UInt16 = 0
    private var socket: Int32 = -1
    private var isUp = false
    private var wanted = false
    private var retry: UInt64?
    private var pause: keel_span = 50_000_000
    private var received: [UInt8] = []
    private var waiting: [UInt8] = []

    init(_ owner: Plugin, onLine: @escaping (String) -> Void, onLink: @escaping (Bool) -> Void) {
        self.owner = owner
        self.onLine = onLine
        self.onLink = onLink
    }

    private func watch(_ interest: UInt32) { _ = owner.host.pointee.watch(owner.host, socket, interest) }

    /// In start.
    func open(port: UInt16) {
        self.port = port
        wanted = true
        pause = 50_000_000
        connect()
    }

    private func connect() {
        socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0)
        if socket < 0 { return lost() }
        var yes: Int32 = 1
        setsockopt(socket, Int32(IPPROTO_TCP), TCP_NODELAY, &yes, socklen_t(MemoryLayout<Int32>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { Glibc.connect(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
        }
        if result != 0, errno != EINPROGRESS { return lost() }
        watch(KEEL_READABLE | KEEL_WRITABLE)
    }

    private func lost() {
        let was = isUp
        if socket >= 0 {
            watch(0)  // before it closes: the number may be used again
            Glibc.close(socket)
        }
        socket = -1
        isUp = false
        received = []
        waiting = []
        if wanted, retry == nil {
            retry = try? owner.timer(after: pause)
            pause = min(pause * 2, 30_000_000_000)
        }
        if was { onLink(false) }
    }

    /// In stop.
    func close() {
        wanted = false
        if let retry { _ = owner.host.pointee.timer_stop(owner.host, retry) }
        retry = nil
        isUp = false
        if socket >= 0 {
            watch(0)
            Glibc.close(socket)
        }
        socket = -1
    }

    /// In timerFired: true if the timer was the connection's own.
    func timerFired(_ timer: UInt64) -> Bool {
        guard timer == retry else { return false }
        retry = nil
        if wanted, socket < 0 { connect() }
        return true
    }

    /// `text` with its line end. False: nothing was sent, certainly.
    func send(_ text: String) -> Bool {
        guard isUp, waiting.count < 1 << 20 else { return false }
        waiting += Array(text.utf8)
        flush()
        return true
    }

    private func flush() {
        while !waiting.isEmpty {
            let count = Glibc.send(socket, waiting, waiting.count, Int32(MSG_NOSIGNAL))
            if count < 0, errno == EAGAIN { break }
            if count < 0 { return lost() }
            waiting.removeFirst(count)
        }
        watch(KEEL_READABLE | (waiting.isEmpty ? 0 : KEEL_WRITABLE))
    }

    /// In ready.
    func ready(_ bits: UInt32) {
        guard socket >= 0 else { return }
        if !isUp, bits & (KEEL_WRITABLE | KEEL_HANGUP) != 0 {
            var problem: Int32 = 0
            var size = socklen_t(MemoryLayout<Int32>.size)
            getsockopt(socket, SOL_SOCKET, SO_ERROR, &problem, &size)
            if problem != 0 || bits & KEEL_HANGUP != 0 { return lost() }
            isUp = true
            pause = 50_000_000
            watch(KEEL_READABLE)
            onLink(true)
        }
        if isUp, bits & KEEL_WRITABLE != 0 { flush() }
        var buffer = [UInt8](repeating: 0, count: 16384)
        while socket >= 0, bits & (KEEL_READABLE | KEEL_HANGUP) != 0 {
            let count = recv(socket, &buffer, buffer.count, 0)
            if count < 0, errno == EAGAIN { return }
            if count <= 0 { return lost() }
            received += buffer[0..<count]
            while socket >= 0, let end = received.firstIndex(of: 10) {
                let line = String(decoding: received[..<end], as: UTF8.self)
                received.removeSubrange(...end)
                onLine(line)
            }
            if received.count > 1 << 20 { return lost() }
        }
    }
}
