import Foundation
import Testing

@Suite("keel.h compiles everywhere without a warning")
struct HeaderTests {
    static let header = packageFolder.appendingPathComponent("Sources/PluginAPI/include/keel.h").path

    @Test("as C11 and C++17, with every warning that a layout could trip", arguments: [
        ["gcc", "-x", "c", "-std=c11"],
        ["clang", "-x", "c", "-std=c11"],
        ["g++", "-x", "c++", "-std=c++17"],
        ["clang++", "-x", "c++", "-std=c++17"],
    ])
    func compiles(_ compiler: [String]) throws {
        try #require(installed(compiler[0]), "\(compiler[0]) is not on this machine")
        try withTemporaryFolder { folder in
            let source = folder.appendingPathComponent("one")
            try "#include \"keel.h\"\nint keel_header_compiles(void);\nint keel_header_compiles(void) { return (int)KEEL_ABI_MAJOR; }\n"
                .write(to: source, atomically: true, encoding: .utf8)
            let include = (Self.header as NSString).deletingLastPathComponent
            let ran = try runCompiler(compiler + ["-Wall", "-Wextra", "-pedantic", "-Wpadded", "-Werror", "-I", include, "-c", source.path,
                                                  "-o", folder.appendingPathComponent("one.o").path])
            #expect(ran.code == 0, "\(ran.output)")
        }
    }

    @Test("a layout with hidden padding would be noticed")
    func paddingIsAnError() throws {
        try withTemporaryFolder { folder in
            let source = folder.appendingPathComponent("padded.c")
            try "struct padded { char a; long long b; };\nstruct padded *unused;\n".write(to: source, atomically: true, encoding: .utf8)
            let ran = try runCompiler(["gcc", "-std=c11", "-Wpadded", "-Werror", "-c", source.path, "-o", folder.appendingPathComponent("o").path])
            #expect(ran.code != 0)
        }
    }

    private func runCompiler(_ words: [String]) throws -> Ran {
        let quoted = words.map { "'\($0)'" }.joined(separator: " ")
        return try shell("sh", "-c", quoted)
    }
}
