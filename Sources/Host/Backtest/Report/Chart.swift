import Foundation
import Tape

/// Line and area charts as SVG, drawn here: no library, no script, colours from the page's style.
struct Chart {
    struct Series {
        enum Form { case line, area, step }
        var name: String
        /// A CSS class: "c1" ... "c4".
        var style: String
        var form: Form
        var points: [(time: Int64, value: Double)]
    }

    struct Marker {
        enum Form { case up, down }
        var time: Int64
        var value: Double
        var form: Form
        var title: String
    }

    /// A vertical bar from low to high with its close: prices at a scale where candles would be hairs.
    struct Range {
        var time: Int64
        var low: Double
        var high: Double
    }

    var width = 960.0
    var height = 260.0
    var from: Int64
    var to: Int64
    var series: [Series] = []
    var ranges: [Range] = []
    var markers: [Marker] = []
    var label: String
    var format: (Double) -> String
    /// Kept inside the axis even if no value reaches it.
    var include: [Double] = []
    var legend = true

    private let left = 74.0
    private let right = 14.0
    private let bottom = 26.0
    private var top: Double { legend ? 30 : 12 }

    init(label: String, from: Int64, to: Int64, format: @escaping (Double) -> String) {
        self.label = label
        self.from = from
        self.to = max(to, from + 1)
        self.format = format
    }

    private func x(_ time: Int64) -> Double { left + Double(time - from) / Double(to - from) * (width - left - right) }

    func svg() -> String {
        var low = Double.infinity
        var high = -Double.infinity
        func see(_ value: Double) {
            if value.isFinite {
                low = min(low, value)
                high = max(high, value)
            }
        }
        series.forEach { $0.points.forEach { see($0.value) } }
        ranges.forEach {
            see($0.low)
            see($0.high)
        }
        include.forEach(see)
        if low > high { (low, high) = (0, 1) }
        if high - low < max(abs(high), 1) * 1e-9 {
            low -= max(abs(low) * 0.01, 0.01)
            high += max(abs(high) * 0.01, 0.01)
        } else {
            let space = (high - low) * 0.04
            // A level that was asked for is an edge, not something to leave room around.
            if !include.contains(low) { low -= space }
            if !include.contains(high) { high += space }
        }
        let ticks = Self.ticks(low, high, 5)
        func y(_ value: Double) -> Double { top + (high - value) / (high - low) * (height - top - bottom) }
        func p(_ value: Double) -> String { String(format: "%.1f", value) }

        var out = "<svg viewBox=\"0 0 \(Int(width)) \(Int(height))\" role=\"img\" aria-label=\"\(HTML.escape(label))\">"
        // Axes: horizontal grid lines with values, times below.
        for tick in ticks {
            out += "<line class=\"grid\" x1=\"\(p(left))\" x2=\"\(p(width - right))\" y1=\"\(p(y(tick)))\" y2=\"\(p(y(tick)))\"/>"
            out += "<text class=\"axis\" x=\"\(p(left - 8))\" y=\"\(p(y(tick) + 4))\" text-anchor=\"end\">\(HTML.escape(format(tick)))</text>"
        }
        for (time, text) in Self.timeTicks(from, to, 8) {
            let at = x(time)
            out += "<line class=\"tick\" x1=\"\(p(at))\" x2=\"\(p(at))\" y1=\"\(p(height - bottom))\" y2=\"\(p(height - bottom + 4))\"/>"
            // Labels at the edges stay inside the picture.
            let anchor = at < left + 24 ? "start" : at > width - right - 28 ? "end" : "middle"
            out += "<text class=\"axis\" x=\"\(p(at))\" y=\"\(p(height - 8))\" text-anchor=\"\(anchor)\">\(text)</text>"
        }
        out += "<line class=\"base\" x1=\"\(p(left))\" x2=\"\(p(width - right))\" y1=\"\(p(height - bottom))\" y2=\"\(p(height - bottom))\"/>"
        if !ranges.isEmpty {
            var path = ""
            for range in ranges {
                let at = p(x(range.time))
                path += "M\(at) \(p(y(range.high)))V\(p(max(y(range.low), y(range.high) + 0.8)))"
            }
            out += "<path class=\"range\" d=\"\(path)\"/>"
        }
        for one in series where !one.points.isEmpty {
            var path = ""
            var last = (x: "", y: "")
            for (index, point) in one.points.enumerated() {
                let at = (x: p(x(point.time)), y: p(y(point.value)))
                if index == 0 {
                    path = "M\(at.x) \(at.y)"
                } else if one.form == .step {
                    path += "H\(at.x)V\(at.y)"
                } else if at != last {
                    path += "L\(at.x) \(at.y)"
                }
                last = at
            }
            if one.form == .area, let first = one.points.first, let end = one.points.last {
                let zero = p(y(min(max(0, low), high)))
                out += "<path class=\"fill \(one.style)\" d=\"\(path)L\(p(x(end.time))) \(zero)L\(p(x(first.time))) \(zero)Z\"/>"
            }
            out += "<path class=\"line \(one.style)\" d=\"\(path)\"/>"
        }
        for marker in markers {
            let at = (x(marker.time), y(marker.value))
            let shape =
                marker.form == .up
                ? "M\(p(at.0)) \(p(at.1 + 3))l-5.5 10h11z" : "M\(p(at.0)) \(p(at.1 - 3))l-5.5 -10h11z"
            out += "<path class=\"mark \(marker.form == .up ? "buy" : "sell")\" d=\"\(shape)\"><title>\(HTML.escape(marker.title))</title></path>"
        }
        if legend {
            var at = left
            func entry(_ swatch: String, _ name: String) {
                out += "<g transform=\"translate(\(p(at)) 12)\">\(swatch)<text class=\"legend\" x=\"20\" y=\"4\">\(HTML.escape(name))</text></g>"
                at += 40 + Double(name.count) * 6.6
            }
            for one in series { entry("<line class=\"line \(one.style)\" x1=\"0\" x2=\"14\" y1=\"0\" y2=\"0\"/>", one.name) }
            if !ranges.isEmpty && series.isEmpty { entry("<path class=\"range\" d=\"M7 -6V6\"/>", label) }
            if markers.contains(where: { $0.form == .up }) { entry("<path class=\"mark buy\" d=\"M7 -5l-4.5 8h9z\"/>", "buy") }
            if markers.contains(where: { $0.form == .down }) { entry("<path class=\"mark sell\" d=\"M7 4l-4.5 -8h9z\"/>", "sell") }
        }
        return out + "</svg>"
    }

