import PluginAPI
import PluginKit

/// A tape's records of one shape as CSV, in the form `TapeImport` reads back to the same records.
public enum TapeExport {
    public static func header(_ shape: RowShape) -> String {
        switch shape {
        case .bars: "ts_ns,symbol,open,high,low,close,volume,trades"
        case .trades: "ts_ns,symbol,price,qty,side,id"
        case .quotes: "ts_ns,symbol,bid,bid_qty,ask,ask_qty"
        case .values: "ts_ns,symbol,name,value,released_ns"
        }
    }

    /// Writes every record of `shape` through `write`, in pieces; gives their number.
    public static func run(_ file: TapeFile, shape: RowShape, from: Int64 = .min, to: Int64 = .max, write: ([UInt8]) throws -> Void) throws -> Int {
        let kind: UInt32 =
            switch shape {
            case .bars: KEEL_EV_BAR
            case .trades: KEEL_EV_TRADE
            case .quotes: KEEL_EV_QUOTE
            case .values: KEEL_EV_VALUE
            }
        var out = Array((header(shape) + "\n").utf8)
        out.reserveCapacity(1 << 17)
        var rows = 0
        let symbols = [[UInt8]()] + file.instruments.map { Array($0.symbol.utf8) }
        let cursor = TapeCursor(file, from: from, to: to)
        while let span = try cursor.next() {
            try span.forEach { event in
                if UInt32(event.pointee.kind) != kind { return }
                rows += 1
                let raw = UnsafeRawPointer(event)
                let symbol = symbols[Int(event.pointee.instrument)]
                func time(_ value: Int64) {
                    if value < 0 { out.append(45) }
                    FieldNumber.digits(value.magnitude, &out)
                    out.append(44)
                    out += symbol
                }
                func comma(_ value: Int64) {
                    out.append(44)
                    FieldNumber.write(Int128(value), into: &out)
                }
                switch shape {
                case .bars:
                    let bar = raw.loadUnaligned(as: keel_ev_bar.self)
                    time(bar.bar.open_time)
                    comma(bar.bar.open)
                    comma(bar.bar.high)
                    comma(bar.bar.low)
                    comma(bar.bar.close)
                    out.append(44)
                    FieldNumber.write(Amount(bar.bar.volume).raw, into: &out)
                    out.append(44)
                    FieldNumber.digits(UInt64(bar.trades), &out)
                case .trades:
                    let trade = raw.loadUnaligned(as: keel_ev_trade.self)
                    time(event.pointee.at_source != 0 ? event.pointee.at_source : event.pointee.at_host)
                    comma(trade.price)
                    comma(trade.qty)
                    out.append(44)
                    if trade.side == KEEL_BUY { out += Array("buy".utf8) } else if trade.side == KEEL_SELL { out += Array("sell".utf8) }
                    out.append(44)
                    if trade.trade_id != 0 { FieldNumber.digits(trade.trade_id, &out) }
                case .quotes:
                    let quote = raw.loadUnaligned(as: keel_ev_quote.self)
                    time(event.pointee.at_source != 0 ? event.pointee.at_source : event.pointee.at_host)
                    comma(quote.bid)
                    comma(quote.bid_qty)
                    comma(quote.ask)
                    comma(quote.ask_qty)
                case .values:
                    let value = raw.loadUnaligned(as: keel_ev_value.self)
                    time(value.period_start != 0 ? value.period_start : event.pointee.at_source)
                    out.append(44)
                    let text = UnsafeRawBufferPointer(start: raw + Int(value.name.off), count: Int(value.name.len))
                    // A name with a comma in it would become two columns.
                    out += text.map { $0 == 44 || $0 == 10 || $0 == 13 || $0 == 34 ? 95 : $0 }
                    out += Array(",\(value.value),".utf8)
                    if value.released != 0 { out += Array("\(value.released)".utf8) }
                }
                out.append(10)
                if out.count > 120_000 {
                    try write(out)
                    out.removeAll(keepingCapacity: true)
                }
            }
        }
        try write(out)
        return rows
    }
}
