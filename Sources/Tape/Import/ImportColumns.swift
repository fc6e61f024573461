/// What a column holds.
public enum ColumnRole: String, Sendable, CaseIterable {
    case time, closeTime = "close_time", open, high, low, close, volume, trades
    case price, quantity, side, buyerIsMaker = "buyer_is_maker", id
    case bid, bidQuantity = "bid_quantity", ask, askQuantity = "ask_quantity"
    case name, value, released
    case symbol, suspicious
    case ignored = "-"

    /// Column titles as files spell them, without case, spaces and punctuation.
    static let titles: [String: ColumnRole] = {
        var all: [String: ColumnRole] = [:]
        func add(_ role: ColumnRole, _ names: String) { for name in names.split(separator: " ") { all[String(name)] = role } }
        add(.time, "time timestamp ts tsms tss tsus tsns date datetime dt t unix unixtime unixtimestamp opentime timeopen timems timestampms timestampus timestampns transacttime eventtime timeperiodstart at timeutc datetimeutc timestamputc")
        add(.closeTime, "closetime timeclose timeperiodend")
        add(.open, "open o openprice first")
        add(.high, "high h highprice max")
        add(.low, "low l lowprice min")
        add(.close, "close c closeprice last")
        add(.volume, "volume v vol basevolume volumebase volumefrom volumebtc")
        add(.trades, "trades count numberoftrades tradecount ntrades numtrades")
        add(.price, "price p px lastprice tradeprice rate")
        add(.quantity, "qty quantity q size amount lastqty tradeqty baseqty vol1")
        add(.side, "side takerside direction aggressor type")
        add(.buyerIsMaker, "isbuyermaker buyermaker buyerismaker m wasthebuyerthemaker")
        add(.id, "id tradeid aggtradeid aggid aggregatetradeid tid")
        add(.bid, "bid bidprice bestbid bestbidprice b bidpx bidclose")
        add(.bidQuantity, "bidqty bidquantity bidsize bestbidqty bestbidquantity bidsz lastbidsize")
        add(.ask, "ask askprice bestask bestaskprice a askpx askclose offer")
        add(.askQuantity, "askqty askquantity asksize bestaskqty bestaskquantity asksz lastasksize")
        add(.name, "name series metric key")
        add(.value, "value val fundingrate lastfundingrate openinterest")
        add(.released, "released releasetime publishedat")
        add(.symbol, "symbol ticker instrument pair sym")
        return all
    }()

    static func of(title: String) -> ColumnRole? { titles[plain(title)] }

    static func plain(_ title: String) -> String { String(decoding: title.lowercased().utf8.filter { ($0 >= 97 && $0 <= 122) || ($0 >= 48 && $0 <= 57) }, as: UTF8.self) }

    /// The unit a title states, as in `ts_ms`.
    static func unit(title: String) -> TimeUnit? {
        let name = title.lowercased()
        for unit in TimeUnit.allCases where name.hasSuffix("_\(unit.rawValue)") || name.hasSuffix("(\(unit.rawValue))") { return unit }
        return nil
    }
}

/// The kind of event a file's rows become.
public enum RowShape: String, Sendable, CaseIterable {
    case bars, trades, quotes, values

    /// What the columns must have, and the shape they give; nil: no shape fits.
    static func of(_ columns: [ColumnRole]) -> RowShape? {
        let has = Set(columns)
        if !has.contains(.time), !has.contains(.closeTime) { return nil }
        if has.isSuperset(of: [.open, .high, .low, .close]) { return .bars }
        if has.contains(.price) { return .trades }
        if has.isSuperset(of: [.bid, .ask]) { return .quotes }
        if has.contains(.value) { return .values }
        return nil
    }
}

/// How a file writes its times.
public enum TimeForm: Equatable, Sendable {
    case number(TimeUnit)
    case text
    /// Milliseconds since the midnight of a day given by the file's name.
    case sinceMidnight(day: Int64)
}

/// Everything that was decided about one file before its rows were read.
public struct FileFormat: Equatable, Sendable {
    public var shape: RowShape
    public var delimiter: UInt8
    public var columns: [ColumnRole]
    /// Rows may end early after this many columns, or have more: Binance added a column over the years.
    public var columnsLeast: Int
    public var headerLines: Int
    public var time: TimeForm
    /// A bar's length, and whether its time is its end.
    public var bar: Int64
    public var timeIsClose: Bool
    public var zone: ZoneOffset
    /// Prices are this many times too large.
    public var priceDivisor: Int64
    public var symbol: String?
    /// In words, for the report.
    public var decided: [String]
}

/// What the user may lay down instead of leaving it to the file.
public struct ImportOptions: Sendable {
    public enum Duplicates: String, Sendable, CaseIterable { case bad, first, last }

    public var instrument: TapeInstrument?
    public var shape: RowShape?
    /// Column roles or file titles, in the file's order (no header) or `role=title` pairs (with one).
    public var columns: [String] = []
    public var delimiter: UInt8?
    public var unit: TimeUnit?
    public var zone: ZoneOffset?
    public var bar: Int64?
    public var timeIsClose: Bool?
    public var priceDivisor: Int64?
    public var valueName: String?
    /// Stop at the first bad row and write nothing.
    public var strict = false
    /// Put rows into time order instead of refusing those that go back.
    public var sort = false
    /// How many bad rows are listed; all are counted.
    public var listed = 20
    public var from = Int64.min
    public var to = Int64.max

    public init() {}
}
