import Foundation
import PluginKit
import Testing

@testable import ClaudeDecider

@Suite struct RecordTests {
    private func folder() throws -> String {
        let path = NSTemporaryDirectory() + "keel-record-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        return path
    }

    private let key = String(repeating: "a", count: 64)

    @Test("a torn last line is cut, a damaged one is an error, the first reply to a request counts")
    func book() throws {
        let path = try folder() + "/record"
        let book = try RecordBook(path: path, writing: true)
        try book.add(StoredReply(key: key, status: 200, body: [1], outcome: "answer", at: 1))
        try book.add(StoredReply(key: key, status: 500, body: [2], outcome: "server_error", at: 2))
        #expect(try RecordBook(path: path, writing: false).replies[key]?.body == [1])
        let whole = try Data(contentsOf: URL(fileURLWithPath: path))
        try (whole + Data("{\"key\"".utf8)).write(to: URL(fileURLWithPath: path))
        #expect(try RecordBook(path: path, writing: true).replies.count == 1)
        #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == whole)
        try (Data("nonsense\n".utf8) + whole).write(to: URL(fileURLWithPath: path))
        #expect(throws: RecordError.self) { try RecordBook(path: path, writing: false) }
    }

    @Test("a failure is read back as the failure it was, over either transport")
    func failures() {
        func stored(_ reply: CallReply) -> StoredReply { StoredReply(key, reply, at: 5) }
        #expect(stored(CallReply(.timedOut)).read(.messages, last: .one) == .timedOut)
        #expect(stored(CallReply(.network("reset"))).read(.messages, last: .one).name == "network")
        let limited = CallReply(.rateLimited(retryAfter: nil), status: 429, body: Array("{}".utf8))
        #expect(stored(limited).read(.messages, last: .one).name == "rate_limited")
        let line = Array("{\"structured_output\":\(AnswerTests.good.replacing("\n", with: "")),\"total_cost_usd\":0.01,\"usage\":{\"input_tokens\":1,\"output_tokens\":1}}\n".utf8)
        #expect(stored(CallReply(.timedOut, body: line)).read(.command, last: AnswerTests.last).name == "answer")
    }

    @Test("the two transports, a repair, another model or another effort are other requests")
    func keys() throws {
        func key(_ change: (inout ModelSettings) -> Void = { _ in }, transport: String = "messages", repair: String? = nil) throws -> String {
            var settings = ModelSettings()
            change(&settings)
            return try ModelRequest(settings, transport: transport, standing: ["a": 1], moving: ["b": 2], repair: repair).key
        }
        let keys = [try key(), try key(transport: "command"), try key(repair: "x"), try key { $0.model = "claude-opus-5-5" }, try key { $0.effort = "high" }]
        let again = try key()
        #expect(Set(keys).count == keys.count && again == keys[0])
    }
}
