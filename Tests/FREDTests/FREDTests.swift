import PluginKit
import Testing

@testable import FREDFeed

@Suite struct FREDTests {
    @Test("days as the calendar has them")
    func days() throws {
        for text in ["1970-01-01", "2000-02-29", "2026-11-20", "1999-12-31", "1919-01-01"] { #expect(Day(text)?.description == text) }
        for text in ["2026-02-30", "2026-2-3", "26-02-03", "2026-13-01", "", "2026-02-03 ", "２０２６-02-03"] { #expect(Day(text) == nil, "\(text)") }
        #expect(try #require(Day("2026-11-20")).start == 1_795_132_800_000_000_000)
        #expect(try #require(Day("2025-12-01")).adding(months: 1).description == "2026-01-01")
        #expect(try #require(Day("2026-01-01")).adding(months: -1).description == "2025-12-01")
        #expect(Frequency.quarterly.end(of: try #require(Day("2026-10-01"))).description == "2027-01-01")
    }

    private func page(_ rows: String, count: Int = 9) -> [UInt8] { Array("{\"count\":\(count),\"observations\":[\(rows)]}".utf8) }

    @Test("a figure carries its period and the day it became known; a missing one is left out and shifts nothing")
    func observations() throws {
        let body = page("""
            {"realtime_start":"2026-01-14","realtime_end":"2026-02-13","date":"2025-12-01","value":"101.5"},
            {"realtime_start":"2026-02-14","realtime_end":"9999-12-31","date":"2025-12-01","value":"101.7"},
            {"realtime_start":"2025-11-20","realtime_end":"9999-12-31","date":"2025-10-01","value":"."}
            """)
        let (figures, rows, count) = try FREDReply.observations(200, body, .monthly)
        #expect(rows == 3 && count == 9 && figures.map(\.value) == [101.5, 101.7])
        #expect(figures[0].period == (Day("2025-12-01")?.start ?? 0)..<(Day("2026-01-01")?.start ?? 1))
        #expect(figures[0].released == (Day("2026-01-14")?.start ?? 0) + 15 * 3_600_000_000_000)
    }

    @Test("refusals and nonsense are errors with names; only some of them pass")
    func errors() {
        func error(_ status: Int, _ body: [UInt8]) -> FREDError? {
            do throws(FREDError) {
                _ = try FREDReply.observations(status, body, .monthly)
                return nil
            } catch { return error }
        }
        #expect(error(400, Array("{\"error_code\":400,\"error_message\":\"Bad Request.\"}".utf8)) == .refused(status: 400, code: 400, message: "Bad Request."))
        #expect(error(429, [])?.isPassing == true && error(503, Array("<html>".utf8))?.isPassing == true)
        #expect(error(400, [])?.isPassing == false)
        for body in ["", "[]", "{}", "{\"count\":1,\"observations\":[{}]}", "{\"count\":1,\"observations\":[{\"realtime_start\":\"2026-01-01\",\"date\":\"x\",\"value\":\"1\"}]}",
            "{\"count\":1,\"observations\":[{\"realtime_start\":\"2026-01-01\",\"date\":\"2026-01-01\",\"value\":\"nan\"}]}"] {
            #expect(error(200, Array(body.utf8)) != nil, "\(body)")
        }
        #expect((try? FREDReply.frequency(200, Array("{\"seriess\":[{\"frequency_short\":\"M\"}]}".utf8))) == .monthly)
        #expect((try? FREDReply.frequency(200, Array("{\"seriess\":[]}".utf8))) == nil)
    }

    @Test("damage never traps", arguments: 1...20 as ClosedRange<UInt64>)
    func fuzz(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let good = page("{\"realtime_start\":\"2026-01-14\",\"realtime_end\":\"9999-12-31\",\"date\":\"2025-12-01\",\"value\":\"101.5\"}")
        for _ in 0..<200 {
            var bytes = good
            for _ in 0...Int(random.below(3)) { bytes[Int(random.below(UInt64(bytes.count)))] = UInt8(random.below(256)) }
            _ = try? FREDReply.observations(200, bytes, .monthly)
        }
    }
}
