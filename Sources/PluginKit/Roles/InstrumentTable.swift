import PluginAPI

/// A state for each instrument a plugin meets. Ids are the host's for one run only, so what is saved goes by symbol.
///
/// Pointers stay valid as long as the table: a hot function may keep the last one it used.
public final class InstrumentTable<State: BitwiseCopyable> {
    private let host: Host
    private let initial: State
    private var places: [String: UnsafeMutablePointer<State>] = [:]
    private var byID: [UInt32: UnsafeMutablePointer<State>] = [:]

    public init(host: Host, initial: State) {
        self.host = host
        self.initial = initial
    }

    deinit {
        for place in places.values { place.deallocate() }
    }

    /// The state of an instrument, a new one if it was never met.
    public func state(of id: UInt32) -> UnsafeMutablePointer<State> {
        if let known = byID[id] { return known }
        let symbol = host.instrument(id)?.symbol ?? "#\(id)"
        let place = place(symbol)
        byID[id] = place
        return place
    }

    private func place(_ symbol: String) -> UnsafeMutablePointer<State> {
        if let known = places[symbol] { return known }
        let place = UnsafeMutablePointer<State>.allocate(capacity: 1)
        place.initialize(to: initial)
        places[symbol] = place
        return place
    }

    /// Every state by its symbol, in the order of the symbols.
    public var all: [(symbol: String, state: State)] {
        places.map { ($0.key, $0.value.pointee) }.sorted { $0.symbol < $1.symbol }
    }

    /// Puts saved states in place of all that are there.
    public func restore(_ states: [(symbol: String, state: State)]) {
        for place in places.values { place.pointee = initial }
        for (symbol, state) in states { place(symbol).pointee = state }
    }
}
