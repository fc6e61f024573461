/// A regular expression of a schema's `pattern`, matched in time linear in the text.
///
/// Why not Foundation's or Swift's own: both try alternatives one after the other, so a pattern such as `(a+)+$` in a
/// plugin's schema could hold up the host for ever on thirty letters, and Foundation doesn't belong in every plugin. All
/// alternatives are followed at once here (Thompson's construction), which costs back references and look-around; no
/// configuration needs them, and they are refused with a message.
///
/// Syntax (of ECMAScript, as JSON Schema asks): characters, `.`, `[a-z]`, `[^a-z]`, `\d \w \s \D \W \S`, `\n \r \t \f \v`,
/// `\xHH`, `\uHHHH`, `\u{…}`, `^`, `$`, `( )`, `(?: )`, `|`, `* + ? {m} {m,} {m,n}`. It matches anywhere in the text
/// unless anchored.
public struct JSONPattern: Sendable, Equatable {
    public let text: String
    let program: [Instruction]

    enum Instruction: Sendable, Equatable {
        case one(ScalarSet)
        case split(Int, Int)
        case jump(Int)
        case start
        case end
        case accept
    }

    /// Instructions a pattern may take; repetitions count as often as they repeat.
    static let sizeLimit = 10_000

    public init(_ text: String) throws(JSONPatternError) {
        self.text = text
        var parser = JSONPatternParser(text)
        let node = try parser.parse()
        var program: [Instruction] = []
        try JSONPattern.compile(node, into: &program)
        program.append(.accept)
        self.program = program
    }

    public func matches(_ text: String) -> Bool {
        var current = States(program.count)
        var next = States(program.count)
        var stack: [Int] = []
        let scalars = Array(text.unicodeScalars)
        for at in 0...scalars.count {
            // A match may begin anywhere.
            if follow(0, at, scalars.count, &current, &stack) { return true }
            if at == scalars.count { return false }
            for place in 0..<current.count {
                if case .one(let set) = program[current.states[place]], set.contains(scalars[at].value),
                    follow(current.states[place] + 1, at + 1, scalars.count, &next, &stack)
                {
                    return true
                }
            }
            swap(&current, &next)
            next.removeAll()
        }
        return false
    }

    /// Adds every state reached without reading a character; true if the end of the pattern is among them.
    private func follow(_ state: Int, _ at: Int, _ length: Int, _ states: inout States, _ stack: inout [Int]) -> Bool {
        stack.append(state)
        while let state = stack.popLast() {
            guard states.insert(state) else { continue }
            switch program[state] {
            case .accept:
                stack.removeAll()
                return true
            case .jump(let to): stack.append(to)
            case .split(let first, let second):
                stack.append(second)
                stack.append(first)
            case .start: if at == 0 { stack.append(state + 1) }
            case .end: if at == length { stack.append(state + 1) }
            case .one: break
            }
        }
        return false
    }

    /// A set of small numbers that is emptied in no time.
    private struct States {
        var states: [Int]
        var places: [Int]
        var count = 0

        init(_ size: Int) {
            states = [Int](repeating: 0, count: size)
            places = [Int](repeating: 0, count: size)
        }

        mutating func insert(_ state: Int) -> Bool {
            let place = places[state]
            if place < count, states[place] == state { return false }
            states[count] = state
            places[state] = count
            count += 1
            return true
        }

        mutating func removeAll() { count = 0 }
    }

    private static func compile(_ node: JSONPatternNode, into program: inout [Instruction]) throws(JSONPatternError) {
        if program.count > sizeLimit { throw .tooLarge(limit: sizeLimit) }
        switch node {
        case .empty: break
        case .one(let set): program.append(.one(set))
        case .start: program.append(.start)
        case .end: program.append(.end)
        case .sequence(let nodes): for node in nodes { try compile(node, into: &program) }
        case .choice(let nodes):
            var ends: [Int] = []
            for (place, node) in nodes.enumerated() {
                if place == nodes.count - 1 {
                    try compile(node, into: &program)
                } else {
                    let split = program.count
                    program.append(.accept)
                    try compile(node, into: &program)
                    ends.append(program.count)
                    program.append(.accept)
                    program[split] = .split(split + 1, program.count)
                }
            }
            for end in ends { program[end] = .jump(program.count) }
        case .repetition(let node, let least, let most):
            for _ in 0..<least { try compile(node, into: &program) }
            if let most {
                var splits: [Int] = []
                for _ in least..<most {
                    splits.append(program.count)
                    program.append(.accept)
                    try compile(node, into: &program)
                }
                for split in splits { program[split] = .split(split + 1, program.count) }
            } else {
                let split = program.count
                program.append(.accept)
                try compile(node, into: &program)
                program.append(.jump(split))
                program[split] = .split(split + 1, program.count)
            }
        }
    }
}

