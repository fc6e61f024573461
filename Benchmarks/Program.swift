import Foundation
import Glibc

/// Another program run to its end, with what it cost.
enum Program {
    struct Outcome {
        var status: Int32
        var output: String
        /// Seconds from before its start to after its end.
        var elapsed: Double
        /// Seconds on processors, its children's included.
        var processor: Double
        /// At least: the system counts the memory of whoever starts a program as the program's own until it has begun. See `peak`.
        var peakMegabytes: Double
    }

    /// Standard error is left out. A program that ends badly is an error.
    static func run(_ file: String, _ arguments: [String], environment: [String: String] = [:]) throws -> Outcome {
        let scratch = NSTemporaryDirectory() + "keel-bench-out-\(UUID().uuidString)"
        defer { unlink(scratch) }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, scratch, O_CREAT | O_WRONLY | O_TRUNC, 0o600)
        posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0)
        let variables = ProcessInfo.processInfo.environment.merging(environment) { $1 }.map { "\($0)=\($1)" }
        var words = ([file] + arguments).map { strdup($0) } + [nil]
        var settings = variables.map { strdup($0) } + [nil]
        defer { for word in words + settings { free(word) } }

        var pid: pid_t = 0
        let started = Measure.now()
        let failure = posix_spawn(&pid, file, &actions, nil, &words, &settings)
        if failure != 0 { throw BenchError(description: "\(file): \(String(cString: strerror(failure)))") }
        var status: Int32 = 0
        var usage = rusage()
        while wait4(pid, &status, 0, &usage) < 0, errno == EINTR {}
        let elapsed = Measure.now() - started
        let output = (try? String(contentsOfFile: scratch, encoding: .utf8)) ?? ""
        let code = status & 0x7F == 0 ? (status >> 8) & 0xFF : 128 + (status & 0x7F)
        guard code == 0 else { throw BenchError(description: "\(([file] + arguments).joined(separator: " ")) ended with \(code): \(output.suffix(500))") }
        func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) * 1e-6 }
        return Outcome(
            status: code, output: output, elapsed: elapsed, processor: seconds(usage.ru_utime) + seconds(usage.ru_stime),
            peakMegabytes: Double(usage.ru_maxrss) / 1024)
    }

    /// The most memory a program had, in megabytes: started by a process so small that its own memory doesn't count.
    static func peak(_ file: String, _ arguments: [String]) throws -> Double {
        let outcome = try run("/proc/self/exe", ["alone", file] + arguments)
        guard let peak = Double(outcome.output) else { throw BenchError(description: "\(file): its memory was not told: \(outcome.output)") }
        return peak
    }

    /// What that process does: its exit code.
    static func alone(_ words: [String]) -> Int32 {
        do {
            print(try run(words[0], Array(words.dropFirst())).peakMegabytes, terminator: "")
            return 0
        } catch {
            print(error)
            return 1
        }
    }
}
