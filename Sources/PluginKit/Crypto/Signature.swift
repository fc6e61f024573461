/// A private key for Ed25519 or RSA (PKCS #1 v1.5, SHA-256) signatures, from PEM text. Its bytes never appear in a description.
public final class SigningKey: CustomStringConvertible {
    public enum Kind: Sendable { case ed25519, rsa }

    public let kind: Kind
    private let key: OpaquePointer
    private let ssl: OpenSSL

    private static let rsaID: Int32 = 6
    private static let ed25519ID: Int32 = 1087

    public init(pem: some Sequence<UInt8>) throws(CryptoError) {
        let ssl = try OpenSSL.shared()
        let bytes = Array(pem)
        guard let length = Int32(exactly: bytes.count), length > 0 else { throw .badKey("it is empty or far too long") }
        ssl.clearErrors()
        // The buffer channel only borrows the bytes, so it must not outlive this closure.
        let parsed: OpaquePointer? = bytes.withUnsafeBytes { raw in
            guard let channel = ssl.bufferNew(raw.baseAddress, length) else { return nil }
            defer { _ = ssl.channelFree(channel) }
            return ssl.readPrivateKey(channel, nil, nil, nil)
        }
        guard let parsed else { throw .badKey("it is not a PEM private key without a password (\(ssl.takeError()))") }
        switch ssl.keyID(parsed) {
        case Self.ed25519ID: kind = .ed25519
        case Self.rsaID: kind = .rsa
        case let other:
            ssl.keyFree(parsed)
            throw .badKey("its algorithm (OpenSSL id \(other)) is neither Ed25519 nor RSA")
        }
        key = parsed
        self.ssl = ssl
    }

    deinit { ssl.keyFree(key) }

    public var description: String { "SigningKey(\(kind))" }

    public func sign(_ message: [UInt8]) throws(CryptoError) -> [UInt8] {
        guard let context = ssl.signContextNew() else { throw .failed(ssl.takeError()) }
        defer { ssl.signContextFree(context) }
        // Ed25519 hashes by itself and takes no digest.
        let digest = kind == .rsa ? ssl.sha256() : nil
        guard ssl.signInit(context, nil, digest, nil, key) == 1 else { throw .failed(ssl.takeError()) }
        var length = 0
        guard ssl.sign(context, nil, &length, message, message.count) == 1, length > 0, length <= 16_384 else {
            throw .failed(ssl.takeError())
        }
        var output = [UInt8](repeating: 0, count: length)
        guard ssl.sign(context, &output, &length, message, message.count) == 1, length <= output.count else {
            throw .failed(ssl.takeError())
        }
        return Array(output.prefix(length))
    }
}

/// AES-256 in CBC mode with PKCS #7 padding, as some venues encrypt their private streams.
public struct AES256CBC: Sendable {
    private let key: [UInt8]
    private let vector: [UInt8]
    private let ssl: OpenSSL

    public init(key: [UInt8], vector: [UInt8]) throws(CryptoError) {
        guard key.count == 32 else { throw .badKey("AES-256 takes 32 bytes, this has \(key.count)") }
        guard vector.count == 16 else { throw .badKey("the initialisation vector takes 16 bytes, this has \(vector.count)") }
        self.key = key
        self.vector = vector
        ssl = try OpenSSL.shared()
    }

    public func encrypt(_ bytes: [UInt8]) throws(CryptoError) -> [UInt8] { try run(bytes, encrypting: 1) }
    public func decrypt(_ bytes: [UInt8]) throws(CryptoError) -> [UInt8] { try run(bytes, encrypting: 0) }

    private func run(_ bytes: [UInt8], encrypting: Int32) throws(CryptoError) -> [UInt8] {
        guard let count = Int32(exactly: bytes.count), count < .max - 32 else { throw .failed("\(bytes.count) bytes are too many at once") }
        guard let context = ssl.cipherNew() else { throw .failed(ssl.takeError()) }
        defer { ssl.cipherFree(context) }
        guard ssl.cipherInit(context, ssl.aes256cbc(), nil, key, vector, encrypting) == 1 else { throw .failed(ssl.takeError()) }
        var output = [UInt8](repeating: 0, count: bytes.count + 32)
        var first: Int32 = 0
        var last: Int32 = 0
        guard ssl.cipherUpdate(context, &output, &first, bytes, count) == 1, first >= 0 else { throw .failed(ssl.takeError()) }
        var tail = [UInt8](repeating: 0, count: 32)
        guard ssl.cipherFinal(context, &tail, &last) == 1, last >= 0 else { throw .failed("wrong key, or the text was changed (\(ssl.takeError()))") }
        return Array(output.prefix(Int(first)) + tail.prefix(Int(last)))
    }
}
