import HostCore
import PluginAPI

/// What a replay starts from: the first record of every journal.
public struct RunOrigin: Codable, Sendable {
    /// What the engine asks the tables of an instance about, besides calling them.
    public struct PortFacts: Codable, Sendable, Equatable {
        public var name: String
        public var version: String
        public var inline: Bool
        public var channels: UInt64?
        public var silence: Int64?
        public var orderFeatures: UInt64?
        public var replaces: Bool?
        public var wants: UInt64?
        public var barsWanted: UInt32?
        public var observes: Bool?
        public var routes: Bool
        public var isMarket: Bool

        public init(_ port: Port) {
            name = port.name
            version = port.version
            inline = port.inline
            channels = port.feed?.pointee.channels
            silence = port.feed?.pointee.silence
            orderFeatures = port.broker?.pointee.order_features
            replaces = port.broker.map { $0.pointee.replace != nil }
            wants = port.decider?.pointee.wants
            barsWanted = port.decider?.pointee.bars_wanted
            observes = port.decider.map { $0.pointee.observe != nil }
            routes = port.router != nil
            isMarket = port.market != nil
        }
    }

    public var run: UInt32
    /// The run whose state this one restored; nil: the first of its ledger.
    public var follows: UInt32?
    /// The manifest's own bytes: pipelines and instruments are read from it again.
    public var manifest: String
    public var ports: [PortFacts]
    public var checksSkew: Bool
    public var restored: EngineState?

    public init(run: UInt32, follows: UInt32?, manifest: String, ports: [Port], checksSkew: Bool, restored: EngineState?) {
        self.run = run
        self.follows = follows
        self.manifest = manifest
        self.ports = ports.map(PortFacts.init)
        self.checksSkew = checksSkew
        self.restored = restored
    }
}
