import Foundation
import PluginAPI
import Testing

@testable import HostRun

/// An event whose instrument and at_source carry what a test wants to find again.
func quote(_ instrument: UInt32 = 1, bid: Int64 = 0, stamp: Int64 = 0) -> keel_ev_quote {
    var quote = keel_ev_quote()
    quote.head.size = UInt32(MemoryLayout<keel_ev_quote>.size)
    quote.head.kind = UInt16(KEEL_EV_QUOTE)
    quote.head.instrument = instrument
    quote.head.at_source = stamp
    quote.bid = bid
    return quote
}

func fill(stamp: Int64, size: Int = MemoryLayout<keel_ev_fill>.size) -> [UInt64] {
    var words = [UInt64](repeating: 0, count: (size + 7) / 8)
    words.withUnsafeMutableBytes { bytes in
        var head = keel_event()
        head.size = UInt32(size)
        head.kind = UInt16(KEEL_EV_FILL)
        head.at_source = stamp
        bytes.storeBytes(of: head, as: keel_event.self)
    }
    return words
}

func withEvent<T, R>(_ value: T, _ body: (UnsafePointer<keel_event>) -> R) -> R {
    withUnsafePointer(to: value) { $0.withMemoryRebound(to: keel_event.self, capacity: 1, body) }
}

func withEvent<R>(_ words: [UInt64], _ body: (UnsafePointer<keel_event>) -> R) -> R {
    words.withUnsafeBytes { body($0.baseAddress!.assumingMemoryBound(to: keel_event.self)) }
}

@Suite struct InboxTests {
    @Test func deliversInOrderAndStampsTheHostsTime() throws {
        let inbox = Inbox()
        for stamp in 1...3 { #expect(withEvent(quote(stamp: Int64(stamp))) { inbox.post($0, from: 7, at: 42) } == .queued) }
        for stamp in 1...3 {
            let item = try #require(inbox.front())
            #expect(item.source == 7)
            #expect(item.event.pointee.at_source == Int64(stamp))
            #expect(item.event.pointee.at_host == 42)
            inbox.pop()
        }
        #expect(inbox.front() == nil)
        #expect(inbox.isEmpty)
    }

    @Test func wrapsAroundManyTimesWithEventsOfEverySize() throws {
        let inbox = Inbox(capacity: 1 << 17)
        var generator = SplitMix(seed: 11)
        var written: Int64 = 0, read: Int64 = 0
        while read < 20_000 {
            for _ in 0..<Int(generator.next() % 40) {
                let size = 96 + Int(generator.next() % 3_000)
                #expect(withEvent(fill(stamp: written, size: size)) { inbox.post($0, from: 0, at: 0) } != .dropped)
                written += 1
            }
            for _ in 0..<Int(generator.next() % 60) {
                guard let item = inbox.front() else { break }
                #expect(item.event.pointee.at_source == read)
                inbox.pop()
                read += 1
            }
        }
    }

    @Test func aFullRingDropsTradesConflatesQuotesAndKeepsFills() throws {
        let inbox = Inbox(capacity: 1 << 17)
        var stamp: Int64 = 0
        while withEvent(fill(stamp: stamp, size: 60_000), { inbox.post($0, from: 0, at: 0) }) == .queued { stamp += 1 }
        // The one that did not fit was kept.
        var trade = keel_ev_trade()
        trade.head.size = UInt32(MemoryLayout<keel_ev_trade>.size)
        trade.head.kind = UInt16(KEEL_EV_TRADE)
        #expect(withEvent(trade) { inbox.post($0, from: 0, at: 0) } == .dropped)
        #expect(inbox.dropped == 1)
        for bid in 1...5 { #expect(withEvent(quote(bid: Int64(bid))) { inbox.post($0, from: 0, at: 0) } == .spilled) }
        #expect(withEvent(quote(2, bid: 9)) { inbox.post($0, from: 0, at: 0) } == .spilled)
        #expect(withEvent(fill(stamp: stamp + 1)) { inbox.post($0, from: 0, at: 0) } == .spilled)

        for expected in 0...stamp {
            let item = try #require(inbox.front())
            #expect(item.event.pointee.at_source == expected)
            inbox.pop()
        }
        var bids: [Int64] = []
        while let item = inbox.front(), item.event.pointee.kind == UInt16(KEEL_EV_QUOTE) {
            bids.append(UnsafeRawPointer(item.event).assumingMemoryBound(to: keel_ev_quote.self).pointee.bid)
            inbox.pop()
        }
        #expect(bids == [5, 9])
        #expect(inbox.front()?.event.pointee.at_source == stamp + 1)
        inbox.pop()
        #expect(inbox.isEmpty)
    }

    @Test func manyWritersLoseNothingAndKeepTheirOrder() throws {
        let inbox = Inbox(capacity: 1 << 17)
        let writers = 4, each: Int64 = 20_000
        let done = DispatchGroup()
        for writer in 0..<writers {
            done.enter()
            Thread.detachNewThread {
                var generator = SplitMix(seed: UInt64(writer))
                for stamp in 0..<each {
                    let size = 96 + Int(generator.next() % 400)
                    _ = withEvent(fill(stamp: stamp, size: size)) { inbox.post($0, from: Source(writer), at: 0) }
                }
                done.leave()
            }
        }
        var next = [Int64](repeating: 0, count: writers)
        var total: Int64 = 0
        while total < each * Int64(writers) {
            guard let item = inbox.front() else {
                inbox.bell.wait(nanoseconds: 1_000_000_000) { inbox.isEmpty }
                continue
            }
            let source = Int(item.source)
            if item.event.pointee.at_source != next[source] {
                Issue.record("writer \(source): got \(item.event.pointee.at_source), expected \(next[source])")
                break
            }
            next[source] += 1
            total += 1
            inbox.pop()
        }
        done.wait()
        #expect(next == [Int64](repeating: each, count: writers))
    }
}

@Suite struct LocalQueueTests {
    @Test func growsAndKeepsOrderWhileBeingRead() {
        let queue = LocalQueue(capacity: 4096)
        let buffer = UnsafeMutableRawPointer.allocate(byteCount: Int(KEEL_EVENT_MAX) + 8, alignment: 8)
        defer { buffer.deallocate() }
        var generator = SplitMix(seed: 5)
        var written: Int64 = 0, read: Int64 = 0
        while read < 5_000 {
            for _ in 0..<Int(generator.next() % 9) {
                withEvent(fill(stamp: written, size: 96 + Int(generator.next() % 2_000))) { queue.append($0, from: 3, at: 0) }
                written += 1
            }
            for _ in 0..<Int(generator.next() % 10) {
                var source: Source = 0
                guard queue.take(into: buffer, source: &source) else { break }
                #expect(source == 3)
                #expect(buffer.assumingMemoryBound(to: keel_event.self).pointee.at_source == read)
                read += 1
            }
        }
    }
}

struct SplitMix {
    var state: UInt64
    init(seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
