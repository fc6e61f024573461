/// Why a connection could not be made or ended. Each says what happened, to whom, and whether bytes may have left.
public enum NetError: Error, Equatable, Sendable, CustomStringConvertible {
    case badAddress(String)
    case unresolved(host: String, why: String)
    case refused(endpoint: String, why: String)
    case timedOut(endpoint: String, what: String)
    case tls(endpoint: String, why: String)
    /// The other side closed or the network broke after the connection stood.
    case closed(endpoint: String, why: String)
    /// The other side broke the protocol.
    case malformed(endpoint: String, why: String)
    case tooLarge(endpoint: String, what: String, limit: Int)

    public var description: String {
        switch self {
        case .badAddress(let text): "\"\(text)\" is not an address: expected scheme://host[:port][/path]"
        case .unresolved(let host, let why): "can't find the address of \(host): \(why)"
        case .refused(let endpoint, let why): "can't connect to \(endpoint): \(why)"
        case .timedOut(let endpoint, let what): "\(endpoint) gave no answer in time: \(what)"
        case .tls(let endpoint, let why): "no secure connection to \(endpoint): \(why)"
        case .closed(let endpoint, let why): "\(endpoint) closed the connection: \(why)"
        case .malformed(let endpoint, let why): "\(endpoint) broke the protocol: \(why)"
        case .tooLarge(let endpoint, let what, let limit): "\(endpoint) sent \(what) above the limit of \(limit) bytes"
        }
    }
}
