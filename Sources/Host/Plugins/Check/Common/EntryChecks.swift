import CSystem
import PluginAPI
import PluginKit

// E: the entry and the tables behind it.

private let sizes = "Every table and struct that can grow starts with struct_size."
private let pure = "Pure: no thread, no I/O, no environment, under 10 ms, the same"

let entryChecks: [Check] = [
    Check("E01", "entry-majors", "The entry gives a table for ABI 1 and NULL for every other major.",
          rule: "Returns the library for that major, or NULL if it has none.") { bench in
        let entry = try Subject.open(bench.path)
        try require(entry(1) != nil, "keel_plugin_entry(1) returned NULL")
        for major: UInt32 in [0, 2, 4_294_967_295] {
            // A library may serve a later major as well; then its table must say so.
            guard let library = entry(major) else { continue }
            try require(UInt32(library.pointee.abi_major) == major, "keel_plugin_entry(\(major)) returned the table of major \(library.pointee.abi_major)")
        }
        try require(entry(1)?.pointee.abi_major == 1, "the table for major 1 says it is of another")
    },
    Check("E02", "entry-pure", "The entry returns the same pointer each time, in under 10 ms, without a thread or a descriptor.", rule: pure) { bench in
        // Timed in fresh processes, and the best of five counts: on a busy machine one measurement says little.
        let took = try leastTime(below: 10_000_000) {
            let entry = try Subject.open(bench.path)
            let began = CheckClock.own()
            _ = entry(1)
            return CheckClock.own() - began
        }
        try require(took < 10_000_000, "the entry took \(took / 1_000_000) ms")
        let entry = try Subject.open(bench.path)
        let before = ProcessFacts.now()
        let first = entry(1)
        for _ in 0..<100 { try require(entry(1) == first, "keel_plugin_entry(1) returned two different tables") }
        let after = ProcessFacts.now()
        try require(after.threads == before.threads, "the entry left \(after.threads - before.threads) threads")
        try require(after.descriptors == before.descriptors, "the entry left open \(after.newDescriptors(since: before))")
    },
    Check("E03", "struct-sizes", "Every struct_size is at least that of ABI 1.0 and at most 64 KiB; reserved members are 0.", rule: sizes) { bench in
        let subject = try bench.subject()
        func size(_ what: String, _ value: UInt32) throws {
            try require(Int(value) >= Abi10.size(what), "\(what).struct_size is \(value), ABI 1.0 has \(Abi10.size(what))")
            try require(value <= 65536, "\(what).struct_size is \(value)")
        }
        try size("keel_library", subject.library.pointee.struct_size)
        try size("keel_component", subject.component.pointee.struct_size)
        try require(subject.library.pointee.reserved == 0, "keel_library.reserved is \(subject.library.pointee.reserved)")
        try require(subject.component.pointee.reserved == 0, "keel_component.reserved is \(subject.component.pointee.reserved)")
        for interface in subject.interfaces {
            guard let known = knownInterfaces[interface.id], let table = interface.table else { continue }
            try size(known.name, table.load(as: UInt32.self))
            if known.hasReserved {
                let reserved = table.load(fromByteOffset: 4, as: UInt32.self)
                try require(reserved == 0, "\(known.name).reserved is \(reserved)")
            }
        }
        let known = KEEL_COMPONENT_NEEDS_PROCESS | KEEL_COMPONENT_SINGLE | KEEL_COMPONENT_INLINE | KEEL_COMPONENT_DETERMINISTIC
        try require(subject.component.pointee.flags & ~known == 0, "keel_component.flags has bits ABI 1.0 doesn't know: \(subject.component.pointee.flags)")
    },
    Check("E04", "names", "Ids are unique and in reversed-domain form; name, version and license are there; the version can be compared.",
          rule: "\"com.acme.kraken\", never reused") { bench in
        let subject = try bench.subject()
        let ids = try Subject.components(of: subject.library).map { Subject.text($0.pointee.id) ?? "" }
        for id in ids {
            let parts = id.split(separator: ".", omittingEmptySubsequences: false)
            let formed = parts.count >= 2 && parts.allSatisfy { part in
                part.first.map { $0.isASCII && $0.isLetter } ?? false
                    && part.allSatisfy { $0.isASCII && ($0.isLowercase || $0.isNumber || $0 == "-" || $0 == "_") }
            }
            try require(formed && id.utf8.count <= 128, "the component id \"\(id)\" is not in reversed-domain form, like com.acme.kraken")
        }
        try require(Set(ids).count == ids.count, "two components share an id")
        let component = subject.component.pointee
        for (what, pointer) in [("name", component.name), ("version", component.version), ("license", component.license)] {
            let text = try require(Subject.text(pointer), "\(what) is NULL or not UTF-8")
            try require(!text.isEmpty, "\(what) is empty")
        }
        for (what, pointer) in [("vendor", component.vendor), ("url", component.url), ("toolchain", component.toolchain)] where pointer != nil {
            try require(Subject.text(pointer) != nil, "\(what) is not UTF-8")
        }
        let version = Subject.text(component.version) ?? ""
        let core = version.split(separator: "-", maxSplits: 1)[0].split(separator: "+", maxSplits: 1)[0].split(separator: ".", omittingEmptySubsequences: false)
        try require(core.count == 3 && core.allSatisfy { Int($0) != nil && !$0.isEmpty }, "the version \"\(version)\" is not of the form 1.2.3")
        try require(component.state_oldest <= component.state_version, "state_oldest is above state_version")
    },
    Check("E05", "constant-tables", "Nothing that can be reached from the tables has changed after a thousand calls.",
          rule: "static, valid until the process ends") { bench in
        let subject = try bench.subject()
        let before = fingerprint(subject)
        let text = try bench.configText(unreachable: true)
        let instance = try bench.instance()
        for _ in 0..<50 {
            if instance.create(text).accepted { instance.destroy() }
            _ = instance.create("{\"\":0}")
            for _ in 0..<18 { _ = subject.entry(1) }
            try require(fingerprint(subject) == before, "a name, a schema or a table changed while the component was used")
        }
    },
    Check("E06", "interfaces", "Interface ids are well-formed and listed once; every table is there with all required functions.",
          rule: "discovery is data, not calls") { bench in
        let subject = try bench.subject()
        var seen: Set<String> = []
        try require(!subject.interfaces.isEmpty, "the component lists no interface")
        for interface in subject.interfaces {
            let parts = interface.id.split(separator: "/", omittingEmptySubsequences: false)
            let formed = parts.count == 2 && parts[0].contains(".") && Int(parts[1]) != nil
                && parts[0].allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || ".-_".contains($0)) }
            try require(formed, "\"\(interface.id)\" is not an interface id like \"keel.broker/1\"")
            try require(seen.insert(interface.id).inserted, "\"\(interface.id)\" is listed twice")
            let table = try require(interface.table, "the table of \"\(interface.id)\" is NULL")
            guard let known = knownInterfaces[interface.id] else { continue }
            for (name, offset) in known.required {
                try require(table.load(fromByteOffset: offset, as: UInt.self) != 0, "\(known.name).\(name) is NULL")
            }
        }
        let component = subject.component.pointee
        try require(unsafeBitCast(component.create, to: UInt.self) != 0 && unsafeBitCast(component.start, to: UInt.self) != 0
            && unsafeBitCast(component.stop, to: UInt.self) != 0 && unsafeBitCast(component.destroy, to: UInt.self) != 0,
            "create, start, stop and destroy must be there")
    },
    Check("E07", "unknown-interfaces", "Interfaces the host doesn't know are in the author's own name space and don't stand in the way.",
          rule: "a role or an extension") { bench in
        let subject = try bench.subject()
        for interface in subject.interfaces where knownInterfaces[interface.id] == nil {
            try require(!interface.id.hasPrefix("keel."), "\"\(interface.id)\": the prefix keel. is the header's own")
        }
        let instance = try bench.instance()
        let result = instance.create(try bench.configText(unreachable: true))
        try require(result.accepted, "create refused the profile's configuration: \(result.words)")
        instance.destroy()
    },
    Check("E08", "host-sizes", "It works on a host table of exactly the 1.0 size and on one 256 bytes longer.",
          rule: "Read only what both sides have; never write past the size the other side set.") { bench in
        for table in [HostStyle.Table.cut, .enlarged] {
            var style = HostStyle()
            style.table = table
            do {
                try bench.workout(style)
            } catch Verdict.fail(let words) {
                throw Verdict.fail("on a host table \(table == .cut ? "of the 1.0 size" : "256 bytes longer than 1.0's"): \(words)")
            }
        }
        // A decider's snapshot may be longer than it knows, too: the lists lie behind whatever size it states.
        guard try bench.isRole(KEEL_DECIDER) else { return }
        let instance = try bench.running()
        var shape = SnapshotBlock.Shape()
        shape.newer = 256
        for _ in 0..<5 {
            let snapshot = SnapshotBlock.random(&bench.random, bench.profile.instrument, price: bench.profile.price, now: bench.clock.now, shape)
            let (called, request) = instance.decide(snapshot, deadline: bench.clock.now &+ .seconds(5))
            let outcome = try require(instance.outcome(called, request), "no DONE for a snapshot 256 bytes longer than 1.0's")
            try require(outcome.status != KEEL_E_INVALID && outcome.status != KEEL_E_UNSUPPORTED, "a snapshot 256 bytes longer than 1.0's is refused: \(outcome.words)")
        }
        instance.end()
    },
    Check("E09", "foreign-host", "It refuses a host of another major and a host without a size, instead of crashing.",
          rule: "Read only what both sides have") { bench in
        for table in [HostStyle.Table.newerMajor, .sizeless] {
            var style = HostStyle()
            style.table = table
            let instance = try bench.instance(style)
            let result = instance.create(try bench.configText(unreachable: true))
            try require(!result.accepted, "create accepts a host \(table == .newerMajor ? "of ABI major 2" : "with struct_size 0")")
        }
    },
]

