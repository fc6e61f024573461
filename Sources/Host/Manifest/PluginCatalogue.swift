import PluginKit

/// What there is to know about plugins without running them in this process. The loader's side implements it; a check
/// without one looks at the manifest alone.
public protocol PluginCatalogue {
    /// What the entry's library offers, or why it can't be used. Asked once for each enabled entry. A library that is not the pinned one, or that
    /// has no pin where it needs one, is refused before any of its code runs.
    func describe(_ entry: PluginEntry, in folder: String, allowsUnpinned: Bool) throws(PluginFault) -> LibraryDescription

    /// What the component's own `check_config` says about a configuration that obeys its schema. Empty: nothing.
    func complaints(about config: JSONValue, of entry: PluginEntry, in folder: String) -> [PluginComplaint]

    /// Where a broker's orders would end up with this configuration: the third of the three switches in front of real money.
    func environment(of entry: PluginEntry, in folder: String) -> BrokerEndpoints
}

extension PluginCatalogue {
    public func complaints(about config: JSONValue, of entry: PluginEntry, in folder: String) -> [PluginComplaint] { [] }
    public func environment(of entry: PluginEntry, in folder: String) -> BrokerEndpoints { .notAsked }
}

public enum BrokerEndpoints: String, Sendable {
    case live, paper
    /// It was asked and didn't say.
    case unknown
    /// It can't be asked before it runs, or asking it came to nothing. The host asks it when it is made, before anything trades.
    case notAsked
}

public struct LibraryDescription: Sendable, Equatable {
    /// Where the library is, resolved.
    public var path: String
    /// Of the library's bytes, 64 lower-case digits.
    public var sha256: String
    /// It lies in the host's own plugin folder.
    public var isBundled: Bool
    public var components: [ComponentDescription]

    public init(path: String, sha256: String, isBundled: Bool, components: [ComponentDescription]) {
        self.path = path
        self.sha256 = sha256
        self.isBundled = isBundled
        self.components = components
    }
}

public struct ComponentDescription: Sendable, Equatable {
    public enum Role: String, Sendable, CaseIterable { case feed, broker, decider, router }

    public var id: String
    public var name: String
    public var vendor: String
    public var version: String
    public var roles: [Role]
    /// Ids of its other interfaces, such as "keel.state/1".
    public var extensions: [String]
    /// KEEL_ORD_* that a broker's submit accepts.
    public var orderFeatures: UInt64
    /// JSON text; empty: no configuration is taken.
    public var configSchema: String
    public var needsProcess: Bool
    public var isSingle: Bool
    public var isInline: Bool
    public var isDeterministic: Bool

    public init(
        id: String, name: String, vendor: String = "", version: String = "", roles: [Role] = [], extensions: [String] = [], orderFeatures: UInt64 = 0,
        configSchema: String = "", needsProcess: Bool = false, isSingle: Bool = false, isInline: Bool = false, isDeterministic: Bool = false
    ) {
        self.id = id
        self.name = name
        self.vendor = vendor
        self.version = version
        self.roles = roles
        self.extensions = extensions
        self.orderFeatures = orderFeatures
        self.configSchema = configSchema
        self.needsProcess = needsProcess
        self.isSingle = isSingle
        self.isInline = isInline
        self.isDeterministic = isDeterministic
    }
}

/// Why a library can't be used: what happened, to what, and what to do.
public struct PluginFault: Error, Sendable, Equatable {
    /// What of the entry it is about.
    public enum Concern: Sendable, Equatable {
        case library
        /// The pin names another library than the one found.
        case wrongPin(found: String)
        case noPin
    }

    public var what: String
    public var hint: String?
    public var concern: Concern

    public init(_ what: String, hint: String? = nil, concern: Concern = .library) {
        self.what = what
        self.hint = hint
        self.concern = concern
    }
}

/// A line of a plugin's own report on its configuration.
public struct PluginComplaint: Sendable, Equatable {
    /// Into the configuration.
    public var path: JSONPath
    public var message: String
    /// It could not be asked: the message says what happened instead.
    public var isUnanswered: Bool

    public init(_ path: JSONPath, _ message: String, isUnanswered: Bool = false) {
        self.path = path
        self.message = message
        self.isUnanswered = isUnanswered
    }
}
