import Foundation

/// What a command left behind.
struct Ran {
    var code: Int32
    var output: String
}

/// Runs a program found on PATH and waits; standard output and error come back together.
func shell(_ arguments: String..., input: String? = nil) throws -> Ran {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = arguments
    let output = Pipe()
    process.standardOutput = output
    process.standardError = output
    let feed = Pipe()
    process.standardInput = feed
    try process.run()
    if let input { try feed.fileHandleForWriting.write(contentsOf: Data(input.utf8)) }
    try feed.fileHandleForWriting.close()
    let bytes = try output.fileHandleForReading.readToEnd() ?? Data()
    process.waitUntilExit()
    return Ran(code: process.terminationStatus, output: String(decoding: bytes, as: UTF8.self))
}

func installed(_ program: String) -> Bool { (try? shell(program, "--version"))?.code == 0 }

/// The package's folder, from this file's place in it.
let packageFolder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

/// A folder of its own, removed when `body` returns.
func withTemporaryFolder<T>(_ body: (URL) throws -> T) throws -> T {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("keel-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    return try body(folder)
}
