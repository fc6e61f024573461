import CSystem
import Synchronization

/// Wakes the one thread that waits on it. Ringing costs a system call only while that thread sleeps.
public final class Doorbell: @unchecked Sendable {
    /// 1 while the waiter sleeps or is about to; an address of its own, for the kernel.
    private let asleep: UnsafeMutablePointer<Atomic<UInt32>>

    public init() {
        asleep = .allocate(capacity: 1)
        asleep.initialize(to: Atomic(0))
    }

    deinit {
        asleep.deinitialize(count: 1)
        asleep.deallocate()
    }

    private var word: UnsafeMutablePointer<UInt32> {
        UnsafeMutableRawPointer(asleep).assumingMemoryBound(to: UInt32.self)
    }

    /// Any thread. Whatever was published before this call is seen by the waiter.
    public func ring() {
        // Pairs with the fence in `wait`: either the waiter sees what was published, or we see that it sleeps.
        atomicMemoryFence(ordering: .sequentiallyConsistent)
        guard asleep.pointee.load(ordering: .relaxed) == 1,
            asleep.pointee.exchange(0, ordering: .acquiringAndReleasing) == 1
        else { return }
        csystem_futex_wake(word)
    }

    /// The waiting thread only. Sleeps until rung or until `nanoseconds` have passed (nil: no limit), unless `isIdle`
    /// turns false once the bell is armed. May return early.
    public func wait(nanoseconds: Int64?, isIdle: () -> Bool) {
        asleep.pointee.store(1, ordering: .relaxed)
        atomicMemoryFence(ordering: .sequentiallyConsistent)
        if isIdle(), nanoseconds ?? 1 > 0 { csystem_futex_wait(word, 1, nanoseconds ?? -1) }
        asleep.pointee.store(0, ordering: .relaxed)
    }
}
