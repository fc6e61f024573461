import Foundation
import Glibc
import HostCore
import Testing

/// Where `swift build` put programs and libraries.
enum Built {
    static let folder: String = {
        // The test bundle lies beside them, whoever runs it.
        for argument in CommandLine.arguments where argument.contains(".xctest") {
            var folder = URL(fileURLWithPath: argument)
            while folder.path != "/", !FileManager.default.fileExists(atPath: folder.appendingPathComponent("libRehearsal.so").path) {
                folder.deleteLastPathComponent()
            }
            if folder.path != "/" { return folder.path }
        }
        var folder = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
        while folder.path != "/", !FileManager.default.fileExists(atPath: folder.appendingPathComponent("libRehearsal.so").path) {
            folder.deleteLastPathComponent()
        }
        return folder.path
    }()

    static var keel: String { folder + "/keel" }
    static var venue: String { folder + "/keel-rehearsal-venue" }
    /// The programs a test with processes needs; a partial build may lack them.
    static var isComplete: Bool { FileManager.default.isExecutableFile(atPath: keel) && FileManager.default.isExecutableFile(atPath: venue) }
}

/// A child of the test, ended with it.
final class Child {
    let process = Process()
    private let output: String
    private let ended = DispatchSemaphore(value: 0)

    init(_ program: String, _ arguments: [String], environment: [String: String] = [:], output: String, input: Pipe? = nil) throws {
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = arguments
        var all = ProcessInfo.processInfo.environment
        all["SWIFT_BACKTRACE"] = "enable=no"
        all.merge(environment) { _, new in new }
        process.environment = all
        _ = FileManager.default.createFile(atPath: output, contents: nil)
        let file = try FileHandle(forWritingTo: URL(fileURLWithPath: output))
        try file.seekToEnd()
        process.standardOutput = file
        process.standardError = file
        if let input { process.standardInput = input } else { process.standardInput = FileHandle.nullDevice }
        self.output = output
        let ended = ended
        process.terminationHandler = { _ in ended.signal() }
        try process.run()
    }

    deinit { if process.isRunning { kill(process.processIdentifier, SIGKILL) } }

    var said: String { (try? String(contentsOfFile: output, encoding: .utf8)) ?? "" }

    /// Waits for the end; nil: it still runs after so long.
    func end(within seconds: Double) -> (code: Int32, killed: Bool)? {
        guard ended.wait(timeout: .now() + seconds) == .success else { return nil }
        ended.signal()
        return (process.terminationStatus, process.terminationReason == .uncaughtSignal)
    }

    func signal(_ number: Int32) { kill(process.processIdentifier, number) }
}

/// The venue process of one scripted day.
final class VenueProcess {
    let child: Child
    let socket: String
    private let reportPath: String
    /// Closing it ends the venue.
    private let leash = Pipe()

    /// `pace`: milliseconds a step; nil: as fast as the host is.
    init(folder: String, steps: Int, pace: Int? = nil) throws {
        // A socket's path is short: not in the test's own deep folder.
        socket = NSTemporaryDirectory() + "/kv-\(UUID().uuidString.prefix(13))"
        reportPath = folder + "/venue.txt"
        child = try Child(Built.venue, [socket, "\(steps)", reportPath] + (pace.map { ["\($0)"] } ?? []), output: folder + "/venue.log", input: leash)
        let limit = Date().addingTimeInterval(10)
        while !child.said.contains("ready"), Date() < limit { usleep(2_000) }
    }

    deinit {
        try? leash.fileHandleForWriting.close()
        unlink(socket)
    }

    /// Workers are started by the thread of their lane.
    static func childrenOfAnyThread(of process: Int32) -> [Int32] {
        let threads = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(process)/task")) ?? []
        return threads.flatMap { thread in
            ((try? String(contentsOfFile: "/proc/\(process)/task/\(thread)/children", encoding: .utf8)) ?? "").split(separator: " ").compactMap { Int32($0) }
        }
    }

    struct Order: Equatable {
        var id: String
        var side: String
        var quantity: Int64
        var filled: Int64
        var fills: [String: Int64] = [:]
    }

    struct Book: Equatable {
        var step = 0
        var position: Int64 = 0
        var cash: Int64 = 0
        var violations: [String] = []
        var orders: [String: Order] = [:]
    }

    private func lines(_ path: String) -> [[String]] {
        ((try? String(contentsOfFile: path, encoding: .utf8)) ?? "").split(separator: "\n").map { $0.split(separator: " ").map(String.init) }
    }

    /// What the venue never should have seen.
    var violations: [String] { lines(reportPath).filter { $0[0] == "violation" }.map { $0.dropFirst().joined(separator: " ") } }

