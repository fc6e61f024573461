import PluginAPI
import PluginKit
import Testing

@testable import HostCore
@testable import HostLedger

/// A whole trade told by hand, times included, and its refused sister.
@Suite struct ExplainTests {
    static let t = Scenario.start
    static let entry = OrderID(run: 1, pipeline: 0, instrument: 0, sequence: 7, leg: .entry)
    static let exit = OrderID(run: 1, pipeline: 0, instrument: 0, sequence: 9, leg: .exit)

    static func snapshotBytes() -> [UInt8] {
        var block = keel_snapshot()
        block.struct_size = UInt32(MemoryLayout<keel_snapshot>.size)
        block.size = block.struct_size
        block.last = 50_000 * 100_000_000
        block.bid = 49_999 * 100_000_000
        block.ask = 50_001 * 100_000_000
        block.equity = Amount(raw: 10_000 * 100_000_000).c
        block.max_fraction = 10_000_000
        block.kelly_cap = 2_500_000
        block.price_z = -3.256
        block.volume_z = .nan
        block.regime = KEEL_REGIME_VOLATILE
        return withUnsafeBytes(of: block) { [UInt8]($0) }
    }

    static func decision(_ sequence: UInt64, at time: Int64, decider: Int, outcome: DecisionRecord.Outcome, order: OrderID, reason: String) -> LedgerRecord {
        .decision(DecisionRecord(
            time: time, pipeline: 0, instrument: 1, sequence: sequence, decider: decider, request: sequence, asked: t + Int64(sequence) * 1_000_000_000,
            snapshotHi: 0xABCD, snapshotLo: sequence, purpose: KEEL_PURPOSE_ENTRY, gate: KEEL_GATE_CANDLE | KEEL_GATE_PRICE_Z, action: KEEL_ACT_BUY,
            fraction: Fixed(raw: 5_000_000), quantity: .zero, confidence: Fixed(raw: 72_500_000), exitProbability: Fixed(raw: -1), nextCheck: 300_000_000_000,
            validUntil: 0, cost: Amount(raw: 1_230_000), tokensIn: 900, tokensCached: 0, tokensOut: 45, fromRecord: false, outcome: outcome, order: order,
            reason: reason, memory: "", model: "claude", signals: [.init(name: "trend", confidence: Fixed(raw: 80_000_000), direction: 1)], wakes: []))
    }

    static func order(_ id: OrderID, _ status: OrderStatus, filled: Int64, at time: Int64, role: OrderRole = .entry, why: ExitReason? = nil) -> OrderState {
        var order = OrderState(
            restoring: id, pipeline: 0, instrument: 1, broker: 0, role: role, status: status, side: role == .entry ? KEEL_BUY : KEEL_SELL,
            features: role == .entry ? KEEL_ORD_LIMIT | KEEL_ORD_IOC : KEEL_ORD_MARKET, quantity: Fixed(raw: 1_000_000),
            limit: role == .entry ? Fixed(raw: 50_005 * 100_000_000) : .zero, trigger: .zero, why: why, decision: role == .entry ? 7 : 0, created: t, changed: time)
        order.filled = Fixed(raw: filled)
        order.reported = order.filled
        order.notional = Amount(raw: Int128(filled) * 50_000)
        return order
    }

    static func intent(_ id: OrderID, at time: Int64, role: OrderRole) -> LedgerRecord {
        let shape = order(id, .intended, filled: 0, at: time, role: role)
        return .intent(IntentRecord(
            time: time, pipeline: 0, instrument: 1, order: id, replaces: .none, broker: 0, role: role, side: shape.side, features: shape.features,
            quantity: shape.quantity, limit: shape.limit, trigger: .zero, notAfter: 0, decision: shape.decision))
    }

    static func fill(_ id: OrderID, _ key: UInt64, quantity: Int64, price: Int64, at time: Int64, side: UInt32, profit: Int128 = 0) -> LedgerRecord {
        .fill(FillRecord(
            time: time, atSource: time - 2_000_000, pipeline: 0, instrument: 1, order: id, side: side, quantity: Fixed(raw: quantity), price: Fixed(raw: price * 100_000_000),
            fee: Amount(raw: 25_000_000), liquidity: KEEL_LIQUIDITY_TAKER, key: FillKey(hi: 1, lo: key), profit: Amount(raw: profit), feeAsset: "USDT",
            fillID: "T\(key)", venueID: "8389765"))
    }

