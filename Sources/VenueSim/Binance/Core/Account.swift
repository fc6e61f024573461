import PluginKit

/// Free and locked amounts of one asset.
struct Balance: Codable, Equatable {
    var free: Int128 = 0
    var locked: Int128 = 0
    var isZero: Bool { free == 0 && locked == 0 }
}

/// How an account's requests are signed.
enum Credential {
    case hmac(HMACKey)
    /// Ed25519 and RSA signatures of PKCS #1 v1.5 are the same for the same message, so holding the test key is enough to check one.
    case key(SigningKey)

    func accepts(_ signature: String, of payload: [UInt8]) -> Bool {
        switch self {
        case .hmac(let key):
            guard let right = try? key.sign(payload) else { return false }
            return Hex.encode(right) == signature.lowercased()
        case .key(let key):
            guard let right = try? key.sign(payload) else { return false }
            return Base64.encode(right) == signature
        }
    }

    var isEd25519: Bool {
        if case .key(let key) = self { key.kind == .ed25519 } else { false }
    }
}

/// One customer with a spot and a futures wallet.
final class Account {
    let number: Int
    let name: String
    let apiKey: String
    /// What its owner signs with; printed at the start, since every key here is made up.
    let secret: String
    let credential: Credential
    var spot: [String: Balance] = [:]
    var spotUpdated: Int64
    var futures = FuturesAccount()
    /// In 1e-8.
    var makerRate: Int64
    var takerRate: Int64
    var futuresMakerRate: Int64 = fixed("0.0002")
    var futuresTakerRate: Int64 = fixed("0.0005")

    init(number: Int, name: String, apiKey: String, secret: String, credential: Credential, now: Int64) {
        self.number = number
        self.name = name
        self.apiKey = apiKey
        self.secret = secret
        self.credential = credential
        spotUpdated = now
        makerRate = fixed("0.001")
        takerRate = fixed("0.001")
    }

    func free(_ asset: String) -> Int128 { spot[asset]?.free ?? 0 }

    func change(_ asset: String, free: Int128 = 0, locked: Int128 = 0) {
        spot[asset, default: Balance()].free += free
        spot[asset, default: Balance()].locked += locked
    }
}

/// What accounts there are and what they begin with.
struct AccountPlan {
    var name: String
    var apiKey: String
    /// The HMAC secret, or a PEM private key.
    var secret: String
    var spot: [String: Int128]
    var futures: [String: Int128]

    /// alice and bob sign by HMAC, carol by Ed25519. The same on every start, on purpose: scripts and tests can name them.
    static let standard: [AccountPlan] = {
        let wallet: [String: Int128] = ["USDT": 10_000_000_000_000, "BTC": 200_000_000, "ETH": 5_000_000_000, "BNB": 10_000_000_000]
        let margin: [String: Int128] = ["USDT": 10_000_000_000_000]
        func made(_ name: String, _ use: String) -> String { Hex.encode((try? Digest.sha256.hash("keel-venues binance \(name) \(use)".utf8)) ?? []) }
        var plans = ["alice", "bob"].map { AccountPlan(name: $0, apiKey: made($0, "key"), secret: made($0, "secret"), spot: wallet, futures: margin) }
        plans.append(AccountPlan(name: "carol", apiKey: made("carol", "key"), secret: carolsKey, spot: wallet, futures: margin))
        return plans
    }()

    /// The test key of RFC 8410, section 10.3: published, so good for nothing else.
    private static let carolsKey = """
        -----BEGIN PRIVATE KEY-----
        MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
        -----END PRIVATE KEY-----
        """

    func open(number: Int, now: Int64) throws(CryptoError) -> Account {
        let credential: Credential = secret.contains("PRIVATE KEY") ? .key(try SigningKey(pem: secret.utf8)) : .hmac(try HMACKey(secret.utf8))
        let account = Account(number: number, name: name, apiKey: apiKey, secret: secret, credential: credential, now: now)
        for (asset, amount) in spot { account.change(asset, free: amount) }
        for (asset, amount) in futures { account.futures.wallet[asset] = amount }
        return account
    }
}
