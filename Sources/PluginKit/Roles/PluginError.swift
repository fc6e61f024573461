import PluginAPI

/// Why a call was refused or an operation failed: one of the contract's status codes, and words for a person.
///
/// Throw it from any role call. The SDK hands it to the host as a status and a `keel_error`; no Swift error ever crosses.
public struct PluginError: Error, Equatable, Sendable, CustomStringConvertible {
    public enum Reason: Int32, Sendable, CaseIterable {
        /// A bad argument or configuration.
        case invalid = -1
        /// Not legal in this lifecycle state.
        case state = -2
        /// Known, but this plugin can't do it.
        case unsupported = -3
        /// A queue is full: nothing happened, try later.
        case again = -4
        /// A number doesn't fit or is outside its limits.
        case range = -5
        case notFound = -6
        /// Credentials missing, wrong or expired.
        case authentication = -7
        /// Too many requests: see `retryAfter`.
        case rate = -8
        /// Certainly not sent.
        case network = -9
        /// The venue or a check said no: final.
        case rejected = -10
        /// May have been sent: must be reconciled.
        case inDoubt = -11
        case timeout = -12
        /// A fault of the plugin itself.
        case internalFault = -13
        /// This order id was used before.
        case duplicate = -14
    }

    public var reason: Reason
    public var message: String
    /// The venue's own code, 0 = none.
    public var vendorCode: Int64
    /// Nanoseconds, 0 = unknown.
    public var retryAfter: Int64

    public init(_ reason: Reason, _ message: String, vendorCode: Int64 = 0, retryAfter: Int64 = 0) {
        self.reason = reason
        self.message = message
        self.vendorCode = vendorCode
        self.retryAfter = retryAfter
    }

    public static func invalid(_ message: String) -> PluginError { .init(.invalid, message) }
    public static func unsupported(_ message: String) -> PluginError { .init(.unsupported, message) }
    public static func notFound(_ message: String) -> PluginError { .init(.notFound, message) }
    public static func rejected(_ message: String, vendorCode: Int64 = 0) -> PluginError {
        .init(.rejected, message, vendorCode: vendorCode)
    }

    public var description: String { message }

    /// What a status from the host means, as an error; nil for `KEEL_OK` and everything above it.
    public init?(status: keel_status, _ message: @autoclosure () -> String) {
        if status >= 0 { return nil }
        self.init(Reason(rawValue: status) ?? .internalFault, message())
    }

    /// Any Swift error as the contract's: numbers out of range keep their meaning, everything unforeseen is internal.
    public init(_ error: any Error) {
        if let known = error as? PluginError {
            self = known
        } else if let number = error as? NumberError {
            self.init(number.reason, number.description)
        } else {
            self.init(.internalFault, "\(error)")
        }
    }
}

extension NumberError {
    var reason: PluginError.Reason {
        switch self {
        case .overflow, .inexact: .range
        case .divisionByZero, .notANumber: .invalid
        }
    }
}

extension PluginError {
    private static let messageOffset = MemoryLayout<keel_error>.offset(of: \keel_error.message) ?? 24
    private static let messageCapacity = MemoryLayout<keel_error>.size - messageOffset

    /// Writes into the caller's `keel_error` as much as the caller's `struct_size` has room for. Returns the status.
    func write(to error: UnsafeMutablePointer<keel_error>?) -> keel_status {
        guard let error else { return reason.rawValue }
        let room = Int(UnsafeRawPointer(error).loadUnaligned(as: UInt32.self))
        let out = UnsafeMutableRawPointer(error)
        func put<Value: BitwiseCopyable>(_ value: Value, at offset: Int) {
            if offset + MemoryLayout<Value>.size <= room { out.storeBytes(of: value, toByteOffset: offset, as: Value.self) }
        }
        put(reason.rawValue, at: 4)
        put(vendorCode, at: 8)
        put(retryAfter, at: 16)
        let capacity = Swift.min(room - PluginError.messageOffset, PluginError.messageCapacity)
        if capacity > 0 {
            var index = PluginError.messageOffset
            for byte in message.utf8Prefix(capacity - 1) {
                out.storeBytes(of: byte == 0 ? UInt8(ascii: " ") : byte, toByteOffset: index, as: UInt8.self)
                index += 1
            }
            out.storeBytes(of: 0, toByteOffset: index, as: UInt8.self)
        }
        return reason.rawValue
    }
}

extension String {
    /// The longest run of whole characters from the start that takes at most `most` bytes of UTF-8.
    func utf8Prefix(_ most: Int) -> Substring.UTF8View {
        let bytes = utf8
        guard bytes.count > most else { return self[...].utf8 }
        var end = bytes.index(bytes.startIndex, offsetBy: Swift.max(most, 0))
        // A continuation byte (10xxxxxx) at the cut belongs to a character that doesn't fit whole.
        while end > bytes.startIndex, bytes[end] & 0xC0 == 0x80 { end = bytes.index(before: end) }
        return bytes[..<end]
    }
}
