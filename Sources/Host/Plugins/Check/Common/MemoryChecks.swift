import CSystem
import Glibc
import PluginAPI
import PluginKit

// M: who may touch which memory, and when.

private let borrow = "Borrow for the call: a pointer passed either way is valid until the call"
private let strings = "UTF-8, not terminated, no NUL inside; ptr may be NULL if len is 0"

let memoryChecks: [Check] = [
    Check("M01", "borrows-end", "Nothing lent for a call is touched after the call.", rule: borrow) { bench in
        var style = HostStyle()
        style.lending = .unmapped
        try bench.workout(style)
    },
    Check("M02", "strings-end", "No string is read past its length: the byte behind it can't be read.", rule: strings) { bench in
        var style = HostStyle()
        style.lending = .guarded
        try bench.workout(style)
    },
    Check("M03", "odd-strings", "Empty strings with NULL pointers, 64 KiB strings, broken UTF-8 and embedded NULs are taken or refused, never a crash.",
          rule: strings) { bench in
        let good = Array(try bench.configText(unreachable: true).utf8)
        let long = [UInt8](repeating: UInt8(ascii: "n"), count: 65536)
        let longConfig = Array("{\"zz_unknown\":\"".utf8) + long + Array("\"}".utf8)
        var spaced = [UInt8](repeating: UInt8(ascii: " "), count: 65536)
        spaced += good
        let names: [[UInt8]?] = [nil, [], Array("check".utf8), long, [0xff, 0xfe, 0xc0], [UInt8(ascii: "a"), 0, UInt8(ascii: "b")]]
        let configs: [[UInt8]?] = [
            good, nil, [], longConfig, spaced, [0xff, 0xfe], Array("{\"\u{0}\":1}".utf8), good.dropLast() + [0, UInt8(ascii: "}")],
            Array("{\"".utf8) + [0xc3, 0x28] + Array("\":1}".utf8), [UInt8](repeating: UInt8(ascii: "["), count: 60_000),
            [UInt8](repeating: UInt8(ascii: "{"), count: 5), Array("{\"a\":\"\\".utf8), Array("{\"a\":\"\\u12".utf8), Array("null".utf8),
        ]
        for name in names {
            for config in configs {
                let instance = try bench.instance()
                if instance.create(config, name: name).accepted { instance.destroy() }
            }
        }
        // What the venue and the host say about an instrument may be empty too.
        try bench.prepareVenue()
        let instance = try bench.instance()
        var odd = bench.profile.instrument
        odd.id = 77
        odd.venueSymbol = ""
        odd.base = ""
        instance.host.instruments[77] = LentInstrument(odd)
        guard instance.create(good, name: nil).accepted else { return }
        if instance.start().accepted {
            instance.run(for: 0.03)
            if instance.subject.lists(KEEL_BROKER) {
                var order = bench.order()
                order.instrument = 77
                _ = instance.submit(order)
            }
            if let feed = instance.subject.table(KEEL_FEED, as: keel_feed.self) { _ = instance.subscribe(77, feed.pointee.channels) }
            instance.run(for: 0.02)
            instance.stop()
        }
        instance.destroy()
    },
    Check("M04", "const-stays-const", "Nothing the plugin gets as const is written to: not the host's table, not an order, not a snapshot, not a text.",
          rule: "valid from create until destroy returns") { bench in
        var style = HostStyle()
        style.lending = .readOnly
        style.readOnlyTable = true
        try bench.workout(style)
    },
    Check("M05", "heap-discipline", "The heap stays whole: run with the author's sanitizer build if the profile names one, else under a checking allocator.",
          rule: "Nothing is freed across the boundary.", limit: 30) { bench in
        try bench.workoutUnderAllocator()
    },
    Check("M06", "error-texts", "Messages left in keel_error are UTF-8 and end with a NUL within their 256 bytes.", rule: "UTF-8, NUL-terminated, truncated to fit") { bench in
        try bench.prepareVenue()
        let instance = try bench.instance()
        let long = String(repeating: "ü", count: 400)
        var texts = ["{\"\(long)\": 1}", "{\"x\(long)\": 1}", "{\"zz\": \"\(long)\"}", "{", "[]", ""]
        if let schema = try? bench.schema() {
            // A text where it doesn't belong often ends up in the message.
            for property in schema.properties {
                var config = try bench.config(unreachable: true)
                config.set(property.name, JSONValue(long))
                texts.append(config.text(.compact))
                config.set(property.name, JSONValue("x" + long))
                texts.append(config.text(.compact))
            }
        }
        for text in texts where instance.create(text).accepted { instance.destroy() }
        if instance.create(try bench.configText()).accepted {
            _ = instance.stopCall()
            if instance.start().accepted {
                instance.run(for: 0.02)
                bench.badCalls(instance)
                instance.stop()
            }
            instance.destroy()
        }
        let misuse = instance.host.misuse(.errorMessage)
        try require(misuse == nil, misuse?.text ?? "")
    },
]

