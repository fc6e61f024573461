import HostCore
import PluginKit

/// A manifest as read: every default filled in, every name a string still.
public struct Manifest: Sendable, Equatable {
    public enum Mode: String, Sendable, CaseIterable { case paper, live, backtest }

    public var mode = Mode.paper
    /// Folder of ledger, tapes and plugin state; relative to the manifest.
    public var state = "state"
    public var seed: UInt64 = 7
    /// How long journals of earlier runs stay; nil: for ever.
    public var keepJournals: Int64? = 90 * Span.day
    public var secrets = SecretSettings()
    public var plugins: [PluginEntry] = []
    public var instruments: [InstrumentSettings] = []
    /// The enabled ones, in their order.
    public var pipelines: [PipelineSettings] = []
    public var disabledPipelines: [PipelineSettings] = []

    public init() {}

    public func plugin(_ name: String) -> PluginEntry? { plugins.first { $0.name == name } }
    public func instrument(_ symbol: String) -> InstrumentSettings? { instruments.first { $0.symbol == symbol } }
}

/// One entry of "plugins": an instance of a component of a library.
public struct PluginEntry: Sendable, Equatable {
    public enum Isolation: String, Sendable, CaseIterable { case none, process }

    /// The key it stands under.
    public var name: String
    public var component = ""
    /// "Sim": libSim.so of the host's own plugin folder. Anything with a slash or a dot: a path from the manifest's folder.
    public var file = ""
    public var isEnabled = true
    /// nil: none for the host's own plugin folder, process for every other.
    public var isolation: Isolation?
    public var sha256: String?
    /// Names of the secrets it may ask for.
    public var secrets: [String] = []
    /// After a check with a catalogue: with the defaults of the plugin's own schema.
    public var config: JSONValue = [:]

    public init(name: String) { self.name = name }

    /// In the host's own plugin folder.
    public var isBundled: Bool { !file.contains("/") && !file.contains(".") }
}

public struct SecretSettings: Sendable, Equatable {
    /// Holds one 0600 file a secret; relative to the manifest.
    public var folder = "secrets"
    /// Names of environment variables by secret, beside KEEL_SECRET_….
    public var environment: [String: String] = [:]

    public init() {}
}
