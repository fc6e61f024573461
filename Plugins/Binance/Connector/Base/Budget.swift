import Glibc
import PluginKit
import Synchronization

/// What a request is for: when the budget runs short, the first in this list still go.
public enum Urgency: Int, Sendable, Comparable {
    case order, cancel, settle, query

    public static func < (a: Urgency, b: Urgency) -> Bool { a.rawValue < b.rawValue }

    /// Hundredths of the budget this may use up.
    var share: Int64 {
        switch self {
        case .order, .cancel: 100
        case .settle: 97
        case .query: 80
        }
    }
}

/// The venue's limits, each counted in windows of the venue's own time.
public enum Pool: Int, Sendable, CaseIterable {
    /// Request weight, by address.
    case weight
    /// Requests of any weight, by address.
    case raw
    /// `/futures/data/...`, by address.
    case research
    /// Funding rates and their settings, by address.
    case funding
    /// New WebSocket connections, by address.
    case connections
    /// Orders, by account: the short and the long window.
    case ordersShort, ordersLong

    var ofAccount: Bool { self == .ordersShort || self == .ordersLong }
}

public struct PoolLimit: Sendable, Equatable {
    public var count: Int64
    public var window: Int64  // milliseconds

    public init(_ count: Int64, every window: Int64) {
        self.count = count
        self.window = window
    }

    /// What holds until the venue's own list is there.
    public static func usual(_ pool: Pool, _ product: Product) -> PoolLimit {
        switch (pool, product) {
        case (.weight, .spot): PoolLimit(6000, every: 60_000)
        case (.weight, .futures): PoolLimit(2400, every: 60_000)
        case (.raw, .spot): PoolLimit(300_000, every: 300_000)
        case (.raw, .futures): PoolLimit(1 << 40, every: 300_000)
        case (.research, _): PoolLimit(1000, every: 300_000)
        case (.funding, _): PoolLimit(500, every: 300_000)
        case (.connections, _): PoolLimit(300, every: 300_000)
        case (.ordersShort, .spot): PoolLimit(50, every: 10_000)
        case (.ordersShort, .futures): PoolLimit(300, every: 10_000)
        case (.ordersLong, .spot): PoolLimit(160_000, every: 86_400_000)
        case (.ordersLong, .futures): PoolLimit(1200, every: 60_000)
        }
    }
}

/// Counters in a small mapped file that every Keel process of this user on this machine shares: one by address, one by account.
/// A word holds a window's number and what was used in it, so that a new window empties it by itself and nobody takes a lock.
public final class Budget {
    private let product: Product
    private let share: Fixed
    private var limits: [PoolLimit]
    private let address: SharedWords
    private let account: SharedWords
    /// Why the counters are this process's alone; nil: they are shared.
    public let problem: String?

    private static let banned = 40
    private static let limited = 41

    /// `folder` nil: counters of this instance alone, for tests and where there is no folder to share.
    public init(folder: String?, name: String, account: String, product: Product, share: Fixed) {
        self.product = product
        self.share = share
        limits = Pool.allCases.map { PoolLimit.usual($0, product) }
        var problem: String?
        func words(_ suffix: String) -> SharedWords {
            guard let folder else { return SharedWords() }
            do throws(PluginError) {
                return try SharedWords(folder: folder, file: "\(name)-\(suffix).budget")
            } catch {
                problem = error.message
                return SharedWords()
            }
        }
        address = words("address")
        self.account = account.isEmpty ? SharedWords() : words(account)
        self.problem = problem
    }

    public func set(_ pool: Pool, _ limit: PoolLimit) {
        if limit.count > 0, limit.window > 0 { limits[pool.rawValue] = limit }
    }

    public func limit(_ pool: Pool) -> PoolLimit { limits[pool.rawValue] }

    private func words(_ pool: Pool) -> SharedWords { pool.ofAccount ? account : address }

    /// Orders and cancels may use all there is; the rest keeps to its share.
    private func allowed(_ pool: Pool, _ urgency: Urgency) -> Int64 {
        let limit = limits[pool.rawValue].count
        if urgency <= .cancel { return max(1, limit) }
        let wide = Int128(limit) * Int128(share.raw) * Int128(urgency.share) / (Int128(Fixed.scale) * 100)
        return max(1, Int64(clamping: wide))
    }

    /// Takes `cost` out of the pool; nil if it was there, otherwise the venue time (ms) from which to try again.
    /// A ban or a limit the venue has spoken out stops everything.
    public func take(_ pool: Pool, _ cost: Int64, _ urgency: Urgency, at time: Int64) -> Int64? {
        if let until = blocked(pool, at: time) { return until }
        if cost <= 0 { return nil }
        let limit = limits[pool.rawValue]
        let window = time / limit.window
        let most = allowed(pool, urgency)
        let free = words(pool).change(pool.rawValue) { word in
            let used = word >> 24 == UInt64(window) ? Int64(word & 0xFF_FFFF) : 0
            let next = used + cost
            // A request dearer than the whole share may go when nothing else has.
            guard next <= most || used == 0 else { return nil }
            return UInt64(window) << 24 | UInt64(min(next, 0xFF_FFFF))
        }
        return free ? nil : (window + 1) * limit.window
    }

