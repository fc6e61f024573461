import Foundation
import Glibc
import HostCore
import HostLedger

extension Verb {
    static let logs = Verb(
        words: ["logs"],
        summary: "show what the host and its plugins said, the newest last",
        details: "With --json a list; with --json and --follow one object a line.",
        options: [
            .json, .manifest, .state, .ofRun, Option("last", value: "N", "how many lines (default: 50)"),
            Option("level", value: "LEVEL", "only from this level up: trace, debug, info, warning, error, fatal"),
            Option("source", value: "NAME", "only of this plugin, or \"keel\""), Option("follow", "go on showing lines as they are written"),
        ],
        run: { call in
            var filter = LogReader.Filter()
            filter.last = try call.count(50)
            filter.source = call.value("source")
            if let word = call.value("level") {
                guard let level = LogFile.Level(word: word) else {
                    throw call.mistake("there is no level \"\(word)\"", hint: "trace, debug, info, warning, error, fatal")
                }
                filter.level = level
            }
            if let run = try call.run() {
                guard let times = try call.openLedger().times(run: run) else { throw Failure(.error, "the ledger has no run \(run)") }
                (filter.from, filter.before) = times
            }
            let path = try call.stateFolder() + "/" + LogFile.name
            guard call.flag("follow") || FileManager.default.fileExists(atPath: path) else {
                throw Failure(.error, "there is no log at \(path)", hint: "has this manifest been run yet?")
            }
            var reader = LogReader(path: path)
            _ = reader.new(filter)
            let lines = reader.last(filter)
            if call.wantsJSON, !call.flag("follow") {
                call.terminal.out("[\n" + lines.map { "  " + $0.json }.joined(separator: ",\n") + "\n]")
                return .ok
            }
            show(lines, call)
            while call.flag("follow") {
                usleep(200_000)
                show(reader.new(filter), call)
            }
            return .ok
        })

    private static func show(_ lines: [LogEntry], _ call: Invocation) {
        for line in lines {
            if call.wantsJSON {
                call.terminal.out(line.json)
                continue
            }
            let level = line.level.word.padded(to: 7)
            let shown =
                switch line.level {
                case .trace, .debug: call.terminal.dim(level)
                case .info: level
                case .warning: call.terminal.styled(level, .yellow)
                default: call.terminal.styled(level, .red)
                }
            call.terminal.out("\(call.terminal.dim(TimeText.utc(line.time).padded(to: 24)))  \(shown)  \(call.terminal.bold(PlainText.of(line.source)))  \(PlainText.of(line.text))")
        }
    }
}
