import PluginKit

/// The key that belongs to an API key, whichever kind it is. Its bytes never appear in a description.
public final class Signer: CustomStringConvertible {
    public enum Kind: String, Sendable { case hmac, ed25519, rsa }

    public let kind: Kind
    /// Goes into the header and the parameters; not secret enough to hide from Binance, too secret for any log.
    public let apiKey: String
    private let hmac: HMACKey?
    private let key: SigningKey?
    private var scratch = [UInt8](repeating: 0, count: 64)
    private static let digits = Array("0123456789abcdef".utf8)

    /// `secret`: an HMAC secret, or a private key as PEM.
    public init(apiKey: [UInt8], secret: [UInt8]) throws(PluginError) {
        func trimmed(_ bytes: [UInt8]) -> [UInt8] {
            var rest = bytes[...]
            while let last = rest.last, last <= 32 { rest.removeLast() }
            while let first = rest.first, first <= 32 { rest.removeFirst() }
            return Array(rest)
        }
        let name = trimmed(apiKey)
        guard !name.isEmpty, name.allSatisfy({ $0 > 32 && $0 < 127 }) else {
            throw PluginError(.authentication, "the API key is empty or holds characters that no key has")
        }
        self.apiKey = String(decoding: name, as: UTF8.self)
        let secret = trimmed(secret)
        do throws(CryptoError) {
            if secret.starts(with: "-----BEGIN".utf8) {
                let made = try SigningKey(pem: secret + [10])
                key = made
                hmac = nil
                kind = made.kind == .rsa ? .rsa : .ed25519
            } else {
                hmac = try HMACKey(secret)
                key = nil
                kind = .hmac
            }
        } catch {
            throw PluginError(.authentication, "the secret key can't be used: \(error)")
        }
    }

    public var description: String { "Signer(\(kind.rawValue))" }

    /// Appends the signature's text: hexadecimal for HMAC, base64 for the others.
    public func append(to out: inout [UInt8], of payload: [UInt8]) throws(PluginError) {
        do throws(CryptoError) {
            if let hmac {
                var length = 0
                var failure: CryptoError?
                payload.withUnsafeBufferPointer { message in
                    scratch.withUnsafeMutableBufferPointer { output in
                        do throws(CryptoError) { length = try hmac.sign(message, into: output) } catch { failure = error }
                    }
                }
                if let failure { throw failure }
                for byte in scratch.prefix(length) {
                    out.append(Signer.digits[Int(byte >> 4)])
                    out.append(Signer.digits[Int(byte & 15)])
                }
            } else if let key {
                out += Base64.encode(try key.sign(payload)).utf8
            }
        } catch {
            throw PluginError(.internalFault, "a request could not be signed: \(error)")
        }
    }
}
