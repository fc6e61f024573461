/// Why a backtest cannot run. Never a matter of the market or the strategy: those are in the result.
public enum BacktestError: Error, Equatable, Sendable, CustomStringConvertible {
    case noPipeline(wanted: String, known: [String])
    case noTape
    /// A pipeline's instrument that no tape has.
    case instrumentMissing(symbol: String, tapes: [String])
    case empty(from: String, to: String)
    /// A decider that needs the network, real time or chance.
    case notDeterministic(plugin: String, component: String, hint: String)
    case notInline(plugin: String, role: String, component: String)
    case noVenue(broker: String)
    case plugin(name: String, what: String)
    case engine(String)
    case change(String, what: String)
    case mixedCurrencies([String])
    case stopped

    /// It could be run and must not be: the answers would not be what they claim.
    public var isRefusal: Bool {
        switch self {
        case .notDeterministic, .notInline, .noVenue: true
        default: false
        }
    }

    public var description: String {
        switch self {
        case .noPipeline(let wanted, let known):
            wanted.isEmpty
                ? "the manifest has no enabled pipeline" : "there is no enabled pipeline \"\(wanted)\"; there are: \(known.isEmpty ? "none" : known.joined(separator: ", "))"
        case .noTape: "no tape is given: --tape FILE. keel data import makes one of CSV files, keel data synth makes one up"
        case .instrumentMissing(let symbol, let tapes):
            "\(symbol) is traded by a pipeline and on no tape; the tapes have \(tapes.isEmpty ? "no instrument" : tapes.joined(separator: ", ")). Map one with --map \(symbol)=NAME-ON-TAPE"
        case .empty(let from, let to): "no tape has an event from \(from) to \(to)"
        case .notDeterministic(let plugin, let component, let hint):
            "decider \"\(plugin)\" (\(component)) can't be backtested: its answers come from outside or differ from call to call. \(hint)"
        case .notInline(let plugin, let role, let component):
            "\(role) \"\(plugin)\" (\(component)) can't take part in a backtest: it is not marked inline and deterministic, so it may wait for the world outside"
        case .noVenue(let broker):
            "broker \"\(broker)\" is a real venue, and no simulated one is there to stand in for it: add the component keel.sim to the plugins, or name one with --venue"
        case .plugin(let name, let what): "plugin \"\(name)\": \(what)"
        case .engine(let what): what
        case .change(let path, let what): "--set \(path): \(what)"
        case .mixedCurrencies(let all): "the pipelines count in different currencies (\(all.joined(separator: ", "))): backtest them one by one with --pipeline"
        case .stopped: "stopped before its end"
        }
    }
}
