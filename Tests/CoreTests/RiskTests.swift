import PluginAPI
import PluginKit
import Testing

@testable import HostCore

@Suite struct RiskGateTests {
    static let features = KEEL_ORD_MARKET | KEEL_ORD_LIMIT | KEEL_ORD_REDUCE_ONLY

    func context(_ change: (inout RiskContext) -> Void = { _ in }) -> RiskContext {
        var settings = RiskSettings()
        settings.maximumFraction = .one
        var context = RiskContext(
            now: 1_000 * Span.second, instrument: Instrument(Rig.instrument(), id: 1), settings: settings, price: fixed("100"), seenPrice: .zero,
            equity: amount("10000"), position: .zero, brokerFeatures: Self.features)
        context.marketAt = context.now
        context.freshness = settings.freshness
        change(&context)
        return context
    }

    func order(_ side: UInt32 = KEEL_BUY, _ quantity: String = "1", limit: String = "0", features: UInt64 = KEEL_ORD_MARKET) -> keel_order {
        var order = keel_order()
        order.struct_size = UInt32(MemoryLayout<keel_order>.size)
        order.side = side
        order.qty = fixed(quantity).raw
        order.limit = fixed(limit).raw
        order.features = limit == "0" ? features : KEEL_ORD_LIMIT
        order.instrument = 1
        order.id = OrderID(run: 1, pipeline: 0, instrument: 0, sequence: 1, leg: .entry, child: 1).c
        return order
    }

    func refusal(_ order: keel_order, _ role: OrderRole = .entry, _ change: (inout RiskContext) -> Void = { _ in }) -> Refusal? {
        switch RiskGate.approve(order, role: role, in: context(change)) {
        case .success: nil
        case .failure(let refusal): refusal
        }
    }

    @Test func aSensibleOrderPasses() { #expect(refusal(order()) == nil) }

    typealias Case = (name: Rule, change: @Sendable (inout RiskContext) -> Void)
    static let conditions: [Case] = [
        (.killSwitch, { $0.killed = true }), (.ledger, { $0.ledgerFailed = true }), (.gateClosed, { $0.gateClosed = true }),
        (.linkDown, { $0.linkUp = false }), (.notSynced, { $0.synced = false }), (.disagreement, { $0.agreed = false }), (.inDoubt, { $0.inDoubt = true }),
        (.dailyLoss, { $0.dailyLossUntil = $0.now + 1 }), (.drawdown, { $0.drawdownOpen = true }), (.losingStreak, { $0.streakUntil = $0.now + 1 }),
        (.sessionClosed, { $0.session = KEEL_SESSION_CLOSED }), (.sessionClosed, { $0.session = KEEL_SESSION_HALTED }),
        (.sessionClosed, { $0.session = KEEL_SESSION_AUCTION }), (.staleMarket, { $0.marketAt = $0.now - 91 * Span.second }),
        (.staleMarket, { $0.marketAt = 0 }), (.clockSkew, { $0.skew = -2 * Span.second }), (.clockSkew, { $0.skew = 2 * Span.second }),
        (.cooldown, { $0.lastExit = $0.now - 59 * Span.second }), (.ordersPerMinute, { $0.ordersLastMinute = 30 }),
    ]

    /// Everything that blocks an entry lets an exit through.
    @Test(arguments: conditions.indices) func conditionsBlockEntriesAndLetExitsPass(index: Int) {
        let (rule, change) = Self.conditions[index]
        #expect(refusal(order(), .entry, change)?.rule == rule)
        #expect(
            refusal(order(KEEL_SELL), .exit) {
                change(&$0)
                $0.position = amount("1")
            } == nil)
    }

