import Foundation
import HostCore
import HostLedger
import HostManifest
import PluginAPI
import PluginKit

/// What a replay came to.
public struct ReplayReport: Codable, Equatable, Sendable {
    public var run: UInt32
    public var inputs: UInt64
    public var effects: UInt64
    public var orders: Int
    /// The journal ends where a host was killed.
    public var isTorn: Bool
    /// The first place where the replay is not what happened; nil: byte for byte the same.
    public var difference: String?
    public var summary: RunSummary
    /// The run that went on from this one's end state, if it was looked at.
    public var next: UInt32?

    public var text: String {
        let ends = isTorn ? ", journal ends where the host was killed" : ""
        let verdict = difference.map { "DIFFERS \($0)" } ?? "identical"
        return "run \(run): \(inputs) inputs, \(effects) effects, \(orders) orders, \(verdict)\(ends)"
    }
}

/// Feeds a recorded run through the same engine again: no plugins, no network, no clock, no cost.
public enum Replay {
    public struct Outcome {
        public var report: ReplayReport
        public var origin: RunOrigin
        public var state: EngineState
    }

    public static func replay(journal path: String) throws(RunError) -> Outcome {
        let journal: JournalReader
        do throws(JournalError) { journal = try JournalReader(path: path) } catch { throw .journal(error.description) }
        let reader = ReplayReader(journal)
        guard let bytes = reader.origin(), let origin = try? StateCoding.value(RunOrigin.self, from: bytes) else {
            throw .journal("\(path) does not begin with a run's origin: was it written by another version of this program?")
        }
        let file = ManifestFile(name: "the manifest of run \(origin.run)", folder: ".", bytes: Array(origin.manifest.utf8))
        let read = ManifestReader(environment: ["LIVE_TRADING": "true"], checksSecrets: false).check(file)
        guard let manifest = read.manifest else { throw .journal("the manifest in \(path) is not valid: \(read.text)") }

        let ports = ReplayPorts(origin.ports)
        let plan = EnginePlan(
            run: origin.run, ports: ports.ports, instruments: manifest.instruments, pipelines: manifest.pipelines, checksSkew: origin.checksSkew)
        let outlet = ReplayOutlet(reader)
        let began = HostClock.monotonic()
        var tally = RunTally(mode: manifest.mode.rawValue, pipelines: manifest.pipelines, instruments: manifest.instruments)
        tally.run = origin.run
        tally.restore(origin.restored)
        ports.source.asked = { reader.asked($0, $1) }
        let engine: Engine
        do throws(EngineError) { engine = try Engine(plan: plan, outlet: outlet, restored: origin.restored) } catch {
            throw .journal("\(path): \(error)")
        }
        while reader.difference == nil, let input = reader.nextInput() {
            if outlet.seen.records.count >= 1024 { outlet.seen.take { tally.note($0) } }
            switch input {
            case .event(let port, let time):
                outlet.now = time
                engine.accept(UnsafePointer(reader.scratch.assumingMemoryBound(to: keel_event.self)), from: port)
            case .timer(let time):
                outlet.now = time
                engine.advance(to: time)
            case .command(.start, let time):
                outlet.now = time
                engine.start(at: time)
            case .command(.command(let command), let time):
                outlet.now = time
                engine.command(command, at: time)
            }
        }
        let isTorn = journal.ending != .whole
        if reader.difference == nil, !isTorn { reader.finish() }
        outlet.seen.take { tally.note($0) }
        var summary = tally.summary
        summary.events = reader.inputs
        summary.seconds = Double(HostClock.monotonic() - began) / 1e9
        let report = ReplayReport(
            run: origin.run, inputs: reader.inputs, effects: reader.trace.count, orders: outlet.orders, isTorn: isTorn,
            difference: reader.difference ?? reader.journalError, summary: summary)
        return Outcome(report: report, origin: origin, state: engine.state())
    }

    /// Only what a run started from.
    public static func origin(journal path: String) throws(RunError) -> RunOrigin {
        let journal: JournalReader
        do throws(JournalError) { journal = try JournalReader(path: path) } catch { throw .journal(error.description) }
        guard let bytes = ReplayReader(journal).origin(), let origin = try? StateCoding.value(RunOrigin.self, from: bytes) else {
            throw .journal("\(path) does not begin with a run's origin")
        }
        return origin
    }

    /// What the next run restored must be what this one ended with.
    public static func difference(between state: EngineState, and restored: EngineState?) -> String? {
        guard let restored else { return state.pipelines.isEmpty ? nil : "the next run started from nothing" }
        for pipeline in state.pipelines {
            guard let other = restored.pipelines.first(where: { $0.name == pipeline.name }) else { return "pipeline \(pipeline.name) was not restored" }
            if other != pipeline { return "pipeline \(pipeline.name) was restored differently" }
        }
        for book in state.books {
            guard let other = restored.books.first(where: { $0.pipeline == book.pipeline && $0.symbol == book.symbol }) else {
                return "\(book.symbol) of \(book.pipeline) was not restored"
            }
            if other != book { return "\(book.symbol) of \(book.pipeline) was restored differently" }
        }
        let open = Set(state.orders.filter { !$0.isSettled }.map(\.id)), other = Set(restored.orders.filter { !$0.isSettled }.map(\.id))
        if open != other { return "open orders were \(open.map(\.description).sorted()), restored \(other.map(\.description).sorted())" }
        if state.learner != restored.learner { return "what was learned was restored differently" }
        return nil
    }
}
