import Foundation

/// A folder of its own for one test, 0700, removed with everything in it when the last reference goes.
public final class TemporaryFolder: Sendable {
    public let path: String

    public init(_ label: String = "test") throws {
        let base = FileManager.default.temporaryDirectory.resolvingSymlinksInPath().path
        var template = Array("\(base)/keel-\(label)-XXXXXX".utf8CString)
        guard let made = template.withUnsafeMutableBufferPointer({ $0.baseAddress.flatMap(mkdtemp) }) else {
            throw TestSupportError.failed("mkdtemp in \(base): \(String(cString: strerror(errno)))")
        }
        path = String(cString: made)
    }

    deinit {
        // Read-only folders and files inside must not survive the test.
        if let names = FileManager.default.enumerator(atPath: path) {
            while let name = names.nextObject() as? String {
                var info = stat()
                if lstat("\(path)/\(name)", &info) == 0, info.st_mode & S_IFMT == S_IFDIR { chmod("\(path)/\(name)", 0o700) }
            }
        }
        try? FileManager.default.removeItem(atPath: path)
    }

    public func file(_ name: String) -> String { "\(path)/\(name)" }

    @discardableResult
    public func write(_ bytes: [UInt8], to name: String, mode: mode_t = 0o644) throws -> String {
        let target = file(name)
        try Data(bytes).write(to: URL(fileURLWithPath: target))
        guard chmod(target, mode) == 0 else { throw TestSupportError.failed("chmod \(target)") }
        return target
    }

    @discardableResult
    public func write(_ text: String, to name: String, mode: mode_t = 0o644) throws -> String {
        try write(Array(text.utf8), to: name, mode: mode)
    }

    @discardableResult
    public func folder(_ name: String, mode: mode_t = 0o700) throws -> String {
        let target = file(name)
        try FileManager.default.createDirectory(atPath: target, withIntermediateDirectories: true)
        guard chmod(target, mode) == 0 else { throw TestSupportError.failed("chmod \(target)") }
        return target
    }
}

public enum TestSupportError: Error, CustomStringConvertible {
    case failed(String)
    public var description: String { switch self { case .failed(let text): text } }
}
