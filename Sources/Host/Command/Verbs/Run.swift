import Glibc
import HostCore
import HostLedger
import HostManifest
import HostPlugins
import HostRun
import PluginKit

extension Verb {
    static let run = Verb(
        words: ["run"],
        summary: "check, then run a manifest's pipelines",
        details: """
            Nothing starts unless the whole manifest is valid. With plugins that need no real time (the simulated venue), the
            clock is simulated and runs as fast as the machine can, so that a day takes seconds; --speed 1x or 60x slows it down.
            With real venues the clock is the machine's.

            Ctrl-C or SIGTERM stop in order: no new entries, what is in flight comes home, state is saved. SIGHUP restarts in place.
            Real money needs "mode": "live" in the manifest, LIVE_TRADING=true in the environment, and a broker whose endpoints
            are live ones: anything less is refused (exit code 6) or trades on paper.
            """,
        arguments: [Argument("MANIFEST", .optional, "the manifest (default: plugins.json)")],
        options: [
            .json,
            Option("until", value: "END", "end: until the feeds are at their end; or a duration of the host's clock, such as 24h"),
            Option("speed", value: "SPEED", "of a simulated clock: max, or a factor such as 60x or 1x"),
            Option("first-run", value: "N", "number of the first run, should the ledger be a new one: above those of a lost ledger"),
            Option("quiet", "log to the state folder only"),
        ],
        run: { call in try HostVerb(call).run() })
}

/// The `run` verb's steps.
private struct HostVerb {
    let call: Invocation
    let terminal: Terminal

    init(_ call: Invocation) {
        self.call = call
        terminal = call.terminal
    }

    func run() throws -> ExitCode {
        let report = call.readManifest()
        guard let manifest = report.manifest else {
            for problem in report.problems { terminal.error(report.styled(problem, terminal)) }
            let onlySwitches = report.errors.allSatisfy(\.isAboutRealMoney)
            throw Failure(onlySwitches ? .refused : .invalid, "\(report.file.name) \(onlySwitches ? "may not trade like this" : "is not valid"): nothing was started")
        }
        for problem in report.warnings { terminal.error(report.styled(problem, terminal)) }
        let state = Composer.stateFolder(of: manifest, file: report.file)
        let folder = RunFolder(state)
        do throws(RunError) {
            try folder.prepare()
            return try host(report, folder)
        } catch {
            throw Failure(error)
        }
    }

    private func host(_ report: ManifestReport, _ folder: RunFolder) throws(RunError) -> ExitCode {
        let host = try opened(report, folder)
        let ending = host.live()
        switch ending {
        case .restart(let reason): throw host.becomeSuccessor(reason: reason)
        case .stopped:
            terminal.out(call.wantsJSON ? host.summaryJSON : host.summary.text)
            return .ok
        }
    }

    /// The host of this manifest; after a restart that fails, the one that traded before.
    private func opened(_ report: ManifestReport, _ folder: RunFolder) throws(RunError) -> LiveHost {
        let found = ResumeRecord.take(from: folder, token: call.environment[ResumeRecord.variable])
        let resume: ResumeRecord? = if case .mine(let record) = found { record } else { nil }
        let failure: RunError
        do throws(RunError) {
            if case .abandoned = found, let host = try goBack(folder, nil, "the host that was restarted died before it was open") { return host }
            return try open(try compose(report, folder), resume)
        } catch {
            failure = error
        }
        guard let resume else { throw failure }
        do throws(RunError) {
            if let host = try goBack(folder, resume, failure.description) { return host }
        } catch {
            terminal.error("the manifest that traded before can't be taken up again either: \(error)")
        }
        // Whoever asked for the restart waits for an answer.
        if resume.callerDescriptor >= 0 { ControlConnection.inherited(resume.callerDescriptor).answer(ControlReply(failure)) }
        throw failure
    }

