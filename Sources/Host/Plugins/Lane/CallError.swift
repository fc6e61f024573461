import PluginAPI

/// A call into a plugin that answered with a negative status.
public struct CallError: Error, Hashable, Sendable, CustomStringConvertible {
    public let instance: String
    public let call: String
    public let status: keel_status
    /// The venue's own code, 0 if there is none.
    public let vendorCode: Int64
    /// 0: not said.
    public let retryAfter: keel_span
    /// What the plugin says, without secrets; may be empty.
    public let message: String

    public init(instance: String, call: String, status: keel_status, vendorCode: Int64 = 0, retryAfter: keel_span = 0, message: String = "") {
        self.instance = instance
        self.call = call
        self.status = status
        self.vendorCode = vendorCode
        self.retryAfter = retryAfter
        self.message = message
    }

    public var description: String {
        var text = "\(instance): \(call) answered \(StatusName.of(status))"
        if vendorCode != 0 { text += " (venue code \(vendorCode))" }
        if !message.isEmpty { text += ": \(message)" }
        if retryAfter > 0 { text += "; try again after \((retryAfter + 999_999) / 1_000_000) ms" }
        return text
    }
}

/// Status codes by the names they have in keel.h.
public enum StatusName {
    public static func of(_ status: keel_status) -> String {
        switch status {
        case KEEL_OK: "OK"
        case KEEL_ASK: "ASK"
        case KEEL_E_INVALID: "INVALID"
        case KEEL_E_STATE: "STATE"
        case KEEL_E_UNSUPPORTED: "UNSUPPORTED"
        case KEEL_E_AGAIN: "AGAIN"
        case KEEL_E_RANGE: "RANGE"
        case KEEL_E_NOT_FOUND: "NOT_FOUND"
        case KEEL_E_AUTH: "AUTH"
        case KEEL_E_RATE: "RATE"
        case KEEL_E_NETWORK: "NETWORK"
        case KEEL_E_REJECTED: "REJECTED"
        case KEEL_E_IN_DOUBT: "IN_DOUBT"
        case KEEL_E_TIMEOUT: "TIMEOUT"
        case KEEL_E_INTERNAL: "INTERNAL"
        case KEEL_E_DUPLICATE: "DUPLICATE"
        default: "status \(status)"
        }
    }
}

extension keel_error {
    /// Ready to be handed to a plugin.
    static func empty() -> keel_error {
        var error = keel_error()
        error.struct_size = UInt32(MemoryLayout<keel_error>.size)
        return error
    }

    /// The message up to its end, damaged UTF-8 repaired: a bad plugin must not break the path that reports it.
    var text: String {
        withUnsafeBytes(of: message) { bytes in
            String(decoding: bytes.prefix(while: { $0 != 0 }), as: UTF8.self)
        }
    }

    /// Cuts at a character's border, so that the message stays UTF-8.
    mutating func setText(_ text: String) {
        withUnsafeMutableBytes(of: &message) { bytes in
            bytes.initializeMemory(as: UInt8.self, repeating: 0)
            var used = 0
            for scalar in text.unicodeScalars {
                let encoded = Array(String(scalar).utf8)
                if encoded == [0] { continue }
                guard used + encoded.count < bytes.count else { break }
                for byte in encoded { bytes[used] = byte; used += 1 }
            }
        }
    }
}

/// Fills the error a caller owns, never past the size it set.
func fill(_ target: UnsafeMutablePointer<keel_error>?, with source: keel_error) {
    guard let target else { return }
    let size = Int(UnsafeRawPointer(target).load(as: UInt32.self))
    let raw = UnsafeMutableRawPointer(target)
    withUnsafeBytes(of: source) { bytes in
        let most = min(size, bytes.count)
        guard most > 4, let base = bytes.baseAddress else { return }
        raw.advanced(by: 4).copyMemory(from: base.advanced(by: 4), byteCount: most - 4)
        // A cut message still needs its end.
        if let offset = MemoryLayout<keel_error>.offset(of: \.message), most > offset, most < bytes.count {
            raw.storeBytes(of: 0, toByteOffset: most - 1, as: UInt8.self)
        }
    }
}

func fill(_ target: UnsafeMutablePointer<keel_error>?, status: keel_status, _ text: String) {
    guard target != nil else { return }
    var error = keel_error.empty()
    error.status = status
    error.setText(text)
    fill(target, with: error)
}

extension keel_str {
    /// The text, damaged UTF-8 repaired; nil if it is longer than `limit` or has a length without a pointer.
    func text(limit: Int = 65536) -> String? {
        if len == 0 { return "" }
        guard let ptr, len <= limit else { return nil }
        return String(decoding: UnsafeRawBufferPointer(start: ptr, count: len), as: UTF8.self)
    }

    /// The text if it is valid UTF-8 without a NUL.
    func strictText(limit: Int) -> String? {
        if len == 0 { return "" }
        guard let ptr, len <= limit else { return nil }
        let bytes = UnsafeRawBufferPointer(start: ptr, count: len)
        if bytes.contains(0) { return nil }
        return String(validating: bytes, as: UTF8.self)
    }
}

extension String {
    /// Borrows the text for one call.
    func withKeelText<R>(_ body: (keel_str) -> R) -> R {
        var copy = self
        return copy.withUTF8 { bytes in
            bytes.withMemoryRebound(to: CChar.self) { body(keel_str(ptr: $0.baseAddress, len: $0.count)) }
        }
    }
}
