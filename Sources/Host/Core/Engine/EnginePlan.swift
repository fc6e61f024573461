import PluginAPI
import PluginKit

/// Everything an engine is made of, names still unresolved. An instrument's id is its index plus one.
public struct EnginePlan {
    /// Number of this run, from the ledger: part of every order id, so it never repeats.
    public var run: UInt32
    public var ports: [Port]
    public var instruments: [InstrumentSettings]
    public var pipelines: [PipelineSettings]
    /// Instruments an inline venue and every clock agree on need no skew check; live runs leave it on.
    public var checksSkew: Bool

    public init(run: UInt32, ports: [Port], instruments: [InstrumentSettings], pipelines: [PipelineSettings], checksSkew: Bool = true) {
        self.run = run
        self.ports = ports
        self.instruments = instruments
        self.pipelines = pipelines
        self.checksSkew = checksSkew
    }

    public func instrumentID(_ symbol: String) -> keel_instrument_id? {
        instruments.firstIndex { $0.symbol == symbol }.map { keel_instrument_id($0 + 1) }
    }
}

/// Why an engine could not be made: always the plan's fault, never retried.
public enum EngineError: Error, Equatable, Sendable, CustomStringConvertible {
    case unknownPlugin(pipeline: String, role: String, name: String)
    case missingRole(pipeline: String, role: String, name: String)
    case unknownInstrument(pipeline: String, symbol: String)
    case tooMany(String, limit: Int)
    case repeated(String)
    case invalid(pipeline: String, what: String)
    /// The state to restore speaks of something this engine cannot hold.
    case unusableState(String)

    public var description: String {
        switch self {
        case .unknownPlugin(let pipeline, let role, let name): "pipeline \(pipeline): \(role) \"\(name)\" is not among the plugins"
        case .missingRole(let pipeline, let role, let name): "pipeline \(pipeline): \"\(name)\" does not serve the role \(role)"
        case .unknownInstrument(let pipeline, let symbol): "pipeline \(pipeline): instrument \"\(symbol)\" is not described"
        case .tooMany(let what, let limit): "too many \(what): at most \(limit)"
        case .repeated(let what): "\(what) appears twice"
        case .invalid(let pipeline, let what): "pipeline \(pipeline): \(what)"
        case .unusableState(let what): "the saved state cannot be used: \(what)"
        }
    }
}

/// What an operator, a signal or the shell tells the engine.
public enum Command: Sendable, Equatable {
    /// The kill switch: no entries, open entry orders cancelled; protective exits pass.
    case kill(Bool)
    /// Close every position at the market and cancel everything else; nil: every pipeline.
    case flatten(pipeline: String?)
    case resetBreaker(pipeline: String)
    /// Closed: nobody is asked and nothing is entered; exits, fills and the safety layer go on.
    case closeGate
    case openGate
    /// Ask every broker for its truth again.
    case sync
    case cancel(OrderID)
    case replace(OrderID, quantity: Fixed, limit: Fixed)
    /// The last one: closes the gate, cancels what is being asked, records where everything stands.
    case stop
}
