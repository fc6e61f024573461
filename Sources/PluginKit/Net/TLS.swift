/// How a secure connection proves who the other side is.
public struct TLSOptions: Sendable {
    /// A PEM file with the roots to trust instead of the system's: for test authorities and stand-ins.
    public var roots: String?
    /// The name the certificate must carry; nil: the endpoint's host.
    public var name: String?

    public init(roots: String? = nil, name: String? = nil) {
        self.roots = roots
        self.name = name
    }
}

/// The certificate and key a server shows. PEM files.
public struct TLSIdentity: Sendable {
    public var certificate: String
    public var key: String
    public init(certificate: String, key: String) {
        self.certificate = certificate
        self.key = key
    }
}

/// TLS over memory channels: bytes in, bytes out, no descriptor, so it fits any loop.
/// A certificate that isn't valid for the name never opens; there is no switch to look away.
final class TLSSession {
    enum Step: Equatable { case going, open, failed(String) }

    private let ssl: OpenSSL
    private let context: OpaquePointer
    private let session: OpaquePointer
    private let incoming: OpaquePointer
    private let outgoing: OpaquePointer
    private var scratch = [UInt8](repeating: 0, count: 16_384)

    private static let verifyPeer: Int32 = 1
    private static let verifyNone: Int32 = 0
    private static let setMinimumVersion: Int32 = 123
    private static let setServerName: Int32 = 55
    private static let tls12 = 0x0303
    private static let wantRead: Int32 = 2
    private static let wantWrite: Int32 = 3
    private static let zeroReturn: Int32 = 6

    static func client(host: String, options: TLSOptions) throws(CryptoError) -> TLSSession {
        let ssl = try OpenSSL.shared()
        guard let context = ssl.contextNew(ssl.clientMethod()) else { throw .failed(ssl.takeError()) }
        func refuse(_ what: String) -> CryptoError {
            let why = ssl.takeError()
            ssl.contextFree(context)
            return .failed("\(what): \(why)")
        }
        _ = ssl.contextControl(context, setMinimumVersion, tls12, nil)
        ssl.contextVerify(context, verifyPeer, nil)
        if let roots = options.roots {
            if ssl.contextRoots(context, roots, nil) != 1 { throw refuse("the trusted roots in \(roots) can't be read") }
        } else if ssl.contextDefaultRoots(context) != 1 {
            throw refuse("the system's trusted roots can't be read (install ca-certificates)")
        }
        let made = try TLSSession(ssl: ssl, context: context)
        var name = Array((options.name ?? host).utf8CString)
        if ssl.setHost(made.session, name) != 1 { throw .failed("the name \(host) can't be checked: \(ssl.takeError())") }
        if Resolver.numeric(host, port: 1) == nil {
            _ = ssl.control(made.session, setServerName, 0, &name)
        }
        ssl.setConnect(made.session)
        return made
    }

    static func server(_ identity: TLSIdentity) throws(CryptoError) -> TLSSession {
        let ssl = try OpenSSL.shared()
        guard let context = ssl.contextNew(ssl.serverMethod()) else { throw .failed(ssl.takeError()) }
        _ = ssl.contextControl(context, setMinimumVersion, tls12, nil)
        ssl.contextVerify(context, verifyNone, nil)
        guard ssl.contextCertificate(context, identity.certificate) == 1, ssl.contextPrivateKey(context, identity.key, 1) == 1 else {
            let why = ssl.takeError()
            ssl.contextFree(context)
            throw .badKey("certificate \(identity.certificate) or its key: \(why)")
        }
        let made = try TLSSession(ssl: ssl, context: context)
        ssl.setAccept(made.session)
        return made
    }

    private init(ssl: OpenSSL, context: OpaquePointer) throws(CryptoError) {
        guard let session = ssl.new(context) else {
            ssl.contextFree(context)
            throw .failed(ssl.takeError())
        }
        guard let incoming = ssl.channelNew(ssl.memoryMethod()), let outgoing = ssl.channelNew(ssl.memoryMethod()) else {
            ssl.free(session)
            ssl.contextFree(context)
            throw .failed(ssl.takeError())
        }
        ssl.setChannels(session, incoming, outgoing)  // the session owns both from here
        self.ssl = ssl
        self.context = context
        self.session = session
        self.incoming = incoming
        self.outgoing = outgoing
    }

    deinit {
        ssl.free(session)
        ssl.contextFree(context)
    }

    /// Bytes that came from the network.
    func receive(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard let count = Int32(exactly: bytes.count), count > 0 else { return bytes.isEmpty }
        return ssl.channelWrite(incoming, bytes.baseAddress, count) == count
    }

    func advance() -> Step {
        ssl.clearErrors()
        let result = ssl.handshake(session)
        if result == 1 { return .open }
        switch ssl.getError(session, result) {
        case Self.wantRead, Self.wantWrite: return .going
        default:
            let verified = ssl.verifyResult(session)
            if verified != 0, let text = ssl.verifyText(verified) {
                return .failed("its certificate is not valid: \(String(cString: text))")
            }
            return .failed(ssl.takeError())
        }
    }

    enum Plain: Equatable { case nothing, ended, failed(String) }

    /// Appends decrypted bytes to `output`.
    func open(into output: inout [UInt8]) -> Plain {
        while true {
            ssl.clearErrors()
            let count = scratch.withUnsafeMutableBytes { ssl.read(session, $0.baseAddress, Int32($0.count)) }
            if count > 0 {
                output.append(contentsOf: scratch[0..<Int(count)])
                continue
            }
            switch ssl.getError(session, count) {
            case Self.wantRead, Self.wantWrite: return .nothing
            case Self.zeroReturn: return .ended
            default: return .failed(ssl.takeError())
            }
        }
    }

    /// Encrypts; false when the session can't take it any more.
    func seal(_ bytes: UnsafeRawBufferPointer) -> Bool {
        var rest = bytes
        while !rest.isEmpty {
            ssl.clearErrors()
            let part = min(rest.count, 16_384)
            let count = ssl.write(session, rest.baseAddress, Int32(part))
            if count <= 0 { return false }
            rest = UnsafeRawBufferPointer(rebasing: rest[Int(count)...])
        }
        return true
    }

    func sayGoodbye() { _ = ssl.shutdown(session) }

    /// Appends what has to go out on the network to `output`.
    func takeOutgoing(into output: inout [UInt8]) {
        while ssl.channelPending(outgoing) > 0 {
            let count = scratch.withUnsafeMutableBytes { ssl.channelRead(outgoing, $0.baseAddress, Int32($0.count)) }
            if count <= 0 { return }
            output.append(contentsOf: scratch[0..<Int(count)])
        }
    }
}
