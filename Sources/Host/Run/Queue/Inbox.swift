import Glibc
import PluginAPI
import Synchronization

/// Where an event came from: the index of the instance in this run.
public typealias Source = Int32

/// What came of posting an event.
public enum Posting: Equatable, Sendable {
    case queued
    /// Kept beside the ring, which is full; delivered in order.
    case spilled
    /// The ring is full and the kind may be lost: nothing happened.
    case dropped
}

/// Events from every thread to the engine's thread: a bounded ring of bytes that many may write and one reads.
///
/// A writer claims room with one compare-and-swap, copies, and publishes by storing the record's length. No lock and no
/// allocation unless the ring is full: then quotes are conflated, other lossy kinds are refused, and everything else
/// goes to an unbounded spill that keeps each thread's order.
public final class Inbox: @unchecked Sendable {
    public let bell: Doorbell

    private let ring: UnsafeMutableRawPointer
    private let capacity: Int
    private let mask: Int
    /// Where the next record is claimed; any thread.
    private let tail = Atomic<Int>(0)
    /// First byte not yet read; only the reader writes it.
    private let head = Atomic<Int>(0)

    private let spilling = Atomic<Bool>(false)
    private let overflow = Mutex(Overflow())
    private let lost = Atomic<UInt64>(0)

    // The reader's own state.
    private var taken: [Spilled] = []
    private var takenNext = 0
    /// Ring records up to here come before what was taken from the spill.
    private var barrier = 0
    private var current = Current.none

    private enum Current { case none, ring(Int), spill }

    /// An event with memory of its own; whoever holds it frees it.
    private struct Spilled: @unchecked Sendable {
        var source: Source
        var memory: UnsafeMutableRawPointer

        init(_ event: UnsafePointer<keel_event>, size: Int, source: Source, time: keel_time) {
            self.source = source
            memory = .allocate(byteCount: size, alignment: 8)
            memory.copyMemory(from: event, byteCount: size)
            memory.assumingMemoryBound(to: keel_event.self).pointee.at_host = time
        }
    }

    /// What did not fit into the ring.
    private struct Overflow {
        var records: [Spilled?] = []
        /// Index into `records` of the latest quote of a source and instrument.
        var quotes: [UInt64: Int] = [:]
    }

    /// Record: size in bytes with this header (0: not published yet), source, then the event.
    static let header = 8
    private static let fill: Source = -1

