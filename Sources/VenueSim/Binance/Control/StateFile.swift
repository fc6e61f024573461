import Foundation
import Glibc
import PluginKit

// Everything that must outlive the process, as one JSON file. What is a pure function of seed and time (the past before the start, the
// price the house believes in) is not in it.

struct ListingState: Codable {
    var book: Book
    var tape: Tape
    var shift: Int64
    var status: String
    var houseIsOpen: Bool
    /// Seconds, minutes, hours, days: the bars since the start, each a list of numbers.
    var bars: [[[Int128]]]
}

struct AccountState: Codable {
    var name: String
    var apiKey: String
    var spot: [String: Balance]
    var spotUpdated: Int64
    var futures: FuturesAccount
    var rates: [Int64]
}

struct SpotState: Codable {
    var orders: [SpotOrder]
    var lists: [OrderList]
    var fills: [Int: [SpotFill]]
    var byClient: [String: Int64]
    var waiting: [String: [Int64]]
    var next: [Int64]
    var house: [String: Int128]
    var fees: [String: Int128]
    var listings: [String: ListingState]
}

struct FuturesState: Codable {
    var orders: [FuturesOrder]
    var algos: [AlgoOrder]
    var fills: [Int: [FuturesFill]]
    var byClient: [String: Int64]
    var byAlgoClient: [String: Int64]
    var next: [Int64]
    /// House cash, fees, funding, insurance.
    var sums: [Int128]
    var houseHolds: [String: Int64]
    var fundingRates: [String: [Int64: Int64]]
    var listings: [String: ListingState]
}

struct ExchangeState: Codable {
    static let current = 1
    var version = current
    var seed: UInt64
    var start: Int64
    var past: Past
    var now: Int64
    var accounts: [AccountState]
    var spot: SpotState
    var futures: FuturesState
}

enum StateError: Error, CustomStringConvertible {
    case unreadable(String, String)
    case version(String, Int)
    case accounts(String)
    case unwritable(String, String)

    var description: String {
        switch self {
        case .unreadable(let path, let why): "\(path) can't be read as a state file: \(why). Move it away to begin anew"
        case .version(let path, let found): "\(path) is of version \(found), this program writes \(ExchangeState.current). Move it away to begin anew"
        case .accounts(let path): "\(path) was written with other accounts. Give the same --accounts, or move it away to begin anew"
        case .unwritable(let path, let why): "\(path) can't be written: \(why)"
        }
    }
}

extension Candle {
    var numbers: [Int128] {
        [Int128(open), Int128(first), Int128(high), Int128(low), Int128(last), volume, quote, Int128(trades), takerVolume, takerQuote, Int128(firstID), Int128(lastID)]
    }

    init?(numbers: [Int128]) {
        guard numbers.count == 12 else { return nil }
        func small(_ place: Int) -> Int64 { Int64(clamping: numbers[place]) }
        self.init(open: small(0), price: small(1))
        (high, low, last, volume, quote, trades) = (small(2), small(3), small(4), numbers[5], numbers[6], small(7))
        (takerVolume, takerQuote, firstID, lastID) = (numbers[8], numbers[9], small(10), small(11))
    }
}

extension Listing {
    func state(since start: Int64) -> ListingState {
        ListingState(book: book, tape: tape.recent(2_000), shift: shift, status: status, houseIsOpen: houseIsOpen, bars: candles.saved(since: start))
    }

    func restore(_ state: ListingState) {
        (book, tape, shift, status, houseIsOpen) = (state.book, state.tape, state.shift, state.status, state.houseIsOpen)
        candles.restore(state.bars)
    }
}

extension Exchange {
    var state: ExchangeState {
        ExchangeState(
            seed: settings.seed, start: settings.start, past: settings.past, now: now,
            accounts: accounts.map {
                AccountState(
                    name: $0.name, apiKey: $0.apiKey, spot: $0.spot, spotUpdated: $0.spotUpdated, futures: $0.futures,
                    rates: [$0.makerRate, $0.takerRate, $0.futuresMakerRate, $0.futuresTakerRate])
            }, spot: spot.state(since: settings.start), futures: futures.state(since: settings.start))
    }

