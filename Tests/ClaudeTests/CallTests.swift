import PluginKit
import Testing

@testable import ClaudeDecider

@Suite struct CallTests {
    private func response(_ status: Int, _ body: String, _ headers: [(String, String)] = []) -> HTTPResponse {
        var head = HTTPHead()
        head.status = status
        head.headers = headers.map { (name: $0.0, value: $0.1) }
        return HTTPResponse(head: head, body: Array(body.utf8))
    }

    private func message(_ text: String, stop: String = "\"end_turn\"", usage: String = "{\"input_tokens\":100,\"output_tokens\":40}", extra: String = "") -> String {
        let block = JSONValue(text).text(.compact)
        return "{\"id\":\"m\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"claude-sonnet-5-5\",\"content\":[{\"type\":\"thinking\",\"thinking\":\"\"},{\"type\":\"text\",\"text\":\(block)}\(extra)],\"stop_reason\":\(stop),\"usage\":\(usage)}"
    }

    private func name(_ response: HTTPResponse) -> String { Reply.read(response, last: AnswerTests.last).name }

    @Test("each kind of reply has its name")
    func outcomes() {
        #expect(name(response(200, message(AnswerTests.good))) == "answer")
        #expect(name(response(200, message("", stop: "\"refusal\""))) == "refused")
        #expect(name(response(200, message("{\"act", stop: "\"max_tokens\""))) == "truncated")
        #expect(name(response(200, message(AnswerTests.good, stop: "null"))) == "malformed")
        #expect(name(response(200, message(AnswerTests.good, stop: "\"new_reason\""))) == "malformed")
        #expect(name(response(200, message(AnswerTests.good, usage: "{}"))) == "malformed")
        #expect(name(response(200, message(AnswerTests.good, extra: ",{\"type\":\"text\",\"text\":\"\"}"))) == "malformed")
        #expect(name(response(200, message(AnswerTests.good, extra: ",{\"type\":\"hologram\"}"))) == "answer")
        #expect(name(response(200, "<html>")) == "malformed")
        #expect(name(response(200, "")) == "malformed")
        #expect(name(response(200, "{\"content\":[]}")) == "malformed")
        #expect(name(response(200, message("no json"))) == "invalid")
        func error(_ type: String, _ code: String? = nil) -> String {
            "{\"type\":\"error\",\"error\":{\"type\":\"\(type)\",\"message\":\"m\",\"details\":\(code.map { "{\"error_code\":\"\($0)\"}" } ?? "null")}}"
        }
        for (status, type, expected) in [
            (400, "invalid_request_error", "bad_request"), (401, "authentication_error", "authentication"), (402, "billing_error", "billing"),
            (403, "permission_error", "authentication"), (404, "not_found_error", "not_found"), (413, "request_too_large", "bad_request"),
            (429, "rate_limit_error", "rate_limited"), (500, "api_error", "server_error"), (503, "x", "server_error"), (529, "overloaded_error", "overloaded"),
        ] {
            #expect(name(response(status, error(type))) == expected, "\(status)")
        }
        #expect(name(response(429, error("rate_limit_error", "enforced_spend_limit_reached"))) == "spend_limit")
        #expect(name(response(502, "<html>bad gateway</html>")) == "server_error")
        #expect(Reply.read(response(429, "", [("retry-after", "2.5")]), last: .one) == .rateLimited(retryAfter: 2_500_000_000))
        #expect(Reply.read(response(429, "", [("retry-after", "7"), ("retry-after-ms", "40")]), last: .one) == .rateLimited(retryAfter: 40_000_000))
        #expect(Reply.read(response(429, "", [("retry-after", "-1")]), last: .one) == .rateLimited(retryAfter: nil))
    }

    @Test("costs as the program computes them: 100 input, 200 five-minute write, 300 cache read, 40 output")
    func costs() throws {
        let usage = Usage(input: 100, cacheRead: 300, cacheWrite5m: 200, output: 40)
        for (model, dollars) in [("claude-haiku-5-5", "0.000058"), ("claude-sonnet-5-5", "0.00113"), ("claude-opus-5-5", "0.00226"), ("claude-fable-5-2", "0.00446")] {
            let price = try #require(TokenPrice.of(model, prompt: usage.prompt))
            #expect(price.cost(usage) == Amount(dollars), "\(model)")
        }
        #expect(TokenPrice.of("claude-haiku-5-5", prompt: 100_001) != TokenPrice.of("claude-haiku-5-5", prompt: 100_000))
        #expect(TokenPrice.of("claude-opus-4-5-20251101", prompt: 0) == TokenPrice.of("claude-opus-4-5", prompt: 0))
        #expect(TokenPrice.of("claude-unheard-of", prompt: 0) == nil)
        #expect(TokenPrice.of("claude-sonnet-5-5", prompt: 0)?.cost(Usage(input: 1)) == Amount("0.000002"))
    }

    @Test("retries: what is worth it, as long as there is time")
    func retries() {
        var plan = RetryPlan(attempts: 3, seed: 1)
        let minute: Int64 = 60_000_000_000
        #expect(plan.next(after: .authentication("x"), left: minute) == .stop)
        plan = RetryPlan(attempts: 3, seed: 1)
        guard case .again(let first) = plan.next(after: .overloaded(retryAfter: nil), left: minute) else { return #expect(Bool(false), "no second try") }
        #expect((375_000_000...500_000_000).contains(first))
        guard case .again(let second) = plan.next(after: .server(status: 500, retryAfter: nil), left: minute) else { return #expect(Bool(false), "no third try") }
        #expect((750_000_000...1_000_000_000).contains(second))
        #expect(plan.next(after: .overloaded(retryAfter: nil), left: minute) == .stop, "attempts are used up")
        plan = RetryPlan(attempts: 3, seed: 1)
        #expect(plan.next(after: .rateLimited(retryAfter: 30_000_000_000), left: minute) == .again(after: 30_000_000_000))
        plan = RetryPlan(attempts: 3, seed: 1)
        #expect(plan.next(after: .rateLimited(retryAfter: 2 * minute), left: minute) == .stop, "past the deadline")
        plan = RetryPlan(attempts: 3, seed: 1)
        #expect(plan.next(after: .malformed("x"), left: minute) == .repair)
        #expect(plan.next(after: .malformed("x"), left: minute) == .stop, "one repair only")
        plan = RetryPlan(attempts: 3, seed: 1)
        #expect(plan.next(after: .refused(category: "x", Usage()), left: minute) == .stop, "never the same body after a refusal")
        #expect(plan.next(after: .spendLimit("x"), left: minute) == .stop)
    }

    @Test("the request's hash depends on everything that shapes it and on nothing else")
    func key() throws {
        let settings = ModelSettings()
        let a = try ModelRequest(settings, standing: ["x": 1, "y": 2], moving: ["z": 3])
        #expect(a.key == (try ModelRequest(settings, standing: ["y": 2, "x": 1], moving: ["z": 3]).key))
        #expect(a.key != (try ModelRequest(settings, standing: ["x": 1, "y": 2], moving: ["z": 4]).key))
        var other = settings
        other.effort = "high"
        #expect(a.key != (try ModelRequest(other, standing: ["x": 1, "y": 2], moving: ["z": 3]).key))
        #expect(a.key.utf8.count == 64)
        #expect(a.body.find("temperature") == nil, "sampling fields are refused by the service")
    }

    @Test("the command's result line: exit codes and is_error prove nothing")
    func command() {
        func name(_ text: String) -> String { CommandReply.read(Array(text.utf8), last: AnswerTests.last).outcome.name }
        let answer = AnswerTests.good.replacing("\n", with: "")
        #expect(name("{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":false,\"structured_output\":\(answer),\"total_cost_usd\":0.01,\"modelUsage\":{\"claude-haiku-5-5\":{}}}\n") == "answer")
        #expect(name("{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":false,\"result\":\"hello\"}") == "malformed")
        #expect(name("{\"is_error\":true,\"subtype\":\"success\",\"api_error_status\":429}") == "rate_limited")
        #expect(name("{\"is_error\":true,\"subtype\":\"success\",\"api_error_status\":429,\"api_error\":\"usage_limit_reached\"}") == "spend_limit")
        #expect(name("{\"is_error\":true,\"stop_reason\":\"refusal\",\"api_error_status\":null}") == "refused")
        #expect(name("{\"is_error\":true,\"api_error\":\"max_output_tokens\"}") == "truncated")
        #expect(name("{\"subtype\":\"error_max_budget_usd\",\"errors\":[]}") == "spend_limit")
        #expect(name("Killed\n") == "malformed")
        #expect(name("") == "malformed")
        #expect(CommandReply.read(Array("{\"total_cost_usd\":0.0123,\"api_error_status\":500}".utf8), last: .one).cost == Amount("0.0123"))
    }

    @Test("numbers in prompts are the same text everywhere")
    func numbers() {
        for (value, text) in [(0.0, "0"), (1.0, "1"), (-1234.5678, "-1234.57"), (0.000123456789, "0.000123457"), (1e12, "1000000000000"), (.nan, "null"), (.infinity, "null")] {
            #expect(same(Prompt.number(value), text), "\(value): \(Prompt.number(value))")
        }
        #expect(Prompt.isoTime(0) == "1970-01-01T00:00:00Z")
        #expect(Prompt.isoTime(1_709_164_800_000_000_000) == "2024-02-29T00:00:00Z")
        #expect(Prompt.isoTime(1_767_225_599_000_000_000) == "2025-12-31T23:59:59Z")
    }
}

/// The same value, whatever form its number is written in.
private func same(_ value: JSONValue, _ text: String) -> Bool { (try? JSONValue(parsing: text)).map { $0 == value } ?? false }
