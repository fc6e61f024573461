import Glibc
import PluginKit

func runClaude(_ options: Options) throws {
    var scenario = ClaudeScenario()
    if let path = options.scenario {
        guard let file = fopen(path, "r") else { throw ScenarioError.form("can't open \(path): \(String(cString: strerror(errno)))") }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while case let count = fread(&chunk, 1, chunk.count, file), count > 0 { bytes += chunk[0..<count] }
        scenario = try ClaudeScenario(bytes)
    }
    let reactor = PollReactor()
    let server = try ClaudeServer(port: options.port, seed: options.seed, scenario: scenario, on: reactor)
    if options.isControlled { return ControlLines(server, ports: [(nil, server.port)], on: reactor).serve() }
    print("listening on http://127.0.0.1:\(server.port)")
    fflush(nil)
    while true { reactor.turn(most: 1_000_000_000) }
}

/// The Messages API as far as a decision needs it: messages (whole and streamed), token counts, models, errors, limits, the prompt cache.
final class ClaudeServer {
    private let reactor: Reactor
    private let seed: UInt64
    private var server: HTTPServer?
    private var scenario: ClaudeScenario
    private var cache = Cache()
    private var messages = 0
    private(set) var requests = 0
    private var log: [JSONValue] = []
    private var remaining = 1_000
    private var open: [ObjectIdentifier: HTTPConnection] = [:]
    var port: UInt16 { server?.port ?? 0 }

    init(port: UInt16, seed: UInt64, scenario: ClaudeScenario, on reactor: Reactor) throws(NetError) {
        self.reactor = reactor
        self.seed = seed
        self.scenario = scenario
        server = try HTTPServer(port: port, on: reactor) { [weak self] request in self?.handle(request) }
    }

    private func handle(_ request: HTTPServer.Request) {
        keep(request.connection)
        if request.path == "/__fake/scenario" {
            do throws(ScenarioError) {
                scenario = try ClaudeScenario(request.body)
                request.connection.respond(200, body: Array("{\"ok\":true}".utf8))
            } catch { request.connection.respond(400, body: Array("\(error)\n".utf8), type: "text/plain") }
            return
        }
        if request.path == "/__fake/log" { return request.connection.respond(200, body: JSONValue(log).bytes(.compact)) }
        requests += 1
        note(request)
        let id = "req_fake_\(padded(requests))"
        do throws(ClaudeRules.Refusal) {
            try ClaudeRules.checkHead(request.head)
            switch (request.head.method, request.path) {
            case ("POST", "/v1/messages"): try answer(request, id)
            case ("POST", "/v1/messages/count_tokens"):
                let body = try parse(request)
                try ClaudeRules.checkBody(body, version: request.head["anthropic-version"] ?? "", counting: true)
                respond(request, id, 200, ["input_tokens": JSONValue(Cache.tokens(request.body.count))])
            case ("GET", "/v1/models"): respond(request, id, 200, ["data": JSONValue(ClaudeRules.models.map(Self.model)), "has_more": false, "first_id": JSONValue(ClaudeRules.models[0]), "last_id": .null])
            case ("GET", let path) where path.hasPrefix("/v1/models/"):
                let name = String(path.dropFirst("/v1/models/".count))
                guard ClaudeRules.models.contains(name) else { throw ClaudeRules.Refusal(status: 404, type: "not_found_error", message: "model: \(name)") }
                respond(request, id, 200, Self.model(name))
            default: throw ClaudeRules.Refusal(status: 404, type: "not_found_error", message: "Not found")
            }
        } catch {
            respond(request, id, error.status, errorBody(error.type, error.message, id))
        }
    }

    // MARK: the checks' control lines

    var connections: [HTTPConnection] { Array(open.values) }

    private func keep(_ connection: HTTPConnection) {
        let key = ObjectIdentifier(connection)
        guard open.updateValue(connection, forKey: key) == nil else { return }
        connection.onGone = { [weak self] in self?.open[key] = nil }
    }

