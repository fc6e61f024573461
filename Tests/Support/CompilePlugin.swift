import Foundation

/// Compiles plugins in C while the tests run, with the flags docs ask of every plugin.
public enum CompilePlugin {
    /// The root of the package.
    public static let root: String = {
        var url = URL(fileURLWithPath: #filePath)
        for _ in 0..<3 { url.deleteLastPathComponent() }
        return url.path
    }()

    /// What a well-made plugin is linked with.
    public static let linking = [
        "-Wl,-z,nodelete", "-Wl,-z,now", "-Wl,-z,relro", "-Wl,-z,noexecstack", "-Wl,--version-script=\(root)/Plugins/exports.map",
    ]

    /// A library at `target` from C text. `linking: []` and `flags` let a test build a bad one.
    @discardableResult
    public static func c(
        _ text: String, to target: String, flags: [String] = [], linking: [String] = CompilePlugin.linking
    ) throws -> String {
        let source = target + ".c"
        try text.write(toFile: source, atomically: true, encoding: .utf8)
        return try c(files: [source], to: target, flags: flags, linking: linking)
    }

    /// A library at `target` from C files.
    @discardableResult
    public static func c(
        files: [String], to target: String, flags: [String] = [], linking: [String] = CompilePlugin.linking
    ) throws -> String {
        try run(
            ["cc", "-std=gnu11", "-O1", "-g0", "-fPIC", "-shared", "-I\(root)/Sources/PluginAPI/include", "-o", target]
                + flags + files + linking)
        return target
    }

    /// Runs a program found on PATH; its output, or an error that carries it.
    @discardableResult
    public static func run(_ command: [String], in folder: String? = nil) throws -> String {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = command
        if let folder { process.currentDirectoryURL = URL(fileURLWithPath: folder) }
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = pipe
        process.standardInput = FileHandle.nullDevice
        try process.run()
        let output = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        guard process.terminationStatus == 0 else {
            throw TestSupportError.failed("\(command.joined(separator: " ")) ended with \(process.terminationStatus):\n\(output)")
        }
        return output
    }
}
