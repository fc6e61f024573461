import PluginKit

/// One thing that is wrong with a manifest: what, where, and what to do about it.
public struct ManifestProblem: Sendable, Equatable {
    public enum Severity: String, Sendable { case error, warning }

    public enum Kind: Sendable, Equatable {
        /// The file itself: missing, a folder, too large.
        case file(ManifestFileFault)
        case json(JSONProblem)
        /// A key or value that the schema of the manifest, or of a plugin's configuration, doesn't allow.
        case issue(JSONIssue.Kind)
        /// false where null is meant.
        case offIsNull
        case badNumber(NumberError)
        case notADuration(String)
        case outOfRange(least: String, most: String)
        case badForm(String, form: String)
        case unknownPlugin(String, near: String?)
        case disabledPlugin(String)
        case unknownInstrument(String, near: String?)
        case repeated(String)
        case empty(what: String)
        case pipelineNameTaken(String, first: String)
        /// One broker would get orders for the same instrument from two pipelines.
        case instrumentTaken(String, broker: String, pipeline: String)
        case fallbackIsPrimary(String)
        case notInChain(String)
        case contradiction(String)
        case currencyUnclear([String])
        case wrongRole(plugin: String, component: String, wanted: String, has: [String])
        case plugin(PluginFault)
        case unknownComponent(String, near: String?, all: [String])
        case duplicateComponent(String, here: String, there: String)
        case wrongPin(found: String)
        case notPinned
        case needsProcess(String)
        case singleTwice(component: String, first: String)
        case badSchema(component: String, fault: String)
        case complaint(String)
        case unanswered(String)
        case secretNotGranted(String)
        case secret(SecretError)
        case liveSwitchMissing(found: String?)
        case notLive(broker: String)
        case liveInPaper(broker: String)
        case environmentUnknown(broker: String)
        case nothingEnabled
    }

    public var severity: Severity
    public var path: JSONPath
    /// First byte of what is meant; nil where it isn't in the text.
    public var start: UInt32?
    public var kind: Kind

    init(_ path: JSONPath, start: UInt32?, _ kind: Kind, _ severity: Severity = .error) {
        self.severity = severity
        self.path = path
        self.start = start
        self.kind = kind
    }

    init(_ path: JSONPath, _ value: JSONValue, _ kind: Kind, _ severity: Severity = .error) {
        self.init(path, start: value.start, kind, severity)
    }

    /// A short word for programs that read the report.
    public var code: String {
        // The case's name, without what it carries.
        let text = "\(kind)"
        return String(text.prefix { $0 != "(" })
    }

    private var asIssue: JSONIssue? {
        if case .issue(let kind) = kind { JSONIssue(path, start: start ?? 0, kind) } else { nil }
    }

