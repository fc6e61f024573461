import PluginKit
import Testing

@testable import BinanceConnector

/// The documentation's own keys and signatures.
@Suite struct SigningTests {
    static let secret = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"

    private func signature(_ payload: String, _ signer: Signer) throws -> String {
        var out: [UInt8] = []
        try signer.append(to: &out, of: Array(payload.utf8))
        return String(decoding: out, as: UTF8.self)
    }

    private func signer(_ secret: String) throws -> Signer { try Signer(apiKey: Array("key".utf8), secret: Array(secret.utf8)) }

    @Test("HMAC: the vectors of spot and futures")
    func vectors() throws {
        let spot = try signer(Self.secret)
        #expect(spot.kind == .hmac)
        let plain = "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559"
        #expect(try signature(plain, spot) == "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71")
        let encoded = "symbol=%EF%BC%91%EF%BC%92%EF%BC%93%EF%BC%94%EF%BC%95%EF%BC%96&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559"
        #expect(try signature(encoded, spot) == "e1353ec6b14d888f1164ae9af8228a3dbd508bc82eb867db8ab6046442f33ef3")
        let futures = try signer("2b5eb11e18796d12d88f13dc27dbbd02c2cc51ff7059765ed9821957d82bb4d9")
        let order = "symbol=BTCUSDT&side=BUY&type=LIMIT&quantity=1&price=9000&timeInForce=GTC&recvWindow=5000&timestamp=1591702613943"
        #expect(try signature(order, futures) == "3c661234138461fcc7a7d8746c6558c9842d4e10870d2ecbedf7777cad694af9")
    }

    @Test("REST: what is signed is what travels, percent-encoded")
    func rest() throws {
        var parameters = Parameters()
        parameters.add("symbol", "１２３４５６")
        parameters.add("side", "BUY" as StaticString)
        parameters.add("type", "LIMIT" as StaticString)
        parameters.add("timeInForce", "GTC" as StaticString)
        parameters.add("quantity", Fixed.one)
        parameters.add("price", try #require(Fixed("0.1")))
        parameters.add("recvWindow", 5000)
        parameters.add("timestamp", 1_499_827_319_559)
        let query = String(decoding: try parameters.query(signedBy: signer(Self.secret)), as: UTF8.self)
        #expect(query.hasSuffix("&timestamp=1499827319559&signature=e1353ec6b14d888f1164ae9af8228a3dbd508bc82eb867db8ab6046442f33ef3"))
        #expect(query.hasPrefix("symbol=%EF%BC%91%EF%BC%92%EF%BC%93%EF%BC%94%EF%BC%95%EF%BC%96&side=BUY"))
    }

    @Test("WebSocket API: sorted by name, signed unencoded, numbers bare")
    func socket() throws {
        var parameters = Parameters()
        for (name, text) in [("type", "LIMIT"), ("symbol", "BTCUSDT"), ("side", "SELL")] as [(StaticString, String)] { parameters.add(name, text) }
        parameters.add("timeInForce", "GTC" as StaticString)
        parameters.add("quantity", "0.01000000")
        parameters.add("price", "52000.00")
        parameters.add("apiKey", "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A")
        parameters.add("recvWindow", 100)
        parameters.add("timestamp", 1_645_423_376_532)
        let frame = try JSONValue(parsing: parameters.frame(7, "order.place", signedBy: signer(Self.secret)))
        #expect(try frame["id"].int64 == 7)
        #expect(try frame["method"].text == "order.place")
        #expect(try frame["params"]["signature"].text == "aa1b5712c094bc4e57c05a1a5c1fd8d88dcd628338ea863fec7b88e59fe2db24")
        #expect(try frame["params"]["timestamp"].int64 == 1_645_423_376_532)
        #expect(frame.find("params")?.asObject?.names.first == "apiKey")
    }

    @Test("Ed25519 and RSA keys: PEM, base64, percent-encoded in a query")
    func privateKeys() throws {
        let seed = try #require(Hex.decode("302e020100300506032b6570042204209d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"))
        let signer = try signer("-----BEGIN PRIVATE KEY-----\n\(Base64.encode(seed))\n-----END PRIVATE KEY-----\n")
        #expect(signer.kind == .ed25519)
        let payload = "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.001&price=50000&recvWindow=5000&timestamp=1795000000000"
        #expect(try signature(payload, signer) == "WOIkOVP8skutUFqcBDntkKd5VeYchv6NxrvOHySEFLg0AYH4MEWROcfUFKykIgFjHHTxRAbPC2lTTcw4p7d2Cg==")
        var parameters = Parameters()
        for (name, text) in [("symbol", "BTCUSDT"), ("side", "BUY"), ("type", "LIMIT"), ("timeInForce", "GTC"), ("quantity", "0.001"), ("price", "50000")] as [(StaticString, String)] {
            parameters.add(name, text)
        }
        parameters.add("recvWindow", 5000)
        parameters.add("timestamp", 1_795_000_000_000)
        let query = String(decoding: try parameters.query(signedBy: signer), as: UTF8.self)
        #expect(query.hasSuffix("&signature=WOIkOVP8skutUFqcBDntkKd5VeYchv6NxrvOHySEFLg0AYH4MEWROcfUFKykIgFjHHTxRAbPC2lTTcw4p7d2Cg%3D%3D"))
    }

    @Test("a key that can't be one is refused without being shown")
    func badKeys() {
        for (key, secret) in [("", "s"), ("k", ""), ("a b", "s"), ("k", "-----BEGIN PRIVATE KEY-----\nzz7secret\n-----END PRIVATE KEY-----")] {
            do {
                _ = try Signer(apiKey: Array(key.utf8), secret: Array(secret.utf8))
                Issue.record("\(key) is taken")
            } catch {
                #expect(error.reason == .authentication)
                #expect(!error.message.contains("zz7secret"))
            }
        }
    }

    @Test("numbers are written as Fixed writes them")
    func numbers() throws {
        var random = SeededGenerator(seed: 11)
        for _ in 0..<2000 {
            let value = Fixed(raw: Int64(bitPattern: random.next()) >> Int64(random.below(60)))
            var out: [UInt8] = []
            Parameters.append(value, to: &out)
            #expect(String(decoding: out, as: UTF8.self) == value.description)
        }
        for number in [Int64.min, -1, 0, 9, 10, .max] {
            var out: [UInt8] = []
            Parameters.append(number, to: &out)
            #expect(String(decoding: out, as: UTF8.self) == "\(number)")
        }
    }

    @Test("the host's id fits Binance's rules, with and without a suffix")
    func clientIDs() {
        let id = OrderID(hi: .max, lo: .max)
        #expect(id.description.utf8.count + 1 <= 36)
        #expect(id.description.utf8.allSatisfy { ($0 >= 48 && $0 <= 57) || ($0 >= 97 && $0 <= 122) })
    }
}
