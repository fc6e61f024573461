import Foundation

/// What a run has to show for itself: for each claim, whether it was seen to hold, seen to fail, or not seen at all.
/// Nothing here decides anything; it listens.
public struct Evidence: Codable, Equatable, Sendable {
    public enum Verdict: String, Codable, Sendable {
        case pass = "PASS"
        case fail = "FAIL"
        case notObserved = "NOT_OBSERVED"
    }

    public enum Claim: String, Codable, Sendable, CaseIterable {
        case marketData = "market-data"
        case connected
        case agreement
        case gateSelective = "gate-selective"
        case decision
        case fallback
        case orderPlaced = "order-placed"
        case fill
        case positionOpened = "position-opened"
        case exitOnce = "exit-once"
        case riskRefusal = "risk-refusal"
        case breaker
        case noDoubt = "no-order-in-doubt"
        case ledger
        case noCriticalAlert = "no-critical-alert"

        /// What PASS means, for people.
        public var meaning: String {
            switch self {
            case .marketData: "market events reach every enabled pipeline"
            case .connected: "every connection that reported is up"
            case .agreement: "each broker and the ledger agree on orders, fills and positions"
            case .gateSelective: "the gate passes at most one market event in ten (from 1,000 events on)"
            case .decision: "a decider answered"
            case .fallback: "a fallback took over from a decider that failed"
            case .orderPlaced: "an order was made durable and sent"
            case .fill: "an order was filled"
            case .positionOpened: "a position was opened"
            case .exitOnce: "every position that closed was closed once"
            case .riskRefusal: "a limit refused something, and the rule was recorded"
            case .breaker: "a breaker opened or closed"
            case .noDoubt: "no order is in doubt"
            case .ledger: "everything to be recorded is on the disk"
            case .noCriticalAlert: "no critical alert was raised"
            }
        }

        /// In `allCases`: noted for every order, so it is not searched for.
        var place: Int {
            switch self {
            case .marketData: 0
            case .connected: 1
            case .agreement: 2
            case .gateSelective: 3
            case .decision: 4
            case .fallback: 5
            case .orderPlaced: 6
            case .fill: 7
            case .positionOpened: 8
            case .exitOnce: 9
            case .riskRefusal: 10
            case .breaker: 11
            case .noDoubt: 12
            case .ledger: 13
            case .noCriticalAlert: 14
            }
        }

        /// A healthy run of some length shows these; the others depend on the market or on trouble.
        public static let expected: [Claim] = [.marketData, .connected, .agreement, .gateSelective, .ledger, .noCriticalAlert, .noDoubt]
    }

    public struct Finding: Codable, Equatable, Sendable {
        public var claim: Claim
        public var verdict = Verdict.notObserved
        /// Event times: the first and the last that speak for the verdict; 0: none.
        public var first: Int64 = 0
        public var last: Int64 = 0
        public var count = 0
        public var detail = ""

        public init(_ claim: Claim) { self.claim = claim }
    }

    public private(set) var findings: [Finding]
    private var down: [Int: String] = [:]
    private var disagreeing: [Int: String] = [:]
    private var doubtful: Set<String> = []
    private var exits: Set<String> = []
    /// Market events and passes of the gate, kept by the run loop.
    private var seen: UInt64 = 0
    private var passed: UInt64 = 0

    public init() { findings = Claim.allCases.map(Finding.init) }

    public subscript(_ claim: Claim) -> Finding { findings.first { $0.claim == claim } ?? Finding(claim) }

    public var failed: [Finding] { findings.filter { $0.verdict == .fail } }

    /// Something happened at `time` that speaks for or against a claim. A failure stays, unless `cures` says it is over.
    public mutating func note(_ claim: Claim, _ verdict: Verdict, at time: Int64, _ detail: String = "", cures: Bool = false) {
        let index = claim.place
        guard findings.indices.contains(index) else { return }
        if findings[index].verdict == .fail, verdict != .fail, !cures { return }
        if findings[index].verdict != verdict {
            findings[index].first = time
            findings[index].count = 0
        }
        findings[index].verdict = verdict
        findings[index].last = time
        findings[index].count += 1
        if !detail.isEmpty { findings[index].detail = detail }
    }

    /// From the run loop, now and then: how much came in and how much the gate let through.
    public mutating func noteMarket(events: UInt64, passes: UInt64, silent: [String], at time: Int64) {
        if events > seen || !silent.isEmpty {
            let detail = silent.isEmpty ? "\(events) events" : "nothing new for \(silent.joined(separator: ", "))"
            note(.marketData, silent.isEmpty ? .pass : .fail, at: time, detail, cures: silent.isEmpty)
        }
        seen = events
        passed = passes
        guard events >= 1_000 else { return }
        let share = Double(passes) / Double(events)
        let detail = String(format: "%.2f %% of %llu events", share * 100, events)
        note(.gateSelective, share <= 0.1 ? .pass : .fail, at: time, detail, cures: true)
    }

    public mutating func noteLedger(failure: String?, at time: Int64) {
        note(.ledger, failure == nil ? .pass : .fail, at: time, failure ?? "", cures: true)
    }

    public mutating func noteLink(port: Int, name: String, isUp: Bool, at time: Int64) {
        down[port] = isUp ? nil : name
        note(.connected, down.isEmpty ? .pass : .fail, at: time, down.isEmpty ? "" : "down: \(down.values.sorted().joined(separator: ", "))", cures: true)
    }

    public mutating func noteAgreement(broker: Int, differences: [String], agreed: Bool, at time: Int64) {
        disagreeing[broker] = agreed ? nil : differences.joined(separator: "; ")
        note(.agreement, disagreeing.isEmpty ? .pass : .fail, at: time, disagreeing.values.sorted().joined(separator: "; "), cures: true)
    }

    /// An order is or is no longer in doubt; `id` is made only where it matters.
    public mutating func noteOrder(_ id: @autoclosure () -> String, inDoubt: Bool, at time: Int64) {
        if !inDoubt, doubtful.isEmpty { return note(.noDoubt, .pass, at: time, cures: true) }
        if inDoubt { doubtful.insert(id()) } else { doubtful.remove(id()) }
        note(.noDoubt, doubtful.isEmpty ? .pass : .fail, at: time, doubtful.sorted().joined(separator: ", "), cures: true)
    }

    /// The run went on until `time`, and nothing has spoken against these.
    public mutating func noteQuiet(at time: Int64) {
        note(.noCriticalAlert, .pass, at: time)
        if doubtful.isEmpty { note(.noDoubt, .pass, at: time, cures: true) }
    }

    public mutating func noteExit(_ key: String, at time: Int64) {
        // A few thousand are enough to notice a second one: it follows close upon the first.
        if exits.count > 4_096 { exits.removeAll(keepingCapacity: true) }
        if exits.insert(key).inserted {
            note(.exitOnce, .pass, at: time)
        } else {
            note(.exitOnce, .fail, at: time, "position \(key) was closed twice")
        }
    }
}