    private func goBack(_ folder: RunFolder, _ resume: ResumeRecord?, _ why: String) throws(RunError) -> LiveHost? {
        guard let good = LastGood.read(from: folder) else { return nil }
        let composition = try good.compose(in: folder, loader: try loader(folder, isLive: false), environment: call.environment)
        let host = try open(composition, resume)
        host.reportGoneBack("the restart failed, the manifest and libraries that traded before are used: \(why)")
        return host
    }

    /// Real money only with pinned libraries; on paper a missing pin is a warning of the manifest.
    private func loader(_ folder: RunFolder, isLive: Bool) throws(RunError) -> Loader {
        do throws(LoadError) { return try Loader(.init(cache: folder.cache, allowUnpinned: !isLive)) } catch { throw .invalid(["\(error)"]) }
    }

    private func compose(_ report: ManifestReport, _ folder: RunFolder) throws(RunError) -> Composition {
        try Composer.compose(report, loader: try loader(folder, isLive: report.manifest?.mode == .live), environment: call.environment)
    }

    private func open(_ composition: Composition, _ resume: ResumeRecord?) throws(RunError) -> LiveHost {
        let signals = try Signals.install()
        var options = LiveHost.Options()
        try choosePace(composition, resume, &options)
        options.isQuiet = call.flag("quiet") || options.pace != .real
        options.resume = resume
        options.arguments = CommandLine.arguments
        options.version = Version.program
        if let text = call.value("first-run") {
            guard let number = UInt32(text), number > 0 else { throw .usage("--first-run is \"\(text)\": it must be a number above zero") }
            options.firstRun = number
        }
        if let text = call.environment["KEEL_KILL_AT"] {
            guard let kill = LedgerKill(text) else { throw .usage("KEEL_KILL_AT is \"\(text)\": it must be before or after, a colon and a number") }
            options.kill = kill
        }
        let host = try LiveHost(composition, options: options)
        let progress = call.progress("run", unit: "events")
        host.onProgress = { host in progress.update(host.progress.events, total: host.progress.total, note: host.progress.note) }
        host.onEnd = { progress.finish() }
        try host.open()
        try host.start(signals: signals)
        return host
    }

    /// Simulated as fast as possible where nothing needs real time, the machine's clock everywhere else.
    private func choosePace(_ composition: Composition, _ resume: ResumeRecord?, _ options: inout LiveHost.Options) throws(RunError) {
        var speed: Double?
        if let text = call.value("speed"), text != "max" {
            guard text.hasSuffix("x"), let factor = Double(text.dropLast()), factor > 0, factor <= 1e6 else {
                throw .usage("--speed is \"\(text)\": it must be max, or a factor such as 60x or 1x")
            }
            speed = factor
        }
        let canSimulate = composition.isSimulated && composition.manifest.mode != .live
        if canSimulate {
            options.pace = .simulated(start: resume?.simulatedTime ?? LiveHost.simulatedStart, speed: speed)
        } else if let text = call.value("speed"), speed != 1 {
            throw .usage("--speed \(text): these plugins live in real time, so the clock is the machine's")
        }
        switch call.value("until") {
        case nil:
            if canSimulate {
                options.endsWithFeed = true
                options.duration = Span.day
            }
        case "end": options.endsWithFeed = true
        case let text?:
            guard let span = SpanText.parse(text), span > 0 else {
                throw .usage("--until is \"\(text)\": it must be end, or a duration such as 90s, 15m or 24h")
            }
            options.duration = span
        }
    }
}

extension ManifestProblem {
    /// One of the three switches in front of real money is missing; nothing else is wrong.
    var isAboutRealMoney: Bool {
        switch kind {
        case .liveSwitchMissing, .notLive, .liveInPaper, .environmentUnknown: true
        default: false
        }
    }
}

extension Failure {
    init(_ error: RunError) {
        self.init(ExitCode(rawValue: error.exitCode) ?? .error, error.description)
    }
}