    @Test func limitsCarryTheirNumbers() {
        #expect(refusal(order(KEEL_BUY, "11")) { $0.settings.maximumOrder = amount("1000") } == Refusal(.maximumOrder, amount("1100"), amount("1000")))
        #expect(refusal(order()) { $0.settings.maximumPosition = amount("500"); $0.position = amount("4.5") } == Refusal(.maximumPosition, amount("550"), amount("500")))
        #expect(refusal(order(KEEL_BUY, "60")) { $0.exposure = amount("5000") } == Refusal(.maximumExposure, amount("11000"), amount("10000")))
        #expect(refusal(order(KEEL_BUY, "20")) { $0.settings.maximumFraction = fixed("0.1") } == Refusal(.maximumFraction, amount("2000"), amount("1000")))
        #expect(refusal(order(KEEL_SELL)) == Refusal(.shortNotAllowed, amount("-1"), .zero))
        #expect(refusal(order(KEEL_SELL)) { $0.settings.allowShort = true } == nil)
        #expect(refusal(order(KEEL_BUY, "1", limit: "106"))?.rule == .priceCollar)
        #expect(refusal(order(KEEL_BUY, "1", limit: "105")) == nil)
        #expect(refusal(order()) { $0.seenPrice = fixed("90") }?.rule == .priceCollar, "the market ran away while the decider thought")
        #expect(refusal(order()) { $0.price = .zero }?.rule == .noPrice)
        #expect(refusal(order()) { $0.equity = amount("-1") }?.rule == .noEquity)
        #expect(refusal(order(KEEL_BUY, "0.01"))?.rule == .belowMinimum)
        #expect(refusal(order(KEEL_BUY, "1.000001"))?.rule == .instrumentLot)
        #expect(refusal(order(KEEL_BUY, "1", limit: "100.001"))?.rule == .instrumentTick)
        #expect(refusal(order(features: KEEL_ORD_MARKET | KEEL_ORD_IOC))?.rule == .brokerFeature)
        #expect(refusal(order(KEEL_BUY, "92233720368")) { $0.settings.priceCollar = nil; $0.position = Amount(raw: .max) }?.rule == .numberRange)
    }

    @Test func whatLiveOrdersMayStillBuyCounts() {
        #expect(refusal(order(KEEL_BUY, "2")) { $0.settings.maximumPosition = amount("500"); $0.entering = amount("4") }?.rule == .maximumPosition)
        #expect(refusal(order(KEEL_SELL, "2")) { $0.settings.allowShort = false; $0.position = amount("3") } == nil)
    }

    @Test func exitsNeverTurnAPositionAround() {
        #expect(refusal(order(KEEL_SELL), .exit)?.rule == .noPosition)
        #expect(refusal(order(KEEL_SELL, "2"), .exit) { $0.position = amount("1") } == Refusal(.reduceOnly, amount("2"), amount("1")))
        #expect(refusal(order(KEEL_BUY), .exit) { $0.position = amount("1") }?.rule == .reduceOnly)
        #expect(refusal(order(KEEL_SELL), .exit) { $0.position = amount("1.5"); $0.leaving = amount("1") } == Refusal(.reduceOnly, amount("1"), amount("0.5")))
        #expect(refusal(order(KEEL_BUY), .exit) { $0.position = amount("-1") } == nil)
    }

    /// Random orders against random limits: whatever passes is within all of them.
    @Test(arguments: [1, 2, 3] as [UInt64]) func whatPassesIsWithinEveryLimit(seed: UInt64) throws {
        var dice = Dice(seed)
        var passed = 0
        for _ in 0..<3000 {
            let quantity = Fixed(raw: Int64(dice.next() % 10_000) * 1_000_000)
            let price = Fixed(raw: Int64(dice.next() % 100_000 + 1) * 1_000_000)
            let given = context {
                $0.price = price
                $0.equity = Amount(raw: Int128(dice.next() % 10_000_000_000_000))
                $0.position = Amount(raw: Int128(dice.next() % 1_000_000_000))
                $0.exposure = Amount(raw: Int128(dice.next() % 1_000_000_000_000))
                $0.settings.maximumFraction = Fixed(raw: Int64(dice.next() % 100_000_000))
                $0.settings.maximumOrder = Amount(raw: Int128(dice.next() % 1_000_000_000_000))
                $0.settings.maximumPosition = Amount(raw: Int128(dice.next() % 2_000_000_000_000))
            }
            var wanted = order()
            wanted.qty = quantity.raw
            guard case .success(let approved) = RiskGate.approve(wanted, role: .entry, in: given) else { continue }
            passed += 1
            let worth = price.notional(Fixed(raw: approved.order.qty))
            #expect(worth <= given.settings.maximumOrder ?? .zero)
            #expect(worth <= (try given.equity.multiplied(by: given.settings.maximumFraction)))
            #expect(try given.position.multiplied(by: price).adding(worth) <= (given.settings.maximumPosition ?? .zero).adding(Amount(raw: 1)))
            #expect(try given.exposure.adding(worth) <= given.equity)
        }
        #expect(passed > 20, "seed \(seed): \(passed) passed")
    }
}

@Suite struct SizingTests {
    func context(_ change: (inout RiskContext) -> Void = { _ in }) -> RiskContext { RiskGateTests().context(change) }
    func size(_ fraction: String, quantity: String = "0", kelly: KellyHistory = KellyHistory(), _ change: (inout RiskContext) -> Void = { _ in }) -> Result<Fixed, Refusal> {
        Sizing.entry(.init(fraction: fixed(fraction), quantity: fixed(quantity), side: KEEL_BUY, kelly: kelly), in: context(change))
    }

