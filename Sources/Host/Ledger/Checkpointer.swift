import Dispatch
import Synchronization

/// Moves committed pages from the write-ahead log into the ledger file, on a thread and a connection of its own, so that
/// no commit ever waits for it.
final class Checkpointer: Sendable {
    private let path: String
    private let queue = DispatchQueue(label: "keel.ledger.checkpoint", qos: .utility)
    private let isQueued = Atomic<Bool>(false)

    init(path: String) { self.path = path }

    /// Soon, once: calls while one waits are folded into it.
    func request() {
        guard !isQueued.exchange(true, ordering: .acquiringAndReleasing) else { return }
        queue.async { [self] in
            isQueued.store(false, ordering: .releasing)
            // A failure changes nothing: the log stays as it is and the next request tries again.
            guard let database = try? Database(path: path, mode: .readWrite, busyMilliseconds: 100) else { return }
            _ = try? database.integer("PRAGMA wal_checkpoint(PASSIVE)")
        }
    }

    /// Returns when none is running.
    func wait() { queue.sync {} }
}
