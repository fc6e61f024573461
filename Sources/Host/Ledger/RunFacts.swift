import HostCore
import PluginAPI

/// What is written down about a run before its first record.
public struct RunFacts: Sendable, Equatable {
    public struct Plugin: Sendable, Equatable {
        public var name: String
        public var component: String
        public var version: String
        public var file: String
        public var sha256: String
        public var roles: [String]
        public var isolation: String

        public init(name: String, component: String, version: String, file: String, sha256: String, roles: [String], isolation: String) {
            self.name = name
            self.component = component
            self.version = version
            self.file = file
            self.sha256 = sha256
            self.roles = roles
            self.isolation = isolation
        }
    }

    public var started: Int64
    /// "live", "paper", ...
    public var mode: String
    public var pid: Int32
    /// This program's version.
    public var keel: String
    /// The manifest's path, the hash of its bytes, and the configuration as composed: no secrets, only their names.
    public var manifest: String
    public var manifestHash: String
    public var config: String
    public var seed: UInt64
    /// The journal's file name, beside the ledger; empty: none is kept.
    public var journal: String
    /// In the order of `EnginePlan.ports`.
    public var plugins: [Plugin]
    public var pipelines: [PipelineSettings]
    public var instruments: [InstrumentSettings]

    public init(
        started: Int64, mode: String, pid: Int32, keel: String, manifest: String = "", manifestHash: String = "", config: String = "",
        seed: UInt64 = 0, journal: String = "", plugins: [Plugin], pipelines: [PipelineSettings], instruments: [InstrumentSettings]
    ) {
        self.started = started
        self.mode = mode
        self.pid = pid
        self.keel = keel
        self.manifest = manifest
        self.manifestHash = manifestHash
        self.config = config
        self.seed = seed
        self.journal = journal
        self.plugins = plugins
        self.pipelines = pipelines
        self.instruments = instruments
    }

    /// The names behind the numbers of this run's records.
    public var names: RunNames {
        RunNames(ports: plugins.map(\.name), pipelines: pipelines.map { .init(name: $0.name, broker: $0.broker) }, instruments: instruments.map(\.symbol))
    }
}

/// Translates the numbers of one run (ports, pipelines, instruments) to names and back.
public struct RunNames: Sendable, Equatable {
    public struct Pipeline: Sendable, Equatable {
        public var name: String
        public var broker: String
        public init(name: String, broker: String) {
            self.name = name
            self.broker = broker
        }
    }

    public var ports: [String]
    public var pipelines: [Pipeline]
    /// By instrument id less one.
    public var instruments: [String]

    public init(ports: [String], pipelines: [Pipeline], instruments: [String]) {
        self.ports = ports
        self.pipelines = pipelines
        self.instruments = instruments
    }

    public init(_ plan: EnginePlan) {
        self.init(
            ports: plan.ports.map(\.name), pipelines: plan.pipelines.map { .init(name: $0.name, broker: $0.broker) },
            instruments: plan.instruments.map(\.symbol))
    }

    /// "" for -1: nobody, or no longer there.
    func port(_ index: Int) -> String { ports.indices.contains(index) ? ports[index] : "" }
    func pipeline(_ index: Int) -> String { pipelines.indices.contains(index) ? pipelines[index].name : "" }
    func broker(ofPipeline index: Int) -> String { pipelines.indices.contains(index) ? pipelines[index].broker : "" }
    func symbol(_ id: keel_instrument_id) -> String { id > 0 && Int(id) <= instruments.count ? instruments[Int(id) - 1] : "" }

    func portIndex(_ name: String) -> Int { ports.firstIndex(of: name) ?? -1 }
    func pipelineIndex(_ name: String) -> Int { pipelines.firstIndex { $0.name == name } ?? -1 }
    func instrumentID(_ symbol: String) -> keel_instrument_id { instruments.firstIndex(of: symbol).map { keel_instrument_id($0 + 1) } ?? 0 }
}
