import CSystem
import Glibc
import PluginAPI
import PluginKit

// L: the file, before and while it is loaded.

private let largestLibrary = 256 << 20
private let oneSymbol = "One exported symbol: keel_plugin_entry."

let libraryChecks: [Check] = [
    Check("L01", "elf-shape", "The file is a shared library for this machine, with a dynamic symbol table, of at most 256 MiB.",
          rule: oneSymbol, scope: .file) { bench in
        var status = stat()
        try require(stat(bench.path, &status) == 0, "the file can't be read")
        try require(status.st_size <= largestLibrary, "the file has \(status.st_size) bytes, the limit is \(largestLibrary)")
        let elf = try bench.elf()
        let identity = elf.identity
        try require(identity.bits == 64 && identity.littleEndian, "the file is \(identity), not 64-bit little-endian")
        try require(identity.machine == ElfMachine.host, "the file is for \(identity.machine), this machine is \(ElfMachine.host)")
        try require(identity.kind == .shared, "the file is \(identity.kind), not a shared library")
        try require(!elf.symbols.isEmpty, "the file has no dynamic symbol table")
    },
    Check("L02", "one-export", "The library exports keel_plugin_entry and nothing else.", rule: oneSymbol, scope: .file) { bench in
        // Unique symbols are exports too, but L03 is about them.
        let exports = try bench.elf().exports.filter { $0.binding != .unique }
        let names = exports.map(\.name).filter { $0 != "keel_plugin_entry" }.sorted()
        try require(exports.contains { $0.name == "keel_plugin_entry" && $0.isFunction }, "keel_plugin_entry is not an exported function")
        try require(names.isEmpty, "the library also exports \(names.prefix(5).joined(separator: ", "))\(names.count > 5 ? " and \(names.count - 5) more" : ""): "
            + "link with a version script, { global: keel_plugin_entry; local: *; }")
    },
    Check("L03", "no-unique-symbols", "No symbol is shared with other libraries behind the loader's back (STB_GNU_UNIQUE).",
          rule: oneSymbol, scope: .file) { bench in
        let names = try bench.elf().uniqueSymbols.map(\.name)
        try require(names.isEmpty, "\(names.prefix(3).joined(separator: ", ")): compile with -fno-gnu-unique or hide it in the version script")
    },
    Check("L04", "loads-complete", "Everything the library needs is found when it is loaded with RTLD_NOW and RTLD_LOCAL.", rule: oneSymbol) { bench in
        // Reading its tables is part of it: every other check builds on that.
        _ = try Subject.load(bench.path, component: nil)
    },
    Check("L05", "hardened", "Bound at load, read-only relocations, no executable stack, no text relocations, never unloaded.",
          rule: oneSymbol, scope: .file) { bench in
        let elf = try bench.elf()
        var missing: [String] = []
        if !elf.bindsNow { missing.append("-z now") }
        if !elf.hasRelro { missing.append("-z relro") }
        if elf.executableStack { missing.append("-z noexecstack") }
        if !elf.neverUnloads { missing.append("-z nodelete") }
        if elf.hasTextRelocations { missing.append("-fPIC (there are text relocations)") }
        if elf.hasWritableCode { missing.append("no segment that is both writable and executable") }
        try require(missing.isEmpty, "link with \(missing.joined(separator: ", "))")
    },
    Check("L06", "known-libraries", "It names no search path of its own and needs only the usual system and language libraries.",
          rule: "One header, no other files, C11.", scope: .file) { bench in
        let dynamic = try bench.elf().dynamic
        if let path = dynamic.rpath, !path.isEmpty { throw Verdict.fail("it has an RPATH, \(path): link without -rpath") }
        if let path = dynamic.runpath, !path.isEmpty {
            // The Swift compiler writes its own folder into what it links against the shared runtime.
            let strange = path.split(separator: ":").filter { !isToolchainFolder(String($0)) }
            try require(strange.isEmpty, "it has a RUNPATH, \(strange.joined(separator: ":")): link without -rpath")
        }
        let strange = dynamic.needed.filter { name in !isUsualLibrary(name) && !bench.profile.libraries.contains(name) }
        try require(strange.isEmpty, "it needs \(strange.joined(separator: ", ")): link it in, or name it in the profile's \"libraries\"")
    },
    Check("L07", "swift-runtime", "A Swift runtime is either linked in or the very one the host uses.", rule: "const char *toolchain;") { bench in
        let elf = try bench.elf()
        let shared = elf.dynamic.needed.contains { $0.hasPrefix("libswiftCore.so") }
        let inside = elf.sections.contains { $0.name.hasPrefix("swift5_") }
        if !shared {
            if inside { print("a static Swift runtime: the file has \(elf.size / 1024) KiB") }
            return
        }
        let toolchain = Subject.text(try bench.subject().component.pointee.toolchain) ?? ""
        let wanted = "swift \(hostSwiftVersion)"
        try require(toolchain.lowercased().hasPrefix(wanted),
                    "it uses a shared Swift runtime and says it was built with \"\(toolchain)\"; the host's is \(wanted): link with -static-stdlib")
    },
    Check("L08", "no-process-calls", "It doesn't import calls that change or end the whole process.",
          rule: "may only run in a process of its own") { bench in
        let elf = try bench.elf()
        let subject = try bench.subject()
        let runtime = LanguageRuntime(of: elf)
        let imports = Set(elf.imports.map(\.name))
        let excused = Set(bench.profile.imports.map(\.name))
        let bad = forbiddenImports.filter { imports.contains($0) && !excused.contains($0) && !runtime.brings($0) }
        if !bad.isEmpty, !subject.needsProcess {
            throw Verdict.fail("it imports \(bad.joined(separator: ", ")): leave them out, or set KEEL_COMPONENT_NEEDS_PROCESS")
        }
        if imports.contains("abort"), !runtime.brings("abort"), !excused.contains("abort") {
            throw Verdict.warn("it imports abort: return a status instead, or call host->fail")
        }
    },
    Check("L09", "quiet-load", "Loading alone starts no thread, opens no descriptor, prints nothing and takes under 50 ms.",
          rule: "[loader] Pure: no thread, no I/O, no environment, under 10 ms") { bench in
        let took = try leastTime(below: 50_000_000) {
            let began = CheckClock.own()
            _ = try Subject.open(bench.path)
            return CheckClock.own() - began
        }
        try require(took < 50_000_000, "loading it takes \(took / 1_000_000) ms")
        let before = ProcessFacts.now()
        _ = try Subject.open(bench.path)
        let after = ProcessFacts.now()
        try require(after.threads == before.threads, "loading it left \(after.threads - before.threads) more threads")
        try require(after.descriptors == before.descriptors, "loading it left open \(after.newDescriptors(since: before))")
        try require(after.printed == before.printed, "loading it printed \(after.printed - before.printed) bytes")
    },
    Check("L10", "loads-twice", "It loads twice in one process from two paths, and beside other plugins in both orders.",
          rule: "One exported symbol: keel_plugin_entry.", limit: 20) { bench in
        var status = stat()
        if stat(bench.path, &status) == 0, status.st_size > largestLibrary { throw Verdict.skip("the file is too large to copy: see L01") }
        try bench.loadCopies()
        for other in bench.otherPlugins() {
            for first in [bench.path, other] {
                try inFork("with \(other.split(separator: "/").last ?? "")") {
                    let second = first == bench.path ? other : bench.path
                    _ = try Subject.open(first)
                    _ = try Subject.open(second)
                    let subject = try Subject.load(bench.path, component: bench.componentID)
                    try require(!subject.id.isEmpty, "its tables can't be read")
                }
            }
        }
    },
]

