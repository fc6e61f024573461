import Foundation
import Testing

@testable import HostCore
@testable import HostLedger

/// What durability costs here. Prints; run with KEEL_LEDGER_FIGURES=1 in a release build:
/// `KEEL_LEDGER_FIGURES=1 KEEL_PARTS=HostLedger,LedgerTests swift test -c release -Xswiftc -enable-testing --filter FigureTests`
@Suite(.enabled(if: ProcessInfo.processInfo.environment["KEEL_LEDGER_FIGURES"] != nil), .serialized) struct FigureTests {
    static func nanoseconds(_ body: () throws -> Void) rethrows -> Double {
        let clock = ContinuousClock()
        let took = try clock.measure(body)
        return Double(took.components.seconds) * 1e9 + Double(took.components.attoseconds) / 1e9
    }

    /// On the disk the program runs on: the temporary folder may be in memory.
    static func folder() throws -> Folder { try Folder() }

    @Test func journal() throws {
        let folder = try FigureTests.folder()
        let writer = try JournalWriter(path: folder.file("j"), run: 1, created: 0)
        let event = [UInt8](repeating: 7, count: 88)
        let count = 3_000_000
        let append = FigureTests.nanoseconds {
            event.withUnsafeBytes { bytes in for index in 0..<count { writer.append(.event, port: 1, time: Int64(index), bytes) } }
        }
        print("journal: \(append / Double(count)) ns an event of \(event.count) bytes, writes to the system included")
        let traced = FigureTests.nanoseconds {
            event.withUnsafeBytes { bytes in for index in 0..<count { writer.effect(.effect(1), port: 1, time: Int64(index), bytes, keep: false) } }
        }
        print("journal: \(traced / Double(count)) ns an effect that is only hashed")
        try writer.sync()
        var syncs: [Double] = []
        for _ in 0..<500 {
            event.withUnsafeBytes { _ = writer.append(.event, port: 1, time: 0, $0) }
            syncs.append(try FigureTests.nanoseconds { try writer.sync() })
        }
        syncs.sort()
        print("journal: sync p50 \(syncs[250] / 1000) us, p99 \(syncs[495] / 1000) us")
        let reader = try JournalReader(path: folder.file("j"))
        var seen = 0
        let read = try FigureTests.nanoseconds { while try reader.next() != nil { seen += 1 } }
        print("journal: \(read / Double(seen)) ns a record read, \(seen) records")
    }

    @Test func commits() throws {
        let folder = try FigureTests.folder()
        let ledger = try WriterTests.open(folder)
        let journal = try JournalWriter(path: folder.file("j"), run: 1, created: 0)
        let scenario = Scenario(seed: 1, steps: 3_000)
        for (name, journalOrNot) in [("ledger alone", nil), ("journal and ledger", journal)] as [(String, JournalWriter?)] {
            let run = try ledger.begin(Scenario.facts())
            let writer = LedgerWriter(ledger, names: Scenario.names, run: run, started: 0, journal: journalOrNot)
            var barriers: [Double] = []
            for unit in scenario.units {
                for record in unit.records {
                    // Ids of this run, so that nothing is a repetition.
                    if case .intent(var intent) = record {
                        intent.order.hi = UInt64(run) << 32 | intent.order.hi & 0xFFFF_FFFF
                        writer.record(.intent(intent))
                    } else if case .order = record {} else if case .fill = record {} else { writer.record(record) }
                }
                if unit.barrier {
                    [1, 2, 3].withUnsafeBytes { _ = journalOrNot?.append(.event, port: 0, time: 0, $0) }
                    barriers.append(FigureTests.nanoseconds { _ = writer.barrier() })
                } else {
                    writer.boundary()
                }
            }
            barriers.sort()
            print("barrier, \(name): p50 \(barriers[barriers.count / 2] / 1000) us, p99 \(barriers[barriers.count * 99 / 100] / 1000) us, \(barriers.count) barriers, longest \(barriers[barriers.count - 1] / 1000) us")
        }
        let run = try ledger.begin(Scenario.facts())
        let writer = LedgerWriter(ledger, names: Scenario.names, run: run, started: 0)
        let records = scenario.units.flatMap(\.records).filter { if case .decision = $0 { true } else { false } }
        var flushes: [Double] = []
        for record in records {
            writer.record(record)
            writer.boundary()
            flushes.append(FigureTests.nanoseconds { writer.flush() })
        }
        flushes.sort()
        print("flush of one decision: p50 \(flushes[flushes.count / 2] / 1000) us, p99 \(flushes[flushes.count * 99 / 100] / 1000) us")
        let many = FigureTests.nanoseconds { for _ in 0..<20 { for record in records { writer.record(record); writer.boundary() } } }
        print("batched decision: \(many / Double(records.count * 20) / 1000) us each")
        let books = (0..<2_000).map { number in
            var book = BookState(pipeline: "btc", symbol: "BTC/USDT")
            book.memory = "\(number)"
            return book
        }
        let states = FigureTests.nanoseconds { for book in books { writer.record(.state(.book(book))); writer.boundary(); writer.flush() } }
        print("flush of one book's state: \(states / 2_000 / 1000) us")
    }

    @Test func start() throws {
        let folder = try FigureTests.folder()
        do {
            let ledger = try WriterTests.open(folder)
            let writer = try WriterTests.writer(ledger)
            for number in 0..<100_000 {
                writer.record(.alert(Alert(time: Int64(number), severity: .info, kind: "x", text: String(repeating: "x", count: 400))))
                if number % 20 == 0 {
                    writer.record(.snapshot(SnapshotRecord(time: 0, pipeline: 0, instrument: 1, sequence: UInt64(number), hi: 1, lo: UInt64(number), bytes: [UInt8](repeating: 3, count: 12_000))))
                }
                writer.boundary()
            }
            _ = writer.barrier()
            ledger.settle()
        }
        let size = try FileManager.default.attributesOfItem(atPath: folder.file("ledger"))[.size] as? Int ?? 0
        let took = try FigureTests.nanoseconds { _ = try Ledger(path: folder.file("ledger"), now: 0).restore(Scenario.names) }
        print("start: \(took / 1e6) ms to open, check and restore a ledger of \(size / 1_000_000) MB")
        let fresh = try FigureTests.nanoseconds { _ = try Ledger(path: folder.file("fresh"), now: 0) }
        print("start: \(fresh / 1e6) ms to make a new one")
    }
}
