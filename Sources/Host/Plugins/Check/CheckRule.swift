/// Finds a rule's text in the header, so that a failure can say where it is written.
public enum CheckRule {
    /// "keel.h:14  5. Calls return at once.": the line in which `rule` begins, in the author's own copy of the header.
    public static func cite(_ rule: String) -> String {
        guard let line = line(of: rule) else { return "keel.h: \(rule)" }
        return "keel.h:\(line): \(rule)"
    }

    /// The line number, counted from one. A rule may run over several lines; the header's line breaks count as spaces.
    public static func line(of rule: String) -> Int? {
        let words = rule.split(whereSeparator: \.isWhitespace)
        guard let first = words.first else { return nil }
        var number = 0
        let lines = EmbeddedHeader.text.split(separator: "\n", omittingEmptySubsequences: false)
        for start in lines.indices {
            number += 1
            guard lines[start].contains(first) else { continue }
            // Seven lines are more than any rule takes; comment stars between the words don't count.
            let window = lines[start..<min(start + 7, lines.count)].joined(separator: " ")
            let text = window.split(whereSeparator: \.isWhitespace).filter { $0 != "*" }.joined(separator: " ")
            let ownWords = lines[start].split(whereSeparator: \.isWhitespace).filter { $0 != "*" }.joined(separator: " ")
            if let found = text.firstRange(of: words.joined(separator: " ")),
               text.distance(from: text.startIndex, to: found.lowerBound) < ownWords.count { return number }
        }
        return nil
    }
}