public enum JSONPatternError: Error, Equatable, Sendable, CustomStringConvertible {
    case unfinished(String)
    case notSupported(String)
    case misplaced(String)
    case badRange(String)
    case tooLarge(limit: Int)
    case tooDeep(limit: Int)

    public var description: String {
        switch self {
        case .unfinished(let what): "the pattern ends inside \(what)"
        case .notSupported(let what): "\(what) is not supported in a pattern: only what can be matched in linear time is"
        case .misplaced(let what): "\(what) can't stand here in a pattern: write \\\(what) for the character itself"
        case .badRange(let what): "\(what) is no range"
        case .tooLarge(let limit): "the pattern is too large: with its repetitions written out it has more than \(limit) steps"
        case .tooDeep(let limit): "the pattern's groups are nested deeper than \(limit)"
        }
    }
}

/// Characters as sorted ranges of code points.
struct ScalarSet: Sendable, Equatable {
    var ranges: [ClosedRange<UInt32>] = []
    var negated = false

    init(_ ranges: [ClosedRange<UInt32>], negated: Bool = false) {
        self.ranges = ranges
        self.negated = negated
    }

    func contains(_ scalar: UInt32) -> Bool { ranges.contains { $0.contains(scalar) } != negated }

    static let digits = ScalarSet([0x30...0x39])
    static let wordBytes = ScalarSet([0x30...0x39, 0x41...0x5A, 0x5F...0x5F, 0x61...0x7A])
    static let spaces = ScalarSet([
        0x09...0x0D, 0x20...0x20, 0xA0...0xA0, 0x1680...0x1680, 0x2000...0x200A, 0x2028...0x2029, 0x202F...0x202F, 0x205F...0x205F, 0x3000...0x3000,
        0xFEFF...0xFEFF,
    ])
    static let lineEnds = ScalarSet([0x0A...0x0A, 0x0D...0x0D, 0x2028...0x2029])

    var inverse: ScalarSet { ScalarSet(ranges, negated: !negated) }

    /// The same set without `negated`.
    var plainRanges: [ClosedRange<UInt32>] {
        guard negated else { return ranges }
        var result: [ClosedRange<UInt32>] = []
        var from: UInt32 = 0
        for range in ranges.sorted(by: { $0.lowerBound < $1.lowerBound }) {
            if range.lowerBound > from { result.append(from...(range.lowerBound - 1)) }
            from = max(from, range.upperBound + 1)
        }
        if from <= 0x10FFFF { result.append(from...0x10FFFF) }
        return result
    }
}

indirect enum JSONPatternNode {
    case empty
    case one(ScalarSet)
    case start
    case end
    case sequence([JSONPatternNode])
    case choice([JSONPatternNode])
    case repetition(JSONPatternNode, least: Int, most: Int?)
}

struct JSONPatternParser {
    private let scalars: [UInt32]
    private var at = 0
    private static let depthLimit = 50
    private static let repetitionLimit = 1000

    init(_ text: String) { scalars = text.unicodeScalars.map(\.value) }

    mutating func parse() throws(JSONPatternError) -> JSONPatternNode {
        let node = try choice(depth: 0)
        if at < scalars.count { throw .misplaced(")") }
        return node
    }

    private func peek(_ character: Unicode.Scalar) -> Bool { at < scalars.count && scalars[at] == character.value }

