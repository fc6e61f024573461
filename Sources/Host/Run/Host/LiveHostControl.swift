import Foundation
import Glibc
import HostCore
import HostPlugins
import PluginAPI
import PluginKit

// What operators ask of a running host.

extension LiveHost {
    func handle(_ request: LoopRequest) {
        count()
        switch request {
        case .control(let request, let connection): answer(request, connection)
        case .signal(let number): signalled(number)
        case .glance: lookAtKillSwitch()
        case .damaged(let findings): damaged(findings)
        case .broken(let source, let why, let text): broke(source, why: why, text: text)
        case .worker(let source, let event): worker(source, event)
        case .checked(let problems, let caller, let reason): endRestartCheck(problems: problems, caller: caller, reason: reason)
        }
    }

    /// What stands in the damaged pages is history, but nobody should go on building on such a file.
    private func damaged(_ findings: [String]) {
        isDamaged = true
        loop?.command(.closeGate)
        alert(
            .critical, "ledger",
            "\(folder.ledger) is damaged: \(findings.prefix(3).joined(separator: "; ")). Nothing is entered, exits go on. Keep a copy, restore a backup, restart")
    }

    private func signalled(_ number: Int32) {
        switch number {
        case SIGHUP: beginRestart(reason: "SIGHUP", caller: nil)
        default:
            guard ending == nil else { return }
            ending = .stopped(number == SIGINT ? "interrupted" : "terminated")
            loop?.end()
        }
    }

    private func answer(_ request: ControlRequest, _ connection: ControlConnection) {
        switch request.verb {
        case .status: connection.answer(ControlReply(body: body(status())))
        case .evidence: connection.answer(ControlReply(body: body(evidence)))
        case .stop:
            waitingForEnd.append(connection)
            guard ending == nil else { return }
            ending = .stopped("keel stop")
            loop?.end()
        case .restart: beginRestart(reason: "keel restart", caller: connection)
        case .kill:
            lookAtKillSwitch()
            connection.answer(ControlReply(body: body(["kill": lastKill])))
        case .flatten:
            let pipeline = request.arguments["pipeline"]
            if let pipeline, !composition.manifest.pipelines.contains(where: { $0.name == pipeline }) {
                return connection.answer(ControlReply(code: 2, problems: ["there is no pipeline \"\(pipeline)\" in this run"]))
            }
            log.write(.warning, "keel", "flatten \(pipeline ?? "everything")")
            loop?.command(.flatten(pipeline: pipeline))
            connection.answer(ControlReply(body: body(status())))
        case .reset:
            guard let pipeline = request.arguments["pipeline"], composition.manifest.pipelines.contains(where: { $0.name == pipeline }) else {
                return connection.answer(ControlReply(code: 2, problems: ["name a pipeline of this run"]))
            }
            loop?.command(.resetBreaker(pipeline: pipeline))
            connection.answer(ControlReply(body: body(status())))
        }
    }

    private func body(_ value: some Encodable) -> Data { (try? JSONEncoder().encode(value)) ?? Data("{}".utf8) }

    /// The file is the switch: whoever made or removed it.
    func lookAtKillSwitch() {
        let isOn = killSwitch.isOn
        guard isOn != lastKill, let loop else { return }
        lastKill = isOn
        let reason = killSwitch.reason
        log.write(.warning, "keel", isOn ? "the kill switch is on\(reason.isEmpty ? "" : ": " + reason)" : "the kill switch is off")
        loop.command(.kill(isOn))
    }

