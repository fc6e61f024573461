import PluginKit
import Tape

/// An import's report in words and as JSON.
public enum ImportText {
    public static func text(_ r: ImportReport, _ output: String, _ seconds: Double) -> String {
        var lines: [String] = []
        for file in r.files.prefix(20) {
            lines.append("\(file.name): \(ReportNumbers.count(file.rows)) rows")
            for decision in file.decided { lines.append("  \(decision)") }
        }
        if r.files.count > 20 { lines.append("and \(r.files.count - 20) more files") }
        for note in r.notes { lines.append(note) }
        lines.append("")
        lines.append("\(ReportNumbers.count(r.good)) of \(ReportNumbers.count(r.rows)) rows in \(output): \(r.instruments.joined(separator: ", "))")
        if let first = r.first, let last = r.last { lines.append("\(UTCTime.text(first)) to \(UTCTime.text(last))") }
        if r.outsideRange > 0 { lines.append("\(ReportNumbers.count(r.outsideRange)) rows outside --from and --to") }
        if r.blank > 0 { lines.append("\(ReportNumbers.count(r.blank)) blank lines") }
        if r.sorted > 0 { lines.append("\(ReportNumbers.count(r.sorted)) rows were moved into time order") }
        if r.rounded > 0 { lines.append("\(ReportNumbers.count(r.rounded)) values had more than 8 decimals and were rounded, the first at \(r.firstRounded ?? "")") }
        if r.gaps > 0 {
            lines.append("\(ReportNumbers.count(r.gaps)) gaps, \(ReportNumbers.count(r.missingBars)) bars missing; the longest:")
            for gap in r.largestGaps.prefix(5) { lines.append("  \(gap.symbol) \(UTCTime.text(gap.from)) to \(UTCTime.text(gap.to)), before \(gap.file):\(gap.line)") }
        }
        if r.missingIds > 0 { lines.append("\(r.missingIds) trade ids are missing between rows: the file may not be complete") }
        if r.bad > 0 {
            lines.append("\(ReportNumbers.count(r.bad)) bad rows, left out:")
            for (problem, count) in r.counts.sorted(by: { ($0.value, $1.key.rawValue) > ($1.value, $0.key.rawValue) }) { lines.append("  \(ReportText.padLeft(ReportNumbers.count(count), 9))  \(problem.rawValue)") }
            if !r.listed.isEmpty {
                lines.append(r.listed.count < r.bad ? "the first \(r.listed.count):" : "they are:")
                for row in r.listed { lines.append("  \(row)") }
            }
        }
        if seconds > 0 { lines.append("\(ReportNumbers.count(Int(Double(r.rows) / seconds))) rows/s") }
        return lines.joined(separator: "\n") + "\n"
    }

    public static func json(_ r: ImportReport, _ output: String, _ seconds: Double) -> JSONValue {
        [
            "tape": JSONValue(output), "rows": JSONValue(r.rows), "good": JSONValue(r.good), "bad": JSONValue(r.bad), "blank": JSONValue(r.blank),
            "outside": JSONValue(r.outsideRange), "sorted": JSONValue(r.sorted), "rounded": JSONValue(r.rounded), "gaps": JSONValue(r.gaps), "missing_bars": JSONValue(r.missingBars),
            "missing_ids": JSONValue(r.missingIds), "instruments": JSONValue(r.instruments.map { JSONValue($0) }), "first": r.first.map { JSONValue($0) } ?? .null,
            "last": r.last.map { JSONValue($0) } ?? .null,
            "problems": JSONValue(JSONObject(r.counts.sorted { $0.key.rawValue < $1.key.rawValue }.map { ($0.key.rawValue, JSONValue($0.value)) })),
            "listed": JSONValue(
                r.listed.map { ["file": JSONValue($0.file), "line": JSONValue($0.line), "problem": JSONValue($0.problem.rawValue), "detail": JSONValue($0.detail)] }),
            "longest_gaps": JSONValue(
                r.largestGaps.map {
                    [
                        "instrument": JSONValue($0.symbol), "file": JSONValue($0.file), "line": JSONValue($0.line), "from": JSONValue($0.from), "to": JSONValue($0.to),
                        "missing": JSONValue($0.missing),
                    ]
                }),
            "files": JSONValue(r.files.map { ["name": JSONValue($0.name), "rows": JSONValue($0.rows), "decided": JSONValue($0.decided.map { JSONValue($0) })] }),
            "seconds": JSONValue(seconds),
        ]
    }
}
