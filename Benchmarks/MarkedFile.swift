import Foundation

/// A file with a part that a command writes, between two marks.
enum MarkedFile {
    static let begin = "<!-- figures: keel-bench --write -->"
    static let end = "<!-- end of figures -->"

    static func replace(in file: String, with text: String) throws {
        let old = try String(contentsOfFile: file, encoding: .utf8)
        guard let first = old.range(of: begin), let last = old.range(of: end, range: first.upperBound..<old.endIndex) else {
            throw BenchError(description: "\(file) has no line \(begin) with \(end) below it")
        }
        let new = old[..<first.upperBound] + "\n" + text + old[last.lowerBound...]
        try String(new).write(toFile: file, atomically: true, encoding: .utf8)
    }
}
