/// `keel plugin new`: the smallest project that builds and passes `keel plugin check` at once.
public struct Scaffold: Sendable {
    public enum Role: String, CaseIterable, Sendable { case feed, broker, decider, router }

    public enum Language: String, CaseIterable, Sendable {
        case c, cpp, swift, rust, zig

        public var title: String {
            switch self {
            case .c: "C"
            case .cpp: "C++"
            case .swift: "Swift"
            case .rust: "Rust"
            case .zig: "Zig"
            }
        }

        /// The programs its build needs, any one of each group.
        public var tools: [[String]] {
            switch self {
            case .c: [["cc", "gcc", "clang"], ["make"]]
            case .cpp: [["c++", "g++", "clang++"], ["make"]]
            case .swift: [["swift"]]
            case .rust: [["cargo"]]
            case .zig: [["zig"]]
            }
        }
    }

    public struct File: Sendable {
        public var path: String
        public var text: String
        /// Replaced by an upgrade; everything else belongs to the author.
        public var isVendored: Bool
    }

    public let role: Role
    public let language: Language
    /// "com.acme.kraken".
    public let id: String

    public init(role: Role, language: Language, id: String) throws {
        let parts = id.split(separator: ".", omittingEmptySubsequences: false)
        let formed = parts.count >= 2 && id.utf8.count <= 100 && parts.allSatisfy { part in
            part.first.map { $0.isASCII && $0.isLowercase } ?? false && part.allSatisfy { $0.isASCII && ($0.isLowercase || $0.isNumber || $0 == "-" || $0 == "_") }
        }
        guard formed else { throw ScaffoldError.badID(id) }
        if id.hasPrefix("keel.") { throw ScaffoldError.reservedID(id) }
        self.role = role
        self.language = language
        self.id = id
    }

    /// The last part of the id, as a name for folders, targets and crates.
    public var stem: String {
        let last = id.split(separator: ".").last.map(String.init) ?? "plugin"
        return last.map { $0 == "-" ? "_" : String($0) }.joined()
    }

    /// "Kraken", for people and for the module.
    public var name: String { stem.prefix(1).uppercased() + stem.dropFirst() }

    /// Where the built library lies, from the project's folder.
    public var library: String {
        switch language {
        case .c, .cpp: "build/\(stem).so"
        case .swift: ".build/release/lib\(name).so"
        case .rust: "target/release/lib\(stem).so"
        case .zig: "zig-out/lib/lib\(stem).so"
        }
    }

    public var buildCommand: String {
        switch language {
        case .c, .cpp: "make"
        case .swift: "swift build -c release"
        case .rust: "cargo build --release --offline"
        case .zig: "zig build"
        }
    }

    public var files: [File] {
        var files: [File] = [
            File(path: "keel/keel.h", text: EmbeddedHeader.text, isVendored: true),
            File(path: "keel/VERSION", text: version, isVendored: true),
            File(path: "exports.map", text: "{ global: keel_plugin_entry; local: *; };\n", isVendored: true),
            File(path: "keel-check.json", text: fill(checkProfile), isVendored: false),
            File(path: "manifest.json", text: fill(manifest), isVendored: false),
            File(path: "README.md", text: fill(readme), isVendored: false),
        ]
        func own(_ path: String, _ text: String) { files.append(File(path: path, text: fill(text), isVendored: false)) }
        func vendored(_ path: String, _ text: String) { files.append(File(path: path, text: text, isVendored: true)) }
        switch language {
        case .c:
            own("Makefile", Templates.makefile(cpp: false))
            own("src/\(stem).c", Templates.source(language, role))
            vendored("keel/plugin.h", Templates.cHelpers)
        case .cpp:
            own("Makefile", Templates.makefile(cpp: true))
            own("src/\(stem).cpp", Templates.source(language, role))
            vendored("keel/plugin.h", Templates.cHelpers)
            vendored("keel/plugin.hpp", Templates.cppHelpers)
        case .rust:
            own("Cargo.toml", Templates.cargo)
            own("build.rs", Templates.cargoBuild)
            own("src/lib.rs", Templates.source(language, role))
            vendored("keel/keel.rs", Templates.rustHelpers)
        case .swift:
            own("Package.swift", Templates.swiftPackage.replacing("@MOCK@", with: role == .broker ? ", \"mock\"" : "").replacing("@STEM@", with: name))
            own("Sources/\(name).swift", Templates.source(language, role))
            vendored("keel/Keel.swift", Templates.swiftHelpers)
            vendored("keel/module.modulemap", Templates.moduleMap)
        case .zig:
            own("build.zig", Templates.zigBuild)
            own("src/plugin.zig", Templates.source(language, role))
            vendored("keel/keel.zig", Templates.zigHelpers)
        }
        if role == .broker { own("mock/venue.json", Templates.venue) }
        own(".gitignore", "build/\n.build/\ntarget/\nzig-out/\n.zig-cache/\nstate/\n")
        return files.sorted { $0.path < $1.path }
    }

    private var version: String {
        """
        abi 1.0
        keel.h \(EmbeddedHeader.sha256)
        role \(role.rawValue)
        lang \(language.rawValue)
        id \(id)

        """
    }

    private func fill(_ text: String) -> String {
        text.replacing("@ID@", with: id).replacing("@NAME@", with: name).replacing("@STEM@", with: stem).replacing("@UPPER@", with: stem.uppercased()).replacing("@LIBRARY@", with: library)
            .replacing("@BUILD@", with: buildCommand).replacing("@LANG@", with: language.title).replacing("@ROLE@", with: role.rawValue)
    }

    private var checkProfile: String {
        switch role {
        case .broker: Templates.brokerProfile
        case .feed, .decider, .router: Templates.plainProfile
        }
    }

    private var manifest: String {
        switch role {
        case .broker: Templates.brokerManifest
        case .feed: Templates.feedManifest
        case .decider: Templates.deciderManifest
        case .router: Templates.routerManifest
        }
    }

    private var readme: String { role == .broker ? Templates.readme + Templates.brokerReadme : Templates.readme + Templates.plainReadme }

    /// What an upgrade has to know, from keel/VERSION.
    public static func read(version text: String) throws -> Scaffold {
        var words: [String: String] = [:]
        for line in text.split(separator: "\n") {
            let parts = line.split(separator: " ", maxSplits: 1).map(String.init)
            if parts.count == 2 { words[parts[0]] = parts[1] }
        }
        guard let role = words["role"].flatMap(Role.init(rawValue:)), let language = words["lang"].flatMap(Language.init(rawValue:)), let id = words["id"] else {
            throw ScaffoldError.notAProject("keel/VERSION doesn't say role, lang and id")
        }
        return try Scaffold(role: role, language: language, id: id)
    }
}

public enum ScaffoldError: Error, CustomStringConvertible {
    case badID(String)
    case reservedID(String)
    case exists(String)
    case notAProject(String)
    case notWritten(String, String)

    public var description: String {
        switch self {
        case .badID(let id): "\"\(id)\" is not a component id: use a reversed domain in small letters, like com.acme.kraken"
        case .reservedID(let id): "\"\(id)\": ids that start with keel. are Keel's own"
        case .exists(let path): "\(path) is there already: nothing was written"
        case .notAProject(let why): "this is not a plugin project of keel plugin new: \(why)"
        case .notWritten(let path, let why): "\(path) can't be written: \(why)"
        }
    }
}
