import Foundation
import Glibc

/// One figure: several runs of the same work, and how far they lie apart.
struct Figure {
    var name: String
    /// In `unit`, one a run.
    var values: [Double]
    var unit: Unit
    /// What has to be held; nil: only watched.
    var hold: Hold?
    var note = ""

    enum Unit: String {
        case nanoseconds = "ns"
        case perBar = "ns a bar"
        case perTick = "ns a tick"
        case perOrder = "ns an order"
        case microseconds = "µs"
        case milliseconds = "ms"
        case barsPerSecond = "bars/s"
        case rowsPerSecond = "rows/s"
        case recordsPerSecond = "records/s"
        case framesPerSecond = "frames/s"
        case bytesPerSecond = "bytes/s"
        case megabytes = "MB"
        case times = "times"
        case allocations = "allocations"

        /// Nanoseconds a unit of work, where the figure says that: what the fixed loop is compared with.
        func cost(_ value: Double) -> Double? {
            switch self {
            case .nanoseconds, .perBar, .perTick, .perOrder: value
            case .microseconds: value * 1e3
            case .barsPerSecond, .rowsPerSecond, .recordsPerSecond, .framesPerSecond: 1e9 / value
            case .milliseconds, .bytesPerSecond, .megabytes, .times, .allocations: nil
            }
        }
    }

    enum Hold {
        case atLeast(Double)
        case under(Double)

        func isKept(_ value: Double) -> Bool {
            switch self {
            case .atLeast(let bound): value >= bound
            case .under(let bound): value < bound
            }
        }

        var text: String {
            switch self {
            case .atLeast(let bound): "at least \(Measure.short(bound))"
            case .under(let bound): "under \(Measure.short(bound))"
            }
        }
    }

    var median: Double {
        let sorted = values.sorted()
        if sorted.isEmpty { return .nan }
        return sorted.count % 2 == 1 ? sorted[sorted.count / 2] : (sorted[sorted.count / 2 - 1] + sorted[sorted.count / 2]) / 2
    }
    var low: Double { values.min() ?? .nan }
    var high: Double { values.max() ?? .nan }
    var spread: String { values.count < 2 ? "" : "\(Measure.short(low)) – \(Measure.short(high))" }
    var isKept: Bool? { hold.map { $0.isKept(median) } }
}

enum Measure {
    static func now() -> Double { time(CLOCK_MONOTONIC) }

    /// Time of this process on a processor: what the work costs, also on a machine that others use.
    static func processor() -> Double { time(CLOCK_PROCESS_CPUTIME_ID) }

    private static func time(_ clock: clockid_t) -> Double {
        var time = timespec()
        clock_gettime(clock, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
    }

    /// Processor time: on a machine nobody else uses, the same as the time that passes.
    static func seconds(_ work: () throws -> Void) rethrows -> Double {
        let start = processor()
        try work()
        return processor() - start
    }

    static func short(_ value: Double) -> String {
        if value.isNaN { return "–" }
        for (factor, letter) in [(1e9, "G"), (1e6, "M"), (1e3, "k")] where abs(value) >= factor { return trimmed(value / factor) + letter }
        return trimmed(value)
    }

    private static func trimmed(_ value: Double) -> String {
        abs(value) >= 100 ? String(format: "%.0f", value) : abs(value) >= 10 ? String(format: "%.1f", value) : String(format: "%.2f", value)
    }

    static var machine: String {
        let info = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)) ?? ""
        let lines = info.split(separator: "\n").filter { $0.hasPrefix("model name") }
        let name = lines.first?.split(separator: ":", maxSplits: 1).last.map { $0.trimmingCharacters(in: .whitespaces) } ?? "unknown processor"
        return "\(name), \(ProcessInfo.processInfo.activeProcessorCount) cores"
    }

    static var load: String { ((try? String(contentsOfFile: "/proc/loadavg", encoding: .utf8)) ?? "").split(separator: " ").first.map(String.init) ?? "?" }

    /// Most memory this process ever had, in MB.
    static var peakMemory: Double {
        let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
        let line = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
        return (line.flatMap { Double($0.split(separator: " ").dropFirst().first ?? "") } ?? .nan) / 1024
    }
}