struct KnownInterface {
    var name: String
    var hasReserved: Bool
    var required: [(String, Int)]
}

/// The interfaces of ABI 1.0: their tables and the functions that can't be NULL.
let knownInterfaces: [String: KnownInterface] = [
    KEEL_FEED: KnownInterface(name: "keel_feed", hasReserved: true, required: [("subscribe", 24), ("unsubscribe", 32)]),
    KEEL_BROKER: KnownInterface(name: "keel_broker", hasReserved: true, required: [("submit", 16), ("cancel", 24), ("sync", 40)]),
    KEEL_DECIDER: KnownInterface(name: "keel_decider", hasReserved: false, required: [("decide", 16), ("cancel", 24)]),
    KEEL_ROUTER: KnownInterface(name: "keel_router", hasReserved: true, required: [("route", 8), ("on_event", 16), ("cancel", 24)]),
    KEEL_STATE: KnownInterface(name: "keel_state", hasReserved: true, required: [("save", 8), ("load", 16)]),
    KEEL_DESCRIBE: KnownInterface(name: "keel_describe", hasReserved: true, required: [("describe", 8)]),
    KEEL_RANKINGS: KnownInterface(name: "keel_rankings", hasReserved: true, required: [("fetch", 8)]),
    KEEL_ACCOUNT: KnownInterface(name: "keel_account", hasReserved: true, required: [("summary", 8)]),
    KEEL_MARKET: KnownInterface(name: "keel_market", hasReserved: true, required: [("on_market", 8)]),
]

/// Everything the tables lead to, as bytes.
private func fingerprint(_ subject: Subject) -> [UInt8] {
    var bytes: [UInt8] = []
    func add(_ pointer: UnsafeRawPointer?, _ count: Int) { if let pointer { bytes += UnsafeRawBufferPointer(start: pointer, count: count) } }
    func add(text pointer: UnsafePointer<CChar>?) { bytes += Array((pointer.map { String(cString: $0) } ?? "\u{1}NULL").utf8) + [0] }
    add(subject.library, min(Int(subject.library.pointee.struct_size), MemoryLayout<keel_library>.size))
    let component = subject.component.pointee
    add(subject.component, min(Int(component.struct_size), MemoryLayout<keel_component>.size))
    for text in [component.id, component.name, component.vendor, component.version, component.license, component.url, component.toolchain,
                 component.config_schema] {
        add(text: text)
    }
    add(component.interfaces, Int(component.interface_count) * MemoryLayout<keel_interface>.size)
    for interface in subject.interfaces {
        bytes += Array(interface.id.utf8) + [0]
        guard let table = interface.table, let known = knownInterfaces[interface.id] else { continue }
        add(table, min(Int(table.load(as: UInt32.self)), Abi10.size(known.name)))
    }
    return bytes
}
