import Foundation
import PluginAPI
import PluginKit
import TestSupport
import Testing

@testable import HostPlugins

@Suite struct IsolateFrameTests {
    /// Ten million inputs run with KEEL_FUZZ=10000000; a short run is enough every day.
    @Test func damagedFramesNeverTrap() {
        let count = ProcessInfo.processInfo.environment["KEEL_FUZZ"].flatMap(Int.init) ?? 20_000
        let seed = UInt64.random(in: .min ... .max)
        print("frame fuzz: \(count) inputs, seed \(seed)")
        let outcome = FrameFuzz.run(count: count, seed: seed)
        #expect(outcome.inputs == count)
        // A fuzzer whose inputs never get through would prove nothing.
        #expect(outcome.messages > count / 50 && outcome.events > count / 100, "seed \(seed): \(outcome)")
        #expect(FrameFuzz.run(count: 1000, seed: 7) == FrameFuzz.run(count: 1000, seed: 7))
    }

    @Test func everySampleIsSound() throws {
        var assembler = FrameAssembler(fromWorker: true)
        for frame in FrameFuzz.Samples.frames() {
            try frame.withUnsafeBytes { raw in
                let head = try FrameHeader(raw, fromWorker: true)
                switch try assembler.accept(raw) {
                case .partial: break
                case .inPlace(let head, let payload): _ = try WorkerMessage(head, payload)
                case .assembled(let head, let bytes): _ = try bytes.withUnsafeBytes { try WorkerMessage(head, $0) }
                }
                #expect(throws: FrameFault.direction(head.kind.rawValue)) { try FrameHeader(raw, fromWorker: false) }
            }
        }
    }

