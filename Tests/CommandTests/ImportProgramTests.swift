import Foundation
import PluginKit
import Testing

/// `keel data import` as a person uses it.
@Suite("Import with the program")
struct ImportProgramTests {
    static let isBuilt = (try? KeelProgram(libraries: [])) ?? nil != nil

    private func rows(_ count: Int) -> String {
        var text = "ts_ms,open,high,low,close,volume\n"
        for index in 0..<count { text += "\(1_704_067_200_000 + index * 60_000),100.25,101.5,99.75,\(100 + index % 2),\(index % 7).5\n" }
        return text
    }

    @Test("every row arrives, and a pipe stays quiet", .enabled(if: isBuilt, "the program is not built beside the tests"))
    func rowsArrive() throws {
        let keel = try #require(try KeelProgram(libraries: []))
        try keel.write("bars.csv", rows(20_000))
        let ended = try keel.good("data", "import", "bars.csv", "--out", "bars.tape", "--instrument", "BTC/USDT", "--json")
        #expect(try ended.json["good"].int == 20_000)
        #expect(ended.error == "")
    }

    @Test("bad rows are told with their lines, by exit code 7, and the good ones are kept", .enabled(if: isBuilt, "the program is not built beside the tests"))
    func badRowsAreTold() throws {
        let keel = try #require(try KeelProgram(libraries: []))
        try keel.write("bars.csv", "ts_ms,open,high,low,close,volume\n1704067200000,1,2,1,2,1\n1704067260000,1,2,1,x,1\n1704067320000,1,0.5,1,2,1\n1704067380000,1,2,1,2,1\n")
        let ended = try keel.run(["data", "import", "bars.csv", "--out", "bars.tape", "--instrument", "BTC/USDT"])
        #expect(ended.code == 7)
        #expect((ended.out + ended.error).contains("bars.csv:3: not a number") && (ended.out + ended.error).contains("bars.csv:4: high is below low"), "\(ended)")
        #expect(try keel.good("data", "info", "bars.tape", "--json").json["records"].int == 2)
    }
}