/// Calls that act on the whole process.
let forbiddenImports = [
    "exit", "_exit", "quick_exit", "_Exit", "fork", "vfork", "system", "popen", "setenv", "putenv", "unsetenv", "clearenv", "setlocale", "chdir", "fchdir",
    "umask", "signal", "sigaction", "sigset", "setrlimit", "dlclose", "atexit", "on_exit", "chroot", "setuid", "setgid", "prctl",
]

/// A statically linked language runtime brings imports the author did not write and can't leave out.
struct LanguageRuntime {
    private let brought: Set<String>

    init(of elf: ElfFile) {
        var brought: Set<String> = []
        if elf.sections.contains(where: { $0.name.hasPrefix("swift5_") }) {
            // swiftrt, the backtracer and Foundation's Process.
            brought.formUnion(forbiddenImports + ["abort"])
        }
        if elf.sections.contains(where: { $0.name == ".comment" }), elf.imports.contains(where: { $0.name == "_Unwind_Resume" || $0.name == "_Unwind_Backtrace" }),
           elf.imports.contains(where: { $0.name == "_Unwind_GetIP" }) {
            // Rust's std: panics end in abort, and its stack guard asks about signals.
            brought.formUnion(["abort", "sigaction", "signal", "_exit", "setenv", "unsetenv", "chdir", "prctl"])
        }
        if elf.dynamic.needed.contains(where: { $0.hasPrefix("libstdc++") || $0.hasPrefix("libgcc_s") }) { brought.insert("abort") }
        self.brought = brought
    }

