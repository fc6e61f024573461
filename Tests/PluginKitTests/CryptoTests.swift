import Testing

@testable import PluginKit

/// Published vectors only: what we compute ourselves proves nothing here.
@Suite struct CryptoTests {
    @Test("SHA digests of FIPS 180 examples")
    func digests() throws {
        #expect(Hex.encode(try Digest.sha1.hash("abc".utf8)) == "a9993e364706816aba3e25717850c26c9cd0d89d")
        #expect(Hex.encode(try Digest.sha256.hash("abc".utf8)) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        #expect(Hex.encode(try Digest.sha256.hash("".utf8)) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    }

    @Test("HMAC-SHA256 of RFC 4231, cases 1, 2 and 6")
    func hmac() throws {
        let cases: [([UInt8], [UInt8], String)] = [
            ([UInt8](repeating: 0x0b, count: 20), Array("Hi There".utf8), "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
            (Array("Jefe".utf8), Array("what do ya want for nothing?".utf8), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
            (
                [UInt8](repeating: 0xaa, count: 131), Array("Test Using Larger Than Block-Size Key - Hash Key First".utf8),
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
            ),
        ]
        for (key, message, expected) in cases {
            #expect(Hex.encode(try HMACKey(key).sign(message)) == expected)
        }
        #expect(throws: CryptoError.self) { try HMACKey([]) }
        #expect(!"\(try HMACKey(Array("secret".utf8)))".contains("secret"))
    }

    @Test("AES-256-CBC of NIST SP 800-38A F.2.5, first block")
    func aes() throws {
        let key = try #require(Hex.decode("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4"))
        let vector = try #require(Hex.decode("000102030405060708090a0b0c0d0e0f"))
        let plain = try #require(Hex.decode("6bc1bee22e409f96e93d7e117393172a"))
        let cipher = try AES256CBC(key: key, vector: vector)
        let sealed = try cipher.encrypt(plain)
        #expect(Hex.encode(sealed.prefix(16)) == "f58c4c04d6e5f1ba779eabfb5f7bfbd6")
        #expect(try cipher.decrypt(sealed) == plain)
        var broken = sealed
        broken[broken.count - 1] ^= 1
        #expect(throws: CryptoError.self) { try cipher.decrypt(broken) }
        #expect(throws: CryptoError.self) { try AES256CBC(key: [1, 2], vector: vector) }
    }

    @Test("Ed25519 of RFC 8032, test 3")
    func ed25519() throws {
        let seed = try #require(Hex.decode("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7"))
        let prefix = try #require(Hex.decode("302e020100300506032b657004220420"))
        let pem = "-----BEGIN PRIVATE KEY-----\n\(Base64.encode(prefix + seed))\n-----END PRIVATE KEY-----\n"
        let key = try SigningKey(pem: pem.utf8)
        #expect(key.kind == .ed25519)
        #expect(
            Hex.encode(try key.sign([0xaf, 0x82]))
                == "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a")
        #expect(throws: CryptoError.self) { try SigningKey(pem: "-----BEGIN PRIVATE KEY-----\nnonsense\n".utf8) }
        #expect(throws: CryptoError.self) { try SigningKey(pem: [UInt8]()) }
    }

    @Test("Base64 of RFC 4648 section 10, and what strict decoding refuses")
    func base64() {
        let pairs = [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="), ("foobar", "Zm9vYmFy")]
        for (plain, text) in pairs {
            #expect(Base64.encode(plain.utf8) == text)
            #expect(Base64.decode(text) == Array(plain.utf8))
        }
        for bad in ["Zg", "Zg=", "Zg=a", "====", "Z===", "Zh==", "Zm9=", "Zm 9v", "Zm9v\n"] { #expect(Base64.decode(bad) == nil, "\(bad)") }
        #expect(Hex.decode("0g") == nil)
        #expect(Hex.decode("abc") == nil)
        #expect(Hex.decode("00FFab") == [0, 255, 171])
    }
}
