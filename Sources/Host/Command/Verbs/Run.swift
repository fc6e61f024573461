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
        let resume = ResumeRecord.take(from: folder, pid: getpid())
        let host: LiveHost
        do throws(RunError) {
            host = try open(report, folder, resume)
        } catch {
            // Whoever asked for the restart waits for an answer.
            if let resume, resume.callerDescriptor >= 0 {
                ControlConnection.inherited(resume.callerDescriptor).answer(ControlReply(error))
            }
            throw error
        }
        let ending = host.live()
        switch ending {
        case .restart(let reason): throw host.becomeSuccessor(reason: reason)
        case .stopped:
            if call.wantsJSON {
                terminal.out(host.summaryJSON)
            } else {
                terminal.out(host.summary.text)
            }
            return .ok
        }
    }

    private func open(_ report: ManifestReport, _ folder: RunFolder, _ resume: ResumeRecord?) throws(RunError) -> LiveHost {
        let signals = try Signals.install()
        let loader: Loader
        do throws(LoadError) { loader = try Loader(.init(cache: folder.cache)) } catch { throw .invalid(["\(error)"]) }
        let composition = try Composer.compose(report, loader: loader, environment: call.environment)
        var options = LiveHost.Options()
        try choosePace(composition, resume, &options)
        options.isQuiet = call.flag("quiet") || options.pace != .real
        options.resume = resume
        options.arguments = CommandLine.arguments
        options.version = Version.program
        if let text = call.environment["KEEL_KILL_AT"] {
            guard let kill = LedgerKill(text) else { throw .usage("KEEL_KILL_AT is \"\(text)\": it must be before, between or after, a colon and a number") }
            options.kill = kill
        }
        let host = try LiveHost(composition, options: options)
        let progress = call.progress("run", unit: "events")
        host.onProgress = { host in progress.update(host.progress.events, total: host.progress.total, note: host.progress.note) }
        try host.open()
        try host.start(signals: signals)
        host.onEnd = { progress.finish() }
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