extension Bench {
    /// Starts this program once more with another allocator before it, and has it do the workout there.
    fileprivate func workoutUnderAllocator() throws {
        guard order != nil, let program = again.first else {
            // In a debugger, or called directly: the debugger's own allocator will have to do.
            return try workout(HostStyle())
        }
        var order = try require(order, "")
        order.single = heapWorkout.id
        order.component = componentID
        var environmentChanges = ["MALLOC_CHECK_": "3", "MALLOC_PERTURB_": "165"]
        if let sanitized = profile.sanitized {
            let file = sanitized.hasPrefix("/") ? sanitized : profile.folder + "/" + sanitized
            try require(access(file, R_OK) == 0, "the sanitizer build \(file) is not there")
            order.file = file
            environmentChanges = ["ASAN_OPTIONS": "detect_leaks=0:verify_asan_link_order=0:abort_on_error=1", "UBSAN_OPTIONS": "halt_on_error=1:abort_on_error=1"]
            if let runtime = try? elf(of: file).dynamic.needed.first(where: { $0.hasPrefix("libasan") }) { environmentChanges["LD_PRELOAD"] = runtime }
        } else {
            environmentChanges["LD_PRELOAD"] = "libc_malloc_debug.so.0"
        }
        var ends: [Int32] = [0, 0]
        guard csystem_pipe(&ends) == 0 else { throw Verdict.fail("no pipe") }
        let words = [program] + again.dropFirst() + [order.json.text(.compact)]
        let child = csystem_fork()
        if child == 0 {
            _ = csystem_die_with_parent(SIGKILL)
            for (name, value) in environmentChanges { setenv(name, value, 1) }
            dup2(ends[1], 1)
            var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) }
            arguments.append(nil)
            execv(program, arguments)
            _exit(127)
        }
        close(ends[1])
        var received: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = read(ends[0], &buffer, buffer.count)
            if count <= 0 { break }
            received.append(contentsOf: buffer[0..<count])
        }
        close(ends[0])
        var status: Int32 = 0
        waitpid(child, &status, 0)
        let line = String(decoding: received, as: UTF8.self).split(separator: "\n").last { $0.hasPrefix("=") }
        if let line {
            let words = line.dropFirst().split(separator: " ", maxSplits: 1)
            if words.first == "pass" { return }
            let message = words.count > 1 ? ((try? JSONValue(parsing: String(words[1])))?.asText ?? "") : ""
            throw words.first == "skip" ? Verdict.skip(message) : Verdict.fail(message)
        }
        let records = String(decoding: received, as: UTF8.self).split(separator: "\n").map(String.init)
        throw Verdict.fail("with a checking allocator, \(CheckProcess.death(records, status)); what the allocator said is below")
    }

    private func elf(of file: String) throws -> ElfFile {
        guard let bytes = readFile(file) else { throw Verdict.fail("\(file) can't be read") }
        do { return try ElfFile(bytes) } catch { throw Verdict.fail("\(error)") }
    }
}

/// What M05 runs in its second process. Not a check of its own.
let heapWorkout = Check("M05-inside", "heap-workout", "The workout under another allocator.", rule: borrow) { bench in
    try bench.workout(HostStyle())
}
