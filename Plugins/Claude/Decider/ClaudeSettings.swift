import PluginKit

/// The configuration of both components, read from the checked JSON.
struct ClaudeSettings {
    enum Transport: String, CaseIterable { case messages, command }

    var model = ModelSettings()
    var transport = Transport.messages
    var endpoint: Endpoint
    var key: String
    var oauth: Bool
    var timeout: Int64
    var attempts: Int
    var record: String
    var price: TokenPrice?
    var roots: String
    var command: String
    var commandFolder: String
    var maxCallCost: Amount
    var seed: UInt64

    private static let key = ConfigShape.Property.secret("key", "The credential: an API key, or an OAuth token with \"credential\": \"oauth\".")
    private static let record = "File in which every reply is stored under the hash of its request"

    static let shape = ConfigShape([key, .text("record", "\(record); empty: none.", default: "")] + fields)
    /// The same where nobody is called, so that a configuration serves both: the credential may be left out, the file may not.
    static let recordedShape = ConfigShape([.optionalSecret("key", "Not read: nobody is called."), .text("record", "\(record).", default: nil)] + fields)
    static let recordingShape = ConfigShape(
        [key, .text("record", "\(record).", default: nil)] + fields
            + [.decimal("budget", "US dollars that may be spent on missing answers, all together; 0: none.", .money, default: "0")])

    static let fields: [ConfigShape.Property] = [
        .text("model", "Name of the model.", default: "claude-sonnet-5-5"),
        .choice("effort", "How hard the model thinks.", of: ["low", "medium", "high", "xhigh", "max"], default: "low"),
        .whole("max_tokens", "Most tokens of an answer, thinking included.", in: 256...16_384, default: 4096),
        .span("timeout", "Longest time for a decision, retries included; the pipeline's own deadline may be shorter.", default: "120s"),
        .whole("attempts", "Most calls for one decision.", in: 1...5, default: 3),
        .flag("masked", "Hide the instrument's name, dates and outside text from the model.", default: false),
        .whole("cache_minutes", "How long the prompt's unchanging part is kept in the provider's cache: 5 or 60.", in: 5...60, default: 60),
        .choice("transport", "messages: HTTPS to the Messages API. command: the claude program.", of: ["messages", "command"], default: "messages"),
        .choice("credential", "What the secret is: an API key or an OAuth token.", of: ["key", "oauth"], default: "key"),
        .text("endpoint", "Where the Messages API is.", default: "https://api.anthropic.com"),
        .text("roots", "PEM file with the certificate authorities to trust instead of the system's; empty: the system's.", default: ""),
        .text("price", "Dollars a million tokens: input, output, cache write 5 min, cache write 1 h, cache read; empty: the list price.", default: ""),
        .decimal("max_call_cost", "A call that could cost more, in US dollars, is not made.", .money, default: "1"),
        .text("command", "Path of the claude program, with transport command.", default: "/usr/local/bin/claude"),
        .text("command_folder", "Empty folder the program runs in and keeps its own state in, with transport command.", default: "/tmp"),
        .whole("seed", "Of the jitter between retries.", in: 1...1_000_000_000, default: 1),
    ]

    init(_ config: JSONValue) throws {
        model.model = try config["model"].text
        model.effort = try config["effort"].text
        model.maxTokens = try config["max_tokens"].int
        model.masked = try config["masked"].bool
        model.cacheMinutes = try config["cache_minutes"].int
        transport = Transport(rawValue: try config["transport"].text) ?? .messages
        let address = try config["endpoint"].text
        do throws(NetError) {
            endpoint = try Endpoint(address)
        } catch { throw PluginError.invalid("endpoint: \(error)") }
        guard endpoint.isSecure || endpoint.host == "127.0.0.1" || endpoint.host == "localhost" else {
            throw PluginError.invalid("endpoint: \(address) would send the credential in the clear; use https")
        }
        key = config.find("key") == nil ? "" : try config["key"]["$secret"].text
        oauth = try config["credential"].text == "oauth"
        timeout = try config["timeout"].span
        attempts = try config["attempts"].int
        record = try config["record"].text
        roots = try config["roots"].text
        command = try config["command"].text
        commandFolder = try config["command_folder"].text
        maxCallCost = try config["max_call_cost"].amount
        seed = UInt64(try config["seed"].int)
        let text = try config["price"].text
        if !text.isEmpty {
            price = TokenPrice(text)
            if price == nil { throw PluginError.invalid("price: expected five decimals such as \"2 10 2.50 4 0.10\"") }
        } else if TokenPrice.of(model.model, prompt: 0) == nil {
            throw PluginError.invalid("price: the price of model \(model.model) is not known, and the daily cap needs it: set \"price\"")
        }
    }
}