    /// capacity: bytes, a power of two, at least twice the largest event.
    public init(capacity: Int = 1 << 20) {
        precondition(capacity.nonzeroBitCount == 1 && capacity >= 2 * Int(KEEL_EVENT_MAX), "a power of two with room for two events")
        bell = Doorbell()
        self.capacity = capacity
        mask = capacity - 1
        ring = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 64)
        ring.initializeMemory(as: UInt8.self, repeating: 0, count: capacity)
    }

    deinit {
        for record in taken[min(takenNext, taken.count)...] { record.memory.deallocate() }
        overflow.withLock { overflow in
            for record in overflow.records { record?.memory.deallocate() }
        }
        ring.deallocate()
    }

    /// Lossy events refused because the ring was full.
    public var dropped: UInt64 { lost.load(ordering: .relaxed) }

    /// Any thread. Copies the event, stamped with the host's time; never blocks on the reader.
    @discardableResult
    public func post(_ event: UnsafePointer<keel_event>, from source: Source, at time: keel_time) -> Posting {
        let size = Int(event.pointee.size)
        let need = (Inbox.header + size + 7) & ~7
        if !spilling.load(ordering: .acquiring), let offset = claim(need) {
            let record = ring + offset
            let body = record + Inbox.header
            body.copyMemory(from: event, byteCount: size)
            body.assumingMemoryBound(to: keel_event.self).pointee.at_host = time
            publish(at: offset, size: need, source: source)
            bell.ring()
            return .queued
        }
        let posting = spill(event, size: size, from: source, at: time)
        if posting == .dropped { lost.add(1, ordering: .relaxed) } else { bell.ring() }
        return posting
    }

    private func claim(_ need: Int) -> Int? {
        var position = tail.load(ordering: .relaxed)
        while true {
            let free = capacity - (position - head.load(ordering: .acquiring))
            let offset = position & mask
            let toEnd = capacity - offset
            let skip = need > toEnd ? toEnd : 0
            guard need + skip <= free else { return nil }
            let (won, seen) = tail.compareExchange(
                expected: position, desired: position + skip + need, ordering: .acquiringAndReleasing)
            if won {
                guard skip > 0 else { return offset }
                publish(at: offset, size: skip, source: Inbox.fill)
                return 0
            }
            position = seen
        }
    }

    private func word(at offset: Int) -> UnsafeMutablePointer<Atomic<UInt64>> {
        (ring + offset).assumingMemoryBound(to: Atomic<UInt64>.self)
    }

    private func publish(at offset: Int, size: Int, source: Source) {
        let value = UInt64(UInt32(truncatingIfNeeded: size)) | UInt64(UInt32(bitPattern: source)) << 32
        word(at: offset).pointee.store(value, ordering: .releasing)
    }

    /// The slow path: the ring is full, or was and the reader has not caught up.
    private func spill(_ event: UnsafePointer<keel_event>, size: Int, from source: Source, at time: keel_time) -> Posting {
        let kind = event.pointee.kind
        let lossy = (10...29).contains(kind)
        guard !lossy || kind == UInt16(KEEL_EV_QUOTE) else { return .dropped }
        let key = UInt64(UInt32(bitPattern: source)) << 32 | UInt64(event.pointee.instrument)
        return overflow.withLock { overflow in
            let record = Spilled(event, size: size, source: source, time: time)
            if lossy {
                // Only the newest quote of an instrument matters, and its place is the newest one's.
                if let old = overflow.quotes[key] {
                    overflow.records[old]?.memory.deallocate()
                    overflow.records[old] = nil
                }
                overflow.quotes[key] = overflow.records.count
            }
            overflow.records.append(record)
            spilling.store(true, ordering: .releasing)
            return .spilled
        }
    }

    // MARK: the reader

    /// Reader only. Nothing to read now.
    public var isEmpty: Bool {
        takenNext >= taken.count && !spilling.load(ordering: .acquiring)
            && head.load(ordering: .relaxed) == tail.load(ordering: .acquiring)
    }

    /// Reader only. The oldest event, borrowed until `pop`; nil: none.
    public func front() -> (source: Source, event: UnsafePointer<keel_event>)? {
        while true {
            if takenNext < taken.count, head.load(ordering: .relaxed) >= barrier { return spilled() }
            let position = head.load(ordering: .relaxed)
            let offset = position & mask
            let value = word(at: offset).pointee.load(ordering: .acquiring)
            let size = Int(UInt32(truncatingIfNeeded: value))
            if size == 0 {
                if takenNext < taken.count {
                    // A writer below the barrier has claimed and not yet published: its event goes first.
                    sched_yield()
                    continue
                }
                if spilling.load(ordering: .acquiring) {
                    take()
                    continue
                }
                return nil
            }
            let source = Source(bitPattern: UInt32(truncatingIfNeeded: value >> 32))
            if source == Inbox.fill {
                free(offset, size, position)
                continue
            }
            current = .ring(size)
            return (source, UnsafePointer((ring + offset + Inbox.header).assumingMemoryBound(to: keel_event.self)))
        }
    }

    /// Reader only. Gives up what `front` returned.
    public func pop() {
        switch current {
        case .none: break
        case .ring(let size):
            let position = head.load(ordering: .relaxed)
            free(position & mask, size, position)
        case .spill:
            taken[takenNext].memory.deallocate()
            takenNext += 1
            if takenNext >= taken.count {
                taken.removeAll()
                takenNext = 0
            }
        }
        current = .none
    }

    private func spilled() -> (source: Source, event: UnsafePointer<keel_event>)? {
        current = .spill
        let record = taken[takenNext]
        return (record.source, UnsafePointer(record.memory.assumingMemoryBound(to: keel_event.self)))
    }

    private func take() {
        overflow.withLock { overflow in
            taken = overflow.records.compactMap(\.self)
            takenNext = 0
            overflow = Overflow()
            barrier = tail.load(ordering: .acquiring)
            spilling.store(false, ordering: .releasing)
        }
    }

    private func free(_ offset: Int, _ size: Int, _ position: Int) {
        // The next lap's records may start anywhere in here: an unpublished one must read as zero.
        memset(ring + offset, 0, size)
        head.store(position + size, ordering: .releasing)
    }
}
