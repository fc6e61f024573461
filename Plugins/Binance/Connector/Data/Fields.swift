/// The places of an object's members by name, noted in one pass. Names that nobody here reads are skipped.
final class Fields {
    /// Names of one letter stand at the letter's own place.
    enum Name: Int {
        case A = 0, B = 1, E = 4, L = 11, Q = 16, T = 19, U = 20, V = 21
        case a = 32, b = 33, c = 34, e = 36, f = 37, h = 39, i = 40, k = 42, l = 43, m = 44, n = 45, o = 46, p = 47, q = 48, r = 49, s = 50, t = 51, u = 52, v = 53
        case x = 55
        case pu = 58, st, stream, data, result, id, code, msg, error, lastUpdateID, bids, asks
    }
    private static let places = Name.asks.rawValue + 1

    private struct Place {
        var token = Token(kind: .null, start: 0, end: 0)
        /// Which reading filled it: what an earlier one left doesn't count, and nothing has to be cleared.
        var reading: UInt32 = 0
    }
    private var table = [Place](repeating: Place(), count: places)
    private var reading: UInt32 = 0

    subscript(name: Name) -> Token? {
        let place = table[name.rawValue]
        return place.reading == reading && reading != 0 ? place.token : nil
    }

    @inline(__always)
    func need(_ name: Name, _ words: StaticString) throws(StreamFault) -> Token {
        guard let token = self[name] else { throw .missing("\(words)") }
        return token
    }

    /// Reads an object that begins at the scanner's place.
    func read(_ scanner: inout Scanner, _ bytes: borrowing Span<UInt8>) throws(StreamFault) {
        if reading == .max {
            for place in table.indices { table[place].reading = 0 }
            reading = 0
        }
        reading += 1
        try scanner.expect(UInt8(ascii: "{"), bytes)
        var first = true
        while let name = try scanner.name(bytes, &first) {
            let value = try scanner.value(bytes)
            let place = Self.place(name, bytes)
            if place < 0 { continue }
            if table[place].reading == reading { throw .twice(name.words(bytes)) }
            table[place] = Place(token: value, reading: reading)
        }
    }

    @inline(__always)
    private static func place(_ name: Token, _ bytes: borrowing Span<UInt8>) -> Int {
        if name.count == 1 {
            let letter = Int(bytes[name.start]) - 65
            return letter >= 0 && letter < 58 ? letter : -1
        }
        return longPlace(name, bytes)
    }

    private static func longPlace(_ name: Token, _ bytes: borrowing Span<UInt8>) -> Int {
        switch name.count {
        case 2:
            if name.equals("pu", bytes) { return Name.pu.rawValue }
            if name.equals("st", bytes) { return Name.st.rawValue }
            if name.equals("id", bytes) { return Name.id.rawValue }
        case 3: if name.equals("msg", bytes) { return Name.msg.rawValue }
        case 4:
            if name.equals("data", bytes) { return Name.data.rawValue }
            if name.equals("code", bytes) { return Name.code.rawValue }
            if name.equals("bids", bytes) { return Name.bids.rawValue }
            if name.equals("asks", bytes) { return Name.asks.rawValue }
        case 5: if name.equals("error", bytes) { return Name.error.rawValue }
        case 6:
            if name.equals("stream", bytes) { return Name.stream.rawValue }
            if name.equals("result", bytes) { return Name.result.rawValue }
        case 12: if name.equals("lastUpdateId", bytes) { return Name.lastUpdateID.rawValue }
        default: break
        }
        return -1
    }
}
