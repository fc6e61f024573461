import PluginKit

/// What the exchange answers instead of doing what was asked.
struct Refusal: Error {
    var status: Int
    var code: Int
    var text: String
    /// `data` of the answer, where it has one.
    var data: Out?
    /// Seconds, for 429 and 418.
    var retryAfter: Int64?

    init(_ code: Int, _ text: String, status: Int = 400, data: Out? = nil, retryAfter: Int64? = nil) {
        self.status = status
        self.code = code
        self.text = text
        self.data = data
        self.retryAfter = retryAfter
    }

    var body: Out {
        Out.object { out in
            out.int("code", code)
            out.text("msg", text)
            if let data { out.put("data", data) }
        }
    }
}

extension Refusal {
    static func mandatory(_ name: String) -> Refusal { Refusal(-1102, "Mandatory parameter '\(name)' was not sent, was empty/null, or malformed.") }
    static func notRequired(_ name: String) -> Refusal { Refusal(-1106, "Parameter '\(name)' sent when not required.") }
    static func empty(_ name: String) -> Refusal { Refusal(-1105, "Parameter '\(name)' was empty.") }
    static func illegal(_ name: String, _ range: String) -> Refusal {
        Refusal(-1100, "Illegal characters found in parameter '\(name)'; legal range is '\(range)'.")
    }
    static func precision(_ name: String) -> Refusal { Refusal(-1111, "Parameter '\(name)' has too much precision.") }
    static func overflow(_ name: String) -> Refusal { Refusal(-1108, "Parameter '\(name)' overflow.") }
    static func filter(_ name: String) -> Refusal { Refusal(-1013, "Filter failure: \(name)") }
    static func rejected(_ text: String) -> Refusal { Refusal(-2010, text) }
    static var badInterval: Refusal { Refusal(-1120, "Invalid interval.") }
    static var badSymbol: Refusal { Refusal(-1121, "Invalid symbol.") }
    static var badSide: Refusal { Refusal(-1117, "Invalid side.") }
    static var badType: Refusal { Refusal(-1116, "Invalid orderType.") }
    static var badTimeInForce: Refusal { Refusal(-1115, "Invalid timeInForce.") }
    static var unknownOrder: Refusal { Refusal(-2011, "Unknown order sent.") }
    static var noSuchOrder: Refusal { Refusal(-2013, "Order does not exist.") }
    static var insufficient: Refusal { .rejected("Account has insufficient balance for requested action.") }
    static var duplicate: Refusal { .rejected("Duplicate order sent.") }
    static var wouldTrigger: Refusal { .rejected("Order would trigger immediately.") }
    static var wouldTake: Refusal { .rejected("Order would immediately match and take.") }
    static var badSignature: Refusal { Refusal(-1022, "Signature for this request is not valid.") }
    static var badKey: Refusal { Refusal(-2015, "Invalid API-key, IP, or permissions for action.", status: 401) }
    static var malformedKey: Refusal { Refusal(-2014, "API-key format invalid.", status: 401) }
    static var late: Refusal { Refusal(-1021, "Timestamp for this request is outside of the recvWindow.") }
    static var early: Refusal { Refusal(-1021, "Timestamp for this request was 1000ms ahead of the server's time.") }
    static func unknownOutcome(status: Int) -> Refusal {
        Refusal(-1007, "Timeout waiting for response from backend server. Send status unknown; execution status unknown.", status: status)
    }
    static var noPath: Refusal { Refusal(-1099, "Not found, authenticated, or authorized.", status: 404) }
}
