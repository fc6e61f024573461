/// Where to connect: scheme, host, port, path with query.
public struct Endpoint: Hashable, Sendable, CustomStringConvertible {
    public var scheme: String
    public var host: String
    public var port: UInt16
    public var target: String  // path and query, starts with "/"

    public var isSecure: Bool { scheme == "https" || scheme == "wss" }

    /// Without path and query, which may carry signatures.
    public var description: String { "\(scheme)://\(authority)" }

    /// host:port, brackets round an IPv6 address; the port left out where it is the scheme's own.
    public var authority: String {
        let name = host.contains(":") ? "[\(host)]" : host
        return port == Self.standardPort(scheme) ? name : "\(name):\(port)"
    }

    static func standardPort(_ scheme: String) -> UInt16? {
        switch scheme {
        case "http", "ws": 80
        case "https", "wss": 443
        default: nil
        }
    }

    public init(scheme: String, host: String, port: UInt16, target: String = "/") {
        self.scheme = scheme
        self.host = host
        self.port = port
        self.target = target
    }

    public init(_ text: String) throws(NetError) {
        guard let colon = text.firstRange(of: "://") else { throw .badAddress(text) }
        scheme = text[..<colon.lowerBound].lowercased()
        var rest = text[colon.upperBound...]
        let path = rest.firstIndex { $0 == "/" || $0 == "?" } ?? rest.endIndex
        let pathText = String(rest[path...])
        rest = rest[..<path]
        if rest.contains("@") { throw .badAddress("an address with a user name") }
        var portText: Substring?
        if rest.hasPrefix("[") {
            guard let close = rest.firstIndex(of: "]") else { throw .badAddress(text) }
            host = String(rest[rest.index(after: rest.startIndex)..<close])
            let after = rest[rest.index(after: close)...]
            if after.hasPrefix(":") { portText = after.dropFirst() } else if !after.isEmpty { throw .badAddress(text) }
        } else if let colon = rest.lastIndex(of: ":") {
            host = String(rest[..<colon])
            portText = rest[rest.index(after: colon)...]
        } else {
            host = String(rest)
        }
        if let portText {
            guard let number = UInt16(portText), number > 0 else { throw .badAddress(text) }
            port = number
        } else if let standard = Self.standardPort(scheme) {
            port = standard
        } else {
            throw .badAddress(text)
        }
        // Nothing that could end a header line may pass into one.
        func clean(_ text: String) -> Bool { text.utf8.allSatisfy { $0 > 32 && $0 < 127 } }
        guard !host.isEmpty, clean(host), clean(pathText) else { throw .badAddress(text) }
        target = pathText.isEmpty ? "/" : pathText.hasPrefix("?") ? "/" + pathText : pathText
    }
}
