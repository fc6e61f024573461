import Foundation
import HostCore
import HostLedger
import HostPlugins
import PluginAPI
import PluginKit

// What the host hears while it runs: records, alerts, links, broken instances.

extension LiveHost {
    func connect(_ loop: EngineLoop, _ outlet: LiveOutlet, _ writer: LedgerWriter) {
        loop.handle = { [unowned self] in handle($0) }
        loop.housekeeping = { [unowned self] in housekeeping() }
        loop.onLink = { [unowned self] source, state, why, message in
            links[Int(source)] = (state == KEEL_LINK_UP, message)
            // A feed that goes down and says that all is well has come to its end.
            if state == KEEL_LINK_DOWN, why == KEEL_OK { feedEnded(source) }
        }
        loop.onDone = { [unowned self] source, request, status, message in done(source, request, status, message) }
        outlet.onAlert = { [unowned self] in take($0) }
        outlet.onRenew = { [unowned self] port in renew(port) }
        outlet.onPace = { [unowned self] pipeline, instrument, urgent in
            // Said in the middle of the engine's work: the feeds hear of it afterwards.
            loop.at(loop.time) { [unowned self] in if ending == nil { pace(pipeline, instrument, urgent) } }
        }
        writer.onChange = { [unowned self] failure in
            evidence.noteLedger(failure: failure?.description, at: loop.time)
            if let failure {
                take(Alert(time: loop.time, severity: .critical, kind: "disk", text: failure.description))
            } else {
                take(Alert(time: loop.time, severity: .info, kind: "disk", text: "the ledger is written again"))
                // This may be said in the middle of the engine's work: it hears of it afterwards.
                loop.at(loop.time) { [unowned self] in
                    if ending == nil, !isDamaged { loop.command(.openGate) }
                }
            }
        }
    }

    /// Counts what has been recorded meanwhile.
    func count() { loop?.outlet.seen.take { take($0) } }

    /// Every record also counts for the summary and as evidence.
    private func take(_ record: LedgerRecord) {
        guard let plan else { return }
        tally.note(record)
        if let event = BusFeed.event(record) { bus.publish(event) }
        switch record {
        case .link(let link):
            evidence.noteLink(port: link.port, name: plan.ports[safe: link.port]?.name ?? "", isUp: link.state == KEEL_LINK_UP, at: link.time)
        case .agreement(let agreement):
            let before = agreements[agreement.broker]
            agreements[agreement.broker] = agreement
            evidence.noteAgreement(broker: agreement.broker, differences: agreement.differences, agreed: agreement.agreed, at: agreement.time)
            let name = plan.ports[safe: agreement.broker]?.name ?? ""
            if !agreement.agreed {
                log.write(.warning, name, "no entries: ledger and venue differ: " + agreement.differences.joined(separator: "; "))
            } else if before?.agreed != true {
                log.write(.info, name, "ledger and venue agree")
            }
        case .order(let order):
            evidence.noteOrder(order.order.id.description, inDoubt: order.order.status == .inDoubt, at: order.time)
        case .intent(let intent): evidence.note(.orderPlaced, .pass, at: intent.time)
        case .fill(let fill): evidence.note(.fill, .pass, at: fill.time)
        case .decision(let decision): evidence.note(.decision, .pass, at: decision.time)
        case .takeover(let takeover): evidence.note(.fallback, .pass, at: takeover.time, takeover.why.rawValue)
        case .refusal(let refusal): evidence.note(.riskRefusal, .pass, at: refusal.time, refusal.rule.rawValue)
        case .breaker(let breaker): evidence.note(.breaker, .pass, at: breaker.time, breaker.breaker.rawValue)
        case .position(let position):
            if !position.quantity.isZero { evidence.note(.positionOpened, .pass, at: position.time) }
        case .exit(let exit):
            if exit.whole { evidence.noteExit("\(exit.pipeline)/\(exit.instrument)/\(exit.position)", at: exit.time) }
        case .gate(let gate): gates["\(gate.pipeline)/\(gate.instrument)"] = gate.counters
        default: break
        }
    }

    func take(_ alert: Alert) {
        let level: LogFile.Level =
            switch alert.severity {
            case .info: .info
            case .warning: .warning
            case .critical: .error
            }
        let place = [alert.pipeline, alert.symbol].filter { !$0.isEmpty }.joined(separator: " ")
        log.write(level, place.isEmpty ? "keel" : place, "[\(alert.kind)] \(alert.text)", at: alert.time)
        tally.alerts += 1
        if alert.severity == .critical { tally.criticalAlerts += 1 }
        if alert.severity == .critical { evidence.note(.noCriticalAlert, .fail, at: alert.time, alert.text) }
    }

    /// Between inputs: the ledger writes what waits, statistics become evidence, a terminal sees progress.
    func housekeeping() {
        writer?.maintain()
        count()
        let now = HostClock.monotonic()
        guard now - lastProgress > 200_000_000, let loop else { return }
        lastProgress = now
        var events: UInt64 = 0, passes: UInt64 = 0
        for counters in gates.values {
            events += counters.events
            passes += counters.passed
        }
        evidence.noteMarket(events: events, passes: passes, silent: [], at: loop.time)
        evidence.noteLedger(failure: writer?.failure?.description, at: loop.time)
        evidence.noteQuiet(at: loop.time)
        onProgress?(self)
    }

    // MARK: Requests of the host's own

