import Foundation
import HostPlugins
import TestSupport
import Testing

/// The program that runs checks, built beside the tests.
enum Child {
    static let program: String = {
        let here = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? CommandLine.arguments[0]
        var folders = [URL(fileURLWithPath: here).deletingLastPathComponent()]
        // The test bundle may be run by a program of the toolchain: its own path then stands among the arguments.
        folders += CommandLine.arguments.filter { $0.hasSuffix(".xctest") }.map { URL(fileURLWithPath: $0).deletingLastPathComponent() }
        folders.append(URL(fileURLWithPath: CompilePlugin.root + "/.build/debug"))
        return folders.map { $0.appendingPathComponent("keel-check-child").path }.first { FileManager.default.isExecutableFile(atPath: $0) } ?? "keel-check-child"
    }()

    static let command = [program, "--child"]

    /// The limit is generous: these tests share the machine with others, and a check that hangs still ends.
    static func check(_ file: String, include: [String] = [], exclude: [String] = [], seed: UInt64? = 11, profile: String? = nil, jobs: Int? = 4,
                      limit: Double? = 120) throws -> CheckReport {
        var options = PluginCheck.Options(file: file)
        options.include = include
        options.exclude = exclude
        options.seed = seed
        options.profile = profile
        options.jobs = jobs
        options.limit = limit
        return try PluginCheck.run(options, executable: command)
    }
}

/// A folder of its own, removed when `body` returns.
func withFolder<T>(_ body: (String) throws -> T) throws -> T {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("keel-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    return try body(folder)
}