    @Test func aFractionOfEquityInLots() throws {
        #expect(try size("0.1").get() == fixed("10"))
        #expect(try size("0.1") { $0.price = fixed("333.33") }.get() == fixed("3.00003"))
    }

    @Test func everyLimitBringsItDown() throws {
        #expect(try size("0.5") { $0.settings.maximumFraction = fixed("0.2") }.get() == fixed("20"))
        #expect(try size("0.5") { $0.settings.maximumOrder = amount("700") }.get() == fixed("7"))
        #expect(try size("0.5") { $0.settings.maximumPosition = amount("1000"); $0.position = amount("4") }.get() == fixed("6"))
        #expect(try size("0.5") { $0.exposure = amount("9000") }.get() == fixed("10"))
        var history = KellyHistory()
        for index in 0..<100 { history.add(fixed(index % 20 < 11 ? "1" : "-1")) }
        #expect(try size("0.5", kelly: history).get() == fixed("2.5"), "a quarter of the Kelly fraction of 0.1")
    }

    @Test func whatIsTooSmallIsRefusedNotRounded() {
        func rule(_ result: Result<Fixed, Refusal>) -> Rule? { if case .failure(let refusal) = result { refusal.rule } else { nil } }
        #expect(rule(size("0.0001")) == .belowMinimum)
        #expect(rule(size("0")) == .zeroSize)
        #expect(rule(size("0.1") { $0.equity = .zero }) == .noEquity)
        #expect(rule(size("0.1") { $0.price = .zero }) == .noPrice)
        #expect(rule(size("0.1") { $0.exposure = amount("10000") }) == .maximumExposure)
        var losing = KellyHistory()
        for index in 0..<40 { losing.add(fixed(index % 4 == 0 ? "1" : "-1")) }
        #expect(rule(size("0.1", kelly: losing)) == .kelly)
    }

    @Test func anExactQuantityIsTakenAsItIs() throws { #expect(try size("0", quantity: "1.234567").get() == fixed("1.23456")) }

    /// A size made from a fraction always passes the gate it was made for.
    @Test(arguments: [1, 2, 3] as [UInt64]) func sizesPassTheGate(seed: UInt64) {
        var dice = Dice(seed)
        var sized = 0
        for _ in 0..<2000 {
            let given = context {
                $0.price = Fixed(raw: Int64(dice.next() % 10_000_000) * 1_000_000 + 1_000_000)
                $0.equity = Amount(raw: Int128(dice.next() % 1_000_000_000_000_000))
                $0.position = Amount(raw: Int128(dice.next() % 100_000_000))
                $0.exposure = (try? $0.position.multiplied(by: $0.price)) ?? .zero
                $0.settings.maximumFraction = Fixed(raw: Int64(dice.next() % 100_000_000))
                if dice.chance(0.5) { $0.settings.maximumOrder = Amount(raw: Int128(dice.next() % 100_000_000_000_000)) }
                if dice.chance(0.5) { $0.settings.maximumPosition = Amount(raw: Int128(dice.next() % 100_000_000_000_000)) }
            }
            let fraction = Fixed(raw: Int64(dice.next() % 100_000_001))
            guard case .success(let quantity) = Sizing.entry(.init(fraction: fraction, quantity: .zero, side: KEEL_BUY, kelly: KellyHistory()), in: given) else { continue }
            sized += 1
            var order = RiskGateTests().order()
            order.qty = quantity.raw
            if case .failure(let refusal) = RiskGate.approve(order, role: .entry, in: given) { Issue.record("seed \(seed): \(refusal)") }
        }
        #expect(sized > 100)
    }

    @Test func exitsLeaveNoDust() throws {
        let instrument = Instrument(Rig.instrument(), id: 1)
        #expect(try Sizing.exit(of: amount("1.000001"), fraction: .one, quantity: .zero, instrument: instrument) == fixed("1"))
        #expect(try Sizing.exit(of: amount("1"), fraction: fixed("0.5"), quantity: .zero, instrument: instrument) == fixed("0.5"))
        #expect(try Sizing.exit(of: amount("0.00002"), fraction: fixed("0.99"), quantity: .zero, instrument: instrument) == fixed("0.00001"))
        #expect(try Sizing.exit(of: amount("-3"), fraction: .zero, quantity: fixed("5"), instrument: instrument) == fixed("3"))
        var big = Rig.instrument()
        big.maximumQuantity = fixed("2")
        #expect(try Sizing.exit(of: amount("3"), fraction: .one, quantity: .zero, instrument: Instrument(big, id: 1)) == fixed("2"))
    }
}
