/// Hash functions and message authentication, all by OpenSSL.
public enum Digest: Sendable {
    case sha1, sha256, sha512

    public func hash(_ bytes: some Sequence<UInt8>) throws(CryptoError) -> [UInt8] {
        let ssl = try OpenSSL.shared()
        let input = Array(bytes)
        var output = [UInt8](repeating: 0, count: 64)
        var length: UInt32 = 0
        guard ssl.digest(input, input.count, &output, &length, method(ssl), nil) == 1, length <= 64 else {
            throw .failed(ssl.takeError())
        }
        return Array(output.prefix(Int(length)))
    }

    func method(_ ssl: OpenSSL) -> OpaquePointer? {
        switch self {
        case .sha1: ssl.sha1()
        case .sha256: ssl.sha256()
        case .sha512: ssl.sha512()
        }
    }
}

/// A key for HMAC signatures, looked up once and used for every request. Its bytes never appear in a description.
public struct HMACKey: Sendable, CustomStringConvertible {
    private let key: [UInt8]
    private let digest: Digest
    private let ssl: OpenSSL

    public init(_ key: some Sequence<UInt8>, _ digest: Digest = .sha256) throws(CryptoError) {
        self.key = Array(key)
        self.digest = digest
        ssl = try OpenSSL.shared()
        if self.key.isEmpty { throw .badKey("it is empty") }
    }

    public var description: String { "HMACKey(\(digest))" }

    /// Writes the signature of `message` into `output` (64 bytes at least are needed) and returns its length.
    public func sign(_ message: UnsafeBufferPointer<UInt8>, into output: UnsafeMutableBufferPointer<UInt8>) throws(CryptoError) -> Int {
        guard output.count >= 64 else { throw .failed("the buffer for the signature is shorter than 64 bytes") }
        var length: UInt32 = 0
        let done = key.withUnsafeBufferPointer { key in
            ssl.hmac(digest.method(ssl), key.baseAddress, Int32(truncatingIfNeeded: key.count), message.baseAddress, message.count, output.baseAddress, &length)
        }
        if done == nil { throw .failed(ssl.takeError()) }
        return Int(length)
    }

    public func sign(_ message: [UInt8]) throws(CryptoError) -> [UInt8] {
        var output = [UInt8](repeating: 0, count: 64)
        var length = 0
        var failure: CryptoError?
        message.withUnsafeBufferPointer { message in
            output.withUnsafeMutableBufferPointer { output in
                do throws(CryptoError) { length = try sign(message, into: output) } catch { failure = error }
            }
        }
        if let failure { throw failure }
        return Array(output.prefix(length))
    }
}
