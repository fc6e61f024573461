import Foundation
import Glibc

/// The halt that survives everything: a file. While it exists no entry goes out, whoever made it and whether or not a
/// host runs; protective exits still do.
public struct KillSwitch: Sendable {
    public let path: String

    public init(folder: RunFolder) { path = folder.killSwitch }

    public var isOn: Bool { access(path, F_OK) == 0 }

    /// What was written into it, for people; empty when a plain `touch` made it.
    public var reason: String {
        (try? String(contentsOfFile: path, encoding: .utf8))?.trimmingCharacters(in: .whitespacesAndNewlines) ?? ""
    }

    public func turnOn(reason: String) throws(RunError) {
        guard !isOn else { return }
        try RunFolder.replace(path, with: Data((reason + "\n").utf8))
    }

    public func turnOff() throws(RunError) { try RunFolder.remove(path) }
}
