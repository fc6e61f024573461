import PluginAPI
import PluginKit
import Tape

/// What is on a tape, from its block headers.
public struct TapeSummary {
    let file: TapeFile

    public init(_ file: TapeFile) { self.file = file }

    static let kinds: [(UInt32, String)] = [
        (KEEL_EV_BAR, "bars"), (KEEL_EV_TRADE, "trades"), (KEEL_EV_QUOTE, "quotes"), (KEEL_EV_VALUE, "values"), (KEEL_EV_DEPTH, "depth"), (KEEL_EV_NEWS, "news"),
        (KEEL_EV_LINK, "links"), (KEEL_EV_SESSION, "sessions"), (KEEL_EV_FUNDING, "funding payments"),
    ]

    private var present: UInt64 { file.blocks.reduce(0) { $0 | $1.kinds } }

    public var kinds: [String] { Self.kinds.filter { present >> UInt64($0.0) & 1 == 1 }.map(\.1) }
    public var shapes: [RowShape] {
        [(KEEL_EV_BAR, RowShape.bars), (KEEL_EV_TRADE, .trades), (KEEL_EV_QUOTE, .quotes), (KEEL_EV_VALUE, .values)].filter { present >> UInt64($0.0) & 1 == 1 }.map(\.1)
    }

    public var json: JSONValue {
        [
            "path": JSONValue(file.path), "version": JSONValue(TapeFormat.version), "records": JSONValue(file.eventCount), "kinds": JSONValue(kinds.map { JSONValue($0) }),
            "instruments": JSONValue(file.instruments.map { JSONValue($0.symbol) }), "first": file.firstTime.map { JSONValue($0) } ?? .null,
            "last": file.lastTime.map { JSONValue($0) } ?? .null, "bytes": JSONValue(file.wholeBytes), "torn_bytes": JSONValue(file.tornBytes),
            "ordered": JSONValue(file.ordered), "notes": JSONValue(file.notes.map { JSONValue($0) }),
        ]
    }

    public func text(checked: Bool) -> String {
        var lines = [file.path]
        func add(_ name: String, _ value: String) { lines.append("  " + ReportText.pad(name, 12) + value) }
        add("records", "\(ReportNumbers.count(file.eventCount)): \(kinds.isEmpty ? "none" : kinds.joined(separator: ", "))")
        for instrument in file.instruments {
            var words = [instrument.symbol]
            if instrument.tick.isPositive { words.append("tick \(instrument.tick)") }
            if instrument.lot.isPositive { words.append("lot \(instrument.lot)") }
            add("instrument", words.joined(separator: ", "))
        }
        if let first = file.firstTime, let last = file.lastTime { add("time", "\(UTCTime.text(first)) to \(UTCTime.text(last))") }
        add("size", "\(ReportNumbers.count(file.wholeBytes)) bytes in \(ReportNumbers.count(file.blockCount)) blocks")
        if !file.ordered { add("order", "as received: some times go back") }
        if file.tornBytes > 0 { add("torn", "\(ReportNumbers.count(file.tornBytes)) bytes at the end were never finished; they are left out") }
        for note in file.notes.flatMap({ $0.split(separator: "\n") }) { add("note", String(note)) }
        add("checked", checked ? "every byte" : "block headers only")
        return lines.joined(separator: "\n") + "\n"
    }
}