    /// What the venue has said stands above our own count, if it is more.
    public func correct(_ pool: Pool, used: Int64, at time: Int64) {
        guard used >= 0 else { return }
        let window = UInt64(time / limits[pool.rawValue].window)
        _ = words(pool).change(pool.rawValue) { word in
            let known = word >> 24 == window ? Int64(word & 0xFF_FFFF) : -1
            return known >= used ? nil : window << 24 | UInt64(min(used, 0xFF_FFFF))
        }
    }

    public func used(_ pool: Pool, at time: Int64) -> Int64 {
        let word = words(pool).read(pool.rawValue)
        return word >> 24 == UInt64(time / limits[pool.rawValue].window) ? Int64(word & 0xFF_FFFF) : 0
    }

    /// 418: nothing at all may be sent until then. 429 with a weight: the same, for a shorter time.
    public func ban(until time: Int64) { raise(address, Budget.banned, time) }

    /// 429, -1003: nothing of this address; -1015: no orders of this account.
    public func hold(_ pool: Pool, until time: Int64) { raise(words(pool), pool.ofAccount ? Budget.limited + 1 : Budget.limited, time) }

    private func raise(_ words: SharedWords, _ place: Int, _ time: Int64) {
        guard time > 0 else { return }
        _ = words.change(place) { $0 >= UInt64(time) ? nil : UInt64(time) }
    }

    /// nil: free. Otherwise the venue time from which this pool may be used again. Orders are also stopped by a ban of the address.
    public func blocked(_ pool: Pool, at time: Int64) -> Int64? {
        var until = max(address.read(Budget.banned), address.read(Budget.limited))
        if pool.ofAccount { until = max(until, account.read(Budget.limited + 1)) }
        let end = Int64(clamping: until)
        // A time far ahead is a file from another age or another clock: three days is the longest ban there is.
        return end > time && end - time <= 4 * 86_400_000 ? end : nil
    }
}

/// 64 words of memory, in a file that others map too, or in this process alone.
final class SharedWords {
    static let count = 64
    private static let mark: UInt64 = 0x6b65_656c_6275_6467
    private let start: UnsafeMutableRawPointer
    private let mapped: Bool
    private var words: UnsafeMutablePointer<Atomic<UInt64>> { start.assumingMemoryBound(to: Atomic<UInt64>.self) }

    init() {
        start = .allocate(byteCount: SharedWords.count * 8, alignment: 64)
        start.initializeMemory(as: UInt64.self, repeating: 0, count: SharedWords.count)
        mapped = false
    }

    /// The folder must be ours alone: whoever can write there could stop our orders.
    init(folder: String, file: String) throws(PluginError) {
        mkdir(folder, 0o700)
        var about = stat()
        guard lstat(folder, &about) == 0, about.st_mode & S_IFMT == S_IFDIR, about.st_uid == geteuid(), about.st_mode & 0o022 == 0 else {
            throw .invalid("budget_folder \(folder) is not a folder that only you can write to")
        }
        let path = folder + "/" + file
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw .invalid("\(path): \(String(cString: strerror(errno)))") }
        defer { close(descriptor) }
        // Growing a file fills it with zeros, which is the empty state; a longer one stays as it is.
        guard fstat(descriptor, &about) == 0, about.st_uid == geteuid(), about.st_size >= SharedWords.count * 8 || ftruncate(descriptor, off_t(SharedWords.count * 8)) == 0
        else { throw .invalid("\(path) is not yours or can't grow") }
        guard let memory = mmap(nil, SharedWords.count * 8, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0), memory != MAP_FAILED else {
            throw .invalid("\(path) can't be mapped: \(String(cString: strerror(errno)))")
        }
        start = memory
        mapped = true
        let last = words + (SharedWords.count - 1)
        let (_, seen) = last.pointee.compareExchange(expected: 0, desired: SharedWords.mark, ordering: .relaxed)
        if seen != 0, seen != SharedWords.mark {
            throw .invalid("\(path) is not a budget file: remove it")
        }
    }

    deinit { if mapped { munmap(start, SharedWords.count * 8) } else { start.deallocate() } }

    func read(_ place: Int) -> UInt64 { words[place].load(ordering: .relaxed) }

    /// Changes a word in one step; nil from `next`: it stays, and the answer is false.
    func change(_ place: Int, _ next: (UInt64) -> UInt64?) -> Bool {
        var old = read(place)
        while true {
            guard let new = next(old) else { return false }
            let (done, seen) = words[place].compareExchange(expected: old, desired: new, ordering: .relaxed)
            if done { return true }
            old = seen
        }
    }
}