    private mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard peek(character) else { return false }
        at += 1
        return true
    }

    private mutating func choice(depth: Int) throws(JSONPatternError) -> JSONPatternNode {
        if depth > Self.depthLimit { throw .tooDeep(limit: Self.depthLimit) }
        var nodes = [try sequence(depth: depth)]
        while take("|") { nodes.append(try sequence(depth: depth)) }
        return nodes.count == 1 ? nodes[0] : .choice(nodes)
    }

    private mutating func sequence(depth: Int) throws(JSONPatternError) -> JSONPatternNode {
        var nodes: [JSONPatternNode] = []
        while at < scalars.count, !peek("|"), !peek(")") { nodes.append(try repetition(depth: depth)) }
        return nodes.isEmpty ? .empty : .sequence(nodes)
    }

    private mutating func repetition(depth: Int) throws(JSONPatternError) -> JSONPatternNode {
        let start = at
        let node = try atom(depth: depth)
        var least = 1
        var most: Int? = 1
        if take("*") {
            (least, most) = (0, nil)
        } else if take("+") {
            (least, most) = (1, nil)
        } else if take("?") {
            (least, most) = (0, 1)
        } else if take("{") {
            guard let first = try count() else { throw .misplaced("{") }
            (least, most) = (first, first)
            if take(",") { most = try count() }
            guard take("}") else { throw at < scalars.count ? .misplaced("{") : .unfinished("a repetition") }
            if let most, most < least { throw .badRange("{\(least),\(most)}") }
        } else {
            return node
        }
        // A lazy repetition matches the same texts.
        _ = take("?")
        if peek("*") || peek("+") || peek("{") { throw .misplaced(shown(at)) }
        switch node {
        case .start, .end: throw .misplaced(shown(start))
        default: return .repetition(node, least: least, most: most)
        }
    }

    private mutating func count() throws(JSONPatternError) -> Int? {
        var value: Int?
        while at < scalars.count, ScalarSet.digits.contains(scalars[at]) {
            value = (value ?? 0) * 10 + Int(scalars[at] - 0x30)
            if let value, value > Self.repetitionLimit { throw .notSupported("a repetition of more than \(Self.repetitionLimit)") }
            at += 1
        }
        return value
    }

    private mutating func atom(depth: Int) throws(JSONPatternError) -> JSONPatternNode {
        let scalar = scalars[at]
        at += 1
        switch Unicode.Scalar(scalar) {
        case "^": return .start
        case "$": return .end
        case ".": return .one(ScalarSet.lineEnds.inverse)
        case "[": return .one(try characterClass())
        case "\\": return .one(try escape(inClass: false))
        case "(":
            if take("?") {
                guard take(":") else { throw .notSupported("a group that starts with (?" + (at < scalars.count ? shown(at) : "")) }
            }
            let node = try choice(depth: depth + 1)
            guard take(")") else { throw .unfinished("a group") }
            return node
        case "*", "+", "?", "{", "}", "]": throw .misplaced(shown(at - 1))
        default: return .one(ScalarSet([scalar...scalar]))
        }
    }

    private mutating func characterClass() throws(JSONPatternError) -> ScalarSet {
        let negated = take("^")
        var ranges: [ClosedRange<UInt32>] = []
        while true {
            guard at < scalars.count else { throw .unfinished("a character class") }
            if take("]") {
                if ranges.isEmpty { throw .badRange("[]") }
                return ScalarSet(ranges, negated: negated)
            }
            let first = try classMember()
            if peek("-"), at + 1 < scalars.count, scalars[at + 1] != ("]" as Unicode.Scalar).value {
                at += 1
                let last = try classMember()
                guard let low = single(first), let high = single(last), low <= high else { throw .badRange("this part of a character class") }
                ranges.append(low...high)
            } else {
                ranges += first.plainRanges
            }
        }
    }

    private mutating func classMember() throws(JSONPatternError) -> ScalarSet {
        guard at < scalars.count else { throw .unfinished("a character class") }
        let scalar = scalars[at]
        at += 1
        if scalar == ("\\" as Unicode.Scalar).value { return try escape(inClass: true) }
        return ScalarSet([scalar...scalar])
    }

    private func single(_ set: ScalarSet) -> UInt32? {
        guard !set.negated, set.ranges.count == 1, set.ranges[0].count == 1 else { return nil }
        return set.ranges[0].lowerBound
    }

    private mutating func escape(inClass: Bool) throws(JSONPatternError) -> ScalarSet {
        guard at < scalars.count else { throw .unfinished("an escape") }
        let scalar = scalars[at]
        at += 1
        func one(_ value: UInt32) -> ScalarSet { ScalarSet([value...value]) }
        switch Unicode.Scalar(scalar) {
        case "d": return .digits
        case "D": return ScalarSet.digits.inverse
        case "w": return .wordBytes
        case "W": return ScalarSet.wordBytes.inverse
        case "s": return .spaces
        case "S": return ScalarSet.spaces.inverse
        case "n": return one(0x0A)
        case "r": return one(0x0D)
        case "t": return one(0x09)
        case "f": return one(0x0C)
        case "v": return one(0x0B)
        case "x": return one(try hex(2, 2))
        case "u":
            if take("{") {
                let value = try hex(1, 6)
                guard take("}") else { throw .unfinished("an escape") }
                return one(value)
            }
            return one(try hex(4, 4))
        default:
            if ScalarSet.wordBytes.contains(scalar), scalar != ("_" as Unicode.Scalar).value { throw .notSupported("\\" + shown(at - 1)) }
            return one(scalar)
        }
    }

    private mutating func hex(_ least: Int, _ most: Int) throws(JSONPatternError) -> UInt32 {
        var value: UInt32 = 0
        var digits = 0
        while digits < most, at < scalars.count, let scalar = Unicode.Scalar(scalars[at]), scalar.isASCII, let digit = Character(scalar).hexDigitValue {
            value = value << 4 | UInt32(digit)
            at += 1
            digits += 1
        }
        if digits < least || value > 0x10FFFF { throw .badRange("this escape") }
        return value
    }

    private func shown(_ place: Int) -> String { Unicode.Scalar(scalars[place]).map { String(Character($0)) } ?? "" }
}
