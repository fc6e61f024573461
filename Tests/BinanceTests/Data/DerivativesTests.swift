import PluginAPI
import PluginKit
import Testing

@testable import BinanceConnector

private let second: Int64 = 1_000_000_000
private let minute: Int64 = 60_000

private final class Rig {
    let reactor: VirtualReactor
    let venue: ScriptedVenue
    let sink: RecordingSink
    let poller: DerivativesPoller
    var openInterest = 10_000.0
    /// How long after a period's end its row appears.
    var delay: Int64 = 20_000

    /// Begins a minute after a five-minute boundary, three hours before a funding.
    init(_ change: (inout DerivativesSettings) -> Void = { _ in }) {
        reactor = VirtualReactor((1_795_017_600_000 - 10_740_000) * 1_000_000)
        venue = ScriptedVenue(.futures, [], on: reactor)
        sink = RecordingSink(reactor)
        var settings = DerivativesSettings()
        change(&settings)
        poller = DerivativesPoller(settings, requests: venue, sink: sink, on: reactor)
        let venue = venue
        func rows(_ request: MarketRequest, _ fields: (Int64) -> JSONValue, marksEnd: Bool) -> Reply {
            let count = Int64(request["limit"] ?? "1") ?? 1
            let newest = (venue.venueTime - self.delay) / 300_000 * 300_000
            let ends = (0..<count).map { newest - (count - 1 - $0) * 300_000 }
            return .success(
                JSONValue(
                    ends.map { end in
                        var row = fields(end)
                        row.set("timestamp", JSONValue(marksEnd ? end : end - 300_000))
                        return row
                    }))
        }
        venue.answers = [
            "/openInterest": { [unowned self] _ in
                .success(["openInterest": JSONValue("\(self.openInterest)"), "symbol": "BTCUSDT", "time": JSONValue(venue.venueTime)])
            },
            "/openInterestHist": { rows($0, { _ in ["sumOpenInterest": "20403.6", "sumOpenInterestValue": "1836327330.0"] }, marksEnd: true) },
            "/globalLongShortAccountRatio": { rows($0, { _ in ["longShortRatio": "1.2030", "longAccount": "0.5461", "shortAccount": "0.4539"] }, marksEnd: true) },
            "/topLongShortAccountRatio": { rows($0, { _ in ["longShortRatio": "1.1"] }, marksEnd: true) },
            "/topLongShortPositionRatio": { rows($0, { _ in ["longShortRatio": "0.9"] }, marksEnd: true) },
            "/takerlongshortRatio": { rows($0, { _ in ["buySellRatio": "1.0210", "buyVol": "387.33", "sellVol": "379.36"] }, marksEnd: false) },
            "/fundingRate": { _ in
                let last = venue.venueTime / 28_800_000 * 28_800_000
                // A few milliseconds after the hour.
                return .success([["symbol": "BTCUSDT", "fundingTime": JSONValue(last + 7), "fundingRate": "0.00010000", "markPrice": "89950"]])
            },
            "/fundingInfo": { _ in .success([["symbol": "ETHUSDT", "fundingIntervalHours": 4, "adjustedFundingRateCap": "0.02"]]) },
        ]
        poller.follow(symbolKey("BTCUSDT"), [1])
    }

    func run(_ seconds: Int, price: (Int) -> Int64 = { _ in 90_000 }) {
        for step in 0..<seconds {
            reactor.run(for: second)
            let time = venue.venueTime
            poller.mark(
                MarkMessage(
                    symbol: symbolKey("BTCUSDT"), eventTime: time, mark: price(step) * Fixed.scale, index: 90_000 * Fixed.scale, rate: 10_000,
                    nextFunding: (time / 28_800_000 + 1) * 28_800_000))
            poller.tick()
        }
        reactor.run(for: second)
    }

    func values(_ name: String) -> [NamedValue] { sink.values.filter { $0.name == name } }
    func asked(_ end: String) -> Int { venue.requests.count { $0.path.hasSuffix(end) } }
}

@Suite struct DerivativesTests {
    /// Open interest and ratios are stamped with their period's end, taker volumes with its beginning. Taken for the same they would let a
    /// period of the future leak into the past.
    @Test func periodsAreWhatTheyAre() throws {
        let rig = Rig()
        rig.run(60)
        let ratio = try #require(rig.values("long_short").last)
        let taker = try #require(rig.values("taker_ratio").last)
        #expect(ratio.value == 1.203)
        #expect(taker.value == 1.021)
        #expect(ratio.period == taker.period, "rows of the same five minutes")
        #expect(ratio.period.upperBound - ratio.period.lowerBound == 300_000)
        #expect(ratio.period.upperBound % 300_000 == 0)
        for value in rig.sink.values {
            if value.name == "funding_rate" { continue }
            #expect(value.period.upperBound <= value.released, "\(value.name) is told before its period ends")
        }
        #expect(rig.values("top_long_short_accounts").last?.value == 1.1)
        #expect(rig.values("top_long_short_positions").last?.value == 0.9)
        #expect(rig.values("taker_buy").last?.value == 387.33)
        #expect(rig.values("taker_sell").last?.value == 379.36)
        #expect(rig.values("open_interest").last?.value == 10_000)
        #expect(rig.values("open_interest_value").last?.value == 1_836_327_330)
    }

    @Test func fundingIsAboutItsOwnTime() throws {
        let rig = Rig()
        rig.run(30)
        let next: Int64 = 1_795_017_600_000
        let rate = try #require(rig.values("funding_rate").last)
        #expect(rate.value == 0.0001)
        #expect(rate.period == next - 28_800_000...next)
        let settled = try #require(rig.values("funding_settled").last)
        #expect(settled.period == next - 57_600_000...next - 28_800_000)
        // After the funding the settled one is read.
        rig.run(11_000)
        #expect(rig.values("funding_settled").last?.period == next - 28_800_000...next)
        #expect(rig.asked("/fundingRate") <= 6)
    }

