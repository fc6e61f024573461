import Glibc
import HostManifest
import HostPlugins

/// The keel program: finds the verb, runs it, and turns whatever happens into words and an exit code.
@main
struct Program {
    static func main() {
        // Not a verb for people: the child that looks at libraries and hosts isolated plugins.
        if CommandLine.arguments.count > 1, CommandLine.arguments[1] == "worker" { exit(Worker.main(Array(CommandLine.arguments.dropFirst(2)))) }
        let environment = Program.environment()
        let surroundings = Surroundings(terminal: .standard(environment), environment: environment, catalogue: Program.catalogue, clock: Program.clock)
        let code = Program.run(Array(CommandLine.arguments.dropFirst()), Verb.all, surroundings)
        exit(code.rawValue)
    }

    static func run(_ line: [String], _ verbs: [Verb], _ surroundings: Surroundings) -> ExitCode {
        let terminal = surroundings.terminal
        do {
            switch try CommandLineParser(verbs: verbs).parse(line) {
            case .help(let words):
                let help = Help(verbs: verbs, terminal: terminal)
                guard !words.isEmpty else {
                    terminal.raw(.out, help.overview())
                    return .ok
                }
                guard let text = help.text(for: words) else {
                    throw Failure(.usage, "there is no verb \"\(words.joined(separator: " "))\"", hint: "keel --help")
                }
                terminal.raw(.out, text)
                return .ok
            case .version(let json):
                terminal.out(Version.text(json: json))
                return .ok
            case .run(let verb, let arguments, let flags, let values):
                return try verb.run(Invocation(verb, arguments: arguments, flags: flags, values: values, surroundings: surroundings))
            }
        } catch let failure as Failure {
            terminal.error("\(terminal.styled("error:", .red)) \(failure.message)" + (failure.hint.map { "\n  \(terminal.dim("hint:")) \($0)" } ?? ""))
            return failure.exit
        } catch {
            terminal.error("\(terminal.styled("error:", .red)) \(error)")
            return .error
        }
    }

    private static func environment() -> [String: String] {
        var result: [String: String] = [:]
        var entry = environ
        while let text = entry.pointee {
            let parts = String(cString: text).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            if parts.count == 2 { result[String(parts[0])] = String(parts[1]) }
            entry += 1
        }
        return result
    }

    @Sendable private static func clock() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec)
    }
}