    /// Nothing has been asked yet, and every request meets this step.
    func startAfresh(with step: ClaudeStep) {
        scenario = ClaudeScenario()
        scenario.otherwise = step
        cache = Cache()
        requests = 0
        remaining = 1_000
        log.removeAll()
    }

    private static func model(_ name: String) -> JSONValue {
        ["type": "model", "id": JSONValue(name), "display_name": JSONValue(name), "created_at": "2026-01-01T00:00:00Z", "max_input_tokens": 1_000_000, "max_tokens": 128_000, "lifecycle": "active"]
    }

    private func parse(_ request: HTTPServer.Request) throws(ClaudeRules.Refusal) -> JSONValue {
        if request.body.count > 32 << 20 { throw ClaudeRules.Refusal(status: 413, type: "request_too_large", message: "Request exceeds the maximum size") }
        do throws(JSONError) { return try JSONValue(parsing: request.body) } catch { throw ClaudeRules.invalid("The request body is not valid JSON: \(error)") }
    }

    /// Everything but the credential.
    private func note(_ request: HTTPServer.Request) {
        var headers = JSONObject()
        for header in request.head.headers where !["authorization", "x-api-key", "cookie"].contains(header.name) { headers[header.name] = JSONValue(header.value) }
        headers["credential"] = JSONValue(request.head["authorization"] != nil ? "bearer" : request.head["x-api-key"] != nil ? "x-api-key" : "none")
        log.append([
            "method": JSONValue(request.head.method), "target": JSONValue(request.head.target), "headers": JSONValue(headers),
            "body": (try? JSONValue(parsing: request.body)) ?? .null,
        ])
        if log.count > 1000 { log.removeFirst() }
    }

    // MARK: answering

    private func answer(_ request: HTTPServer.Request, _ id: String) throws(ClaudeRules.Refusal) {
        let body = try parse(request)
        try ClaudeRules.checkBody(body, version: request.head["anthropic-version"] ?? "", counting: false)
        perform(scenario.next(), request, body, id)
    }

    private func perform(_ step: ClaudeStep, _ request: HTTPServer.Request, _ body: JSONValue, _ id: String) {
        let connection = request.connection
        switch step {
        case .status(let status, let code, let after, let afterMs, let retry):
            var headers: [(name: String, value: String)] = []
            if let after { headers.append(("retry-after", after)) }
            if let afterMs { headers.append(("retry-after-ms", afterMs)) }
            if let retry { headers.append(("x-should-retry", retry)) }
            respond(request, id, status, errorBody(Self.errorType(status), "scripted \(status)", id, code: code), headers)
        case .slow(let milliseconds):
            _ = reactor.after(milliseconds * 1_000_000) { [weak self] in self?.perform(.answer, request, body, id) }
        case .hang: break
        case .reset: connection.close()
        case .resetInside:
            connection.send(Array("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{\"id\":\"msg".utf8))
            connection.close()
        case .html: connection.respond(502, body: Array("<html><body>Bad gateway</body></html>".utf8), type: "text/html")
        case .empty: respondRaw(request, id, [])
        case .body(let text): respondRaw(request, id, Array(text.utf8))
        case .drip(let milliseconds):
            let bytes = message(body, step: .answer).bytes(.compact)
            connection.send(Array("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nrequest-id: \(id)\r\nContent-Length: \(bytes.count)\r\n\r\n".utf8))
            drip(connection, bytes, 0, milliseconds * 1_000_000)
        default:
            if body.find("stream")?.asBool == true { stream(request, body, step, id) } else { respond(request, id, 200, message(body, step: step)) }
        }
    }

    private func drip(_ connection: HTTPConnection, _ bytes: [UInt8], _ from: Int, _ pause: Int64) {
        guard from < bytes.count else { return connection.finishAnswer() }
        let part = Swift.min(bytes.count - from, 16)
        connection.send(Array(bytes[from..<from + part]))
        _ = reactor.after(pause) { [weak self] in self?.drip(connection, bytes, from + part, pause) }
    }

