import Foundation
import Glibc
import Testing

/// docs/tutorial.md, followed to the letter in an empty folder. The only thing changed is the port: 7070 may be taken.
@Suite("The tutorial")
struct TutorialTests {
    static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    /// The folder with the program, if the plugins the tutorial's manifest names are there too.
    static let keel: String? = {
        let here = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? CommandLine.arguments[0]
        var folders = [URL(fileURLWithPath: here).deletingLastPathComponent().path]
        folders += CommandLine.arguments.filter { $0.hasSuffix(".xctest") }.map { URL(fileURLWithPath: $0).deletingLastPathComponent().path }
        folders.append(root.appendingPathComponent(".build/debug").path)
        return folders.first { folder in
            ["keel", "libSim.so", "libEMACross.so", "libDirectRouter.so"].allSatisfy { FileManager.default.fileExists(atPath: folder + "/" + $0) }
        }
    }()

    struct Step {
        var commands: String
        var expected: [String]
    }

    /// The sh blocks, each with the text block that follows it.
    static func steps(_ markdown: String) -> [Step] {
        var steps: [Step] = []
        var kind: Substring?
        var block: [Substring] = []
        for line in markdown.split(separator: "\n", omittingEmptySubsequences: false) {
            guard line.hasPrefix("```") else {
                block.append(line)
                continue
            }
            if kind == "sh" { steps.append(Step(commands: block.joined(separator: "\n"), expected: [])) }
            if kind == "text", !steps.isEmpty { steps[steps.count - 1].expected = block.map(String.init).filter { !$0.isEmpty } }
            kind = kind == nil ? line.dropFirst(3) : nil
            block = []
        }
        return steps
    }

    @Test(
        "every command works and answers as the text says, and ends in a working broker",
        .enabled(if: keel != nil, "the program and its plugins are not built beside the tests"))
    func followed() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("keel-tutorial-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let steps = Self.steps(try String(contentsOf: Self.root.appendingPathComponent("docs/tutorial.md"), encoding: .utf8))
        #expect(steps.count >= 7)
        let port = try #require(Self.freePort())
        var script = "set -e\n"
        for (index, step) in steps.enumerated() {
            script += step.commands.replacingOccurrences(of: "7070", with: String(port)) + "\n"
            // The project is there now: give its manifest the free port as well.
            if index == 0 { script += "sed -i s/7070/\(port)/ manifest.json\n" }
            script += "echo '@@@'\n"
        }
        let output = try Self.run(script, in: folder)
        let parts = output.components(separatedBy: "@@@\n")
        for (index, step) in steps.enumerated() {
            guard index < parts.count - 1 else {
                Issue.record("step \(index + 1) failed:\n\(step.commands)\n\(parts.last ?? "")")
                return
            }
            for line in step.expected {
                #expect(parts[index].split(separator: "\n").contains { Self.matches(String($0), line) }, "step \(index + 1) doesn't answer \"\(line)\":\n\(parts[index])")
            }
        }
    }

    /// "..." stands for anything.
    static func matches(_ line: String, _ pattern: String) -> Bool {
        var rest = line[...]
        let pieces = pattern.trimmingCharacters(in: .whitespaces).components(separatedBy: "...").map { $0.trimmingCharacters(in: .whitespaces) }
        for piece in pieces where !piece.isEmpty {
            guard let found = rest.range(of: piece) else { return false }
            rest = rest[found.upperBound...]
        }
        return true
    }

    private static func run(_ script: String, in folder: URL) throws -> String {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        process.arguments = ["-c", script]
        process.currentDirectoryURL = folder
        var environment = ProcessInfo.processInfo.environment
        environment["PATH"] = (keel ?? "") + ":" + (environment["PATH"] ?? "/usr/bin:/bin")
        environment["LIVE_TRADING"] = nil
        process.environment = environment
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = pipe
        process.standardInput = FileHandle.nullDevice
        try process.run()
        let bytes = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func freePort() -> UInt16? {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let bound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, length) == 0 && getsockname(descriptor, $0, &length) == 0 }
        }
        return bound ? UInt16(bigEndian: address.sin_port) : nil
    }
}
