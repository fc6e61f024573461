import Foundation
import PluginAPI
import PluginKit
import TestSupport
import Testing

@testable import HostPlugins

/// Bodies of bad libraries, each the least that shows its fault.
enum BadLibrary {
    static func library(_ entry: String, _ more: String = "") -> String {
        """
        #include "keel.h"
        #include <stdlib.h>
        #include <unistd.h>
        static keel_status create(const keel_component *c, const keel_host *h, keel_str n, keel_str j, keel_instance **o, keel_error *e)
        { (void)c; (void)h; (void)n; (void)j; (void)o; (void)e; return KEEL_E_UNSUPPORTED; }
        static keel_status start(keel_instance *i, keel_error *e) { (void)i; (void)e; return KEEL_OK; }
        static keel_status stop(keel_instance *i, keel_time d, uint64_t r, keel_error *e) { (void)i; (void)d; (void)r; (void)e; return KEEL_OK; }
        static void destroy(keel_instance *i) { (void)i; }
        static keel_status describe(keel_instance *i, const keel_writer *w) { (void)i; (void)w; return KEEL_OK; }
        static keel_describe describing = { sizeof describing, 0, describe };
        static keel_interface interfaces[] = { { KEEL_DESCRIBE, &describing }, { KEEL_DESCRIBE, &describing } };
        static keel_component component = { .struct_size = sizeof component, .id = "com.test.bad", .name = "Bad", .version = "1",
            .interfaces = interfaces, .interface_count = 1, .create = create, .start = start, .stop = stop, .destroy = destroy };
        static const keel_component *components[] = { &component, &component };
        static keel_library library = { sizeof library, 1, 0, (const keel_component *const *)components, 1, 0 };
        \(more)
        KEEL_EXPORT const keel_library *keel_plugin_entry(uint32_t major) { \(entry) }
        """
    }
    static let good = "return major == 1 ? &library : 0;"
}

@Suite struct LoadTests {
    /// A folder with plugins/ in it and a loader for it.
    struct Bench {
        let folder: TemporaryFolder
        let loader: Loader

        init(limit: Double = 20, unpinned: Bool = true) throws {
            folder = try TemporaryFolder("load")
            try folder.folder("plugins")
            loader = try Loader(
                .init(cache: folder.file("cache"), bundled: [], allowUnpinned: unpinned, program: Probe.program, inspectionLimit: limit))
        }

        func build(_ text: String, _ name: String = "x.so", flags: [String] = [], linking: [String] = CompilePlugin.linking) throws {
            try CompilePlugin.c(text, to: folder.file("plugins/\(name)"), flags: flags, linking: linking)
        }

        func failure(_ file: String = "plugins/x.so", pin: String? = nil) -> LoadError? {
            do throws(LoadError) {
                _ = try loader.prepare(file: file, base: folder.path, pin: pin)
                return nil
            } catch { return error }
        }
    }