    @Test func otherFundingHoursCount() throws {
        let rig = Rig()
        rig.poller.follow(symbolKey("ETHUSDT"), [2])
        rig.run(3)
        rig.poller.mark(MarkMessage(symbol: symbolKey("ETHUSDT"), eventTime: rig.venue.venueTime, mark: 1, index: 0, rate: 5, nextFunding: rig.venue.venueTime + 3_600_000))
        let rate = try #require(rig.values("funding_rate").last)
        #expect(rate.period.upperBound - rate.period.lowerBound == 4 * 3_600_000)
    }

    /// The first reading brings what came before, marked as history; the newest row is news.
    @Test func theBeginningIsHistory() {
        let rig = Rig()
        rig.run(60)
        let ratios = rig.values("long_short")
        #expect(ratios.count == 30)
        #expect(ratios.dropLast().allSatisfy { $0.isHistory })
        #expect(ratios.last?.isHistory == false)
        #expect(rig.values("open_interest_past").count == 30)
        #expect(rig.values("open_interest_past").allSatisfy { $0.isHistory })
    }

    /// Rows appear late; each is told once, soon after it is there, and never twice.
    @Test func eachPeriodOnceAndSoon() {
        let rig = Rig()
        rig.delay = 47_000
        rig.run(3_000)
        for name in ["long_short", "top_long_short_accounts", "top_long_short_positions", "taker_ratio"] {
            let news = rig.values(name).filter { !$0.isHistory }
            #expect(news.count >= 10)
            #expect(zip(news, news.dropFirst()).allSatisfy { $1.period.upperBound == $0.period.upperBound + 300_000 }, "\(name): a period twice or left out")
            #expect(news.dropFirst().allSatisfy { $0.released - $0.period.upperBound < 150_000 }, "\(name) comes late")
        }
        // Four questions a period, and one or two more while the row isn't there.
        #expect(rig.asked("Ratio") <= 4 * 11 * 4)
    }

    @Test func calmMarketsAreReadRarelyAndMovingOnesOften() {
        let calm = Rig()
        calm.run(600)
        #expect((9...12).contains(calm.asked("/openInterest")))
        let moving = Rig()
        moving.run(600) { 90_000 + Int64($0 % 100) * 20 }
        #expect(moving.asked("/openInterest") >= 40)
        // A leap of the open interest itself.
        let leaping = Rig()
        leaping.run(120)
        let before = leaping.asked("/openInterest")
        leaping.openInterest = 10_100
        leaping.run(65)
        leaping.openInterest = 10_200
        leaping.run(30)
        #expect(leaping.asked("/openInterest") - before >= 3)
        #expect(leaping.poller.haste(symbolKey("BTCUSDT")) >= 1)
    }

    @Test func fundingHurriesIt() {
        let rig = Rig()
        rig.run(10_600)
        let before = rig.asked("/openInterest")
        rig.run(120)
        #expect(rig.asked("/openInterest") - before >= 10)
        #expect(rig.poller.haste(symbolKey("BTCUSDT")) == 6)
    }

    @Test func whoeverNeedsItOftenGetsIt() {
        let rig = Rig()
        rig.run(70)
        let before = rig.asked("/openInterest")
        rig.poller.hurry(symbolKey("BTCUSDT"), until: rig.reactor.now() + 60 * second)
        rig.run(60)
        #expect(rig.asked("/openInterest") - before >= 5)
    }

    /// The budget belongs to the orders first.
    @Test func aShortBudgetStopsIt() {
        let rig = Rig()
        rig.venue.loads = [.weight: 0.8, .research: 0.8, .funding: 0.8]
        rig.run(120)
        #expect(rig.venue.requests.count <= 1)
        rig.venue.loads = [.weight: 0.5]
        rig.run(600)
        #expect((4...7).contains(rig.asked("/openInterest")))
        #expect(!rig.values("long_short").isEmpty)
    }

    /// Where the venue doesn't have the numbers (the demo may not), it is said once and asked ever more rarely.
    @Test func whatIsNotThereIsSaidOnce() {
        let rig = Rig()
        rig.venue.answers["/globalLongShortAccountRatio"] = { _ in .failure(VenueFailure(.refused, status: 404, message: "HTTP 404")) }
        rig.run(3_600)
        #expect(rig.sink.logs.count { $0.contains("globalRatio") } == 1)
        #expect(rig.asked("/globalLongShortAccountRatio") < 50)
        #expect(rig.values("long_short").isEmpty)
        #expect(rig.values("top_long_short_accounts").count > 30)
    }

    @Test func nobodyListeningNobodyAsks() {
        let rig = Rig()
        rig.run(10)
        rig.poller.follow(symbolKey("BTCUSDT"), [])
        let before = rig.venue.requests.count
        rig.run(600)
        #expect(rig.venue.requests.count == before)
        let off = Rig { $0.isOn = false }
        off.run(60)
        #expect(off.venue.requests.isEmpty)
        #expect(!off.values("mark_price").isEmpty)
    }

    @Test(arguments: ["{}", "[{}]", #"[{"longShortRatio":"x","timestamp":1}]"#, #"[{"longShortRatio":"1e999","timestamp":1}]"#, #"[{"longShortRatio":"1","timestamp":-5}]"#])
    func garbageIsNoValue(_ text: String) throws {
        let value = try JSONValue(parsing: text)
        let rig = Rig()
        rig.venue.answers["/globalLongShortAccountRatio"] = { _ in .success(value) }
        rig.run(60)
        #expect(rig.values("long_short").isEmpty)
    }
}
