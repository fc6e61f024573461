import Testing

@testable import PluginKit

@Suite struct HTTPTests {
    private func response(_ text: String, splitting: Int? = nil, toHead: Bool = false) throws -> (HTTPHead, [UInt8])? {
        let bytes = Array(text.utf8)
        guard let (head, used) = try HTTPHead.parseResponse(bytes) else { return nil }
        var reader = try HTTPBodyReader(head, isResponse: true, toHead: toHead)
        let step = splitting ?? bytes.count
        var held: [UInt8] = []
        var done = false
        var sent = used
        while sent < bytes.count || !done {
            let part = Swift.min(Swift.max(step, 1), bytes.count - sent)
            held += bytes[sent..<sent + part]
            sent += part
            var from = 0
            done = try reader.take(held, from: &from)
            held.removeFirst(from)
            if part == 0 { break }
        }
        return done || reader.isCompleteAtEnd() ? (head, reader.body) : nil
    }

    @Test("lengths, chunks with extensions and trailers, and bodies to the end, cut anywhere")
    func bodies() throws {
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=1\r\nhello\r\n6\r\n world\r\n0\r\nTrailer: x\r\n\r\n"
        for step in 1...20 {
            #expect(try response(chunked, splitting: step)?.1 == Array("hello world".utf8))
        }
        #expect(try response("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc")?.1 == Array("abc".utf8))
        #expect(try response("HTTP/1.1 200 OK\r\n\r\nto the end")?.1 == Array("to the end".utf8))
        #expect(try response("HTTP/1.1 204 No Content\r\n\r\n")?.1 == [])
        #expect(try response("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", toHead: true)?.1 == [])
        #expect(try response("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab") == nil)
        #expect(try response("HTTP/1.1 200 OK\r\nContent-Len") == nil)
    }

    @Test("smuggling, nonsense and lies are refused")
    func refusals() {
        for bad in [
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: -3\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFF\r\n", "HTTP/2 200 OK\r\n\r\n", "ICY 200 OK\r\n\r\n", "HTTP/1.1 20 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "HTTP/1.1 200 OK\r\nbad name: x\r\n\r\n", "HTTP/1.1 200 OK\r\nx: a\u{1}b\r\n\r\n",
        ] {
            #expect(throws: HTTPViolation.self, "\(bad)") { try response(bad) }
        }
        #expect(throws: HTTPViolation.headTooLarge(limit: HTTPHead.limit)) { try HTTPHead.parseResponse([UInt8](repeating: 65, count: 70_000)) }
    }

    @Test("requests, as a server reads them")
    func requests() throws {
        let text = "POST /api/v3/order?x=1 HTTP/1.1\r\nHost: a\r\nX: 1\r\nx:  2 \r\n\r\nrest"
        let parsed = try HTTPHead.parseRequest(Array(text.utf8))
        let (head, used) = try #require(parsed)
        #expect(head.method == "POST")
        #expect(head.target == "/api/v3/order?x=1")
        #expect(head["x"] == "1")
        #expect(head.headers.map(\.value) == ["a", "1", "2"])
        #expect(used == text.utf8.count - "rest".utf8.count)
        for bad in ["GET  / HTTP/1.1\r\n\r\n", "GET / HTTP/3\r\n\r\n", "G\u{1}T / HTTP/1.1\r\n\r\n", "GET x HTTP/1.1\r\n\r\n"] {
            #expect(throws: HTTPViolation.self, "\(bad)") { try HTTPHead.parseRequest(Array(bad.utf8)) }
        }
    }

    @Test("random bytes never trap a parser", arguments: 1...20 as ClosedRange<UInt64>)
    func fuzz(seed: UInt64) {
        var random = TestRandom(seed: seed)
        let pieces = ["HTTP/1.1 ", "200", " OK", "\r\n", "\n", "Content-Length: ", "5", "Transfer-Encoding: chunked", "\r\n\r\n", "a", "0\r\n", "\u{ff}", ";", ":", " "]
        for _ in 0..<400 {
            let text = (0..<Int.random(in: 1...24, using: &random)).map { _ in pieces.randomElement(using: &random) ?? "" }.joined()
            let bytes = Array(text.utf8)
            _ = try? HTTPHead.parseRequest(bytes)
            if let (head, used) = try? HTTPHead.parseResponse(bytes), var body = try? HTTPBodyReader(head, isResponse: true, limit: 100) {
                var from = used
                _ = try? body.take(bytes, from: &from)
                #expect(from <= bytes.count && body.body.count <= 100, "seed \(seed)")
            }
        }
    }

    @Test("addresses")
    func endpoints() throws {
        let a = try Endpoint("wss://stream.example.com:9443/ws/x?y=1")
        #expect(a.host == "stream.example.com" && a.port == 9443 && a.target == "/ws/x?y=1" && a.isSecure)
        #expect(try Endpoint("http://[::1]:80?q").target == "/?q")
        #expect(try Endpoint("https://example.com").authority == "example.com")
        #expect("\(try Endpoint("https://example.com/secret?signature=1"))" == "https://example.com")
        for bad in ["", "example.com", "http://", "http://a:0", "http://a:70000", "http://u:p@a/", "ftp://a", "http://a\r\nX: y/", "http://a/\r\nX"] {
            #expect(throws: NetError.self, "\(bad)") { try Endpoint(bad) }
        }
    }
}
