import Glibc
import Synchronization

/// Ends the process at a chosen durable write, for the tests that prove a kill loses nothing. Does nothing unless asked to.
///
/// Durable writes of one process are counted from 1 over all files that share the object: ledger commits, journal syncs,
/// plugin store writes.
public final class LedgerKill: Sendable {
    /// Where in the n-th durable write the process ends.
    public enum Moment: String, Sendable, CaseIterable {
        /// Nothing of it is on disk.
        case before
        /// All of it is on disk, nobody has been told.
        case after
    }

    public static let none = LedgerKill()

    private let moment: Moment
    private let number: Int
    private let count = Atomic<Int>(0)
    private let act: @Sendable () -> Void

    private init() {
        moment = .before
        number = 0
        act = {}
    }

    /// `act` is SIGKILL to this process unless a test wants to watch.
    public init(_ moment: Moment, write number: Int, act: @escaping @Sendable () -> Void = { kill(getpid(), SIGKILL) }) {
        self.moment = moment
        self.number = number
        self.act = act
    }

    /// From "before:7" or "after:7", the form of the variable KEEL_KILL_AT; nil if it is anything else.
    public convenience init?(_ text: String) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, let moment = Moment(rawValue: String(parts[0])), let number = Int(parts[1]), number > 0 else { return nil }
        self.init(moment, write: number)
    }

    /// Durable writes so far.
    public var writes: Int { count.load(ordering: .relaxed) }

    /// A durable write begins; gives its number for the calls that follow.
    @discardableResult
    func begin() -> Int {
        let write = count.add(1, ordering: .relaxed).newValue
        reach(.before, write)
        return write
    }

    func reach(_ point: Moment, _ write: Int) {
        if write == number && point == moment { act() }
    }
}