    public func status() -> HostStatusReport {
        var report = HostStatusReport(run: run, pid: getpid(), mode: composition.manifest.mode.rawValue)
        guard let loop, let plan else { return report }
        let summary = summary
        report.manifest = composition.manifestPath
        report.started = RunLog.stamp(startedAt)
        report.now = RunLog.stamp(clock.now())
        report.isOpen = loop.engine.isOpen
        report.isKilled = lastKill
        report.events = loop.events
        report.droppedEvents = sink.inbox.dropped
        report.ledgerFailure = writer?.failure?.description
        report.alerts = summary.alerts
        report.pipelines = summary.pipelines
        report.barrierMicroseconds = writer.map { $0.figures.barriers > 0 ? Double($0.figures.allBarriers) / Double($0.figures.barriers) / 1000 : 0 }
        report.gapMilliseconds = restartReport?.gapMilliseconds
        report.instances = instances.map { instance in
            let index = Int(instance.source)
            let agreement = agreements[index]
            return HostStatusReport.Instance(
                name: instance.name, component: instance.identity.component, version: instance.identity.version, sha256: instance.identity.sha256,
                roles: instance.roles, phase: "\(instance.host.phase)", isolation: instance.isIsolated ? "process" : instance.isInline ? "engine" : "lane",
                link: links[index].map { $0.isUp ? "up" : "down" }, linkMessage: links[index]?.message, agrees: agreement?.agreed,
                differences: agreement?.differences ?? [], misbehaviours: instance.host.misbehaviours,
                isQuarantined: budgets[index].quarantine != nil)
        }
        report.ports = plan.ports.count
        return report
    }
}

/// The answer of `keel status`.
public struct HostStatusReport: Codable, Sendable {
    public struct Instance: Codable, Sendable {
        public var name: String
        public var component: String
        public var version: String
        public var sha256: String
        public var roles: [String]
        public var phase: String
        public var isolation: String
        public var link: String?
        public var linkMessage: String?
        public var agrees: Bool?
        public var differences: [String]
        public var misbehaviours: Int
        public var isQuarantined: Bool
    }

    public var run: UInt32
    public var pid: Int32
    public var mode: String
    public var manifest = ""
    public var started = ""
    public var now = ""
    /// Entries may go out as far as the host is concerned; each pipeline still asks its own broker's agreement.
    public var isOpen = false
    public var isKilled = false
    public var events: UInt64 = 0
    public var droppedEvents: UInt64 = 0
    public var ledgerFailure: String?
    public var alerts = 0
    public var barrierMicroseconds: Double?
    public var gapMilliseconds: Double?
    public var ports = 0
    public var pipelines: [RunSummary.Pipeline] = []
    public var instances: [Instance] = []

    init(run: UInt32, pid: Int32, mode: String) {
        self.run = run
        self.pid = pid
        self.mode = mode
    }

    public var text: String {
        var lines = [
            "run \(run) (\(mode)), pid \(pid), since \(started), now \(now)",
            "  entries: \(isKilled ? "halted by the kill switch" : isOpen ? "open" : "closed until ledger and venues agree")"
                + (ledgerFailure.map { ", \($0)" } ?? ""),
            "  \(events) events" + (droppedEvents > 0 ? ", \(droppedEvents) dropped" : "") + (alerts > 0 ? ", \(alerts) alerts" : ""),
        ]
        for pipeline in pipelines {
            let positions = pipeline.positions.isEmpty
                ? "flat" : pipeline.positions.sorted { $0.key < $1.key }.map { "\($0.value) \($0.key)" }.joined(separator: ", ")
            lines.append(
                "  \(pipeline.name): \(positions)" + (pipeline.equity.isEmpty ? "" : ", equity \(pipeline.equity) \(pipeline.currency)")
                    + ", \(pipeline.orders) orders, \(pipeline.fills) fills, \(pipeline.refusals) refusals"
                    + (pipeline.savedCalls.map { ", \($0)" } ?? ""))
        }
        for instance in instances {
            var line = "  \(instance.name): \(instance.component) \(instance.version) (\(instance.sha256.prefix(12))), \(instance.phase), \(instance.isolation)"
            if let link = instance.link { line += ", link \(link)" }
            if instance.agrees == false { line += ", DIFFERS: " + instance.differences.joined(separator: "; ") }
            if instance.isQuarantined { line += ", quarantined" }
            if instance.misbehaviours > 0 { line += ", \(instance.misbehaviours) misbehaviours" }
            lines.append(line)
        }
        return lines.joined(separator: "\n")
    }
}
