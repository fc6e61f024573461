import PluginKit

/// What an error of the venue means for what was asked, and so what may be done next. One table, read by every caller.
public enum Treatment: Equatable, Sendable {
    /// A definite no: final.
    case refused
    /// It may have been done. Nothing is sent again before a query has settled it.
    case unknown
    /// Certainly not done, and it may be asked again.
    case notDone
    /// Certainly not done; not before `retryAfter`.
    case limited
    /// Certainly not done; nothing at all may be sent before `retryAfter`.
    case banned
    /// Certainly not done: our clock is off (-1021).
    case clock
    /// Keys, permissions, signature: a person must look.
    case configuration
    /// Query: no such order, at least not yet (-2013).
    case missing
    /// Cancel: nothing to cancel (-2011). It may have been filled, cancelled, or never have existed.
    case gone
    /// The client id belongs to an order that is alive: ours (-2010 "Duplicate order sent.", -4116).
    case duplicate
}

/// Why a request has no result.
public struct VenueFailure: Error, Equatable, Sendable, CustomStringConvertible {
    public var treatment: Treatment
    /// HTTP status or the WebSocket API's, 0: nothing came back.
    public var status: Int
    public var code: Int64
    public var message: String
    /// Nanoseconds from now, 0 = not said.
    public var retryAfter: Int64

    public init(_ treatment: Treatment, status: Int = 0, code: Int64 = 0, message: String, retryAfter: Int64 = 0) {
        self.treatment = treatment
        self.status = status
        self.code = code
        self.message = message
        self.retryAfter = retryAfter
    }

    public var description: String { code == 0 ? message : "\(code) \(message)" }

    /// As the contract's status, for a request that ends with it.
    public var pluginError: PluginError {
        let reason: PluginError.Reason =
            switch treatment {
            case .refused, .gone, .duplicate: .rejected
            case .unknown: .inDoubt
            case .notDone: .network
            case .limited, .banned: .rate
            case .clock: .network
            case .configuration: .authentication
            case .missing: .notFound
            }
        return PluginError(reason, description, vendorCode: code, retryAfter: retryAfter)
    }

    /// Never left this machine.
    public static func notSent(_ why: String) -> VenueFailure { VenueFailure(.notDone, message: "not sent: \(why)") }
    /// Left, and no answer came.
    public static func noAnswer(_ why: String) -> VenueFailure { VenueFailure(.unknown, message: "sent, but not answered: \(why)") }

    /// Reads an error answer. The same number may mean different things on spot and futures, so the product decides.
    /// `retryAfter`: the header's seconds, or what the WebSocket API has in `error.data`, in nanoseconds.
    public init(_ product: Product, status: Int, body: JSONValue?, retryAfter: Int64 = 0) {
        var code: Int64 = 0
        if let number = body?.find("code")?.asNumber?.int64 { code = number } else if let text = body?.find("code")?.asText { code = Int64(text) ?? 0 }
        var text = body?.find("msg")?.asText ?? "HTTP \(status)"
        if text.utf8.count > 200 { text = String(text.prefix(120)) }
        self.init(VenueFailure.treatment(product, status: status, code: code, text: text), status: status, code: code, message: text, retryAfter: retryAfter)
    }

    static func treatment(_ product: Product, status: Int, code: Int64, text: String) -> Treatment {
        switch code {
        case -1003: return status == 418 ? .banned : .limited
        case -1015: return .limited
        case -1008: return .notDone
        case -1021, -5028: return .clock
        case -1002, -1022, -2014, -2015: return .configuration
        case -1000, -1001, -1006, -1007, -1016: return .unknown
        case -2013: return .missing
        case -2011: return .gone
        case -4116: return product == .futures ? .duplicate : .refused
        case -2010: return text.hasPrefix("Duplicate order sent") ? .duplicate : .refused
        default: break
        }
        switch status {
        case 418: return .banned
        case 429: return .limited
        case 401: return .configuration
        // The firewall stands before everything that could trade.
        case 403: return .notDone
        case 408, 409: return .unknown
        case 500...:
            // Futures says in words whether it was done; what isn't known to be failed is unknown.
            return product == .futures && text.hasPrefix("Service Unavailable") ? .notDone : .unknown
        case 400..<500: return .refused
        default: return .unknown
        }
    }
}
