import Foundation
import PluginKit

/// Figures as lines, as JSON and as the table of docs/performance.md.
struct Output {
    var reference: Double
    var runs: Int

    func ratio(_ figure: Figure) -> Double? {
        guard let cost = figure.unit.cost(figure.median) else { return nil }
        let ratio = cost / reference
        return ratio.isFinite ? ratio : nil
    }

    func line(_ figure: Figure) -> String {
        let name = figure.name.padding(toLength: max(48, figure.name.count), withPad: " ", startingAt: 0)
        var text = "\(name) \(Measure.short(figure.median)) \(figure.unit.rawValue)"
        if !figure.spread.isEmpty { text += " (\(figure.spread))" }
        if let ratio = ratio(figure) { text += "  \(Measure.short(ratio)) × loop" }
        if let hold = figure.hold { text += figure.isKept == true ? "  kept (\(hold.text))" : "  NOT KEPT (\(hold.text))" }
        return figure.note.isEmpty ? text : text + "  – \(figure.note)"
    }

    func json(_ figures: [Figure], load: String) -> JSONValue {
        let list = figures.map { figure -> JSONValue in
            [
                "name": JSONValue(figure.name), "unit": JSONValue(figure.unit.rawValue), "median": JSONValue(figure.median), "low": JSONValue(figure.low),
                "high": JSONValue(figure.high), "values": JSONValue(figure.values.map { JSONValue($0) }),
                "times_loop": ratio(figure).map { JSONValue($0) } ?? .null, "hold": figure.hold.map { JSONValue($0.text) } ?? .null,
                "kept": figure.isKept.map { JSONValue($0) } ?? .null, "note": JSONValue(figure.note),
            ]
        }
        return [
            "machine": JSONValue(Measure.machine), "load_before": JSONValue(load), "load_after": JSONValue(Measure.load), "runs": JSONValue(runs),
            "loop_ns": JSONValue(reference), "figures": JSONValue(list),
        ]
    }

    func markdown(_ figures: [Figure], load: String, date: String) -> String {
        var text = "\(date), \(Measure.machine), load \(load) before and \(Measure.load) after, \(runs) runs each.\n\n"
        text += "| figure | median | lowest – highest | × loop | to hold | |\n| --- | --- | --- | --- | --- | --- |\n"
        for figure in figures {
            let kept = figure.isKept.map { $0 ? "kept" : "**not kept**" } ?? ""
            text += "| \(figure.name) | \(Measure.short(figure.median)) \(figure.unit.rawValue) | \(figure.spread) | \(ratio(figure).map(Measure.short) ?? "") "
            text += "| \(figure.hold.map { "\($0.text) \(kept)" } ?? "") | \(figure.note) |\n"
        }
        return text
    }
}
