import Foundation
import Glibc
import HostCore
import HostLedger
import HostPlugins
import PluginAPI
import PluginKit

// The life of a host once it is open: running, an orderly end, and becoming another program.

extension LiveHost {
    /// Returns when the run is over and everything is written. `open` and `start` came before.
    public func live() -> Ending {
        guard let loop else { return .stopped("never opened") }
        reportWhenOpen()
        let limit = options.duration.map { startedAt + $0 } ?? .max
        while ending == nil {
            loop.run(until: limit)
            if ending == nil { ending = .stopped(clock.now() >= limit ? "its time is over" : "nothing more to come") }
        }
        let ending = ending ?? .stopped("")
        if case .stopped(let why) = ending { shutDown(how: "stopped", why: why) }
        onEnd()
        return ending
    }

    /// A feed has nothing more: once every feed has said so, a run that ends with its data is over.
    func feedEnded(_ source: Source) {
        ended.insert(source)
        let feeds = Set(composition.subscriptions().compactMap { name, _ in instances.first { $0.name == name }?.source })
        guard options.endsWithFeed, feeds.isSubset(of: ended), ending == nil else { return }
        ending = .stopped("the feed is at its end")
        loop?.end()
    }

    // MARK: Ending in order

    /// Gate closed, what is in flight settled up to the deadline, instances stopped, their state saved, the ledger ended.
    func shutDown(how: String, why: String) {
        guard let loop, let ledger, let writer else { return }
        log.write(.info, "keel", "run \(run) ends: \(why)")
        close(loop)
        stopInstances(loop)
        save()
        count()
        let summary = summary
        finish(loop, ledger, writer, how: how)
        let body = (try? JSONEncoder().encode(summary)) ?? Data("{}".utf8)
        for caller in waitingForEnd { caller.answer(ControlReply(body: body)) }
        waitingForEnd = []
    }

    /// No new orders; what is in flight may come home. The rest is in doubt, and asked about at the next start.
    private func close(_ loop: EngineLoop) {
        loop.command(.closeGate)
        gateClosedMonotonic = HostClock.monotonic()
        gateClosedAt = loop.time
        if !loop.run(patience: options.settleTime, until: { loop.engine.isSettled }) {
            alert(.warning, "in-doubt", "not everything in flight came home within \(options.settleTime / 1_000_000) ms: the venue is asked about it at the next start")
        }
        loop.command(.stop)
        _ = loop.run(patience: min(options.settleTime, 500_000_000), until: { loop.engine.isSettled })
    }

    /// Those who cause events first, those who report what became of orders last.
    private func stopInstances(_ loop: EngineLoop) {
        let brokers = instances.filter { $0.roles.contains("broker") }, others = instances.filter { !$0.roles.contains("broker") }
        for group in [others, brokers] {
            for instance in group where instance.host.phase == .running {
                nextRequest += 1
                do throws(RunError) {
                    try instance.stop(deadline: clock.now() + 2 * Span.second, request: nextRequest)
                } catch {
                    warn("\(error)")
                }
                loop.drainLocal()
            }
            if !loop.run(patience: 3_000_000_000, until: { group.allSatisfy(\.isStopped) }) {
                for instance in group where !instance.isStopped { warn("plugin \"\(instance.name)\" did not stop in time and is left behind") }
            }
        }
    }

    /// `state/saved/<instance>.<version>`: written whole or not at all.
    private func save() {
        for instance in instances where instance.hasState && instance.isStopped {
            do throws(RunError) {
                guard let bytes = try instance.save() else { continue }
                let version = instance.stateVersions.current
                try RunFolder.replace(folder.saved(instance: instance.name, version: version), with: Data(bytes))
                saved[instance.name] = version
            } catch {
                warn("plugin \"\(instance.name)\": its state was not saved, it will start empty: \(error)")
            }
        }
    }

    private func finish(_ loop: EngineLoop, _ ledger: Ledger, _ writer: LedgerWriter, how: String) {
        finalState = loop.engine.state()
        if !writer.barrier() { warn("the last records did not reach the disk: \(writer.failure?.description ?? "")") }
        do throws(LedgerFailure) { try ledger.end(run: run, at: loop.time, how: how) } catch { warn("\(error)") }
        ledger.settle()
        for instance in instances { instance.destroy() }
    }

    // MARK: Becoming another program

