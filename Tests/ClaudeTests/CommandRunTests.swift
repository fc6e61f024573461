import Glibc
import PluginKit
import Testing

@testable import ClaudeDecider

@Suite struct CommandRunTests {
    private func run(_ program: String, _ arguments: [String], prompt: [UInt8]) throws -> [UInt8]? {
        let reactor = PollReactor()
        var result: Result<[UInt8], PluginError>?
        let run = try CommandRun(program: program, arguments: arguments, environment: ["PATH": "/usr/bin:/bin"], folder: "/", prompt: prompt, on: reactor) { result = $0 }
        reactor.run { result != nil }
        run.end()
        return try result?.get()
    }

    @Test("the program gets the whole prompt, however long, and then the end of it")
    func whole() throws {
        let prompt = (0..<300_000).map { UInt8($0 % 251) }
        #expect(try run("/bin/cat", [], prompt: prompt) == prompt)
        #expect(try run("/bin/cat", [], prompt: []) == [])
    }

    /// With a pipe as its input this process would die of the write.
    @Test("a program that ends without reading its prompt breaks nothing")
    func unread() throws {
        signal(SIGPIPE, SIG_DFL)
        for _ in 0..<5 { #expect(try run("/bin/true", [], prompt: [UInt8](repeating: 65, count: 1 << 20)) == []) }
    }

    @Test("the program starts with no signal blocked or ignored, in a process group of its own")
    func signals() throws {
        var all = sigset_t()
        var before = sigset_t()
        sigfillset(&all)
        pthread_sigmask(SIG_BLOCK, &all, &before)
        defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
        let status = String(decoding: try run("/bin/cat", ["/proc/self/status"], prompt: []) ?? [], as: UTF8.self)
        let blocked = try #require(status.split(separator: "\n").first { $0.hasPrefix("SigBlk:") })
        #expect(blocked.hasSuffix("0000000000000000"), "\(blocked)")
        let stat = String(decoding: try run("/bin/cat", ["/proc/self/stat"], prompt: []) ?? [], as: UTF8.self).split(separator: " ")
        #expect(stat.count > 4 && stat[0] == stat[4])
    }

    @Test("a program that can't be started says so")
    func missing() {
        #expect(throws: PluginError.self) { try run("/no/such/program", [], prompt: []) }
    }
}