    static func ledger(_ folder: Folder) throws -> LedgerReader {
        let ledger = try WriterTests.open(folder)
        let writer = try WriterTests.writer(ledger)
        let second: Int64 = 1_000_000_000
        let ms: Int64 = 1_000_000
        let records: [LedgerRecord] = [
            // Refused: the sixth ask.
            .snapshot(SnapshotRecord(time: t + 6 * second, pipeline: 0, instrument: 1, sequence: 6, hi: 0xABCD, lo: 6, bytes: [])),
            decision(6, at: t + 6 * second + 40 * ms, decider: 1, outcome: .refused, order: .none, reason: "breakout"),
            .refusal(RefusalRecord(
                time: t + 6 * second + 40 * ms, pipeline: 0, instrument: 1, rule: .dailyLoss, value: Amount(raw: 51_200_000_000), limit: Amount(raw: 50_000_000_000), decision: 6,
                order: .none, detail: "until 2026-08-02T00:00:00Z")),
            // The trade: the first decider times out, the second buys.
            .snapshot(SnapshotRecord(time: t + 7 * second, pipeline: 0, instrument: 1, sequence: 7, hi: 0xABCD, lo: 7, bytes: snapshotBytes())),
            .takeover(TakeoverRecord(time: t + 7 * second + 10 * ms, pipeline: 0, instrument: 1, from: 0, to: 1, why: .timeout, status: KEEL_E_TIMEOUT, detail: "no answer")),
            decision(7, at: t + 7 * second + 40 * ms, decider: 1, outcome: .ordered, order: entry, reason: "trend \u{1b}[31mup"),
            .routing(RoutingRecord(
                time: t + 7 * second + 40 * ms, pipeline: 0, instrument: 1, router: 2, step: .parent, order: entry, quantity: Fixed(raw: 1_000_000), limit: .zero, status: 0)),
            intent(entry, at: t + 7 * second + 41 * ms, role: .entry),
            .order(OrderRecord(time: t + 7 * second + 42 * ms, order: order(entry, .pending, filled: 0, at: t + 7 * second + 42 * ms), before: .intended, vendorCode: 0)),
            .order(OrderRecord(
                time: t + 7 * second + 60 * ms, order: order(entry, .open, filled: 0, at: t + 7 * second + 60 * ms), before: .pending, vendorCode: 0, venueID: "8389765")),
            fill(entry, 1, quantity: 400_000, price: 50_005, at: t + 7 * second + 70 * ms, side: KEEL_BUY),
            .order(OrderRecord(time: t + 7 * second + 70 * ms, order: order(entry, .partlyFilled, filled: 400_000, at: t + 7 * second + 70 * ms), before: .open, vendorCode: 0)),
            fill(entry, 2, quantity: 600_000, price: 49_995, at: t + 7 * second + 80 * ms, side: KEEL_BUY),
            .order(OrderRecord(
                time: t + 7 * second + 80 * ms, order: order(entry, .filled, filled: 1_000_000, at: t + 7 * second + 80 * ms), before: .partlyFilled, vendorCode: 0)),
            // The safety layer closes it an hour later.
            intent(exit, at: t + 3_607 * second, role: .exit),
            .order(OrderRecord(
                time: t + 3_607 * second + ms, order: order(exit, .pending, filled: 0, at: t + 3_607 * second, role: .exit, why: .stopLoss), before: .intended, vendorCode: 0)),
            fill(exit, 3, quantity: 1_000_000, price: 48_000, at: t + 3_607 * second + 30 * ms, side: KEEL_SELL, profit: -2_050_000_000),
            .order(OrderRecord(
                time: t + 3_607 * second + 30 * ms, order: order(exit, .filled, filled: 1_000_000, at: t + 3_607 * second, role: .exit, why: .stopLoss), before: .pending,
                vendorCode: 0)),
            .exit(ExitRecord(
                time: t + 3_607 * second + 30 * ms, pipeline: 0, instrument: 1, position: 1, why: .stopLoss, whole: true, order: exit,
                quantity: Amount(raw: 1_000_000), entry: Fixed(raw: 49_999 * 100_000_000), price: Fixed(raw: 48_000 * 100_000_000), profit: Amount(raw: -2_050_000_000),
                opened: t + 7 * second + 70 * ms, level: Fixed(raw: 47_999 * 100_000_000))),
        ]
        for record in records { writer.record(record) }
        #expect(writer.barrier())
        return try LedgerReader(path: ledger.path)
    }