    private func done(_ source: Source, _ request: UInt64, _ status: keel_status, _ message: String) {
        if renewing.remove(request) != nil { return renewed(source) }
        guard let subscription = subscribing.removeValue(forKey: request), status < 0, ending == nil else { return }
        guard let instance = instances[safe: Int(subscription.source)] else { return }
        let symbol = composition.manifest.instruments[safe: Int(subscription.instrument) - 1]?.symbol ?? "?"
        alert(
            .warning, "feed", "\(instance.name): subscribing to \(symbol) failed (\(StatusName.of(status))\(message.isEmpty ? "" : ": " + message)): tried again in 5 s")
        let channels = instance.subscriptions.first { $0.instrument == subscription.instrument }?.channels ?? 0
        again(instance, subscription.instrument, channels)
    }

    /// A decider's breaker has waited: its credentials are read again before the trial call. The engine's thread does not wait.
    private func renew(_ port: Int) {
        guard let instance = instances[safe: port] else { return }
        nextRequest += 1
        renewing.insert(nextRequest)
        log.write(.info, instance.name, "reads its secrets again before its trial call")
        do throws(RunError) {
            try instance.renew(config: composition.plugins[port].config, deadline: clock.now() + 2 * Span.second, request: nextRequest)
        } catch {
            log.write(.warning, instance.name, "could not be renewed before its trial call: \(error)")
        }
        if instance.isInline, let callee = instance.callee { loop?.outlet.callees[port] = callee }
    }

    /// The stop of a renewal is through: it starts again, and what its feed gave is asked for anew.
    private func renewed(_ source: Source) {
        guard let instance = instances[safe: Int(source)], ending == nil else { return }
        instance.renewed()
        guard !instance.subscriptions.isEmpty else { return }
        loop?.at(clock.now()) { [weak self, weak instance] in
            guard let self, let instance, instance.host.phase == .running else { return }
            for (instrument, channels) in instance.subscriptions { subscribe(instance, instrument, channels) }
        }
    }

    // MARK: Broken instances

    /// An instance cannot be relied on: its calls fail as certainly not sent until it is back.
    func broke(_ source: Source, why: keel_status, text: String) {
        guard let loop, let instance = instances[safe: Int(source)], !loop.outlet.isBroken[Int(source)], ending == nil else { return }
        loop.outlet.isBroken[Int(source)] = true
        links[Int(source)] = (false, text)
        log.write(.error, instance.name, text)
        // Whoever waits for an answer of it will not get one.
        for request in loop.outlet.requests(of: Int(source)) {
            sink.emitDone(request, KEEL_E_IN_DOUBT, "\(instance.name) broke before it answered", from: source)
        }
        sink.emitLink(KEEL_LINK_DOWN, why: why, name: instance.name, text, from: source)
        switch budgets[Int(source)].died(at: clock.now(), of: text) {
        case .quarantine:
            alert(.critical, "quarantine", "\(instance.name) broke \(CrashBudget.most) times in ten minutes and stays down: \(text). Its pipelines enter nothing; keel restart tries it again")
        case .restart(let pause):
            loop.at(clock.now() + max(pause, 200_000_000)) { [weak self] in self?.mend(source) }
        }
    }

    /// What happened to a worker: its proxy has already told the engine what that means, here it is told to people.
    func worker(_ source: Source, _ event: WorkerEvent) {
        guard let instance = instances[safe: Int(source)] else { return }
        switch event {
        case .started(let pid): log.write(.info, instance.name, "worker \(pid) started")
        case .died(let cause, let inDoubt):
            let doubt = inDoubt.isEmpty ? "" : ", \(inDoubt.count) orders in doubt"
            alert(.warning, "worker", "\(instance.name): its worker is gone, \(cause)\(doubt)")
        case .restarting(let pause): log.write(.info, instance.name, "a new worker follows in \(pause / 1_000_000) ms")
        case .restarted(let took, let mustSync):
            // Its link comes up with it, and the engine asks the venue then.
            log.write(.info, instance.name, "a new worker runs after \(took / 1_000_000) ms" + (mustSync ? "; no orders before the venue has been asked" : ""))
        case .synced: log.write(.info, instance.name, "the venue has been asked: orders are taken again")
        case .quarantined(let why):
            budgets[Int(source)] = watches[source]?.budget() ?? budgets[Int(source)]
            alert(.critical, "quarantine", "\(instance.name) stays down: \(why). Its pipelines enter nothing; keel restart tries it again")
        }
    }

    /// Starts a broken instance again; whatever it did meanwhile comes to light in the sync that follows.
    private func mend(_ source: Source) {
        guard let loop, let instance = instances[safe: Int(source)], ending == nil else { return }
        do throws(RunError) {
            try instance.restart(config: composition.plugins[Int(source)].config, deadline: clock.now() + 2 * Span.second)
        } catch {
            loop.outlet.isBroken[Int(source)] = false
            return broke(source, why: KEEL_E_INTERNAL, text: "could not be started again: \(error)")
        }
        loop.outlet.isBroken[Int(source)] = false
        if let callee = instance.callee { loop.outlet.callees[Int(source)] = callee }
        log.write(.info, instance.name, "started again")
        for (instrument, channels) in instance.subscriptions { subscribe(instance, instrument, channels) }
        sink.emitLink(KEEL_LINK_UP, why: KEEL_OK, name: instance.name, "started again", from: source)
        loop.drainLocal()
    }
}

extension Array {
    subscript(safe index: Int) -> Element? { indices.contains(index) ? self[index] : nil }
}