    private func content(_ body: JSONValue, _ step: ClaudeStep) -> (blocks: [JSONValue], stop: String, details: JSONValue) {
        func text(_ text: String) -> JSONValue { ["type": "text", "text": JSONValue(text)] }
        let thinking: JSONValue = ["type": "thinking", "thinking": "", "signature": "c2lnbmF0dXJl"]
        var answer = ""
        if case .text(let given) = step {
            answer = given
        } else {
            answer = scenario.answers.isEmpty ? ClaudeAnswers.make(body, seed: seed) : scenario.answers.removeFirst()
        }
        let refusal: JSONValue = ["type": "refusal", "category": "general_harms", "explanation": "scripted"]
        switch step {
        case .refusal(let partial): return (partial ? [text(String(answer.prefix(10)))] : [], "refusal", refusal)
        case .cut: return ([thinking, text(String(answer.prefix(answer.count / 2)))], "max_tokens", .null)
        case .twoTexts: return ([text(answer), text(answer)], "end_turn", .null)
        case .unknownParts: return ([["type": "hologram", "light": 1], text(answer)], "end_turn", .null)
        default: return ([thinking, text(answer)], "end_turn", .null)
        }
    }

    private func message(_ body: JSONValue, step: ClaudeStep) -> JSONValue {
        messages += 1
        let (blocks, stop, details) = content(body, step)
        if case .wrongTypes = step { return ["id": 7, "type": "message", "role": "assistant", "content": "text", "stop_reason": 1, "usage": []] }
        var value: JSONValue = [
            "id": JSONValue("msg_fake_\(padded(messages))"), "type": "message", "role": "assistant", "model": body.find("model") ?? .null, "content": JSONValue(blocks),
            "stop_reason": JSONValue(stop), "stop_sequence": .null, "stop_details": details, "usage": usage(body, blocks),
        ]
        if case .noUsage = step { value.set("usage", nil) }
        return value
    }

    private func usage(_ body: JSONValue, _ blocks: [JSONValue]) -> JSONValue {
        let cached = cache.use(body, now: reactor.now())
        let all = Cache.tokens(body.bytes(.compact).count)
        return [
            "input_tokens": JSONValue(max(all - cached.read - cached.short - cached.long, 1)), "cache_creation_input_tokens": JSONValue(cached.short + cached.long),
            "cache_read_input_tokens": JSONValue(cached.read),
            "cache_creation": ["ephemeral_5m_input_tokens": JSONValue(cached.short), "ephemeral_1h_input_tokens": JSONValue(cached.long)],
            "output_tokens": JSONValue(max(Cache.tokens(JSONValue(blocks).bytes(.compact).count), 1)), "service_tier": "standard",
        ]
    }

    // MARK: streaming