    /// Puts a saved state into an exchange made with the same seed and start. false: other accounts.
    func restore(_ state: ExchangeState) -> Bool {
        guard state.accounts.map(\.apiKey) == accounts.map(\.apiKey) else { return false }
        for (account, saved) in zip(accounts, state.accounts) {
            (account.spot, account.spotUpdated, account.futures) = (saved.spot, saved.spotUpdated, saved.futures)
            if saved.rates.count == 4 {
                (account.makerRate, account.takerRate, account.futuresMakerRate, account.futuresTakerRate) = (saved.rates[0], saved.rates[1], saved.rates[2], saved.rates[3])
            }
        }
        spot.restore(state.spot)
        futures.restore(state.futures, now: state.now)
        resume(at: state.now)
        return true
    }
}

extension SpotEngine {
    func state(since start: Int64) -> SpotState {
        SpotState(
            orders: orders.values.sorted { $0.id < $1.id }, lists: lists.values.sorted { $0.id < $1.id }, fills: fills, byClient: byClient, waiting: waiting,
            next: [nextOrder, nextList, nextExecution, nextPrevented], house: house, fees: fees, listings: listings.mapValues { $0.state(since: start) })
    }

    func restore(_ state: SpotState) {
        orders = Dictionary(state.orders.map { ($0.id, $0) }, uniquingKeysWith: { $1 })
        lists = Dictionary(state.lists.map { ($0.id, $0) }, uniquingKeysWith: { $1 })
        open = Set(state.orders.filter { $0.status.isOpen }.map(\.id))
        (fills, byClient, waiting, house, fees) = (state.fills, state.byClient, state.waiting, state.house, state.fees)
        if state.next.count == 4 { (nextOrder, nextList, nextExecution, nextPrevented) = (state.next[0], state.next[1], state.next[2], state.next[3]) }
        for (name, saved) in state.listings { listings[name]?.restore(saved) }
    }
}

extension FuturesEngine {
    func state(since start: Int64) -> FuturesState {
        FuturesState(
            orders: orders.values.sorted { $0.id < $1.id }, algos: algos.values.sorted { $0.id < $1.id }, fills: fills, byClient: byClient, byAlgoClient: byAlgoClient,
            next: [nextOrder, nextAlgo, nextIncome], sums: [houseCash, fees, funding, insurance], houseHolds: houseHolds, fundingRates: fundingRates,
            listings: listings.mapValues { $0.state(since: start) })
    }

    func restore(_ state: FuturesState, now: Int64) {
        orders = Dictionary(state.orders.map { ($0.id, $0) }, uniquingKeysWith: { $1 })
        algos = Dictionary(state.algos.map { ($0.id, $0) }, uniquingKeysWith: { $1 })
        open = Set(state.orders.filter { $0.status.isOpen }.map(\.id))
        openAlgos = Set(state.algos.filter { $0.status == "NEW" }.map(\.id))
        (fills, byClient, byAlgoClient, houseHolds, fundingRates) = (state.fills, state.byClient, state.byAlgoClient, state.houseHolds, state.fundingRates)
        if state.next.count == 3 { (nextOrder, nextAlgo, nextIncome) = (state.next[0], state.next[1], state.next[2]) }
        if state.sums.count == 4 { (houseCash, fees, funding, insurance) = (state.sums[0], state.sums[1], state.sums[2], state.sums[3]) }
        for (name, saved) in state.listings { listings[name]?.restore(saved) }
        resumeFunding(at: now)
    }
}

enum StateFile {
    static func read(_ path: String) throws(StateError) -> ExchangeState? {
        guard FileManager.default.fileExists(atPath: path) else { return nil }
        guard let data = FileManager.default.contents(atPath: path) else { throw .unreadable(path, String(cString: strerror(errno))) }
        let state: ExchangeState
        do { state = try JSONDecoder().decode(ExchangeState.self, from: data) } catch { throw .unreadable(path, "\(error)") }
        guard state.version == ExchangeState.current else { throw .version(path, state.version) }
        return state
    }

    /// Beside it first, then moved over it: a reader never finds half a file.
    static func write(_ state: ExchangeState, _ path: String) throws(StateError) {
        do {
            let encoder = JSONEncoder()
            encoder.outputFormatting = .sortedKeys
            try encoder.encode(state).write(to: URL(fileURLWithPath: path), options: .atomic)
        } catch {
            throw .unwritable(path, "\(error)")
        }
    }
}