    func brings(_ name: String) -> Bool { brought.contains(name) }
}

private func isUsualLibrary(_ name: String) -> Bool {
    let usual = [
        "libc.so.", "libm.so.", "libdl.so.", "libpthread.so.", "librt.so.", "libresolv.so.", "ld-linux", "libgcc_s.so.", "libstdc++.so.", "libc++.so.",
        "libc++abi.so.", "libatomic.so.", "libutil.so.", "libssl.so.", "libcrypto.so.", "libz.so.",
        "libswift", "libFoundation", "lib_Foundation", "lib_Internationalization", "libBlocksRuntime.so", "libdispatch.so", "lib_Synchronization",
        "lib_StringProcessing", "lib_Regex",
    ]
    return usual.contains { name.hasPrefix($0) }
}

private func isToolchainFolder(_ path: String) -> Bool {
    if path == "$ORIGIN" { return true }
    return path.contains("/swift/linux") || path.hasSuffix("/lib/swift/host") || path.hasPrefix("$ORIGIN/")
}

#if swift(>=6.4)
let hostSwiftVersion = "6.4"
#elseif swift(>=6.3)
let hostSwiftVersion = "6.3"
#elseif swift(>=6.2)
let hostSwiftVersion = "6.2"
#else
let hostSwiftVersion = "6"
#endif

extension Bench {
    func elf() throws -> ElfFile {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        var status = stat()
        guard descriptor >= 0, fstat(descriptor, &status) == 0, status.st_size > 0 else { throw Verdict.fail("the file can't be read, or is empty") }
        defer { close(descriptor) }
        let length = Int(status.st_size)
        let start = mmap(nil, length, PROT_READ, MAP_PRIVATE, descriptor, 0)
        guard let start, start != UnsafeMutableRawPointer(bitPattern: -1) else { throw Verdict.fail("the file can't be read: \(String(cString: strerror(errno)))") }
        defer { munmap(start, length) }
        do { return try ElfFile(UnsafeRawBufferPointer(start: start, count: length)) } catch { throw Verdict.fail("\(error)") }
    }

    /// The same bytes under a second name: a second image in the same process.
    fileprivate func loadCopies() throws {
        let folder = try temporaryFolder()
        defer { removeFolder(folder) }
        let copy = folder + "/second.so"
        try require(copyFile(path, copy), "a second copy of the file can't be written")
        let first = try Subject.load(path, component: componentID)
        let second = try Subject.load(copy, component: componentID)
        try require(first.component != second.component, "the second copy shares the first one's tables")
        let text = try configText(unreachable: true)
        for subject in [first, second, first] {
            let host = HostileHost(style: HostStyle(), clock: clock, store: CheckStore())
            host.instruments[profile.instrument.id] = LentInstrument(profile.instrument)
            let instance = Instance(subject, host)
            let result = instance.create(text)
            try require(result.accepted, "with two copies in one process, create fails: \(result.words)")
            instance.destroy()
        }
    }

    /// Libraries in the host's own plugin folder.
    fileprivate func otherPlugins() -> [String] {
        var buffer = [CChar](repeating: 0, count: 4096)
        let count = readlink("/proc/self/exe", &buffer, buffer.count - 1)
        guard count > 0 else { return [] }
        let program = String(decoding: buffer[0..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
        guard let slash = program.lastIndex(of: "/") else { return [] }
        let folder = String(program[..<slash])
        for candidate in [folder, folder + "/../lib/keel/plugins"] {
            let names = folderEntries(candidate).filter { name in
                name.hasPrefix("lib") && name.hasSuffix(".so") && bundledNames.contains(String(name.dropFirst(3).dropLast(3)))
            }
            if !names.isEmpty { return names.sorted().map { candidate + "/" + $0 }.filter { $0 != path } }
        }
        return []
    }
}

private let bundledNames: Set<String> = [
    "Sim", "DirectRouter", "EMACross", "ZScore", "Rules", "Binance", "KIS", "InteractiveBrokers", "Lean", "Claude", "KRXRouter", "Massive", "FRED",
]
