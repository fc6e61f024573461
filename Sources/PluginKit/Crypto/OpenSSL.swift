import Glibc

/// OpenSSL 3 by `dlsym`: no package, no header, no cryptography of our own.
///
/// libssl and libcrypto are in every process that uses FoundationNetworking and on every system with curl.
/// All functions are looked up once; a missing one makes `OpenSSL.shared` throw with its name.
struct OpenSSL: @unchecked Sendable {  // only C function pointers, written once
    typealias Pointer = OpaquePointer?
    typealias Bytes = UnsafePointer<UInt8>?
    typealias MutableBytes = UnsafeMutablePointer<UInt8>?

    // Digests and HMAC
    let digest: @convention(c) (UnsafeRawPointer?, Int, MutableBytes, UnsafeMutablePointer<UInt32>?, Pointer, Pointer) -> Int32
    let sha1: @convention(c) () -> Pointer
    let sha256: @convention(c) () -> Pointer
    let sha512: @convention(c) () -> Pointer
    let hmac: @convention(c) (Pointer, UnsafeRawPointer?, Int32, Bytes, Int, MutableBytes, UnsafeMutablePointer<UInt32>?) -> MutableBytes
    // Ciphers
    let aes256cbc: @convention(c) () -> Pointer
    let cipherNew: @convention(c) () -> Pointer
    let cipherFree: @convention(c) (Pointer) -> Void
    let cipherInit: @convention(c) (Pointer, Pointer, Pointer, Bytes, Bytes, Int32) -> Int32
    let cipherUpdate: @convention(c) (Pointer, MutableBytes, UnsafeMutablePointer<Int32>, Bytes, Int32) -> Int32
    let cipherFinal: @convention(c) (Pointer, MutableBytes, UnsafeMutablePointer<Int32>) -> Int32
    // Keys and signatures
    let bufferNew: @convention(c) (UnsafeRawPointer?, Int32) -> Pointer
    let readPrivateKey: @convention(c) (Pointer, UnsafeMutableRawPointer?, UnsafeMutableRawPointer?, UnsafeMutableRawPointer?) -> Pointer
    let keyFree: @convention(c) (Pointer) -> Void
    let keyID: @convention(c) (Pointer) -> Int32
    let signContextNew: @convention(c) () -> Pointer
    let signContextFree: @convention(c) (Pointer) -> Void
    let signInit: @convention(c) (Pointer, UnsafeMutableRawPointer?, Pointer, Pointer, Pointer) -> Int32
    let sign: @convention(c) (Pointer, MutableBytes, UnsafeMutablePointer<Int>, Bytes, Int) -> Int32
    // Memory channels
    let channelNew: @convention(c) (Pointer) -> Pointer
    let memoryMethod: @convention(c) () -> Pointer
    let channelFree: @convention(c) (Pointer) -> Int32
    let channelRead: @convention(c) (Pointer, UnsafeMutableRawPointer?, Int32) -> Int32
    let channelWrite: @convention(c) (Pointer, UnsafeRawPointer?, Int32) -> Int32
    let channelPending: @convention(c) (Pointer) -> Int
    // TLS
    let clientMethod: @convention(c) () -> Pointer
    let serverMethod: @convention(c) () -> Pointer
    let contextNew: @convention(c) (Pointer) -> Pointer
    let contextFree: @convention(c) (Pointer) -> Void
    let contextControl: @convention(c) (Pointer, Int32, Int, UnsafeMutableRawPointer?) -> Int
    let contextVerify: @convention(c) (Pointer, Int32, UnsafeMutableRawPointer?) -> Void
    let contextDefaultRoots: @convention(c) (Pointer) -> Int32
    let contextRoots: @convention(c) (Pointer, UnsafePointer<CChar>?, UnsafePointer<CChar>?) -> Int32
    let contextCertificate: @convention(c) (Pointer, UnsafePointer<CChar>?) -> Int32
    let contextPrivateKey: @convention(c) (Pointer, UnsafePointer<CChar>?, Int32) -> Int32
    let new: @convention(c) (Pointer) -> Pointer
    let free: @convention(c) (Pointer) -> Void
    let control: @convention(c) (Pointer, Int32, Int, UnsafeMutableRawPointer?) -> Int
    let setHost: @convention(c) (Pointer, UnsafePointer<CChar>?) -> Int32
    let setChannels: @convention(c) (Pointer, Pointer, Pointer) -> Void
    let setConnect: @convention(c) (Pointer) -> Void
    let setAccept: @convention(c) (Pointer) -> Void
    let handshake: @convention(c) (Pointer) -> Int32
    let read: @convention(c) (Pointer, UnsafeMutableRawPointer?, Int32) -> Int32
    let write: @convention(c) (Pointer, UnsafeRawPointer?, Int32) -> Int32
    let shutdown: @convention(c) (Pointer) -> Int32
    let getError: @convention(c) (Pointer, Int32) -> Int32
    let verifyResult: @convention(c) (Pointer) -> Int
    let verifyText: @convention(c) (Int) -> UnsafePointer<CChar>?
    let nextError: @convention(c) () -> UInt
    let clearErrors: @convention(c) () -> Void
    let errorText: @convention(c) (UInt, UnsafeMutablePointer<CChar>?, Int) -> Void