    @Test func anOrderIsToldFromTheMarketToTheLastFill() throws {
        let folder = try Folder()
        let reader = try ExplainTests.ledger(folder)
        let story = try #require(try reader.explain(StorySubject(ExplainTests.entry.description)))
        #expect(story.entries.map(\.what) == ["snapshot", "takeover", "decision", "routing", "intent", "order", "order", "fill", "order", "fill", "order", "exit"])
        #expect(story.entries.map(\.after) == [0, 10, 40, 40, 41, 42, 60, 70, 70, 80, 80, 3_600_030].map { $0 * 1_000_000 })
        #expect(story.title == "Order \(ExplainTests.entry): buy 0.01 BTC/USDT, limit+ioc, entry at sim, pipeline btc, run 1")
        let texts = story.entries.map { ([$0.text] + $0.details).joined(separator: " | ") }
        #expect(texts[0].hasPrefix("the market as the decider saw it; the gate opened for: candle, price_z | price 50000, bid 49999, ask 50001 | no position, equity 10000 | at most 10 % of the equity an order, Kelly cap 2.5 % | price z -3.26, volatile regime | snapshot 000000000000"))
        #expect(texts[1] == "rules takes over from sim: timeout (status \(KEEL_E_TIMEOUT)) | no answer")
        #expect(texts[2] == "rules answers after 40.0 ms: buy 5 %, confidence 72.5 %; an order follows | reason: trend \u{1b}[31mup | by keel.rules 1.0.0 | model claude, cost 0.0123 USD, 900 tokens in, 45 out | signals: trend up 80 % | wants to be asked again after 5 min 0 s")
        #expect(texts[4] == "on disk before it is sent: buy 0.01 BTC/USDT, limit, ioc 50005, to sim | passed the risk gate as an entry | worth 500.05, 5.0005 % of the equity")
        #expect(texts[6] == "pending -> open | the venue calls it 8389765")
        #expect(texts[7] == "buy 0.004 at 50005, taker, fee 0.25 USDT | 1.0 bp worse than the snapshot's price | known 2.0 ms after the venue's time | fill T1")
        #expect(texts[9].contains("1.0 bp better than the snapshot's price"))
        #expect(texts[11] == "position closed: stopLoss, 0.01 at 48000 | opened at 49999, profit -20.5, held 59 min 59 s | level 47999 | by order \(ExplainTests.exit)")
        #expect(story.ending == "filled, 0.01 of 0.01 filled; 80.0 ms from snapshot to the last fill")
        // By the venue's number, too, and by the decision.
        #expect(try reader.explain(StorySubject("8389765")) == story)
        #expect(try reader.explain(.decision(2))?.entries == story.entries)
    }

    @Test func aRefusalIsToldWithRuleAndNumbers() throws {
        let folder = try Folder()
        let reader = try ExplainTests.ledger(folder)
        let story = try #require(try reader.explain(.decision(1)))
        #expect(story.entries.map(\.what) == ["snapshot", "decision", "refusal"])
        #expect(story.entries.last?.text == "dailyLoss: 512 against a limit of 500")
        #expect(story.entries.last?.details == ["until 2026-08-02T00:00:00Z"])
        #expect(story.ending == "no order came of it: dailyLoss: 512 against a limit of 500")
        #expect(try reader.decisions().map(\.refusals) == [[], ["dailyLoss"]])
    }

    @Test func anExitOfTheSafetyLayerHasNoDecision() throws {
        let folder = try Folder()
        let reader = try ExplainTests.ledger(folder)
        let story = try #require(try reader.explain(.order(ExplainTests.exit)))
        #expect(story.entries.map(\.what) == ["intent", "order", "fill", "order", "exit"])
        #expect(story.entries[0].details.contains("because of: stopLoss"))
        #expect(story.ending == "filled, 0.01 of 0.01 filled; 30.0 ms from intent to the last fill")
    }

