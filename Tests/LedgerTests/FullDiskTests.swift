import Foundation
import Glibc
import Testing

@testable import HostCore
@testable import HostLedger

/// A file system of a few megabytes, really full. Needs the right to mount; the tests by file size limit don't.
final class SmallDisk {
    let folder: Folder

    init?(megabytes: Int) {
        guard geteuid() == 0, let made = try? Folder(), SmallDisk.command("mount", ["-t", "tmpfs", "-o", "size=\(megabytes)m", "tmpfs", made.path]) else { return nil }
        folder = made
    }

    deinit { _ = SmallDisk.command("umount", [folder.path]) }

    static let isPossible = SmallDisk(megabytes: 1) != nil

    private static func command(_ name: String, _ arguments: [String]) -> Bool {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = [name] + arguments
        process.standardError = FileHandle.nullDevice
        guard (try? process.run()) != nil else { return false }
        process.waitUntilExit()
        return process.terminationStatus == 0
    }

    /// Takes every byte that is left.
    func fill() {
        let descriptor = open(folder.file("filler"), O_WRONLY | O_CREAT | O_APPEND, 0o600)
        let page = [UInt8](repeating: 1, count: 4096)
        while write(descriptor, page, page.count) == page.count {}
        close(descriptor)
    }

    func empty() { unlink(folder.file("filler")) }
}

@Suite(.enabled(if: SmallDisk.isPossible)) struct FullDiskTests {
    @Test(arguments: [1, 2, 3, 4] as [UInt64])
    func aReallyFullDiskLosesNothing(seed: UInt64) throws {
        let disk = try #require(SmallDisk(megabytes: 8))
        let folder = disk.folder
        let scenario = Scenario(seed: seed, steps: 300)
        var options = Ledger.Options()
        options.reserve = 512 * 1024
        do {
            let ledger = try Ledger(path: folder.file("ledger"), now: Scenario.start, options: options)
            let run = try ledger.begin(Scenario.facts())
            let journal = try JournalWriter(path: folder.file("journal"), run: UInt64(run), created: 0)
            let writer = LedgerWriter(ledger, names: Scenario.names, run: run, started: Scenario.start, journal: journal)
            var halted = 0
            var durableWhileHalted = 0
            for (index, unit) in scenario.units.enumerated() {
                if index == 60 { disk.fill() }
                if index == scenario.units.count - 40 {
                    disk.empty()
                    writer.maintain()
                    #expect(writer.failure == nil && !writer.isOnReserve)
                }
                withUnsafeBytes(of: index) { _ = journal.append(.event, port: 0, time: Int64(index), $0) }
                for record in unit.records { writer.record(record) }
                if unit.barrier {
                    if !writer.barrier() {
                        halted += 1
                        // In the reserve: durable all the same.
                        if writer.waiting == 0 && writer.isOnReserve { durableWhileHalted += 1 }
if case .full = writer.failure {} else { Issue.record("\(String(describing: writer.failure))") }
                    }
                } else {
                    writer.boundary()
                }
            }
            #expect(writer.barrier())
            #expect(halted > 0 && durableWhileHalted > 0)
            #expect(journal.dropped == 0 && journal.failure == nil)
        }
        let ledger = try Ledger(path: folder.file("ledger"), now: Scenario.start, options: options)
        let found = try ledger.restore(Scenario.names)
        #expect(found.state?.sorted == scenario.expected(after: scenario.units.count), "seed \(seed)")
        #expect(found.disagreements == [])
        let journal = try JournalTests.read(folder.file("journal"))
        #expect(journal.ending == .whole)
        #expect(journal.records.map(\.time) == scenario.units.indices.map { Int64($0) })
    }

    @Test func aHostThatStartsOnAFullDiskSaysSo() throws {
        let disk = try #require(SmallDisk(megabytes: 2))
        disk.fill()
        do {
            _ = try Ledger(path: disk.folder.file("ledger"), now: 0)
            Issue.record("a ledger was made on a full disk")
        } catch {
            #expect(error.description.contains("no room") || error.description.contains("disk"), "\(error)")
        }
        disk.empty()
        // Room for the ledger, none for the reserve: it starts, and entries halt.
        let ledger = try Ledger(path: disk.folder.file("ledger"), now: 0)
        let writer = LedgerWriter(ledger, names: Scenario.names, run: try ledger.begin(Scenario.facts()), started: 0)
        #expect(writer.failure == .full(path: ledger.path))
        #expect(!writer.barrier())
    }

    /// A store and a journal on a full disk fail with the right words and go on when there is room.
    @Test func aPluginsPutFailsCleanly() throws {
        let disk = try #require(SmallDisk(megabytes: 2))
        let store = try PluginStore(path: disk.folder.file("plugins"))
        try store.put(instance: "a", key: "k", [1])
        disk.fill()
        let big = [UInt8](repeating: 7, count: 400_000)
        #expect(throws: PluginStore.Failure.failing(.full(path: store.path))) { try store.put(instance: "a", key: "k", big) }
        #expect(try store.get(instance: "a", key: "k") == [1])
        disk.empty()
        try store.put(instance: "a", key: "k", big)
        #expect(try store.get(instance: "a", key: "k") == big)
    }
}
