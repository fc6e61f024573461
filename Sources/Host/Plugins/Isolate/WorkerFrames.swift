import PluginAPI
import PluginKit

/// What a worker says, read from its frames. A security boundary: pure, and nothing passes that could hurt the host.
enum WorkerMessage {
    case ready(abiMajor: UInt32)
    case reply(serial: UInt64, Reply)
    case emit(UnsafeRawBufferPointer)
    case log(level: UInt32, text: UnsafeRawBufferPointer)
    case fail(why: keel_status, text: UnsafeRawBufferPointer)
    case asked(keel_instrument_id)
    case question(serial: UInt64, Question)

    /// How a call ended.
    struct Reply {
        var status: keel_status
        var error: keel_error
        var bytes: UnsafeRawBufferPointer
    }

    enum Question {
        case secret(name: UnsafeRawBufferPointer)
        case put(key: UnsafeRawBufferPointer, bytes: UnsafeRawBufferPointer)
        case get(key: UnsafeRawBufferPointer)
        case instrument(keel_instrument_id)
        case timer(delay: keel_span, period: keel_span, tag: UInt64)
        case timerStop(UInt64)
    }

    init(_ head: FrameHeader, _ payload: UnsafeRawBufferPointer) throws(FrameFault) {
        var reader = PayloadReader(payload, head.kind)
        switch head.kind {
        case .ready:
            self = .ready(abiMajor: try reader.number())
            try reader.end()
        case .reply:
            let status: keel_status = try reader.number()
            var error = keel_error.empty()
            error.status = status
            error.vendor_code = try reader.number()
            error.retry_after = try reader.number()
            let message = try reader.block(most: 255)
            withUnsafeMutableBytes(of: &error.message) { target in
                for (index, byte) in message.enumerated() { target[index] = byte }
            }
            self = .reply(serial: head.serial, Reply(status: status, error: error, bytes: reader.rest()))
        case .emit:
            if let fault = EventCheck.fault(payload) { throw .event(fault) }
            guard Int(payload.loadUnaligned(as: UInt32.self)) == payload.count else { throw .payload(kind: .emit, what: "bytes after the event") }
            self = .emit(payload)
        case .log:
            let level: UInt32 = try reader.number()
            self = .log(level: level, text: try reader.block(most: InstanceHost.longestLine))
            try reader.end()
        case .fail:
            let why: keel_status = try reader.number()
            self = .fail(why: why, text: try reader.block(most: InstanceHost.longestLine))
            try reader.end()
        case .asked:
            self = .asked(try reader.number())
            try reader.end()
        case .secret:
            self = .question(serial: head.serial, .secret(name: try reader.block(most: 256)))
            try reader.end()
        case .put:
            let key = try reader.block(most: InstanceHost.longestKey)
            self = .question(serial: head.serial, .put(key: key, bytes: try reader.block(most: InstanceHost.largestValue)))
            try reader.end()
        case .get:
            self = .question(serial: head.serial, .get(key: try reader.block(most: InstanceHost.longestKey)))
            try reader.end()
        case .instrumentWanted:
            self = .question(serial: head.serial, .instrument(try reader.number()))
            try reader.end()
        case .timer:
            let delay: keel_span = try reader.number()
            let period: keel_span = try reader.number()
            self = .question(serial: head.serial, .timer(delay: delay, period: period, tag: try reader.number()))
            try reader.end()
        case .timerStop:
            self = .question(serial: head.serial, .timerStop(try reader.number()))
            try reader.end()
        default: throw .direction(head.kind.rawValue)
        }
    }

    static func encodeReply(_ status: keel_status, _ error: keel_error?, _ bytes: [UInt8]) -> [UInt8] {
        var writer = PayloadWriter(reserving: 64 + bytes.count)
        writer.number(status)
        writer.number(error?.vendor_code ?? 0)
        writer.number(error?.retry_after ?? 0)
        if var error {
            withUnsafeBytes(of: &error.message) { raw in
                let length = raw.firstIndex(of: 0) ?? raw.count
                writer.block(UnsafeRawBufferPointer(rebasing: raw[..<min(length, 255)]))
            }
        } else {
            writer.number(UInt32(0))
        }
        bytes.withUnsafeBytes { writer.raw($0) }
        return writer.bytes
    }
}

/// An instrument on the wire: fixed numbers, then its texts.
enum InstrumentWire {
    static func encode(_ value: keel_instrument) -> [UInt8] {
        var writer = PayloadWriter(reserving: 256)
        writer.number(value.id)
        writer.number(value.instrument_kind)
        for number in [value.tick, value.lot, value.min_qty, value.max_qty, value.multiplier, value.min_notional.hi] { writer.number(number) }
        writer.number(value.min_notional.lo)
        for text in [value.symbol, value.venue_symbol, value.base_asset, value.quote_asset] { writer.block(text.text() ?? "") }
        return writer.bytes
    }

    static func decode(_ payload: UnsafeRawBufferPointer) throws(FrameFault) -> InstrumentRecord {
        var reader = PayloadReader(payload, .instrument)
        let id: keel_instrument_id = try reader.number()
        let kind: UInt32 = try reader.number()
        var numbers: [Int64] = []
        for _ in 0..<6 { numbers.append(try reader.number()) }
        let low: UInt64 = try reader.number()
        var texts: [String] = []
        for _ in 0..<4 { texts.append(String(decoding: try reader.block(most: 65536), as: UTF8.self)) }
        try reader.end()
        return InstrumentRecord(
            id: id, kind: kind, symbol: texts[0], venueSymbol: texts[1], baseAsset: texts[2], quoteAsset: texts[3], tick: Fixed(raw: numbers[0]),
            lot: Fixed(raw: numbers[1]), minQty: Fixed(raw: numbers[2]), maxQty: Fixed(raw: numbers[3]), multiplier: Fixed(raw: numbers[4]),
            minNotional: Amount(keel_amount(lo: low, hi: numbers[5])))
    }
}
