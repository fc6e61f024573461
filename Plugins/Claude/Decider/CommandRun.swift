import CSystem
import Glibc
import PluginKit

/// One headless run of the `claude` program: prompt on standard input, one JSON line back. Nothing secret in its arguments.
/// The prompt is a file in memory: a program that ends without reading it breaks no pipe of ours.
final class CommandRun {
    private let reactor: Reactor
    private let output: Int32
    private let process: pid_t
    private var collected: [UInt8] = []
    private var done = false
    private let answer: (Result<[UInt8], PluginError>) -> Void

    static let outputLimit = 4 << 20

    init(
        program: String, arguments: [String], environment: [String: String], folder: String, prompt: [UInt8], on reactor: Reactor,
        _ answer: @escaping (Result<[UInt8], PluginError>) -> Void
    ) throws(PluginError) {
        let input = prompt.withUnsafeBytes { csystem_memory_input("keel-prompt", $0.baseAddress, $0.count) }
        guard input >= 0 else { throw PluginError(.internalFault, "no room for the prompt: \(String(cString: strerror(errno)))") }
        defer { close(input) }
        var outPipe: [Int32] = [-1, -1]
        guard pipe(&outPipe) == 0 else { throw PluginError(.internalFault, "no pipe: \(String(cString: strerror(errno)))") }
        for descriptor in outPipe { csystem_set_close_on_exec(descriptor, 1) }
        defer { close(outPipe[1]) }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        posix_spawn_file_actions_adddup2(&actions, input, 0)
        posix_spawn_file_actions_adddup2(&actions, outPipe[1], 1)
        posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0)
        csystem_spawn_in_folder(&actions, folder)
        defer { posix_spawn_file_actions_destroy(&actions) }
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        csystem_spawn_detached(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var words: [UnsafeMutablePointer<CChar>?] = ([program] + arguments).map { strdup($0) } + [nil]
        var variables: [UnsafeMutablePointer<CChar>?] = environment.sorted { $0.key < $1.key }.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { (words + variables).forEach { free($0) } }
        var child: pid_t = 0
        let code = posix_spawn(&child, program, &actions, &attributes, &words, &variables)
        guard code == 0 else {
            close(outPipe[0])
            throw PluginError(.notFound, "the program \(program) can't be started: \(String(cString: strerror(code)))")
        }
        self.reactor = reactor
        self.answer = answer
        process = child
        output = outPipe[0]
        csystem_set_nonblocking(output, 1)
        reactor.watch(output, .readable) { [weak self] _ in self?.collect() }
    }

    deinit { end() }

    /// Kills the program and what it started, and reaps it.
    func end() {
        if done { return }
        done = true
        reactor.forget(output)
        close(output)
        kill(-process, SIGKILL)
        var status: Int32 = 0
        while waitpid(process, &status, 0) < 0, errno == EINTR {}
    }

    private func collect() {
        var chunk = [UInt8](repeating: 0, count: 1 << 16)
        while !done {
            let count = read(output, &chunk, chunk.count)
            if count > 0 {
                collected.append(contentsOf: chunk[0..<count])
                if collected.count > Self.outputLimit { return finish(.failure(.invalid("malformed: the program wrote more than \(Self.outputLimit) bytes"))) }
            } else if count == 0 {
                return finish(.success(collected))
            } else if errno == EAGAIN {
                return
            } else if errno != EINTR {
                return finish(.failure(PluginError(.internalFault, "reading from the program failed: \(String(cString: strerror(errno)))")))
            }
        }
    }

    private func finish(_ result: Result<[UInt8], PluginError>) {
        if done { return }
        end()
        answer(result)
    }
}

/// Reads the result line of `claude -p --output-format json`. Exit code and `is_error` prove nothing: `structured_output` does.
enum CommandReply {
    static func read(_ bytes: [UInt8], last: Fixed) -> (outcome: CallOutcome, cost: Amount) {
        let lines = bytes.split(separator: 10)
        guard let line = lines.last, let root = try? JSONValue(parsing: Array(line), options: JSONOptions(depth: 64, maximumBytes: CommandRun.outputLimit)) else {
            return (.malformed("the program wrote no JSON"), .zero)
        }
        let cost = (root.find("total_cost_usd")?.asNumber).flatMap { try? Amount(Fixed(nearest: $0.double)) } ?? .zero
        let usage = Reply.readUsage(root.find("usage")) ?? Usage()
        func words(_ name: String) -> String { cleaned(String((root.find(name)?.asText ?? "").prefix(160))) }
        if root.find("stop_reason")?.asText == "refusal" { return (.refused(category: "by the program", usage), cost) }
        if root.find("api_error")?.asText == "usage_limit_reached" { return (.spendLimit(words("result")), cost) }
        if root.find("api_error")?.asText == "max_output_tokens" { return (.truncated(usage), cost) }
        if root.find("subtype")?.asText == "error_max_budget_usd" { return (.spendLimit("the call's budget was used up"), cost) }
        if let status = root.find("api_error_status")?.asNumber?.int64 {
            switch status {
            case 401, 403: return (.authentication(words("result")), cost)
            case 402: return (.billing(words("result")), cost)
            case 404: return (.notFound(words("result")), cost)
            case 429: return (.rateLimited(retryAfter: nil), cost)
            case 529: return (.overloaded(retryAfter: nil), cost)
            case 500...: return (.server(status: Int(truncatingIfNeeded: status), retryAfter: nil), cost)
            default: return (.badRequest(words("result")), cost)
            }
        }
        guard let output = root.find("structured_output"), !output.isNull else { return (.malformed("the program answered without structured_output"), cost) }
        let model = root.find("modelUsage")?.asObject?.names.first ?? "claude"
        switch DecisionAnswer.check(output, last: last) {
        case .success(let answer): return (.answer(answer, usage, model: cleaned(String(model.prefix(80)))), cost)
        case .failure(let problems): return (.invalid(problems, usage), cost)
        }
    }
}
