import Foundation
import Glibc

/// This program as a file: what a restart becomes, and what checks a manifest beforehand.
public enum HostProgram {
    /// Where it was when it started. After an upgrade the new program is under the same name.
    public static let path: String = {
        guard let resolved = realpath("/proc/self/exe", nil) else { return "/proc/self/exe" }
        defer { free(resolved) }
        return String(cString: resolved)
    }()

    /// Runs `keel check MANIFEST` and gives its complaints; empty: the manifest and its libraries are fine.
    static func check(program: String, manifest: String, within milliseconds: Int) -> [String] {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = ["check", manifest]
        process.standardInput = FileHandle.nullDevice
        let output = Pipe()
        process.standardOutput = output
        process.standardError = output
        let ended = DispatchSemaphore(value: 0)
        process.terminationHandler = { _ in ended.signal() }
        do { try process.run() } catch { return ["\(program) cannot be run: \(error.localizedDescription)"] }
        let reader = Collected()
        let thread = Thread { reader.text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self); reader.done.signal() }
        thread.start()
        guard ended.wait(timeout: .now() + .milliseconds(milliseconds)) == .success else {
            kill(process.processIdentifier, SIGKILL)
            return ["checking \(manifest) took longer than \(milliseconds / 1000) s"]
        }
        _ = reader.done.wait(timeout: .now() + .seconds(1))
        if process.terminationReason == .exit, process.terminationStatus == 0 { return [] }
        let lines = reader.text.split(separator: "\n").map(String.init).filter { !$0.isEmpty }
        if !lines.isEmpty { return lines }
        return [process.terminationReason == .exit ? "keel check ended with \(process.terminationStatus)" : "keel check was ended by signal \(process.terminationStatus)"]
    }

    private final class Collected: @unchecked Sendable {
        var text = ""
        let done = DispatchSemaphore(value: 0)
    }

    /// Becomes the program on disk, with the same pid. Returns only if that failed.
    static func replace(with arguments: [String], token: String) -> RunError {
        setenv(ResumeRecord.variable, token, 1)
        var words: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) }
        words.append(nil)
        defer { for word in words { free(word) } }
        execv(path, words)
        let code = errno
        // The file is gone or broken: the program that runs is still there.
        execv("/proc/self/exe", words)
        return .system(call: "execv", what: path, code: code)
    }
}