    private static let loaded: Result<OpenSSL, CryptoError> = {
        do throws(CryptoError) { return .success(try OpenSSL()) } catch { return .failure(error) }
    }()

    static func shared() throws(CryptoError) -> OpenSSL { try loaded.get() }

    private init() throws(CryptoError) {
        func open(_ names: [String]) throws(CryptoError) -> UnsafeMutableRawPointer {
            for name in names {
                if let handle = dlopen(name, RTLD_NOW | RTLD_LOCAL) { return handle }
            }
            throw .unavailable("OpenSSL 3 was not found (tried \(names.joined(separator: ", "))): install libssl3")
        }
        let crypto = try open(["libcrypto.so.3", "libcrypto.so"])
        let ssl = try open(["libssl.so.3", "libssl.so"])
        func find<T>(_ library: UnsafeMutableRawPointer, _ name: String, _ type: T.Type = T.self) throws(CryptoError) -> T {
            guard let symbol = dlsym(library, name) else { throw .unavailable("OpenSSL has no \(name): version 3 or newer is needed") }
            return unsafeBitCast(symbol, to: T.self)
        }
        digest = try find(crypto, "EVP_Digest")
        sha1 = try find(crypto, "EVP_sha1")
        sha256 = try find(crypto, "EVP_sha256")
        sha512 = try find(crypto, "EVP_sha512")
        hmac = try find(crypto, "HMAC")
        aes256cbc = try find(crypto, "EVP_aes_256_cbc")
        cipherNew = try find(crypto, "EVP_CIPHER_CTX_new")
        cipherFree = try find(crypto, "EVP_CIPHER_CTX_free")
        cipherInit = try find(crypto, "EVP_CipherInit_ex")
        cipherUpdate = try find(crypto, "EVP_CipherUpdate")
        cipherFinal = try find(crypto, "EVP_CipherFinal_ex")
        bufferNew = try find(crypto, "BIO_new_mem_buf")
        readPrivateKey = try find(crypto, "PEM_read_bio_PrivateKey")
        keyFree = try find(crypto, "EVP_PKEY_free")
        keyID = try find(crypto, "EVP_PKEY_get_base_id")
        signContextNew = try find(crypto, "EVP_MD_CTX_new")
        signContextFree = try find(crypto, "EVP_MD_CTX_free")
        signInit = try find(crypto, "EVP_DigestSignInit")
        sign = try find(crypto, "EVP_DigestSign")
        channelNew = try find(crypto, "BIO_new")
        memoryMethod = try find(crypto, "BIO_s_mem")
        channelFree = try find(crypto, "BIO_free")
        channelRead = try find(crypto, "BIO_read")
        channelWrite = try find(crypto, "BIO_write")
        channelPending = try find(crypto, "BIO_ctrl_pending")
        clientMethod = try find(ssl, "TLS_client_method")
        serverMethod = try find(ssl, "TLS_server_method")
        contextNew = try find(ssl, "SSL_CTX_new")
        contextFree = try find(ssl, "SSL_CTX_free")
        contextControl = try find(ssl, "SSL_CTX_ctrl")
        contextVerify = try find(ssl, "SSL_CTX_set_verify")
        contextDefaultRoots = try find(ssl, "SSL_CTX_set_default_verify_paths")
        contextRoots = try find(ssl, "SSL_CTX_load_verify_locations")
        contextCertificate = try find(ssl, "SSL_CTX_use_certificate_chain_file")
        contextPrivateKey = try find(ssl, "SSL_CTX_use_PrivateKey_file")
        new = try find(ssl, "SSL_new")
        free = try find(ssl, "SSL_free")
        control = try find(ssl, "SSL_ctrl")
        setHost = try find(ssl, "SSL_set1_host")
        setChannels = try find(ssl, "SSL_set_bio")
        setConnect = try find(ssl, "SSL_set_connect_state")
        setAccept = try find(ssl, "SSL_set_accept_state")
        handshake = try find(ssl, "SSL_do_handshake")
        read = try find(ssl, "SSL_read")
        write = try find(ssl, "SSL_write")
        shutdown = try find(ssl, "SSL_shutdown")
        getError = try find(ssl, "SSL_get_error")
        verifyResult = try find(ssl, "SSL_get_verify_result")
        verifyText = try find(crypto, "X509_verify_cert_error_string")
        nextError = try find(crypto, "ERR_get_error")
        clearErrors = try find(crypto, "ERR_clear_error")
        errorText = try find(crypto, "ERR_error_string_n")
    }

    /// The oldest queued error of this thread as text; empties the queue.
    func takeError() -> String {
        let code = nextError()
        clearErrors()
        if code == 0 { return "no further detail" }
        var buffer = [CChar](repeating: 0, count: 256)
        errorText(code, &buffer, buffer.count)
        return String(decoding: buffer.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }
}

/// What went wrong in signing, hashing or encryption.
public enum CryptoError: Error, Equatable, Sendable, CustomStringConvertible {
    case unavailable(String)
    case badKey(String)
    case failed(String)

    public var description: String {
        switch self {
        case .unavailable(let what): what
        case .badKey(let what): "the key can't be used: \(what)"
        case .failed(let what): "cryptography failed: \(what)"
        }
    }
}