    @Test func goodLibraryIsCopiedInspectedAndLoaded() throws {
        let folder = try TemporaryFolder("load")
        let prepared = try Probe.prepared(folder)
        let bytes = Array(try Data(contentsOf: URL(fileURLWithPath: Probe.path())))
        #expect(prepared.sha256 == hex(try Digest.sha256.hash(bytes)))
        #expect(prepared.copy.hasSuffix("/cache/\(prepared.sha256).so"))
        var info = stat()
        #expect(stat(prepared.copy, &info) == 0 && info.st_mode & 0o7777 == 0o500)
        #expect(stat(folder.file("cache"), &info) == 0 && info.st_mode & 0o7777 == 0o700)
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.file("cache")).filter { $0.hasPrefix(".") } == [])
        let component = try prepared.component("com.test.probe")
        #expect(component.roles == [.feed, .broker, .decider, .router])
        #expect(component.interfaces.contains("com.test.unknown/7"))
        #expect(component.orderFeatures == 3 && component.channels == 12 && component.wants == 1 && component.barsWanted == 20)
        #expect(component.observes && !component.replacesOrders && component.checksConfig)
        #expect(component.version == "1.2.3" && component.toolchain == "cc" && component.stateVersion == 1)
        #expect(component.has(KEEL_COMPONENT_DETERMINISTIC))
        #expect(throws: LoadError.noSuchComponent(id: "com.test.other", path: prepared.path, offers: ["com.test.probe"])) {
            try prepared.component("com.test.other")
        }
        let again = try LibraryMetadata(try JSONValue(parsing: prepared.metadata.json.bytes(.pretty)))
        #expect(again == prepared.metadata)
        let loader = try Probe.loader(folder)
        let library = try loader.load(prepared)
        #expect(try library.tables("com.test.probe").broker?.pointee.order_features == 3)
        #expect(try loader.load(prepared).tables("com.test.probe").original == library.tables("com.test.probe").original)
    }

    @Test func warmPrepareRunsNothing() throws {
        let bench = try Bench()
        try FileManager.default.copyItem(atPath: try Probe.path(), toPath: bench.folder.file("plugins/x.so"))
        let first = try bench.loader.prepare(file: "plugins/x.so", base: bench.folder.path)
        // A loader that could not inspect finds everything in the cache.
        let other = try Loader(.init(cache: bench.folder.file("cache"), bundled: [], allowUnpinned: true, program: "/nonexistent"))
        #expect(try other.prepare(file: "plugins/x.so", base: bench.folder.path) == first)
        // The hash by time stamp is remembered only for a file that has been left alone for a while.
        let cache = try LibraryCache(bench.folder.file("cache"))
        let file = try TrustedFile(first.path, TrustRules.current())
        let stamp = file.stamp
        #expect(cache.knownHash(first.path, stamp) == nil)
        try cache.rememberHash(first.sha256, of: first.path, stamp, now: stamp.changed + 3_000_000_000)
        #expect(cache.knownHash(first.path, stamp) == first.sha256)
        #expect(try other.prepare(file: "plugins/x.so", base: bench.folder.path) == first)
        try Data([1]).write(to: URL(fileURLWithPath: bench.folder.file("plugins/x.so")))
        #expect(cache.knownHash(first.path, try TrustedFile(first.path, TrustRules.current()).stamp) == nil)
    }

    @Test func missingEmptyAndMisnamedFiles() throws {
        let bench = try Bench()
        #expect(bench.failure("") == .emptyName)
        #expect(bench.failure("plugins/none.so") == .missing(path: bench.folder.file("plugins/none.so")))
        #expect(bench.failure("nowhere/none.so") == .missing(path: bench.folder.file("nowhere/none.so")))
        #expect(bench.failure("Sim") == .notBundled(name: "Sim", searched: []))
        #expect(bench.failure("plugins/x") == .badName("plugins/x", why: "a path to a library ends in .so"))
        #expect(bench.failure("li b") == .badName("li b", why: "the name of a bundled plugin has letters, digits, - and _ only; a path ends in .so"))
        #expect(bench.failure("a\0b.so")?.code == "bad-name")
        #expect(bench.failure(String(repeating: "x", count: 5000) + ".so")?.code == "bad-name")
        // A name without a slash is a path too, never something to search for in library folders.
        #expect(bench.failure("libc.so") == .missing(path: bench.folder.file("libc.so")))
        try bench.folder.folder("plugins/folder.so")
        #expect(bench.failure("plugins/folder.so")?.code == "not-a-file")
        #expect(mkfifo(bench.folder.file("plugins/pipe.so"), 0o600) == 0)
        #expect(bench.failure("plugins/pipe.so") == .notAFile(path: bench.folder.file("plugins/pipe.so"), what: "a pipe"))
        try FileManager.default.createSymbolicLink(atPath: bench.folder.file("plugins/a.so"), withDestinationPath: "b.so")
        try FileManager.default.createSymbolicLink(atPath: bench.folder.file("plugins/b.so"), withDestinationPath: "a.so")
        #expect(bench.failure("plugins/a.so")?.code == "bad-name")
    }

    @Test func filesThatAreNoLibraries() throws {
        let bench = try Bench()
        let path = bench.folder.file("plugins/x.so")
        try bench.folder.write("", to: "plugins/x.so")
        #expect(bench.failure() == .notALibrary(path: path, why: .notElf(firstBytes: [])))
        try bench.folder.write("INPUT(libx.a)\n", to: "plugins/x.so")
        #expect(bench.failure()?.description.contains("it is a text file, not a library") == true)
        var bytes = Array(try Data(contentsOf: URL(fileURLWithPath: Probe.path())))
        try bench.folder.write(Array(bytes.prefix(3000)), to: "plugins/x.so")
        #expect(bench.failure()?.description.contains("cut short") == true)
        bytes[18] = 183
        try bench.folder.write(bytes, to: "plugins/x.so")
        #expect(bench.failure() == .wrongMachine(path: path, is: ElfIdentity(bits: 64, littleEndian: true, kind: .shared, machine: .arm64)))
        #expect(bench.failure()?.description.contains("ARM64") == true)
        bytes[18] = 3
        bytes[4] = 1
        try bench.folder.write(bytes, to: "plugins/x.so")
        #expect(bench.failure()?.description.contains("32-bit, x86 (32-bit)") == true)
        try bench.build("int main(void) { return 0; }", "main.so", flags: ["-no-pie", "-fno-pic"], linking: ["-Wl,--as-needed"])
        try CompilePlugin.run(["cc", "-no-pie", "-o", bench.folder.file("plugins/main.so"), bench.folder.file("plugins/main.so.c")])
        #expect(bench.failure("plugins/main.so")?.code == "not-shared")
        try CompilePlugin.run(["cc", "-c", "-o", bench.folder.file("plugins/main.so"), bench.folder.file("plugins/main.so.c")])
        #expect(bench.failure("plugins/main.so")?.code == "not-shared")
    }

    @Test func librariesLinkedWrongly() throws {
        let bench = try Bench()
        try bench.build("int other(void) { return 1; }", linking: [])
        #expect(bench.failure() == .noEntry(path: bench.folder.file("plugins/x.so")))
        try bench.build(BadLibrary.library(BadLibrary.good), linking: ["-Wl,-z,execstack"])
        #expect(bench.failure()?.description.contains("noexecstack") == true)
        try bench.build(BadLibrary.library(BadLibrary.good, "extern int not_there(void); int (*pointer)(void) = not_there;"))
        #expect(bench.failure()?.code == "wont-load")
        #expect(bench.failure()?.description.contains("undefined symbol: not_there; link the library that has it") == true)
    }

    /// What to spoil in a good library, and what must be said about it.
    static let spoilt: [(statement: String, words: String)] = [
        ("return 0;", "returns NULL for ABI 1 and every other"),
        ("return major == 2 ? &library : 0;", "needs ABI 2, this host speaks 1: update the host"),
        ("return major == 0 ? &library : 0;", "was built for ABI 0, this host speaks 1: the plugin is behind"),
        ("library.abi_major = 3; return &library;", "needs ABI 3, this host speaks 1"),
        ("library.abi_major = 0; return &library;", "was built for ABI 0"),
        ("library.struct_size = 8;", "keel_library says struct_size 8"),
        ("library.struct_size = 1 << 20;", "keel_library says struct_size"),
        ("library.component_count = 0;", "it has no components"),
        ("library.components = 0;", "it has no components"),
        ("library.component_count = 1000;", "the limit is 64"),
        ("library.component_count = 2;", "the id comes twice in one library"),
        ("components[0] = 0;", "component number 1 is NULL"),
        ("component.struct_size = 16;", "component number 1 says struct_size 16"),
        ("component.id = 0;", "id is NULL"),
        ("component.id = \"plain\";", "is not of the form com.example.name"),
        ("component.id = \"com.\\x1b[31m\";", "is not of the form com.example.name"),
        ("component.id = \"com..x\";", "is not of the form"),
        ("component.name = \"\";", "name is empty"),
        ("component.name = \"\\xff\\xfe\";", "name is not UTF-8"),
        ("component.vendor = \"\\xff\";", "vendor is not UTF-8"),
        ("for (int i = 0; i < 4999; i++) longest[i] = 'x'; component.name = longest;", "name is longer than 256 bytes"),
        ("component.config_schema = \"{\";", "config_schema is not JSON"),
        ("component.config_schema = \"[1]\";", "config_schema is not a JSON object"),
        ("component.state_oldest = 4;", "state_oldest 4 is above state_version 0"),
        ("component.create = 0;", "create is NULL"),
        ("component.destroy = 0;", "destroy is NULL"),
        ("component.interface_count = 0;", "it lists no interface"),
        ("component.interfaces = 0;", "interfaces is NULL"),
        ("component.interface_count = 2;", "the interface keel.describe/1 comes twice"),
        ("interfaces[0].table = 0;", "the table of keel.describe/1 is NULL"),
        ("interfaces[0].id = 0;", "id of interface number 1 is NULL"),
        ("describing.struct_size = 8;", "the table of keel.describe/1 says struct_size 8"),
        ("describing.describe = 0;", "describe of keel.describe/1 is NULL"),
    ]

    @Test func librariesWithBadTables() throws {
        let bench = try Bench()
        // One library holds every fault; a number in its bytes chooses one. 99: none.
        let marker = Array("KEELCASE".utf8)
        let cases = Self.spoilt.enumerated().map { "case \($0.offset): \($0.element.statement) break;" }.joined(separator: "\n")
        try bench.build(
            BadLibrary.library(
                "switch ((chosen[8] - '0') * 10 + chosen[9] - '0') {\n\(cases)\n} \(BadLibrary.good)",
                "static volatile char chosen[] = \"KEELCASE99\"; static char longest[5000];"))
        var bytes = Array(try Data(contentsOf: URL(fileURLWithPath: bench.folder.file("plugins/x.so"))))
        let place = try #require((0..<(bytes.count - 10)).first { bytes[$0..<($0 + 8)].elementsEqual(marker) })
        for (number, fault) in Self.spoilt.enumerated() {
            bytes[place + 8] = UInt8(48 + number / 10)
            bytes[place + 9] = UInt8(48 + number % 10)
            try bench.folder.write(bytes, to: "plugins/x.so")
            let failure = bench.failure()
            #expect(failure?.description.contains(fault.words) == true, "\(failure.map { "\($0)" } ?? "accepted"), after \(fault.statement)")
        }
        bytes[place + 8] = 57
        bytes[place + 9] = 57
        try bench.folder.write(bytes, to: "plugins/x.so")
        #expect(bench.failure() == nil)
    }

    @Test func librariesThatCrashHangOrExitAreNotTriedAgain() throws {
        let bench = try Bench(limit: 0.5)
        func expect(_ name: String, _ text: String, _ check: (LoadError) -> Bool, line: Int = #line) throws {
            try bench.build(text, "\(name).so")
            let first = try #require(bench.failure("plugins/\(name).so"))
            #expect(check(first), "\(first) at line \(line)")
            let second = try #require(bench.failure("plugins/\(name).so"))
            #expect(second.code == "known-bad", "\(second) at line \(line)")
            // Another loader knows too.
            let other = try Loader(.init(cache: bench.folder.file("cache"), bundled: [], allowUnpinned: true, program: "/nonexistent"))
            #expect(throws: second) { try other.prepare(file: "plugins/\(name).so", base: bench.folder.path) }
        }
        try expect("crash", BadLibrary.library("*(volatile int *)8 = 1; \(BadLibrary.good)")) {
            if case .crashed(_, .entry, let how) = $0 { how.contains("SIGSEGV") } else { false }
        }
        try expect("construct", BadLibrary.library(BadLibrary.good, "__attribute__((constructor)) static void boom(void) { abort(); }")) {
            if case .crashed(_, .loading, let how) = $0 { how.contains("SIGABRT") } else { false }
        }
        try expect("wild", BadLibrary.library("component.id = (const char *)16; \(BadLibrary.good)")) {
            if case .crashed(_, .describing, _) = $0 { true } else { false }
        }
        try expect("hang", BadLibrary.library("for (;;) pause(); return &library;")) {
            if case .hung(_, .entry, let seconds) = $0 { seconds == 0.5 } else { false }
        }
        try expect("exit", BadLibrary.library("_exit(3); return &library;")) { $0 == .endedEarly(path: bench.folder.file("plugins/exit.so"), stage: .entry, code: 3) }
        // A new version under the old name is tried.
        try bench.build(BadLibrary.library(BadLibrary.good), "crash.so")
        #expect(bench.failure("plugins/crash.so") == nil)
    }

    @Test func reportsThatAPluginForgedDoNotHurt() throws {
        func judge(_ text: String, _ end: ChildEnd = .exited(0), inTime: Bool = true) -> String {
            do throws(LoadError) {
                let found = try Inspector.judge(Array(text.utf8), end, inTime: inTime, shown: "/x.so", limit: 1)
                return "\(found.components.count)"
            } catch { return error.code }
        }
        #expect(judge("ledr{\"abi_major\":1,\"abi_minor\":0,\"components\":[]}") == "0")
        #expect(judge("ledr{") == "inspector")
        #expect(judge("ledrnonsense") == "inspector")
        #expect(judge("ledr{\"abi_major\":\"x\"}") == "inspector")
        #expect(judge("ledr{\"error\":\"odd\",\"what\":\"\\u001b\"}") == "inspector")
        #expect(judge("ledr[1]") == "inspector")
        #expect(judge("xxxx", .exited(1)) == "inspector")
        #expect(judge("led", .exited(1)) == "ended-early")
        #expect(judge("led", .signalled(SIGKILL)) == "inspector")
        #expect(judge("led", .signalled(SIGSEGV)) == "crashed")
        #expect(judge("l", .signalled(SIGKILL), inTime: false) == "hung")
        #expect(judge("", .exited(127)) == "inspector")
        #expect(judge("ledr{\"abi_major\":1,\"abi_minor\":0,\"components\":[]}", .signalled(SIGSEGV)) == "crashed")
    }

    @Test func aMissingInspectorIsNotThePluginsFault() throws {
        let bench = try Bench()
        try bench.build(BadLibrary.library(BadLibrary.good))
        for program in ["/nonexistent", "/bin/false"] {
            let loader = try Loader(.init(cache: bench.folder.file("cache"), bundled: [], allowUnpinned: true, program: program))
            #expect(throws: LoadError.self) { try loader.prepare(file: "plugins/x.so", base: bench.folder.path) }
        }
        #expect(bench.failure() == nil)
    }

    // MARK: who may change what

    @Test func symbolicLinksMayNotLeadOut() throws {
        let bench = try Bench()
        let outside = try TemporaryFolder("outside")
        try FileManager.default.copyItem(atPath: try Probe.path(), toPath: outside.file("real.so"))
        try FileManager.default.copyItem(atPath: try Probe.path(), toPath: bench.folder.file("plugins/probe-1.2.so"))
        let links = FileManager.default
        try links.createSymbolicLink(atPath: bench.folder.file("plugins/out.so"), withDestinationPath: outside.file("real.so"))
        #expect(bench.failure("plugins/out.so") == .symlinkOut(path: bench.folder.file("plugins/out.so"), target: outside.file("real.so"), folder: bench.folder.path))
        try links.createSymbolicLink(atPath: bench.folder.file("plugins/x.so"), withDestinationPath: "probe-1.2.so")
        #expect(bench.failure() == nil)
        try links.createSymbolicLink(atPath: bench.folder.file("linked"), withDestinationPath: outside.path)
        #expect(bench.failure("linked/real.so")?.code == "symlink-out")
        // Named openly, another folder is the user's choice.
        #expect(bench.failure(outside.file("real.so")) == nil)
        #expect(bench.failure("../\((outside.path as NSString).lastPathComponent)/real.so") == nil)
        #expect(bench.failure("\(bench.folder.path)/plugins/out.so")?.code == "symlink-out")
    }

    @Test func writableFilesAndFoldersAreRefused() throws {
        let bench = try Bench()
        try FileManager.default.copyItem(atPath: try Probe.path(), toPath: bench.folder.file("plugins/x.so"))
        let file = bench.folder.file("plugins/x.so")
        let folder = bench.folder.file("plugins")
        chmod(file, 0o757)
        #expect(bench.failure() == .writableByOthers(path: file, folder: false, mode: 0o100757))
        #expect(bench.failure()?.description.contains("run: chmod go-w \(file)") == true)
        chmod(file, 0o755)
        #expect(bench.failure() == nil)
        chmod(folder, 0o777)
        #expect(bench.failure() == .writableByOthers(path: folder, folder: true, mode: 0o040777))
        // Sticky is enough on the way, not for the folder itself.
        chmod(folder, 0o1777)
        #expect(bench.failure()?.code == "writable-by-others")
        try bench.folder.folder("plugins/own")
        try FileManager.default.copyItem(atPath: try Probe.path(), toPath: bench.folder.file("plugins/own/x.so"))
        #expect(bench.failure("plugins/own/x.so") == nil)
        chmod(folder, 0o777)
        #expect(bench.failure("plugins/own/x.so")?.code == "writable-by-others")
        chmod(folder, 0o755)
        #expect(bench.failure() == nil)
    }

    @Test func ownersAndPrivateGroups() {
        var info = stat()
        info.st_mode = S_IFREG | 0o664
        info.st_uid = 1000
        info.st_gid = 1000
        let own = TrustRules(owners: [0, 1000], privateGroup: 1000)
        #expect(own.fault(info, "/f", allowSticky: false) == nil)
        #expect(TrustRules(owners: [0, 1000], privateGroup: nil).fault(info, "/f", allowSticky: false)?.code == "writable-by-others")
        #expect(TrustRules(owners: [0, 1000], privateGroup: 50).fault(info, "/f", allowSticky: false)?.code == "writable-by-others")
        info.st_mode = S_IFREG | 0o646
        #expect(own.fault(info, "/f", allowSticky: false)?.code == "writable-by-others")
        info.st_mode = S_IFREG | 0o600
        info.st_uid = 1001
        #expect(own.fault(info, "/f", allowSticky: false) == .wrongOwner(path: "/f", owner: 1001))
        info.st_uid = 0
        info.st_mode = S_IFDIR | 0o1777
        #expect(own.fault(info, "/f", allowSticky: true) == nil)
        #expect(own.fault(info, "/f", allowSticky: false)?.code == "writable-by-others")
    }

    @Test func aFileThatChangesWhileItIsReadIsRefused() throws {
        let folder = try TemporaryFolder("change")
        let path = try folder.write([UInt8](repeating: 1, count: 1000), to: "x.so")
        let file = try TrustedFile(path, TrustRules.current())
        try folder.write([UInt8](repeating: 1, count: 1001), to: "x.so")
        // Written under a new name and renamed, the open file is still the old one, whole.
        let handle = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
        try handle.write(contentsOf: Data([2]))
        var failure: LoadError?
        do throws(LoadError) { _ = try file.read() } catch { failure = error }
        #expect(failure == nil || failure == .changedWhileReading(path: path))
        let second = try TrustedFile(path, TrustRules.current())
        try handle.seekToEnd()
        try handle.write(contentsOf: Data([3]))
        do throws(LoadError) {
            _ = try second.read()
            Issue.record("a grown file was taken")
        } catch { #expect(error == .changedWhileReading(path: path)) }
    }

    // MARK: pins and the cache

    @Test func pinsDecide() throws {
        let bench = try Bench(unpinned: false)
        try FileManager.default.copyItem(atPath: try Probe.path(), toPath: bench.folder.file("plugins/x.so"))
        let path = bench.folder.file("plugins/x.so")
        let sha256 = try bench.loader.hash(file: "plugins/x.so", base: bench.folder.path).sha256
        #expect(bench.failure() == .unpinned(path: path, sha256: sha256))
        #expect(bench.failure(pin: sha256) == nil)
        #expect(bench.failure(pin: sha256.uppercased()) == nil)
        #expect(bench.failure(pin: "abc") == .badPin(path: path, pin: "abc"))
        let wrong = String(repeating: "0", count: 64)
        #expect(bench.failure(pin: wrong) == .wrongPin(path: path, pin: wrong, sha256: sha256))
        // Bundled: no pin is needed, but a wrong one still counts.
        try FileManager.default.copyItem(atPath: try Probe.path(), toPath: bench.folder.file("plugins/libProbe.so"))
        let own = try Loader(.init(cache: bench.folder.file("cache"), bundled: [bench.folder.file("plugins")], program: Probe.program))
        let bundled = try own.prepare(file: "Probe", base: "/")
        #expect(bundled.isBundled && bundled.sha256 == sha256)
        #expect(throws: LoadError.wrongPin(path: bench.folder.file("plugins/libProbe.so"), pin: wrong, sha256: sha256)) {
            try own.prepare(file: "Probe", base: "/", pin: wrong)
        }
        #expect(try !own.prepare(file: "x.so", base: bench.folder.file("plugins"), pin: sha256).metadata.components.isEmpty)
        #expect(throws: LoadError.notBundled(name: "None", searched: [bench.folder.file("plugins")])) { try own.prepare(file: "None", base: "/") }
    }

    @Test func aDamagedCopyIsNeverLoaded() throws {
        let folder = try TemporaryFolder("cache")
        let prepared = try Probe.prepared(folder)
        let loader = try Probe.loader(folder)
        chmod(prepared.copy, 0o600)
        var bytes = Array(try Data(contentsOf: URL(fileURLWithPath: prepared.copy)))
        bytes[bytes.count / 2] ^= 1
        try Data(bytes).write(to: URL(fileURLWithPath: prepared.copy))
        chmod(prepared.copy, 0o700)
        #expect(throws: LoadError.self) { try loader.load(prepared) }
        chmod(prepared.copy, 0o500)
        #expect(throws: LoadError.cacheDamaged(path: prepared.copy, sha256: prepared.sha256)) { try loader.load(prepared) }
        // It is gone, and the next check makes it anew.
        #expect(throws: LoadError.self) { try loader.load(prepared) }
        let again = try Probe.prepared(folder)
        #expect(try loader.load(again).tables("com.test.probe").id == "com.test.probe")
    }

    @Test func theCacheFolderMustBeOurs() throws {
        let folder = try TemporaryFolder("cache")
        try folder.folder("open", mode: 0o755)
        #expect(throws: LoadError.self) { try LibraryCache(folder.file("open")) }
        try folder.write("x", to: "file")
        #expect(throws: LoadError.self) { try LibraryCache(folder.file("file")) }
        #expect(try LibraryCache(folder.file("a/b/c")).folder == folder.file("a/b/c"))
        try FileManager.default.createSymbolicLink(atPath: folder.file("dangling"), withDestinationPath: "/nonexistent")
        #expect(throws: LoadError.self) { try LibraryCache(folder.file("dangling")) }
    }

    @Test func theSameIdInTwoLibrariesIsAnError() throws {
        let bench = try Bench()
        try bench.build(BadLibrary.library(BadLibrary.good), "a.so")
        try FileManager.default.copyItem(atPath: bench.folder.file("plugins/a.so"), toPath: bench.folder.file("plugins/same.so"))
        try bench.build(BadLibrary.library(BadLibrary.good, "const int different = 1;"), "b.so", flags: ["-O0"])
        let names = ["a.so", "same.so", "b.so"]
        let prepared = try names.map { try bench.loader.prepare(file: "plugins/\($0)", base: bench.folder.path) }
        #expect(Loader.duplicates(in: [prepared[0], prepared[1]]).isEmpty)
        let found = Loader.duplicates(in: [prepared[0], prepared[2]])
        #expect(found == [.duplicateComponent(id: "com.test.bad", paths: [bench.folder.file("plugins/a.so"), bench.folder.file("plugins/b.so")])])
    }

    @Test func componentsThatNeedAProcessDoNotRunHere() throws {
        let bench = try Bench()
        try bench.build(BadLibrary.library("component.flags = KEEL_COMPONENT_NEEDS_PROCESS; \(BadLibrary.good)"))
        let prepared = try bench.loader.prepare(file: "plugins/x.so", base: bench.folder.path)
        let library = try bench.loader.load(prepared)
        #expect(throws: LoadError.needsProcess(id: "com.test.bad", path: prepared.path)) { try library.tables("com.test.bad") }
    }

    @Test func olderTablesAreCompleted() throws {
        // A table from a header that knew less: its end reads as zero, and nothing past it is touched.
        let size = MemoryLayout<keel_component>.size
        let page = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 8)
        defer { page.deallocate() }
        page.initializeMemory(as: UInt8.self, repeating: 0xff, count: size)
        page.storeBytes(of: UInt32(48), as: UInt32.self)
        for offset in stride(from: 8, to: 48, by: 8) { page.storeBytes(of: 0, toByteOffset: offset, as: UInt.self) }
        let tables = try #require(ComponentTables(UnsafePointer(page.assumingMemoryBound(to: keel_component.self))))
        #expect(tables.component.pointee.create == nil && tables.component.pointee.interfaces == nil)
        page.storeBytes(of: UInt32(4), as: UInt32.self)
        #expect(ComponentTables(UnsafePointer(page.assumingMemoryBound(to: keel_component.self))) == nil)
    }
}