    /// Round values inside low...high, about `count` of them.
    static func ticks(_ low: Double, _ high: Double, _ count: Int) -> [Double] {
        let raw = (high - low) / Double(count)
        guard raw > 0, raw.isFinite else { return [low] }
        let power = pow(10, floor(log10(raw)))
        let step = [1, 2, 2.5, 5, 10].map { $0 * power }.first { $0 >= raw } ?? raw
        var result: [Double] = []
        var index = (low / step).rounded(.up)
        while index * step <= high + step * 1e-9, result.count < 20 {
            let value = index * step
            result.append(abs(value) < step * 1e-9 ? 0 : value)
            index += 1
        }
        return result
    }

    /// Starts of years, months, days, hours or minutes, whichever gives at most `most`.
    static func timeTicks(_ from: Int64, _ to: Int64, _ most: Int) -> [(Int64, String)] {
        let second: Int64 = 1_000_000_000
        let day = 86_400 * second
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        let length = to - from
        for step in [1, 2, 5, 10, 15, 30].map({ $0 * second }) + [1, 2, 5, 10, 15, 30].map({ $0 * 60 * second }) + [1, 2, 3, 4, 6, 12].map({ $0 * 3600 * second })
        where length / step < most {
            var at = (from / step + (from % step == 0 ? 0 : 1)) * step
            var result: [(Int64, String)] = []
            while at <= to {
                let text = UTCTime.text(at)
                let date = UTCTime.date(days: Int(at / day))
                result.append((at, at % day == 0 ? "\(date.day) \(months[date.month - 1])" : step < 60 * second ? String(text.dropFirst(11).prefix(8)) : String(text.dropFirst(11).prefix(5))))
                at += step
            }
            return result
        }
        for days in [1, 2, 5, 7, 14] where length / (Int64(days) * day) < most {
            let step = Int64(days) * day
            var at = (from / step + (from % step == 0 ? 0 : 1)) * step
            var result: [(Int64, String)] = []
            while at <= to {
                let date = UTCTime.date(days: Int(at / day))
                result.append((at, "\(date.day) \(months[date.month - 1])"))
                at += step
            }
            return result
        }
        for stepMonths in [1, 2, 3, 6, 12, 24, 60, 120] where length / (Int64(stepMonths) * 30 * day) < most {
            let start = UTCTime.date(days: Int(from / day))
            var index = start.year * 12 + start.month - 1
            index = (index + stepMonths - 1) / stepMonths * stepMonths
            var result: [(Int64, String)] = []
            while true {
                let at = Int64(UTCTime.days(year: index / 12, month: index % 12 + 1, day: 1)) * day
                if at > to { break }
                if at >= from { result.append((at, stepMonths >= 12 ? "\(index / 12)" : index % 12 == 0 ? "\(index / 12)" : months[index % 12])) }
                index += stepMonths
            }
            return result
        }
        return []
    }
}

enum HTML {
    /// Text from outside, safe between tags and in quoted attributes.
    static func escape(_ text: some StringProtocol) -> String {
        var out = ""
        out.reserveCapacity(text.utf8.count)
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": out += "&amp;"
            case "<": out += "&lt;"
            case ">": out += "&gt;"
            case "\"": out += "&quot;"
            case "'": out += "&#39;"
            // Control characters and the ones that turn text around have no place on a page.
            case "\u{0}"..."\u{8}", "\u{B}"..."\u{1F}", "\u{7F}"..."\u{9F}", "\u{202A}"..."\u{202E}", "\u{2066}"..."\u{2069}": out += "\u{FFFD}"
            default: out.unicodeScalars.append(scalar)
            }
        }
        return out
    }
}
