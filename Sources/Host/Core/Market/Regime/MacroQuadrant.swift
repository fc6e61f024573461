import Foundation
import PluginAPI

/// One figure of a macro series: the period it describes and the moment it became known.
public struct MacroFigure: Sendable, Equatable, Codable {
    public var periodStart: Int64
    public var released: Int64
    public var value: Double

    public init(periodStart: Int64, released: Int64, value: Double) {
        self.periodStart = periodStart
        self.released = released
        self.value = value
    }
}

/// A monthly series with its revisions: for any moment, what was known then.
public struct MacroSeries: Sendable, Equatable, Codable {
    /// In the order of release; a later figure for the same period is a revision.
    public private(set) var figures: [MacroFigure] = []

    public init() {}

    /// Takes a figure in; a missing value (not finite) is no figure, and one without a release time is refused: it would leak the future.
    @discardableResult
    public mutating func add(_ figure: MacroFigure) -> Bool {
        guard figure.value.isFinite, figure.released > 0, figure.released >= figure.periodStart else { return false }
        if figures.contains(where: { $0.periodStart == figure.periodStart && $0.released == figure.released }) { return false }
        let place = figures.firstIndex { $0.released > figure.released } ?? figures.endIndex
        figures.insert(figure, at: place)
        return true
    }

    /// What a newer figure has replaced by `time` is not needed any more: time only goes forward.
    mutating func forget(before time: Int64) {
        var newest: [Int64: Int64] = [:]
        for figure in figures where figure.released <= time { newest[figure.periodStart] = figure.released }
        figures.removeAll { $0.released < newest[$0.periodStart] ?? 0 }
        if figures.count > Self.most { figures.removeFirst(figures.count - Self.most) }
    }

    /// Fifty years of months.
    static let most = 600

    /// Whether a figure says what is known already, or less.
    func knows(_ figure: MacroFigure) -> Bool { figures.contains { $0.periodStart == figure.periodStart && $0.released >= figure.released } }

    /// By month (counted from 1970), the newest figures known at `time`.
    public func known(at time: Int64) -> [Int: Double] {
        var months: [Int: Double] = [:]
        for figure in figures where figure.released <= time { months[Self.month(figure.periodStart)] = figure.value }
        return months
    }

    static func month(_ time: Int64) -> Int {
        var seconds = time_t(time / 1_000_000_000)
        var parts = tm()
        gmtime_r(&seconds, &parts)
        return (Int(parts.tm_year) - 70) * 12 + Int(parts.tm_mon)
    }

    /// Year-on-year change in percent, oldest first, of the months where both ends are known. A missing month stays missing: nothing shifts.
    func yearOnYear(at time: Int64) -> [(month: Int, value: Double)] {
        let months = known(at: time)
        return months.keys.sorted().compactMap { month in
            guard let now = months[month], let before = months[month - 12], before != 0 else { return nil }
            return (month, 100 * (now / before - 1))
        }
    }

    /// z of the newest year-on-year figure among all before it (level), and of its change over three months (momentum); nil: too little is known.
    func score(at time: Int64, levelWeight: Double, minimum: Int = 24) -> Double? {
        let yoy = yearOnYear(at: time)
        guard let last = yoy.last, let level = zScore(yoy.map(\.value), minimum: minimum) else { return nil }
        let byMonth = Dictionary(yoy.map { ($0.month, $0.value) }, uniquingKeysWith: { _, new in new })
        let momentum = yoy.compactMap { point in byMonth[point.month - 3].map { point.value - $0 } }
        guard byMonth[last.month - 3] != nil, let change = zScore(momentum, minimum: minimum) else { return nil }
        return levelWeight * level + (1 - levelWeight) * change
    }
}

/// The last value against the mean and deviation of those before it.
func zScore(_ values: [Double], minimum: Int) -> Double? {
    guard values.count > minimum, let last = values.last else { return nil }
    let before = values.dropLast()
    let mean = before.reduce(0, +) / Double(before.count)
    let variance = before.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(before.count - 1)
    guard variance > 1e-12 else { return nil }
    return max(-6, min(6, (last - mean) / variance.squareRoot()))
}

/// Growth and inflation, each rising or falling against its own past: four quadrants.
/// Method: "level and rate of change", equal weights, neutral band, two confirmations. Named so in every report.
public struct MacroQuadrant: Sendable, Equatable, Codable {
    public static let growthSeries: Set<String> = ["INDPRO", "PAYEMS", "RSAFS"]
    public static let inflationSeries: Set<String> = ["CPIAUCSL", "CPILFESL", "PCEPI", "PCEPILFE"]

    public private(set) var series: [String: MacroSeries] = [:]
    /// KEEL_MACRO_*
    public private(set) var quadrant: UInt32 = KEEL_MACRO_UNKNOWN
    public private(set) var probability = Double.nan
    private var candidate: UInt32 = KEEL_MACRO_UNKNOWN
    private var confirmations = 0
    private var candidateRelease: Int64 = 0

    static let levelWeight = 0.5
    static let band = 0.25
    static let needed = 2

    public init() {}

    /// Whether the name is one this looks at.
    public static func uses(_ name: String) -> Bool { growthSeries.contains(name) || inflationSeries.contains(name) }

    /// A figure arrived at `time`. True: it changed the quadrant.
    @discardableResult
    public mutating func add(_ name: String, _ figure: MacroFigure, at time: Int64) -> Bool {
        guard Self.uses(name), figure.released <= time, series[name]?.knows(figure) != true, series[name, default: MacroSeries()].add(figure) else {
            return false
        }
        series[name]?.forget(before: time)
        return judge(at: time, release: figure.released)
    }

    public func axis(_ names: Set<String>, at time: Int64) -> Double? {
        let scores = names.sorted().compactMap { series[$0]?.score(at: time, levelWeight: Self.levelWeight) }
        return scores.isEmpty ? nil : scores.reduce(0, +) / Double(scores.count)
    }

    private mutating func judge(at time: Int64, release: Int64) -> Bool {
        guard let growth = axis(Self.growthSeries, at: time), let inflation = axis(Self.inflationSeries, at: time) else { return false }
        let up = 1 / (1 + exp(-2 * growth))
        let hot = 1 / (1 + exp(-2 * inflation))
        func chance(_ quadrant: UInt32) -> Double {
            switch quadrant {
            case KEEL_MACRO_GOLDILOCKS: up * (1 - hot)
            case KEEL_MACRO_REFLATION: up * hot
            case KEEL_MACRO_STAGFLATION: (1 - up) * hot
            case KEEL_MACRO_SLOWDOWN: (1 - up) * (1 - hot)
            default: .nan
            }
        }
        defer { probability = chance(quadrant) }
        // Inside the neutral band nothing new is concluded, so one revision can't flip the label.
        guard abs(growth) >= Self.band, abs(inflation) >= Self.band else { return false }
        let now =
            growth > 0
            ? (inflation > 0 ? KEEL_MACRO_REFLATION : KEEL_MACRO_GOLDILOCKS) : (inflation > 0 ? KEEL_MACRO_STAGFLATION : KEEL_MACRO_SLOWDOWN)
        // One release may bring many figures and revisions: it is one reading.
        if now != candidate {
            candidate = now
            confirmations = 1
            candidateRelease = release
        } else if release > candidateRelease {
            confirmations += 1
            candidateRelease = release
        }
        guard now != quadrant, confirmations >= Self.needed || quadrant == KEEL_MACRO_UNKNOWN else { return false }
        quadrant = now
        return true
    }
}