    /// Any message cut at any place arrives as it was, with single packets between its parts.
    @Test func longMessagesComeTogether() throws {
        let seed = UInt64.random(in: .min ... .max)
        var random = SeededRandom(seed)
        for _ in 0..<200 {
            let message = (0..<Int.random(in: 2...2000, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
            var assembler = FrameAssembler(fromWorker: true)
            var at = 0
            var result: [UInt8]?
            while at < message.count {
                let end = min(message.count, at + Int.random(in: 1...700, using: &random))
                let part = FrameFuzz.Samples.frame(.reply, Array(message[at..<end]), total: message.count, more: end < message.count)
                try part.withUnsafeBytes { raw in
                    switch try assembler.accept(raw) {
                    case .partial: #expect(end < message.count, "seed \(seed)")
                    case .assembled(_, let bytes): result = bytes
                    case .inPlace(_, let payload): result = Array(payload)
                    }
                }
                at = end
                if at < message.count {
                    try FrameFuzz.Samples.frame(.asked, [1, 0, 0, 0]).withUnsafeBytes { raw in
                        guard case .inPlace = try assembler.accept(raw) else {
                            Issue.record("a single packet was swallowed, seed \(seed)")
                            return
                        }
                    }
                }
            }
            #expect(result == message, "seed \(seed)")
        }
    }

    @Test func headsThatLieAreRefused() {
        func fault(_ change: (inout [UInt8]) -> Void) -> FrameFault? {
            var bytes = FrameFuzz.Samples.frame(.emit, FrameFuzz.Samples.event(UInt16(KEEL_EV_QUOTE)))
            change(&bytes)
            var assembler = FrameAssembler(fromWorker: true)
            return bytes.withUnsafeBytes { raw in
                do throws(FrameFault) {
                    guard case .inPlace(let head, let payload) = try assembler.accept(raw) else { return nil }
                    _ = try WorkerMessage(head, payload)
                    return nil
                } catch { return error }
            }
        }
        #expect(fault { _ in } == nil)
        #expect(fault { $0 = [] } == .short(bytes: 0))
        #expect(fault { $0.removeLast() } == .length(says: 512, has: 511))
        #expect(fault { $0[0] = 0 } == .mark(0x4c45_4500))
        #expect(fault { $0[4] = 200 } == .kind(200))
        #expect(fault { $0[4] = 1 } == .direction(1))
        #expect(fault { $0[6] = 128 } == .flags(128))
        #expect(fault { $0[15] = 0xff } == .total(0xff00_0200))
        #expect(fault { $0[32] = 1; $0[33] = 0 } == .event(.size(kind: 10, says: 1, needs: 40)))
        #expect(fault { $0[32] = 72; $0[33] = 0 } == .payload(kind: .emit, what: "bytes after the event"))
    }

    @Test func instrumentsAndRepliesRoundTrip() throws {
        let host = TestHost()
        var arena = InstrumentArena()
        let record = try #require(host.instrument(1))
        let bytes = InstrumentWire.encode(arena.add(record))
        #expect(try bytes.withUnsafeBytes { try InstrumentWire.decode($0) } == record)
        for length in 0..<bytes.count {
            #expect(throws: FrameFault.self) { try Array(bytes.prefix(length)).withUnsafeBytes { try InstrumentWire.decode($0) } }
        }
        var error = keel_error.empty()
        error.vendor_code = -77
        error.retry_after = 5
        error.setText(String(repeating: "é", count: 200))
        let reply = FrameFuzz.Samples.frame(.reply, WorkerMessage.encodeReply(KEEL_E_RATE, error, [1, 2]))
        var assembler = FrameAssembler(fromWorker: true)
        try reply.withUnsafeBytes { raw in
            guard case .inPlace(let head, let payload) = try assembler.accept(raw), case .reply(9, let read) = try WorkerMessage(head, payload) else {
                Issue.record("no reply")
                return
            }
            #expect(read.status == KEEL_E_RATE && read.error.vendor_code == -77 && read.error.retry_after == 5)
            #expect(read.error.text == error.text)
            #expect(Array(read.bytes) == [1, 2])
        }
    }

    // MARK: events

    /// Every text and list of every kind of event: inside it passes, outside it doesn't. The places come from the layout itself.
    @Test func everyTextAndListIsChecked() {
        let texts: [(UInt32, [Int?])] = [
            (KEEL_EV_DONE, [MemoryLayout<keel_ev_done>.offset(of: \.message)]),
            (KEEL_EV_LINK, [MemoryLayout<keel_ev_link>.offset(of: \.name), MemoryLayout<keel_ev_link>.offset(of: \.message)]),
            (KEEL_EV_SESSION, [MemoryLayout<keel_ev_session>.offset(of: \.message)]),
            (KEEL_EV_VALUE, [MemoryLayout<keel_ev_value>.offset(of: \.name)]),
            (
                KEEL_EV_NEWS,
                [MemoryLayout<keel_ev_news>.offset(of: \.source), MemoryLayout<keel_ev_news>.offset(of: \.title), MemoryLayout<keel_ev_news>.offset(of: \.body)]
            ),
            (KEEL_EV_ORDER, [MemoryLayout<keel_ev_order>.offset(of: \.venue_id), MemoryLayout<keel_ev_order>.offset(of: \.message)]),
            (
                KEEL_EV_FILL,
                [
                    MemoryLayout<keel_ev_fill>.offset(of: \.fee_asset), MemoryLayout<keel_ev_fill>.offset(of: \.fill_id),
                    MemoryLayout<keel_ev_fill>.offset(of: \.venue_id),
                ]
            ),
            (KEEL_EV_BALANCE, [MemoryLayout<keel_ev_balance>.offset(of: \.asset)]),
            (KEEL_EV_FUNDING, [MemoryLayout<keel_ev_funding>.offset(of: \.asset), MemoryLayout<keel_ev_funding>.offset(of: \.payment_id)]),
            (KEEL_EV_ACCOUNT, [MemoryLayout<keel_ev_account>.offset(of: \.asset)]),
            (KEEL_EV_RANK, [MemoryLayout<keel_ev_rank>.offset(of: \.symbol), MemoryLayout<keel_ev_rank>.offset(of: \.list)]),
            (
                KEEL_EV_DECISION,
                [
                    MemoryLayout<keel_ev_decision>.offset(of: \.reason), MemoryLayout<keel_ev_decision>.offset(of: \.memory),
                    MemoryLayout<keel_ev_decision>.offset(of: \.model),
                ]
            ),
        ]
        for (kind, places) in texts {
            for place in places {
                guard let place else {
                    Issue.record("no offset for kind \(kind)")
                    continue
                }
                for (off, len, good) in [(400, 100, true), (512, 0, true), (0, 0, true), (400, 113, false), (513, 0, false), (0, 5, false), (39, 1, false)] {
                    #expect((check(kind, place, off, len) == nil) == good, "kind \(kind) at \(place): \(off) \(len)")
                }
                #expect(check(kind, place, Int(UInt32.max), Int(UInt32.max)) != nil)
            }
        }
        let lists: [(UInt32, Int?, Int)] = [
            (KEEL_EV_DEPTH, MemoryLayout<keel_ev_depth>.offset(of: \.bids), 16), (KEEL_EV_DEPTH, MemoryLayout<keel_ev_depth>.offset(of: \.asks), 16),
            (KEEL_EV_DECISION, MemoryLayout<keel_ev_decision>.offset(of: \.wakes), 16),
            (KEEL_EV_DECISION, MemoryLayout<keel_ev_decision>.offset(of: \.signals), 24),
        ]
        for (kind, place, size) in lists {
            guard let place else {
                Issue.record("no offset for kind \(kind)")
                continue
            }
            let most = (512 - 296) / size
            for (off, count, good) in [(296, most, true), (296, most + 1, false), (300, 1, false), (0, 1, false), (512, 0, true), (520, 0, false)] {
                #expect((check(kind, place, off, count) == nil) == good, "kind \(kind) at \(place): \(off) \(count)")
            }
            #expect(check(kind, place, 296, Int(UInt32.max)) != nil)
        }
    }

    private func check(_ kind: UInt32, _ place: Int, _ first: Int, _ second: Int) -> EventFault? {
        var bytes = FrameFuzz.Samples.event(UInt16(kind))
        // The signal of the sample is in the way of nothing but the list itself.
        bytes.withUnsafeMutableBytes { raw in
            raw.storeBytes(of: UInt32(truncatingIfNeeded: first), toByteOffset: place, as: UInt32.self)
            raw.storeBytes(of: UInt32(truncatingIfNeeded: second), toByteOffset: place + 4, as: UInt32.self)
        }
        return bytes.withUnsafeBytes { EventCheck.fault($0) }
    }

    @Test func aSignalsNameIsCheckedToo() throws {
        var bytes = FrameFuzz.Samples.event(UInt16(KEEL_EV_DECISION))
        #expect(bytes.withUnsafeBytes { EventCheck.fault($0) } == nil)
        bytes[448 + 4] = 200
        bytes[448 + 1] = 2
        #expect(bytes.withUnsafeBytes { EventCheck.fault($0) } == .textOutside(kind: UInt16(KEEL_EV_DECISION), field: "a signal's name"))
    }

    @Test func aChildsOrderIsCheckedToo() {
        var bytes = FrameFuzz.Samples.event(UInt16(KEEL_EV_CHILD))
        #expect(bytes.withUnsafeBytes { EventCheck.fault($0) } == nil)
        bytes[64] ^= 1
        #expect(bytes.withUnsafeBytes { EventCheck.fault($0) } != nil)
        bytes[64] ^= 1
        bytes[44] = 8
        #expect(bytes.withUnsafeBytes { EventCheck.fault($0) } == .childOrder("has 8 bytes, a keel_order has \(MemoryLayout<keel_order>.size)"))
    }

    @Test func bodiesThatAreTooShortAreRefused() {
        for kind in UInt16(0)..<60 where EventCheck.isKnown(kind) {
            var bytes = FrameFuzz.Samples.event(kind)
            bytes.withUnsafeMutableBytes { $0.storeBytes(of: UInt32(40), as: UInt32.self) }
            #expect(bytes.withUnsafeBytes { EventCheck.fault($0) } != nil, "kind \(kind)")
        }
    }

    // MARK: debts

    @Test func debtsKnowWhatIsInDoubt() {
        var debts = Debts()
        for number in UInt64(1)...4 {
            debts.submitted(Probe.order(number << 16))
            debts.add(number, .init(kind: .submit, order: Probe.order(number << 16).id))
        }
        func saw(_ order: UInt64, _ state: UInt32, filled: keel_fixed = 0) {
            var event = keel_ev_order()
            event.order = Probe.order(order).id
            event.state = state
            event.filled = filled
            debts.saw(event)
        }
        saw(1 << 16, KEEL_ORDER_OPEN, filled: 7)
        debts.settle(1)
        saw(2 << 16, KEEL_ORDER_FILLED)
        debts.settle(2)
        saw(3 << 16, KEEL_ORDER_OPEN)
        saw(99 << 16, KEEL_ORDER_OPEN)
        // 1 rests at the venue, 2 is done, 3 is open but its request isn't ended, 4 was never acknowledged.
        #expect(debts.inDoubt().map(\.id.lo) == [3 << 16, 4 << 16])
        debts.add(9, .init(kind: .cancelOrder, order: Probe.order(1 << 16).id))
        #expect(debts.inDoubt().map(\.id.lo) == [1 << 16, 3 << 16, 4 << 16])
        #expect(debts.inDoubt().first?.filled == 7)
        debts.add(10, .init(kind: .sync))
        #expect(debts.takeRequests().map(\.number) == [3, 4, 9, 10])
        #expect(debts.takeRequests().isEmpty)
    }
}
