import Foundation
import Glibc
import Testing

@testable import HostLedger

/// Runs one named role of this test program in a process of its own, so that it can be killed or limited without harm to the others.
///
/// The role is a test that does nothing unless KEEL_LEDGER_ROLE names it.
enum ChildProcess {
    enum End: Equatable {
        case exited(Int32)
        case killed(Int32)
    }

    static let variable = "KEEL_LEDGER_ROLE"

    /// "role argument argument ..." of this process, nil in the test run itself.
    static var role: [String]? { ProcessInfo.processInfo.environment[variable]?.split(separator: " ").map(String.init) }

    static func run(_ role: String, _ arguments: [String]) throws -> End {
        let process = try start(role, arguments)
        process.waitUntilExit()
        return process.terminationReason == .uncaughtSignal ? .killed(process.terminationStatus) : .exited(process.terminationStatus)
    }

    /// `input`: what the child reads; by default nothing.
    static func start(_ role: String, _ arguments: [String], input: Pipe? = nil) throws -> Process {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        // The same program and test bundle, one test only.
        var own = Array(CommandLine.arguments.dropFirst())
        while let index = own.firstIndex(where: { $0 == "--filter" || $0 == "--skip" || $0 == "--xunit-output" || $0 == "--event-stream-output-path" }) {
            own.removeSubrange(index...min(index + 1, own.count - 1))
        }
        process.arguments = own + ["--filter", "LedgerTests.ChildRoles"]
        var environment = ProcessInfo.processInfo.environment
        environment[variable] = ([role] + arguments).joined(separator: " ")
        process.environment = environment
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        if let input { process.standardInput = input } else { process.standardInput = FileHandle.nullDevice }
        try process.run()
        return process
    }
}

/// What a child may be told to do.
@Suite struct ChildRoles {
    @Test(.enabled(if: ChildProcess.role != nil)) func run() throws {
        guard let role = ChildProcess.role, let name = role.first else { return }
        switch name {
        case "exit": exit(7)
        case "play": try play(Array(role.dropFirst()))
        case "fill": try fill(Array(role.dropFirst()))
        case "lock": try lock(Array(role.dropFirst()))
        case "store": try store(Array(role.dropFirst()))
        default: exit(99)
        }
    }

    /// folder, seed, steps, kill: plays a scenario with journal and ledger; each order that may leave is noted in "sent".
    private func play(_ arguments: [String]) throws {
        let folder = arguments[0]
        let kill = LedgerKill(arguments[3]) ?? .none
        let scenario = Scenario(seed: UInt64(arguments[1]) ?? 0, steps: Int(arguments[2]) ?? 0)
        let sent = open(folder + "/sent", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
        var options = Ledger.Options()
        options.reserve = 4_096
        let ledger = try Ledger(path: folder + "/ledger", now: Scenario.start, options: options, kill: kill)
        let run = try ledger.begin(Scenario.facts())
        let journal = try JournalWriter(path: folder + "/journal", run: UInt64(run), created: 0, kill: kill)
        let writer = LedgerWriter(ledger, names: Scenario.names, run: run, started: Scenario.start, journal: journal)
        var dice = Dice(seed: UInt64(arguments[1]) ?? 0)
        for (index, unit) in scenario.units.enumerated() {
            // The input that led to the unit, then the unit, then its effect.
            withUnsafeBytes(of: index) { _ = journal.append(.event, port: 0, time: Int64(index), $0) }
            for record in unit.records { writer.record(record) }
            if unit.barrier {
                guard writer.barrier() else { exit(3) }
                for case .intent(let intent) in unit.records {
                    let line = Array("\(intent.order) \(index)\n".utf8)
                    _ = line.withUnsafeBytes { write(sent, $0.baseAddress, $0.count) }
                }
            } else {
                writer.boundary()
                if dice.chance(60) { writer.flush() }
            }
        }
        _ = writer.barrier()
        // The number of durable writes of a whole run, for who wants to hit each of them.
        try "\(kill.writes)".write(toFile: folder + "/writes", atomically: true, encoding: .utf8)
        exit(0)
    }

    /// folder, bytes: files may not grow beyond so many bytes, which looks like a full disk; then the limit goes and work goes on.
    private func fill(_ arguments: [String]) throws {
        let folder = arguments[0]
        signal(SIGXFSZ, SIG_IGN)
        let scenario = Scenario(seed: 21, steps: 150)
        var options = Ledger.Options()
        options.reserve = 4_096
        let ledger = try Ledger(path: folder + "/ledger", now: Scenario.start, options: options)
        let run = try ledger.begin(Scenario.facts())
        let journal = try JournalWriter(path: folder + "/journal", run: UInt64(run), created: 0)
        let writer = LedgerWriter(ledger, names: Scenario.names, run: run, started: Scenario.start, journal: journal)
        var limit = rlimit(rlim_cur: rlim_t(UInt64(arguments[1]) ?? 0), rlim_max: rlim_t.max)
        setrlimit(__rlimit_resource_t(1), &limit)  // RLIMIT_FSIZE
        var refused = 0
        for (index, unit) in scenario.units.enumerated() {
            withUnsafeBytes(of: index) { _ = journal.append(.event, port: 0, time: Int64(index), $0) }
            for record in unit.records { writer.record(record) }
            if unit.barrier {
                if !writer.barrier() {
                    refused += 1
                    if writer.failure?.isRecoverable != true { exit(4) }
                }
            } else {
                writer.boundary()
            }
        }
        if refused == 0 { exit(5) }
        limit.rlim_cur = rlim_t.max
        setrlimit(__rlimit_resource_t(1), &limit)
        guard writer.barrier(), writer.failure == nil, journal.failure == nil, journal.dropped == 0 else { exit(6) }
        exit(0)
    }

    /// folder: takes the lock, says so, and waits to be killed.
    private func lock(_ arguments: [String]) throws {
        let lock = try LedgerLock(ledger: arguments[0] + "/ledger", now: 1_785_542_400_000_000_000)
        try "\(getpid())".write(toFile: arguments[0] + "/locked", atomically: true, encoding: .utf8)
        // Nothing but a signal, or the end of the parent's pipe, ends it.
        var byte: UInt8 = 0
        _ = read(STDIN_FILENO, &byte, 1)
        withExtendedLifetime(lock) {}
        exit(0)
    }

    /// folder, kill: puts values one after the other and notes each that returned.
    private func store(_ arguments: [String]) throws {
        let store = try PluginStore(path: arguments[0] + "/plugins", kill: LedgerKill(arguments[1]) ?? .none)
        let noted = open(arguments[0] + "/noted", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
        for value in 1...20 {
            try store.put(instance: "a", key: "k", [UInt8(value)])
            var byte = UInt8(value)
            _ = write(noted, &byte, 1)
        }
        exit(0)
    }
}