    public var what: String {
        switch kind {
        case .file(let fault): fault.what
        case .json(let problem): "not JSON: \(problem)"
        case .issue: asIssue?.what ?? ""
        case .offIsNull: "false doesn't switch this off"
        case .badNumber(let error): "\(error)"
        case .notADuration(let text): "\"\(text)\" is not a duration"
        case .outOfRange(let least, let most): "it must be between \(least) and \(most)"
        case .badForm(let text, let form): "\"\(text)\" is not a \(form)"
        case .unknownPlugin(let name, _): "there is no plugin \"\(name)\""
        case .disabledPlugin(let name): "the plugin \"\(name)\" is disabled, and this refers to it"
        case .unknownInstrument(let name, _): "there is no instrument \"\(name)\""
        case .repeated(let name): "\"\(name)\" stands here twice"
        case .empty(let what): "no \(what) is named"
        case .pipelineNameTaken(let name, let first): "the name \"\(name)\" is taken by \(first)"
        case .instrumentTaken(let symbol, let broker, let pipeline):
            "\"\(symbol)\" is already traded through \"\(broker)\" by the pipeline \"\(pipeline)\": their positions could not be told apart"
        case .fallbackIsPrimary(let name): "\"\(name)\" is the primary and its own fallback"
        case .notInChain(let name): "\"\(name)\" is neither the primary nor a fallback here"
        case .contradiction(let what): what
        case .currencyUnclear(let quotes): "its instruments are quoted in \(quotes.joined(separator: " and ")): which one is profit counted in?"
        case .wrongRole(let plugin, let component, let wanted, let has):
            "\"\(plugin)\" (\(component)) is no \(wanted)" + (has.isEmpty ? "" : ", only \(has.joined(separator: " and "))")
        case .plugin(let fault): fault.what
        case .unknownComponent(let id, _, let all):
            all.isEmpty ? "the library has no component \"\(id)\": it has none at all" : "the library has no component \"\(id)\", only \(all.joined(separator: ", "))"
        case .duplicateComponent(let id, let here, let there): "the component \(id) is in two libraries: \(there) and \(here)"
        case .wrongPin(let found): "the library is not the pinned one: its sha256 is \(found)"
        case .notPinned: "the library is not pinned"
        case .needsProcess(let component): "\(component) may only run in a process of its own"
        case .singleTwice(let component, let first): "\(component) allows one instance a process, and \"\(first)\" is one already"
        case .badSchema(let component, let fault): "the plugin's own config_schema is wrong (\(component)): \(fault)"
        case .complaint(let text): "the plugin refuses it: \(text)"
        case .unanswered(let text): "the plugin can't be asked about it: \(text)"
        case .secretNotGranted(let name): "the plugin is not granted the secret \"\(name)\""
        case .secret(let error): error.what
        case .liveSwitchMissing(let found):
            "\"mode\" is \"live\", but LIVE_TRADING is \(found.map { "\"\($0)\"" } ?? "not set") in the environment"
        case .notLive(let broker): "\"mode\" is \"live\", but the endpoints of the broker \"\(broker)\" are not live ones"
        case .liveInPaper(let broker): "the endpoints of the broker \"\(broker)\" are live, but \"mode\" is not"
        case .environmentUnknown(let broker): "the broker \"\(broker)\" doesn't say whether its endpoints are live"
        case .nothingEnabled: "no pipeline is enabled: nothing would run"
        }
    }

    public var hint: String? {
        switch kind {
        case .file(let fault): fault.hint
        case .json(.truncated): "is the file complete? A bracket or quotation mark may be missing before its end"
        case .json(.duplicateName): "keep one of them: only the first would count, and nobody could see that"
        case .issue: asIssue?.hint
        case .offIsNull: "write null"
        case .badNumber: "write a plain decimal with at most 8 decimals, such as \"0.04\""
        case .notADuration: "write a number and a unit: d, h, m, s, ms, us or ns, such as \"8s\", \"15m\", \"1h30m\""
        case .unknownPlugin(_, let near?), .unknownInstrument(_, let near?), .unknownComponent(_, let near?, _): "did you mean \"\(near)\"?"
        case .unknownPlugin: "add it under \"plugins\", or name one that is there"
        case .unknownInstrument: "describe it under \"instruments\", or name one that is there"
        case .disabledPlugin(let name): "enable it (keel plugin enable \(name)), or name another plugin here"
        case .pipelineNameTaken: "give each pipeline a name of its own"
        case .instrumentTaken: "take it out of one of them, or use two broker entries with an account each"
        case .fallbackIsPrimary: "name another decider as fallback, or leave \"fallback\" out"
        case .notInChain: "remove it, or name the decider in \"primary\" or \"fallback\""
        case .currencyUnclear: "say it with \"currency\""
        case .plugin(let fault): fault.hint
        case .duplicateComponent: "an id belongs to one library: remove one of them"
        case .wrongPin: "if you trust the new library, run: keel plugin pin"
        case .notPinned: "run: keel plugin pin"
        case .unanswered: "this is the plugin author's to mend: keel plugin check says more"
        case .needsProcess: "write \"isolation\": \"process\""
        case .singleTwice: "write \"isolation\": \"process\" for one of them"
        case .secretNotGranted(let name): "add \"\(name)\" to the plugin's \"secrets\""
        case .secret(let error): error.hint
        case .liveSwitchMissing: "set LIVE_TRADING=true if you mean real money; otherwise write \"mode\": \"paper\""
        case .notLive: "point the broker at its live endpoints, or write \"mode\": \"paper\""
        case .liveInPaper: "use its test endpoints, or write \"mode\": \"live\" and set LIVE_TRADING=true"
        case .environmentUnknown: "a broker that moves money must say so (keel.describe/1, \"environment\"): ask its author"
        case .nothingEnabled: "write \"enabled\": true in one, or add a pipeline"
        default: nil
        }
    }
}