    private func stream(_ request: HTTPServer.Request, _ body: JSONValue, _ step: ClaudeStep, _ id: String) {
        let connection = request.connection
        var whole = message(body, step: step)
        let blocks = whole.find("content")?.asList ?? []
        let stop = whole.find("stop_reason") ?? .null
        let details = whole.find("stop_details") ?? .null
        let usage = whole.find("usage") ?? .null
        whole.set("content", [])
        whole.set("stop_reason", .null)
        var bytes: [UInt8] = []
        func event(_ name: String, _ value: JSONValue) {
            var named = JSONObject()
            named["type"] = JSONValue(name)
            for member in value.asObject?.members ?? [] { named[member.name] = member.value }
            bytes += Array("event: \(name)\ndata: ".utf8) + JSONValue(named).bytes(.compact) + [10, 10]
        }
        event("message_start", ["message": whole])
        event("ping", [:])
        for (index, block) in blocks.enumerated() {
            if let text = block.find("text")?.asText {
                event("content_block_start", ["index": JSONValue(index), "content_block": ["type": "text", "text": ""]])
                var random = SeededGenerator(seed: seed &+ UInt64(messages))
                var rest = Substring(text)
                event("content_block_delta", ["index": JSONValue(index), "delta": ["type": "text_delta", "text": ""]])
                while !rest.isEmpty {
                    let part = rest.prefix(1 + Int(random.below(24)))
                    rest = rest.dropFirst(part.count)
                    event("content_block_delta", ["index": JSONValue(index), "delta": ["type": "text_delta", "text": JSONValue(String(part))]])
                }
            } else {
                event("content_block_start", ["index": JSONValue(index), "content_block": block])
            }
            event("content_block_stop", ["index": JSONValue(index)])
            if case .streamError = step { event("error", ["error": ["type": "overloaded_error", "message": "Overloaded"]]) }
            if case .streamCut = step { break }
        }
        let complete = step != .streamError && step != .streamCut
        if complete {
            event("message_delta", ["delta": ["stop_reason": stop, "stop_sequence": .null, "stop_details": details], "usage": usage])
            event("message_stop", [:])
        }
        var text = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n"
        for header in limits(id) { text += "\(header.name): \(header.value)\r\n" }
        connection.send(Array((text + "\r\n").utf8))
        // Cut anywhere, also inside a character and between the two line ends.
        var random = SeededGenerator(seed: seed ^ UInt64(messages))
        var from = 0
        while from < bytes.count {
            let part = Swift.min(bytes.count - from, 1 + Int(random.below(200)))
            connection.send(Array("\(String(part, radix: 16))\r\n".utf8) + bytes[from..<from + part] + [13, 10])
            from += part
        }
        if complete || step == .streamError {
            connection.send(Array("0\r\n\r\n".utf8))
            connection.finishAnswer()
        } else {
            connection.close()
        }
    }

    // MARK: envelopes

    private func limits(_ id: String) -> [(name: String, value: String)] {
        remaining = max(remaining - 1, 0)
        return [
            ("request-id", id), ("anthropic-ratelimit-requests-limit", "1000"), ("anthropic-ratelimit-requests-remaining", "\(remaining)"),
            ("anthropic-ratelimit-requests-reset", "2026-12-01T00:00:00Z"), ("anthropic-ratelimit-input-tokens-limit", "2000000"),
            ("anthropic-ratelimit-input-tokens-remaining", "2000000"), ("anthropic-ratelimit-output-tokens-limit", "400000"),
            ("anthropic-ratelimit-output-tokens-remaining", "400000"),
        ]
    }

    private func respond(_ request: HTTPServer.Request, _ id: String, _ status: Int, _ body: JSONValue, _ headers: [(name: String, value: String)] = []) {
        request.connection.respond(status, headers: limits(id) + headers, body: body.bytes(.compact))
    }

    private func respondRaw(_ request: HTTPServer.Request, _ id: String, _ body: [UInt8]) {
        request.connection.respond(200, headers: limits(id), body: body)
    }

    private func errorBody(_ type: String, _ message: String, _ id: String, code: String? = nil) -> JSONValue {
        [
            "type": "error", "error": ["type": JSONValue(type), "message": JSONValue(message), "details": code.map { ["error_code": JSONValue($0)] } ?? .null],
            "request_id": JSONValue(id),
        ]
    }

    private static func errorType(_ status: Int) -> String {
        switch status {
        case 401: "authentication_error"
        case 402: "billing_error"
        case 403: "permission_error"
        case 404: "not_found_error"
        case 408, 504: "timeout_error"
        case 409: "conflict_error"
        case 413: "request_too_large"
        case 429: "rate_limit_error"
        case 529: "overloaded_error"
        case 500...: "api_error"
        default: "invalid_request_error"
        }
    }

    private func padded(_ number: Int) -> String {
        let text = String(number)
        return String(repeating: "0", count: max(6 - text.count, 0)) + text
    }
}
