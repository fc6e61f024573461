import Foundation
import PluginKit

func runFRED(_ options: Options) throws {
    var failures: [Int] = []
    if let path = options.scenario {
        // {"fail": [429, 500]}: what the first requests are answered with.
        let bytes = try Data(contentsOf: URL(fileURLWithPath: path))
        guard let list = try JSONValue(parsing: Array(bytes)).find("fail")?.asList else { throw ScenarioError.form("{\"fail\": [429, ...]} is needed") }
        failures = list.compactMap { $0.asNumber?.int64.map(Int.init) }
    }
    let reactor = PollReactor()
    let server = try FREDServer(port: options.port, seed: options.seed, failures: failures, on: reactor)
    print("listening on http://127.0.0.1:\(server.port)")
    fflush(nil)
    while true { reactor.turn(most: 1_000_000_000) }
}

/// The FRED API as far as series and observations with their vintages go: monthly series that are made up, each figure first
/// released in the middle of the next month and revised once a month later. October 2025 is missing in the surveys, as in life.
final class FREDServer {
    private var server: HTTPServer?
    private let seed: UInt64
    private var failures: [Int]
    var port: UInt16 { server?.port ?? 0 }

    static let known = ["INDPRO", "PAYEMS", "RSAFS", "CPIAUCSL", "CPILFESL", "PCEPI", "PCEPILFE", "UNRATE"]
    static let missing: Set<String> = ["CPIAUCSL", "CPILFESL", "UNRATE"]
    /// January 1990 to October 2026.
    static let months = 0..<442

    init(port: UInt16, seed: UInt64, failures: [Int], on reactor: Reactor) throws(NetError) {
        self.seed = seed
        self.failures = failures
        server = try HTTPServer(port: port, on: reactor) { [weak self] request in self?.handle(request) }
    }

    private func handle(_ request: HTTPServer.Request) {
        func fail(_ status: Int, _ message: String) {
            let body: JSONValue = ["error_code": JSONValue(status), "error_message": JSONValue(message)]
            request.connection.respond(status, body: body.bytes(.compact), type: "application/json")
        }
        var query: [String: String] = [:]
        for part in request.query.split(separator: "&") {
            let pair = part.split(separator: "=", maxSplits: 1).map(String.init)
            query[pair[0]] = pair.count > 1 ? pair[1] : ""
        }
        if !failures.isEmpty { return fail(failures.removeFirst(), "as the scenario wants it") }
        let key = query["api_key"] ?? ""
        guard key.utf8.count == 32, key.utf8.allSatisfy({ (48...57).contains($0) || (97...122).contains($0) }) else {
            return fail(400, "Bad Request.  The value for variable api_key is not a 32 character alpha-numeric lower-case string.")
        }
        guard query["file_type"] == "json" else {
            return request.connection.respond(200, body: Array("<?xml version=\"1.0\" encoding=\"utf-8\" ?>\n".utf8), type: "text/xml")
        }
        guard let series = query["series_id"], Self.known.contains(series) else { return fail(400, "Bad Request.  The series does not exist.") }
        switch request.path {
        case "/fred/series":
            let answer: JSONValue = [
                "realtime_start": "2026-11-20", "realtime_end": "2026-11-20",
                "seriess": [["id": JSONValue(series), "title": JSONValue(series), "frequency_short": "M", "units": "Index", "seasonal_adjustment_short": "SA"]],
            ]
            request.connection.respond(200, body: answer.bytes(.compact), type: "application/json")
        case "/fred/series/observations": observations(request, series, query)
        default: fail(404, "Not Found")
        }
    }

    private func observations(_ request: HTTPServer.Request, _ series: String, _ query: [String: String]) {
        let from = query["observation_start"] ?? "1776-07-04"
        let realStart = query["realtime_start"] ?? "2026-11-20"
        let realEnd = query["realtime_end"] ?? realStart
        var rows: [JSONValue] = []
        for month in Self.months {
            let date = Self.day(month, 1)
            guard date >= from else { continue }
            let isMissing = Self.missing.contains(series) && date == "2025-10-01"
            let first = Self.day(month + 1, 16)
            let second = Self.day(month + 2, 16)
            let last = Self.day(month + 2, 15)
            // Vintages as the API has them: each value with the days between which it was the newest.
            for (start, end, revision) in [(first, last, 0), (second, "9999-12-31", 1)] where end >= realStart && start <= realEnd {
                rows.append([
                    "realtime_start": JSONValue(max(start, realStart)), "realtime_end": JSONValue(min(end, realEnd)), "date": JSONValue(date),
                    "value": JSONValue(isMissing ? "." : value(series, month, revision)),
                ])
            }
        }
        let offset = Int(query["offset"] ?? "0") ?? 0
        let limit = min(Int(query["limit"] ?? "100000") ?? 100_000, 100_000)
        let page = rows.dropFirst(max(0, offset)).prefix(max(1, limit))
        let answer: JSONValue = [
            "realtime_start": JSONValue(realStart), "realtime_end": JSONValue(realEnd), "observation_start": JSONValue(from), "observation_end": "9999-12-31",
            "units": "lin", "output_type": 1, "file_type": "json", "order_by": "observation_date", "sort_order": "asc", "count": JSONValue(rows.count),
            "offset": JSONValue(offset), "limit": JSONValue(limit), "observations": JSONValue(Array(page)),
        ]
        request.connection.respond(200, body: answer.bytes(.compact), type: "application/json")
    }

    /// A trend with waves of its own length for each series, so that growth and inflation rise and fall.
    private func value(_ series: String, _ month: Int, _ revision: Int) -> String {
        let place = Double(Self.known.firstIndex(of: series) ?? 0)
        var random = SeededGenerator.stream(seed: seed, "\(series)/\(month)")
        let noise = (random.uniform() - 0.5) * 0.1 + (revision == 0 ? 0 : (random.uniform() - 0.5) * 0.05)
        let level = 100 * exp(0.002 * Double(month) + 0.03 * sin(2 * .pi * Double(month) / (40 + 9 * place))) + noise
        return String(format: "%.3f", level)
    }

    private static func day(_ month: Int, _ day: Int) -> String { String(format: "%04d-%02d-%02d", 1990 + month / 12, month % 12 + 1, day) }
}
