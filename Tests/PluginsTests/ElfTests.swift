import Foundation
import FuzzKit
import TestSupport
import Testing

@testable import HostPlugins

@Suite struct ElfTests {
    static let good = """
        #include "keel.h"
        static const keel_library library = { sizeof(keel_library), 1, 0, 0, 0, 0 };
        KEEL_EXPORT const keel_library *keel_plugin_entry(uint32_t major) { return major == 1 ? &library : 0; }
        """

    private func bytes(_ path: String) throws -> [UInt8] { Array(try Data(contentsOf: URL(fileURLWithPath: path))) }

    @Test func wellMadeLibrary() throws {
        let folder = try TemporaryFolder("elf")
        let elf = try ElfFile(bytes(CompilePlugin.c(Self.good, to: folder.file("good.so"))))
        #expect(elf.identity == ElfIdentity(bits: 64, littleEndian: true, kind: .shared, machine: .host))
        #expect(elf.exports.map(\.name) == ["keel_plugin_entry"])
        #expect(elf.exports("keel_plugin_entry"))
        #expect(elf.exports.first?.isFunction == true)
        #expect(elf.bindsNow)
        #expect(elf.hasRelro)
        #expect(!elf.executableStack)
        #expect(!elf.hasTextRelocations)
        #expect(!elf.hasWritableCode)
        #expect(elf.neverUnloads)
        #expect(elf.uniqueSymbols.isEmpty)
        #expect(elf.dynamic.rpath == nil && elf.dynamic.runpath == nil)
        #expect(elf.sections.contains { $0.name == ".text" })
    }

    @Test func badlyMadeLibrary() throws {
        let folder = try TemporaryFolder("elf")
        let text = """
            #include <stdlib.h>
            int open_data = 3;
            int helper(void) { exit(open_data); }
            """
        let path = try CompilePlugin.c(
            text, to: folder.file("bad.so"), flags: ["-Wl,-z,lazy", "-Wl,-z,norelro", "-Wl,-z,execstack"],
            linking: ["-Wl,-rpath,/somewhere", "-Wl,--enable-new-dtags", "-Wl,-soname,odd.so", "-lm", "-Wl,--no-as-needed", "-lm"])
        let elf = try ElfFile(bytes(path))
        #expect(Set(elf.exports.map(\.name)).isSuperset(of: ["open_data", "helper"]))
        #expect(elf.exports.first { $0.name == "open_data" }?.kind == .object)
        #expect(elf.imports.contains { $0.name == "exit" && $0.binding == .global })
        #expect(!elf.bindsNow)
        #expect(!elf.hasRelro)
        #expect(elf.executableStack)
        #expect(!elf.neverUnloads)
        #expect(elf.dynamic.runpath == "/somewhere")
        #expect(elf.dynamic.soname == "odd.so")
        #expect(elf.dynamic.needed.contains("libm.so.6"))
        let old = try CompilePlugin.c(text, to: folder.file("old.so"), linking: ["-Wl,-rpath,/elsewhere", "-Wl,--disable-new-dtags"])
        #expect(try ElfFile(bytes(old)).dynamic.rpath == "/elsewhere")
    }

    @Test func uniqueSymbolsAreSeen() throws {
        let folder = try TemporaryFolder("elf")
        let path = try CompilePlugin.c(
            """
            __asm__(".globl shared\\n.type shared, @gnu_unique_object\\n.data\\n.size shared, 4\\nshared: .long 7\\n.text");
            """, to: folder.file("unique.so"), linking: [])
        #expect(try ElfFile(bytes(path)).uniqueSymbols.map(\.name) == ["shared"])
    }

    @Test func bothHashStylesAndStrippedHeadersAgree() throws {
        let folder = try TemporaryFolder("elf")
        for style in ["sysv", "gnu", "both"] {
            let path = try CompilePlugin.c(Self.good, to: folder.file("\(style).so"), flags: ["-Wl,--hash-style=\(style)"])
            var raw = try bytes(path)
            let whole = try ElfFile(raw)
            #expect(whole.exports.map(\.name) == ["keel_plugin_entry"], "\(style)")
            // Without section headers the dynamic segment alone must give the same exports.
            for place in 40..<48 { raw[place] = 0 }
            for place in 60..<64 { raw[place] = 0 }
            let bare = try ElfFile(raw)
            #expect(bare.sections.isEmpty)
            #expect(bare.exports == whole.exports, "\(style)")
        }
    }

    @Test func whatItIsIsSaidInWords() throws {
        let folder = try TemporaryFolder("elf")
        var raw = try bytes(CompilePlugin.c(Self.good, to: folder.file("good.so")))
        #expect(throws: ElfError.notElf(firstBytes: [])) { try ElfFile([]) }
        #expect(ElfError.notElf(firstBytes: []).description == "the file is empty")
        #expect(ElfError.notElf(firstBytes: Array("INPUT(x)".utf8)).description.contains("text file"))
        raw[18] = 183
        #expect(try ElfFile.identity(of: raw).description == "shared library, 64-bit, ARM64")
        raw[4] = 1
        #expect(throws: ElfError.foreign(ElfIdentity(bits: 32, littleEndian: true, kind: .shared, machine: .arm64))) { try ElfFile(raw) }
        raw[4] = 2
        raw[5] = 2
        raw[16] = 0
        raw[17] = 3
        raw[18] = 0
        raw[19] = 22
        #expect(try ElfFile.identity(of: raw).description == "shared library, 64-bit, S390, big-endian")
    }

    @Test func theFuzzersSampleIsALibrary() throws {
        let elf = try ElfFile(ElfSample.library)
        #expect(elf.exports.map(\.name) == ["keel_plugin_entry"])
        #expect(elf.imports.map(\.name) == ["exit"])
        #expect(elf.dynamic.needed == ["libc.so.6"])
        #expect(elf.bindsNow && elf.neverUnloads && !elf.executableStack && elf.dynamic.constructors == 2)
        #expect(elf.sections.last?.name == ".names")
        try FuzzSubject.elf.run(seed: 1, count: 2000)
        try FuzzSubject.frames.run(seed: 1, count: 2000)
    }

    /// Every length, and many random damages: an error or a value, never a trap, never long.
    @Test func damagedFilesNeverTrap() throws {
        let folder = try TemporaryFolder("elf")
        let raw = try bytes(CompilePlugin.c(Self.good, to: folder.file("good.so"), flags: ["-Wl,--hash-style=both"]))
        var read = 0
        for length in 0..<min(raw.count, 4096) { if (try? ElfFile(Array(raw[0..<length]))) != nil { read += 1 } }
        let seed = UInt64.random(in: .min ... .max)
        var random = SeededRandom(seed)
        let whole = try ElfFile(raw)
        let dynamic = try #require(whole.segments.first { $0.kind == ElfSegment.dynamic })
        let places = [0..<64, 64..<1024, Int(dynamic.offset)..<Int(dynamic.offset + dynamic.fileSize), 0..<raw.count]
        for round in 0..<3000 {
            var damaged = raw
            for _ in 0..<Int.random(in: 1...6, using: &random) {
                guard let range = places.randomElement(using: &random), let place = range.randomElement(using: &random) else { continue }
                damaged[place] = [0, 0xff, 0x7f, 0x80, UInt8.random(in: 0...255, using: &random)].randomElement(using: &random) ?? 0
            }
            if round % 3 == 0 { damaged = Array(damaged.prefix(Int.random(in: 0...damaged.count, using: &random))) }
            if let elf = try? ElfFile(damaged) { read += elf.exports.count & 1 }
        }
        #expect(read > 0, "seed \(seed)")
    }
}