    var book: Book {
        var book = Book()
        for words in lines(reportPath) {
            switch words[0] {
            case "step": book.step = Int(words[1]) ?? 0
            case "position": book.position = Int64(words[1]) ?? 0
            case "cash": book.cash = Int64(words[1]) ?? 0
            case "violation": book.violations.append(words.dropFirst().joined(separator: " "))
            default: break
            }
        }
        for words in lines(reportPath + ".book") {
            switch words[0] {
            case "order": book.orders[words[1]] = Order(id: words[1], side: words[3], quantity: Int64(words[4]) ?? 0, filled: 0)
            case "fill":
                book.orders[words[1]]?.fills[words[2]] = Int64(words[3]) ?? 0
                book.orders[words[1]]?.filled += Int64(words[3]) ?? 0
            default: break
            }
        }
        return book
    }

    /// How far the day is, without reading all of it.
    var step: Int {
        guard let file = FileHandle(forReadingAtPath: reportPath), let head = try? file.read(upToCount: 24) else { return 0 }
        let words = String(decoding: head, as: UTF8.self).split { $0 == " " || $0 == "\n" }
        return words.count > 1 ? Int(words[1]) ?? 0 : 0
    }

    /// Ends the day a few steps from now; how many it then has.
    func endSoon() -> Int {
        try? leash.fileHandleForWriting.write(contentsOf: Data("end\n".utf8))
        let limit = Date().addingTimeInterval(20)
        while Date() < limit {
            let steps = lines(reportPath).first { $0[0] == "steps" }.flatMap { Int($0[1]) } ?? .max
            if steps < VenueProcess.endless { return steps }
            usleep(5_000)
        }
        return step
    }

    /// Steps of a day that goes on until `endSoon`.
    static let endless = 10_000_000

    /// Waits until the day has come to `step`; false: it has not in time.
    func reaches(_ step: Int, within seconds: Double, or stop: () -> Bool = { false }) -> Bool {
        let limit = Date().addingTimeInterval(seconds)
        while self.step < step {
            if Date() > limit || stop() { return self.step >= step }
            usleep(5_000)
        }
        return true
    }
}

/// A folder with a manifest for the rehearsal venue.
struct Rehearsal {
    let folder: String
    let socket: String
    var manifest: String { folder + "/plugins.json" }
    var state: String { folder + "/state" }

    /// `venue`: more of the venue's configuration; `patience`: seconds until the follower takes an order for lost; `risk`: more of the day's limits.
    init(
        folder: String, socket: String, more: String = "", pipelines: String = "", library: String = #""file": "Rehearsal""#, decide: String? = nil,
        venue: String = "", patience: String = "2", risk: String = ""
    ) throws {
        self.folder = folder
        self.socket = socket
        let text = """
            { "version": 1, "mode": "paper", "state": "state",
              "plugins": {
                "venue": { "component": "keel.test.venue", \(library), "config": { "socket": "\(socket)"\(venue) } },
                "follower": { "component": "keel.test.follower", \(library), "isolation": "none", "config": { "patience": "\(patience)" } },
                "direct": { "component": "keel.direct", "file": "DirectRouter" }\(more)
              },
              "instruments": {
                "XXX/USDT": { "kind": "spot", "tick": "0.01", "lot": "0.01" },
                "YYY/USDT": { "kind": "spot", "tick": "0.01", "lot": "0.01" } },
              "pipelines": [ \(Rehearsal.pipeline("day", symbol: "XXX/USDT", broker: "venue", decide: decide, risk: risk))\(pipelines) ] }
            """
        try text.write(toFile: manifest, atomically: true, encoding: .utf8)
    }

    static func pipeline(_ name: String, symbol: String, broker: String, decide: String? = nil, risk: String = "") -> String {
        """
        { "name": "\(name)", "feeds": ["venue"], "instruments": ["\(symbol)"], "bars": ["1m"],
          "gate": { "candle": null, "timer": false, "price_z": null, "volume_z": null, "watchdog": null },
          "decide": \(decide ?? #"{ "primary": "follower" }"#),
          "risk": { "max_fraction": "1", "daily_loss": null, "drawdown": null, "losing_streak": null, "orders_per_minute": null,
                    "price_collar": null, "cooldown": "0s", "kelly": null\(risk) },
          "position": { "stop_loss": null, "trailing": null, "atr_multiple": null, "exit_probability": null, "review": null },
          "route": "direct", "broker": "\(broker)", "capital": "10000" }
        """
    }

    func host(environment: [String: String] = [:], arguments: [String] = []) throws -> Child {
        try Child(Built.keel, ["run", manifest] + arguments, environment: environment, output: folder + "/host-\(UUID().uuidString.prefix(8)).log")
    }

    func keel(_ arguments: [String], within seconds: Double = 30) throws -> (code: Int32, said: String) {
        let child = try Child(Built.keel, arguments, output: folder + "/verb-\(UUID().uuidString.prefix(8)).log")
        let end = child.end(within: seconds)
        return (end?.code ?? -1, child.said)
    }
}