    /// The new manifest is checked by a child, which can crash or hang without anyone noticing but us.
    func beginRestart(reason: String, caller: ControlConnection?) {
        guard !isRestarting else {
            caller?.answer(ControlReply(code: 1, problems: ["a restart is under way already"]))
            return
        }
        isRestarting = true
        log.write(.info, "keel", "restart asked for (\(reason)): checking \(composition.manifestPath)")
        let requests = requests, path = composition.manifestPath, program = HostProgram.path
        let thread = Thread {
            let problems = HostProgram.check(program: program, manifest: path, within: 60_000)
            requests.post(.checked(problems: problems, caller, reason: reason))
        }
        thread.start()
    }

    /// The child's verdict: a healthy host is not stopped for a broken manifest.
    func endRestartCheck(problems: [String], caller: ControlConnection?, reason: String) {
        isRestarting = false
        guard ending == nil else {
            caller?.answer(ControlReply(code: 3, problems: ["the host is stopping"]))
            return
        }
        guard problems.isEmpty else {
            log.write(.error, "keel", "not restarted, the host goes on as it is: " + problems.joined(separator: "; "))
            caller?.answer(ControlReply(code: 4, problems: ["not restarted: the host goes on as it is"] + problems))
            return
        }
        restartCaller = caller
        ending = .restart(reason)
        loop?.end()
    }

    /// Ends this run in order and becomes the program on disk, same pid. Returns only if that failed.
    public func becomeSuccessor(reason: String) -> RunError {
        guard let lock else { return .control("the host is not open") }
        shutDown(how: "restarted", why: "restart (\(reason))")
        let positions = Dictionary(
            summary.pipelines.flatMap { pipeline in pipeline.positions.map { ("\(pipeline.name) \($0.key)", $0.value) } }, uniquingKeysWith: { a, _ in a })
        let token = UUID().uuidString
        let resume = ResumeRecord(
            token: token, reason: reason, pid: getpid(), gateClosedMonotonic: gateClosedMonotonic, gateClosedAt: gateClosedAt,
            simulatedTime: clock.isSimulated ? clock.now() : nil, plugins: identities, positions: positions,
            openOrders: finalState?.orders.filter { !$0.isSettled }.map(\.id.description) ?? [], saved: saved,
            lockDescriptor: lock.handOver(), socketDescriptor: control?.stop(keepingSocket: true) ?? -1,
            callerDescriptor: restartCaller?.handOver() ?? -1, manifestPath: composition.manifestPath, warnings: warnings)
        do throws(RunError) { try resume.write(to: folder) } catch { return error }
        return HostProgram.replace(with: options.arguments, token: token)
    }

    /// From here on this manifest with these libraries is what a failed restart goes back to.
    private func rememberAsGood() {
        ResumeRecord.settle(in: folder)
        do throws(RunError) { try LastGood(composition).write(to: folder) } catch { warn("\(error): a failed restart could not go back to this manifest") }
    }

    var identities: [String: PluginIdentity] {
        Dictionary(instances.map { ($0.name, $0.identity) }, uniquingKeysWith: { first, _ in first })
    }

    /// After a restart: the report once entries may go out again, or once it is clear that they don't.
    private func reportWhenOpen() {
        guard let loop else { return }
        guard let resume = options.resume else {
            loop.at(clock.now()) { [weak self] in self?.rememberAsGood() }
            return
        }
        let caller = resume.callerDescriptor >= 0 ? ControlConnection.inherited(resume.callerDescriptor) : nil
        let brokers = Set(composition.manifest.pipelines.map(\.broker))
        let ports = instances.filter { brokers.contains($0.name) }.map { Int($0.source) }
        let opened = loop.run(patience: 10_000_000_000) {
            count()
            // A broker that is down is not waited for: it blocks its own pipelines only.
            return ending != nil
                || ports.allSatisfy { agreements[$0]?.agreed == true || loop.outlet.isBroken[$0] || links[$0]?.isUp == false }
        }
        var differences = agreements.values.filter { !$0.agreed }.flatMap(\.differences)
        if !opened { differences.append("no entries yet: ledger and venue have not agreed within 10 s (keel status says why)") }
        for port in ports where loop.outlet.isBroken[port] || links[port]?.isUp == false {
            warn("\(instances[port].name) is down: its pipelines enter nothing until it is back")
        }
        if lastKill { warn("the kill switch is on: nothing is entered") }
        var report = RestartReport(
            resume: resume, plugins: identities, gateOpenMonotonic: HostClock.monotonic(), differences: differences,
            warnings: resume.warnings + warnings)
        report.rolledBack = rolledBack
        restartReport = report
        rememberAsGood()
        log.write(opened ? .info : .warning, "keel", report.text)
        let body = (try? JSONEncoder().encode(report)) ?? Data("{}".utf8)
        try? RunFolder.replace(folder.lastRestart, with: body)
        caller?.answer(ControlReply(body: body))
    }
}
