import Foundation
import Testing

@Suite("The ABI 1.0 layout is frozen")
struct LayoutTests {
    static let abi = packageFolder.appendingPathComponent("Sources/PluginAPI/abi")
    static let header = packageFolder.appendingPathComponent("Sources/PluginAPI/include/keel.h")
    static let frozenHeader = abi.appendingPathComponent("keel-1.0.h")
    static let frozenLayout = abi.appendingPathComponent("keel-1.0.layout")

    @Test("every offset, size and constant of 1.0 is what it was")
    func layout() throws {
        let now = try Layout.measure(of: Self.header, naming: Layout.names(in: String(contentsOf: Self.frozenHeader, encoding: .utf8)))
        if ProcessInfo.processInfo.environment["KEEL_REGENERATE"] == "abi" {
            try now.write(to: Self.frozenLayout, atomically: true, encoding: .utf8)
        }
        let frozen = try String(contentsOf: Self.frozenLayout, encoding: .utf8)
        let was = Set(frozen.split(separator: "\n")), here = Set(now.split(separator: "\n"))
        // Frozen means frozen: a later minor version that grows a struct at its end adds keel-1.1.layout and relaxes its size line here.
        let moved = was.subtracting(here).sorted()
        #expect(moved.isEmpty, "1.0 had these, this header has them no more:\n\(moved.joined(separator: "\n"))")
        #expect(frozen.split(separator: "\n").count > 300, "the frozen layout is cut short")
    }

    @Test("the frozen header describes the frozen layout")
    func frozenHeaderAgrees() throws {
        let names = try Layout.names(in: String(contentsOf: Self.frozenHeader, encoding: .utf8))
        let measured = try Layout.measure(of: Self.frozenHeader, naming: names)
        #expect(try measured == String(contentsOf: Self.frozenLayout, encoding: .utf8))
    }

    @Test("a moved field, a changed constant and a removed function are noticed", arguments: [
        ("uint32_t side;                 /* KEEL_BUY or KEEL_SELL */\n    uint64_t features;", "uint64_t features;\n    uint32_t side;\n    uint32_t more; "),
        ("#define KEEL_E_STATE       (-2)", "#define KEEL_E_STATE       (-22)"),
        ("    void (*on_wake)(keel_instance *instance);", "    void (*on_awake)(keel_instance *instance);"),
    ])
    func changesAreNoticed(_ change: (String, String)) throws {
        let text = try String(contentsOf: Self.header, encoding: .utf8)
        try #require(text.contains(change.0), "the header no longer has the text this test changes")
        try withTemporaryFolder { folder in
            let changed = folder.appendingPathComponent("keel.h")
            try text.replacingOccurrences(of: change.0, with: change.1).write(to: changed, atomically: true, encoding: .utf8)
            let names = try Layout.names(in: String(contentsOf: Self.frozenHeader, encoding: .utf8))
            let measured = try? Layout.measure(of: changed, naming: names)
            let frozen = try Set(String(contentsOf: Self.frozenLayout, encoding: .utf8).split(separator: "\n"))
            #expect(measured.map { !frozen.isSubset(of: Set($0.split(separator: "\n"))) } ?? true)
        }
    }
}

/// Reads the names out of a header and asks a C compiler where they lie.
enum Layout {
    struct Names {
        var structs: [(name: String, fields: [String])] = []
        var constants: [String] = []
        var texts: [String] = []
    }

    struct Failure: Error { var message: String }

    static func names(in header: String) throws -> Names {
        let bare = header.replacing(/(?s)\/\*.*?\*\//, with: "")
        var names = Names()
        for found in bare.matches(of: /#define (KEEL_\w+) +(\S.*)/) where found.2 != "" {
            let value = found.2
            if value.hasPrefix("\"") { names.texts.append(String(found.1)) } else if !value.hasPrefix("__attribute__") { names.constants.append(String(found.1)) }
        }
        // typedef struct [tag] { ... } name;  and  struct tag { ... };
        for found in bare.matches(of: /(?s)(typedef )?struct (\w+ )?\{([^}]*)\} *(\w*);/) {
            let name = found.4.isEmpty ? String(found.2 ?? "").trimmingCharacters(in: .whitespaces) : String(found.4)
            // A parameter list would read like fields: take it out first.
            let body: String = String(found.3).replacing(/\(\*(\w+)\)\([^)]*\)/, with: { String($0.output.1) })
            let fields = body.split(separator: ";").compactMap { (line: Substring) -> String? in
                let word = line.trimmingCharacters(in: .whitespacesAndNewlines).replacing(/\[\d+\]$/, with: "")
                return word.isEmpty ? nil : String(word.reversed().prefix { $0.isLetter || $0.isNumber || $0 == "_" }.reversed())
            }
            names.structs.append((name, fields))
        }
        return names
    }

    /// One line a fact: "size keel_order 88", "field keel_order.side 4 4", "constant KEEL_BUY 1 4", "text KEEL_FEED keel.feed/1".
    static func measure(of header: URL, naming names: Names) throws -> String {
        var program = "#include \"\(header.path)\"\n#include <stdio.h>\nint main(void) {\n"
        for entry in names.structs {
            program += "printf(\"size \(entry.name) %zu %zu\\n\", sizeof(\(entry.name)), _Alignof(\(entry.name)));\n"
            for field in entry.fields {
                program += "printf(\"field \(entry.name).\(field) %zu %zu\\n\", offsetof(\(entry.name), \(field)), sizeof(((\(entry.name) *)0)->\(field)));\n"
            }
        }
        for name in names.constants { program += "printf(\"constant \(name) %lld %zu\\n\", (long long)\(name), sizeof(\(name)));\n" }
        for name in names.texts { program += "printf(\"text \(name) %s\\n\", \(name));\n" }
        program += "return 0; }\n"
        return try withTemporaryFolder { folder in
            let source = folder.appendingPathComponent("layout.c"), built = folder.appendingPathComponent("layout")
            try program.write(to: source, atomically: true, encoding: .utf8)
            let compiled = try shell("cc", "-std=c11", source.path, "-o", built.path)
            guard compiled.code == 0 else { throw Failure(message: compiled.output) }
            return try shell(built.path).output
        }
    }
}
