import PluginKit

enum AccountFileError: Error, CustomStringConvertible {
    case form(String, String)

    var description: String { switch self { case .form(let path, let text): "\(path): \(text)" } }
}

extension AccountPlan {
    /// [{"name": "dora", "apiKey": "...", "secret": "..." or "privateKey": "-----BEGIN ...", "spot": {"USDT": "10000"}, "futures": {"USDT": "5000"}}, ...]
    static func read(_ bytes: [UInt8], _ path: String) throws(AccountFileError) -> [AccountPlan] {
        let root: JSONValue
        do throws(JSONError) { root = try JSONValue(parsing: bytes) } catch { throw .form(path, "\(error)") }
        guard let list = root.asList, !list.isEmpty else { throw .form(path, "must be a list of accounts") }
        var plans: [AccountPlan] = []
        for item in list {
            func wallet(_ name: String) throws(AccountFileError) -> [String: Int128] {
                var made: [String: Int128] = [:]
                for member in item.find(name)?.asObject?.members ?? [] {
                    guard let amount = try? JSONField(member.value).amount.raw, amount >= 0, amount <= mostMoney else {
                        throw .form(path, "\(name).\(member.name) must be an amount like \"10000\"")
                    }
                    made[member.name] = amount
                }
                return made
            }
            guard let name = item.find("name")?.asText, let key = item.find("apiKey")?.asText, let secret = (item.find("secret") ?? item.find("privateKey"))?.asText else {
                throw .form(path, "an account needs name, apiKey, and secret or privateKey")
            }
            for member in item.asObject?.names ?? [] where !["name", "apiKey", "secret", "privateKey", "spot", "futures"].contains(member) {
                throw .form(path, "an account has no member \"\(member)\"")
            }
            if plans.contains(where: { $0.name == name || $0.apiKey == key }) { throw .form(path, "two accounts have the name \"\(name)\" or its key") }
            plans.append(AccountPlan(name: name, apiKey: key, secret: secret, spot: try wallet("spot"), futures: try wallet("futures")))
        }
        return plans
    }
}
