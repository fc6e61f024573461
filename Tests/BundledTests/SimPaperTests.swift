import Foundation
import PluginAPI
import PluginKit
import PluginSupport
import Testing

/// A venue that outlives its host.
@Suite struct SimPaperTests {
    final class Folder {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("keel-sim-\(UUID().uuidString)").path
        init() throws { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) }
        deinit { try? FileManager.default.removeItem(atPath: path) }
        var file: String { "\(path)/venue" }
    }

    func venue(_ folder: Folder, _ more: String = "", host: TestHost? = nil, firstID: UInt64 = 0) throws -> TestVenue {
        try TestVenue(
            #"{"fill": "this-tick", "durable": false, "updates": false, "file": "\#(folder.file)"\#(more)}"#, host: host, firstID: firstID)
    }

    /// A day that leaves something of everything behind.
    func day(_ venue: TestVenue) throws {
        venue.trade("100")
        try venue.send(.market, .buy, "2")
        try venue.send(.limit, .buy, "1", limit: "90")
        try venue.send(.limit, .buy, "1", limit: "80")
        try venue.send([.stop, .reduceOnly], .sell, "2", trigger: "70")
        try venue.cancel(3)
        venue.trade("105")
    }

    @Test func aKilledHostFindsEverythingAgain() throws {
        let folder = try Folder()
        var before: JSONValue = .null
        do {
            let venue = try venue(folder)
            try day(venue)
            before = try venue.instance.describe()
            // No stop: the process is simply gone.
        }
        let again = try venue(folder, firstID: 10)
        let after = try again.instance.describe()
        for part in ["orders", "fills", "balances", "orders_taken", "trades_made"] { #expect(after.find(part) == before.find(part), "\(part)") }
        let told = try again.sync()
        #expect(told.allSatisfy { $0.isSnapshot || $0.done != nil } && told.dones == [KEEL_OK] && told.last?.done != nil)
        let open = told.compactMap(\.order).filter { $0.state == KEEL_ORDER_OPEN }
        #expect(open.map(\.order.lo) == [again.id(2).lo, again.id(4).lo])
        #expect(told.fillQuantities == ["2"])
        #expect(told.compactMap(\.position).map { Amount($0.qty).description } == ["2", "0"])
        // The orders still work, and their ids are still taken.
        #expect(#expect(throws: Refusal.self) { try again.send(.market, .buy, "1", id: 1) }?.status == KEEL_E_DUPLICATE)
        #expect(#expect(throws: Refusal.self) { try again.send(.market, .buy, "1", id: 3) }?.status == KEEL_E_DUPLICATE)
        #expect(again.trade("89.9").fillPrices == ["90"])
        #expect(again.trade("69").fillPrices == ["69"])
        #expect(try again.position() == "1")
    }

    @Test func anOrderOnItsWayArrivesAfterTheHostDied() throws {
        let folder = try Folder()
        let host = TestHost()
        do {
            let venue = try venue(folder, #", "latency": "1s""#, host: host)
            venue.trade("100")
            try venue.send(.market, .buy, "1")
        }
        host.timers = []
        let again = try venue(folder, #", "latency": "1s""#, host: host, firstID: 5)
        again.trade("101", after: 2_000_000_000)
        #expect(try again.position() == "1")
    }

    @Test func aTornEndIsCutAndNothingBefore() throws {
        let folder = try Folder()
        let venue = try venue(folder)
        venue.trade("100")
        var sizes: [Int] = [try size(folder)]
        var states: [JSONValue] = [try venue.instance.describe()]
        for _ in 0..<3 {
            try venue.send(.market, .buy, "1")
            sizes.append(try size(folder))
            states.append(try venue.instance.describe())
        }
        venue.instance.destroy()
        let whole = try Data(contentsOf: URL(fileURLWithPath: folder.file))
        for cut in stride(from: sizes[0], through: whole.count, by: 7) {
            try whole.prefix(cut).write(to: URL(fileURLWithPath: folder.file))
            let again = try self.venue(folder)
            let last = sizes.lastIndex { $0 <= cut } ?? 0
            let described = try again.instance.describe()
            #expect(described["fills"].found == states[last]["fills"].found, "cut at \(cut)")
            if last > 0 { #expect(described["balances"].found == states[last]["balances"].found) }
            again.instance.destroy()
        }
    }

    private func size(_ folder: Folder) throws -> Int {
        try Data(contentsOf: URL(fileURLWithPath: folder.file)).count
    }

    @Test func damageInTheMiddleIsNotCutAway() throws {
        let folder = try Folder()
        do { try day(try venue(folder)) }
        var bytes = try Data(contentsOf: URL(fileURLWithPath: folder.file))
        bytes[60] ^= 4
        try bytes.write(to: URL(fileURLWithPath: folder.file))
        let refusal = #expect(throws: Refusal.self) { try venue(folder) }
        #expect(refusal?.message.contains("damaged") == true)
        // Nothing was thrown away while finding out.
        #expect(try Data(contentsOf: URL(fileURLWithPath: folder.file)) == bytes)
    }

    @Test func twoVenuesNeverShareAFile() throws {
        let folder = try Folder()
        let first = try venue(folder)
        #expect(#expect(throws: Refusal.self) { try venue(folder) }?.message.contains("in use") == true)
        withExtendedLifetime(first) {}
    }

    @Test func somethingElseIsNotOverwritten() throws {
        let folder = try Folder()
        try "my shopping list, which is long enough".write(toFile: folder.file, atomically: true, encoding: .utf8)
        #expect(#expect(throws: Refusal.self) { try venue(folder) }?.message.contains("not a paper venue's file") == true)
    }

    @Test func theFileIsCompactedAndLosesNothing() throws {
        let folder = try Folder()
        var before: JSONValue = .null
        var last = 0
        var shrank = false
        do {
            let venue = try venue(folder)
            venue.trade("100")
            for round in 0..<4000 {
                try venue.send(.market, round % 2 == 0 ? .buy : .sell, "1")
                if round % 20 == 0 {
                    let now = try size(folder)
                    if now < last { shrank = true }
                    last = now
                }
            }
            before = try venue.instance.describe()
        }
        #expect(shrank)
        let again = try venue(folder)
        #expect(try again.instance.describe() == before)
        #expect(try before["fills"].list.count == 4000)
    }

    @Test func savedStateIsTheSameVenue() throws {
        let first = try TestVenue(#"{"fill": "this-tick", "updates": false, "keep": true}"#)
        try day(first)
        try first.instance.stop()
        let saved = try first.instance.save()
        #expect(try first.instance.save() == saved)
        let second = try TestVenue(#"{"fill": "this-tick", "updates": false, "keep": true}"#, start: false)
        try second.instance.load(saved, version: 1)
        #expect(try second.instance.describe() == first.instance.describe())
        #expect(try second.instance.save() == saved)
        #expect(#expect(throws: Refusal.self) { try second.instance.load(saved, version: 2) }?.status == KEEL_E_UNSUPPORTED)
        try second.instance.start()
        #expect(second.trade("89.9").fillPrices == ["90"])
    }

    @Test func brokenStatesAreRefusedAndChangeNothing() throws {
        let first = try TestVenue(#"{"fill": "this-tick", "updates": false, "keep": true}"#)
        try day(first)
        try first.instance.stop()
        let saved = try first.instance.save()
        let second = try TestVenue(#"{"fill": "this-tick", "updates": false, "keep": true}"#, start: false)
        let fresh = try second.instance.describe()
        var random = Seeded(3)
        for length in stride(from: 0, to: saved.count, by: 13) {
            #expect(throws: Refusal.self) { try second.instance.load(Array(saved[..<length]), version: 1) }
        }
        for _ in 0..<200 {
            var bytes = saved
            bytes[Int.random(in: 0..<bytes.count, using: &random)] ^= UInt8(1 << Int.random(in: 0..<8, using: &random))
            #expect(throws: Refusal.self) { try second.instance.load(bytes, version: 1) }
        }
        #expect(try second.instance.describe() == fresh)
        try second.instance.load(saved, version: 1, chunk: 1)
        #expect(try second.instance.describe() == first.instance.describe())
    }
}
