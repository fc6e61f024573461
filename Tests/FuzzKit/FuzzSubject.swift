/// A parser that reads bytes from outside, with the inputs it is tried on and what must hold for each of them.
public struct FuzzSubject: Sendable {
    public let name: String
    /// One input. The same generator state gives the same input.
    public let makeInput: @Sendable (inout FuzzGenerator) -> [UInt8]
    /// nil: all is well. Otherwise what doesn't hold. A trap is found by the process dying.
    public let check: @Sendable ([UInt8]) -> String?

    public init(_ name: String, makeInput: @escaping @Sendable (inout FuzzGenerator) -> [UInt8], check: @escaping @Sendable ([UInt8]) -> String?) {
        self.name = name
        self.makeInput = makeInput
        self.check = check
    }

    public struct Finding: Error, CustomStringConvertible {
        public let subject: String
        public let seed: UInt64
        public let index: Int
        public let what: String
        public let input: [UInt8]

        public var description: String {
            "\(subject): \(what)\n  again: keel-fuzz \(subject) --seed \(seed) --from \(index) --count 1\n  input: \(String(decoding: input.prefix(2000), as: UTF8.self).debugDescription)"
        }
    }

    public func input(seed: UInt64, index: Int) -> [UInt8] {
        // Each input has a generator of its own, so that any one can be made again alone.
        var generator = FuzzGenerator(seed: seed &+ UInt64(bitPattern: Int64(index)) &* 0x9E37_79B9_7F4A_7C15)
        return makeInput(&generator)
    }

    public func run(seed: UInt64, from: Int = 0, count: Int) throws(Finding) {
        for index in from..<(from + count) {
            let input = input(seed: seed, index: index)
            if let what = check(input) { throw Finding(subject: name, seed: seed, index: index, what: what, input: input) }
        }
    }
}

/// SplitMix64: small, fast, and the same everywhere.
public struct FuzzGenerator: RandomNumberGenerator, Sendable {
    private var state: UInt64

    public init(seed: UInt64) { state = seed }

    public mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    public mutating func below(_ limit: Int) -> Int { limit <= 1 ? 0 : Int(next() % UInt64(limit)) }
    public mutating func chance(_ oneIn: Int) -> Bool { below(oneIn) == 0 }
    public mutating func pick<T>(_ list: [T]) -> T? { list.isEmpty ? nil : list[below(list.count)] }
}

/// Damages bytes the way files and wires do, and the way attackers do.
public enum FuzzMutation {
    static let spicy: [UInt8] = [0x00, 0x0A, 0x1F, 0x20, 0x22, 0x2C, 0x2D, 0x30, 0x39, 0x3A, 0x5B, 0x5C, 0x5D, 0x65, 0x7B, 0x7D, 0x7F, 0x80, 0xBF, 0xC0, 0xED, 0xEF, 0xF4, 0xFF]

    public static func mutate(_ bytes: inout [UInt8], words: [String], _ generator: inout FuzzGenerator) {
        for _ in 0...generator.below(4) {
            let at = generator.below(bytes.count + 1)
            let length = min(generator.below(generator.chance(4) ? 64 : 6), bytes.count - at)
            switch generator.below(9) {
            case 0: bytes.removeSubrange(at..<(at + length))
            case 1: bytes.insert(spicy[generator.below(spicy.count)], at: at)
            case 2: if at < bytes.count { bytes[at] ^= UInt8(1 << generator.below(8)) }
            case 3: if at < bytes.count { bytes[at] = UInt8(truncatingIfNeeded: generator.next()) }
            case 4: bytes.insert(contentsOf: bytes[at..<(at + length)], at: generator.below(bytes.count + 1))
            case 5: if generator.chance(4) { bytes.removeSubrange(at...) }
            case 6: bytes.insert(contentsOf: (generator.pick(words) ?? "").utf8, at: at)
            case 7: bytes.replaceSubrange(at..<(at + length), with: (generator.pick(words) ?? "").utf8)
            default: bytes.insert(contentsOf: [UInt8](repeating: spicy[generator.below(spicy.count)], count: generator.below(80)), at: at)
            }
        }
    }
}
