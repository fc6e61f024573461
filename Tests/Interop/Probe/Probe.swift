import Glibc
import PluginKit

/// A client in Keel's own networking code that the interop tests point at real third-party servers.
///
///     kit-probe echo URL [--roots FILE]        messages of all sizes come back as they went out
///     kit-probe close URL                      prints how the server ended the connection
///     kit-probe silent URL                     a server that goes quiet: the ping gives it away
///     kit-probe http URL METHOD [BODY]...      requests over one client, one line each
@main
enum Probe {
    static func main() {
        let words = CommandLine.arguments.dropFirst().filter { $0 != "--roots" }
        var options = WebSocket.Options()
        var tls = TLSOptions()
        var plain = Array(words)
        if let place = CommandLine.arguments.firstIndex(of: "--roots"), place + 1 < CommandLine.arguments.count {
            tls.roots = CommandLine.arguments[place + 1]
            plain.removeAll { $0 == tls.roots }
        }
        options.tls = tls
        guard plain.count >= 2 else { return end("usage: kit-probe echo|close|silent|http URL [--roots FILE]", 2) }
        do throws(NetError) {
            let endpoint = try Endpoint(plain[1])
            switch plain[0] {
            case "echo": echo(endpoint, options)
            case "close": awaitClose(endpoint, options)
            case "silent":
                options.pingInterval = 200_000_000
                options.pongTimeout = 200_000_000
                awaitClose(endpoint, options)
            case "http": requests(endpoint, tls, Array(plain.dropFirst(2)))
            default: end("unknown verb \(plain[0])", 2)
            }
        } catch { end("\(error)", 2) }
    }

    static func end(_ text: String, _ code: Int32) {
        print(text)
        fflush(nil)
        exit(code)
    }

    static func echo(_ endpoint: Endpoint, _ options: WebSocket.Options) {
        let reactor = PollReactor()
        let socket = WebSocket(endpoint, options: options, on: reactor)
        let sizes = [0, 1, 125, 126, 127, 65_535, 65_536, 1_000_000]
        var waiting: [(isText: Bool, bytes: [UInt8])] = []
        var ending: WebSocket.Ending?
        var problem: String?
        var opened = false
        socket.onOpen = {
            opened = true
            for size in sizes {
                let bytes = (0..<size).map { UInt8(32 + $0 % 90) }
                waiting.append((true, bytes))
                waiting.append((false, bytes.map { $0 &+ 128 }))
                socket.send(text: bytes)
                socket.send(binary: bytes.map { $0 &+ 128 })
            }
        }
        func check(_ isText: Bool, _ bytes: [UInt8]) {
            if waiting.isEmpty || waiting[0].isText != isText || waiting[0].bytes != bytes { problem = "message of \(bytes.count) bytes came back changed or out of order" } else { waiting.removeFirst() }
            if waiting.isEmpty { socket.close(code: 1000, reason: "done") }
        }
        socket.onText = { check(true, $0) }
        socket.onBinary = { check(false, $0) }
        socket.onClose = { ending = $0 }
        reactor.run(limit: 30_000_000_000) { ending != nil || problem != nil }
        if let problem { return end(problem, 1) }
        guard opened, waiting.isEmpty, let ending else { return end("\(opened ? "\(waiting.count) messages missing" : "never opened"): \(ending.map { "\($0)" } ?? "time is up")", 1) }
        end("echoed \(sizes.count * 2) messages, protocol \(socket.chosenProtocol ?? "none"), \(ending)", 0)
    }

    static func awaitClose(_ endpoint: Endpoint, _ options: WebSocket.Options) {
        let reactor = PollReactor()
        let socket = WebSocket(endpoint, options: options, on: reactor)
        var ending: WebSocket.Ending?
        var texts = 0
        socket.onText = { texts += $0.count }
        socket.onClose = { ending = $0 }
        reactor.run(limit: 20_000_000_000) { ending != nil }
        end("\(texts) bytes of text, then \(ending.map { "\($0)" } ?? "nothing for 20 s")", 0)
    }

    static func requests(_ endpoint: Endpoint, _ tls: TLSOptions, _ list: [String]) {
        let reactor = PollReactor()
        let client = HTTPClient(endpoint, tls: tls, on: reactor)
        var answered = 0
        for (index, text) in list.enumerated() {
            let parts = text.split(separator: " ", maxSplits: 2).map(String.init)
            guard parts.count >= 2 else { return end("expected \"METHOD /path [body]\"", 2) }
            var request = HTTPRequest(parts[0], parts[1], body: parts.count > 2 ? Array(parts[2].utf8) : [])
            request.timeout = 1_000_000_000 * Int64(index + 1)  // counted from now, and they go one after the other
            client.send(request) { result in
                answered += 1
                switch result {
                case .success(let response): print("\(response.status) \(response.body.count) \(String(decoding: response.body.prefix(60), as: UTF8.self))")
                case .failure(let failure): print("failure \(failure)")
                }
            }
        }
        reactor.run(limit: 20_000_000_000) { answered == list.count }
        end("answered \(answered)", answered == list.count ? 0 : 1)
    }
}
