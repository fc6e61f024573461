import Glibc

/// What a descriptor is watched for or ready for.
public struct Readiness: OptionSet, Sendable {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }
    public static let readable = Readiness(rawValue: 1)
    public static let writable = Readiness(rawValue: 2)
    public static let hangup = Readiness(rawValue: 4)
}

/// The event loop a connection lives on: a plugin's lane, or `PollReactor` in programs and tests.
/// All calls and all handlers happen on that loop's thread.
public protocol Reactor: AnyObject {
    /// Nanoseconds of the loop's clock.
    func now() -> Int64
    /// Calls `handler` whenever the descriptor is ready; replaces an earlier watch of the same descriptor.
    func watch(_ descriptor: Int32, _ interest: Readiness, _ handler: @escaping (Readiness) -> Void)
    func forget(_ descriptor: Int32)
    /// Calls `handler` once after `delay` nanoseconds. The token cancels it.
    func after(_ delay: Int64, _ handler: @escaping () -> Void) -> UInt64
    func cancelTimer(_ token: UInt64)
}

/// A small loop over poll(2) for programs that have no lane: stand-in venues, tools, tests.
public final class PollReactor: Reactor {
    private var watches: [Int32: (interest: Readiness, handler: (Readiness) -> Void)] = [:]
    private var timers: [(at: Int64, token: UInt64, handler: () -> Void)] = []
    private var nextToken: UInt64 = 1

    public init() {}

    public func now() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec)
    }

    public func watch(_ descriptor: Int32, _ interest: Readiness, _ handler: @escaping (Readiness) -> Void) {
        watches[descriptor] = (interest, handler)
    }

    public func forget(_ descriptor: Int32) { watches[descriptor] = nil }

    public func after(_ delay: Int64, _ handler: @escaping () -> Void) -> UInt64 {
        let token = nextToken
        nextToken += 1
        let at = now() &+ max(0, delay)
        let place = timers.firstIndex { $0.at > at } ?? timers.endIndex
        timers.insert((at, token, handler), at: place)
        return token
    }

    public func cancelTimer(_ token: UInt64) { timers.removeAll { $0.token == token } }

    /// Handles what is ready, waiting `most` nanoseconds at the longest.
    public func turn(most: Int64 = 100_000_000) {
        var wait = most
        if let first = timers.first { wait = min(wait, max(0, first.at &- now())) }
        var list = watches.map { descriptor, watch in
            pollfd(
                fd: descriptor,
                events: Int16(watch.interest.contains(.readable) ? POLLIN : 0) | Int16(watch.interest.contains(.writable) ? POLLOUT : 0),
                revents: 0)
        }
        let milliseconds = Int32(clamping: (wait + 999_999) / 1_000_000)
        if poll(&list, nfds_t(list.count), milliseconds) > 0 {
            for entry in list where entry.revents != 0 {
                var ready: Readiness = []
                if entry.revents & Int16(POLLIN) != 0 { ready.insert(.readable) }
                if entry.revents & Int16(POLLOUT) != 0 { ready.insert(.writable) }
                if entry.revents & Int16(POLLHUP | POLLERR | POLLNVAL) != 0 { ready.insert(.hangup) }
                // A handler before this one may have forgotten the descriptor.
                watches[entry.fd]?.handler(ready)
            }
        }
        let time = now()
        while let first = timers.first, first.at <= time {
            timers.removeFirst()
            first.handler()
        }
    }

    /// Turns until `done` or until `limit` nanoseconds have passed; whether it was done.
    @discardableResult
    public func run(limit: Int64 = 10_000_000_000, until done: () -> Bool) -> Bool {
        let end = now() &+ limit
        while !done() {
            if now() >= end { return false }
            turn(most: min(100_000_000, end &- now()))
        }
        return true
    }
}