    @Test func anIntentWithoutAWordAfterItIsSaidToBeOpen() throws {
        let folder = try Folder()
        let ledger = try WriterTests.open(folder)
        let writer = try WriterTests.writer(ledger)
        writer.record(ExplainTests.intent(ExplainTests.entry, at: 5, role: .entry))
        #expect(writer.barrier())
        let story = try #require(try LedgerReader(path: ledger.path).explain(.order(ExplainTests.entry)))
        #expect(story.ending == "the intent is the last that is known: it may have left")
        #expect(try LedgerReader(path: ledger.path).explain(.order(ExplainTests.exit)) == nil)
        #expect(try LedgerReader(path: ledger.path).explain(StorySubject("77")) == nil)
        #expect(try LedgerReader(path: ledger.path).explain(StorySubject("")) == nil)
    }

    @Test func aDamagedSnapshotIsLeftOut() throws {
        #expect(SnapshotFacts([]) == nil)
        #expect(SnapshotFacts([UInt8](repeating: 0xFF, count: 4_000)) == nil)
        #expect(SnapshotFacts([UInt8](repeating: 0, count: 4_000)) == nil)
        var dice = Dice(seed: 3)
        for _ in 0..<500 {
            var bytes = ExplainTests.snapshotBytes()
            for _ in 0..<20 { bytes[8 + dice.below(bytes.count - 8)] = UInt8(truncatingIfNeeded: dice.next()) }
            if let facts = SnapshotFacts(bytes) { #expect(!facts.lines.isEmpty) }
        }
    }

    @Test func listsAreNewestFirstAndFiltered() throws {
        let folder = try Folder()
        let reader = try ExplainTests.ledger(folder)
        #expect(try reader.orders().map(\.id) == [ExplainTests.exit.description, ExplainTests.entry.description])
        #expect(try reader.orders().last?.average?.description == "50000")
        #expect(try reader.orders(.init(last: 1)).count == 1)
        #expect(try reader.orders(open: true).isEmpty)
        #expect(try reader.orders(.init(run: 2)).isEmpty)
        #expect(try reader.fills().map(\.fillID) == ["T3", "T2", "T1"])
        #expect(try reader.runs().map(\.mode) == ["paper"])
        #expect(try reader.plugins(run: 1) == Scenario.facts().plugins)
        #expect(try reader.times(run: 1)?.from == Scenario.start && reader.times(run: 2) == nil)
        let words = try #require(String(bytes: StateCoding.bytes(reader.orders()), encoding: .utf8))
        #expect(words.contains("\"quantity\":\"0.01\""))
    }

    /// A host writes while others read: readers see whole transactions and never hold it up.
    @Test func readersSeeWholeStepsWhileAHostWrites() throws {
        let folder = try Folder()
        let ledger = try WriterTests.open(folder)
        let writer = try WriterTests.writer(ledger)
        let scenario = Scenario(seed: 17, steps: 150)
        #expect(writer.barrier())
        let reader = try LedgerReader(path: ledger.path)
        var looks = 0
        scenario.play(writer) { index, _ in
            guard index % 10 == 0 else { return }
            writer.flush()
            do {
                let found = try reader.database.reading { () throws(SQLiteError) in try reader.database.restore(Scenario.names) }
                let stored = Int(try reader.database.integer("SELECT step FROM progress") ?? -1)
                if found.state?.sorted != scenario.expected(after: stored) { Issue.record("after \(stored) units a reader saw something else") }
                looks += 1
            } catch { Issue.record("\(error)") }
        }
        #expect(looks > 10)
        #expect(throws: SQLiteError.self) { try reader.database.execute("DELETE FROM fills") }
    }

    @Test func positionsShowWhatProtectsThem() throws {
        let folder = try Folder()
        let ledger = try WriterTests.open(folder)
        let writer = try WriterTests.writer(ledger)
        let scenario = Scenario(seed: 4, steps: 60)
        scenario.play(writer)
        #expect(writer.barrier())
        let shown = try LedgerReader(path: ledger.path).positions(flat: true)
        let state = scenario.expected(after: scenario.units.count)
        for position in shown {
            let book = try #require(state.books.first { $0.symbol == position.symbol })
            #expect(position.quantity == book.position.quantity)
            if !position.quantity.isZero { #expect(position.peak == book.position.peak && position.entry == book.position.entry) }
        }
        #expect(shown.count == 2)
    }
}
