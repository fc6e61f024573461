import Foundation
import PluginKit
import PluginSupport
import Testing

@Suite struct NumbersTests {
    static let vectors: JSONValue? = {
        var url = URL(fileURLWithPath: #filePath)
        for _ in 0..<3 { url.deleteLastPathComponent() }
        guard let bytes = try? Data(contentsOf: url.appendingPathComponent("Sources/PluginAPI/vectors/decimal.json")) else { return nil }
        return try? JSONValue(parsing: Array(bytes))
    }()

    func rows(_ name: String) throws -> [JSONField] { try #require(Self.vectors)[name].list }
    func fixed(_ field: JSONField) throws -> Fixed { Fixed(raw: try #require(Int64(try field.text))) }
    /// What a row expects: a number of steps, or nil for an error.
    func expected(_ field: JSONField) throws -> Int128? { try field.ifPresent.map { try #require(Int128(try $0.text)) } }

    // MARK: the shipped vectors

    @Test func parsing() throws {
        for row in try rows("parse") {
            let text = try row["text"].text
            #expect((try? Fixed(parsing: text)).map { Int128($0.raw) } == (try expected(row["fixed"])), "\(text)")
            #expect((try? Amount(parsing: text))?.raw == (try expected(row["amount"])), "\(text)")
        }
    }

    @Test func writing() throws {
        for row in try rows("text") { #expect(try fixed(row["raw"]).description == row["text"].text) }
    }

    @Test(arguments: ["add", "subtract", "multiply", "divide"]) func arithmetic(name: String) throws {
        let all = try rows(name)
        #expect(all.count > 100)
        for row in all {
            let (a, b) = (try fixed(row["a"]), try fixed(row["b"]))
            let result: Fixed? =
                switch name {
                case "add": try? a.adding(b)
                case "subtract": try? a.subtracting(b)
                case "multiply": try? a.multiplied(by: b)
                default: try? a.divided(by: b)
                }
            #expect(result.map { Int128($0.raw) } == (try expected(row["is"])), "\(name) \(a) \(b)")
        }
    }

    @Test func notional() throws {
        for row in try rows("notional") {
            #expect(try fixed(row["price"]).notional(fixed(row["quantity"])).raw == expected(row["is"]))
        }
    }

    @Test func rounding() throws {
        for row in try rows("round") {
            let (a, step) = (try fixed(row["a"]), try fixed(row["step"]))
            #expect((try? a.rounded(to: step, .down)).map { Int128($0.raw) } == (try expected(row["down"])), "\(a) \(step)")
            #expect((try? a.rounded(to: step, .up)).map { Int128($0.raw) } == (try expected(row["up"])), "\(a) \(step)")
            #expect((try? a.rounded(to: step, .halfAwayFromZero)).map { Int128($0.raw) } == (try expected(row["nearest"])), "\(a) \(step)")
        }
    }

    // MARK: properties

    static func any(_ random: inout Seeded) -> Fixed {
        let bits = Int.random(in: 0..<63, using: &random)
        return Fixed(raw: Int64.random(in: .min ... .max, using: &random) >> bits)
    }

    @Test(arguments: [1, 2, 3] as [UInt64]) func textAndBack(seed: UInt64) throws {
        var random = Seeded(seed)
        for _ in 0..<2000 {
            let value = Self.any(&random)
            #expect(try Fixed(parsing: value.description) == value, "seed \(seed)")
            let wide = Amount(raw: Int128(value.raw) * Int128(Self.any(&random).raw))
            #expect(try Amount(parsing: wide.description) == wide, "seed \(seed)")
            #expect(Amount(wide.c) == wide)
        }
    }

    @Test(arguments: [1, 2, 3] as [UInt64]) func resultsAreExactOrErrors(seed: UInt64) throws {
        var random = Seeded(seed)
        for _ in 0..<2000 {
            let (a, b) = (Self.any(&random), Self.any(&random))
            let sum = Int128(a.raw) + Int128(b.raw)
            #expect((try? a.adding(b)).map { Int128($0.raw) } == Int64(exactly: sum).map { Int128($0) }, "\(a) + \(b), seed \(seed)")
            if let difference = try? a.subtracting(b) { #expect(try difference.adding(b) == a) }
            if let product = try? a.multiplied(by: b) {
                let error = (Int128(product.raw) * Int128(Fixed.scale) - Int128(a.raw) * Int128(b.raw)).magnitude
                #expect(error * 2 <= UInt128(Fixed.scale), "\(a) * \(b), seed \(seed)")
            }
            if !b.isZero, let quotient = try? a.divided(by: b) {
                let error = (Int128(quotient.raw) * Int128(b.raw) - Int128(a.raw) * Int128(Fixed.scale)).magnitude
                #expect(error * 2 <= UInt128(b.raw.magnitude), "\(a) / \(b), seed \(seed)")
            }
        }
    }

    @Test(arguments: [4, 5] as [UInt64]) func roundingStaysWithinOneStep(seed: UInt64) throws {
        var random = Seeded(seed)
        for _ in 0..<2000 {
            let value = Self.any(&random)
            let step = Fixed(raw: Int64.random(in: 1...1_000_000_000, using: &random))
            for rule in [Rounding.down, .up, .towardZero, .awayFromZero, .halfAwayFromZero] {
                guard let result = try? value.rounded(to: step, rule) else { continue }
                #expect(result.isMultiple(of: step))
                let moved = Int128(result.raw) - Int128(value.raw)
                #expect(moved.magnitude < UInt128(step.raw.magnitude), "\(value) to \(step) \(rule), seed \(seed)")
                switch rule {
                case .down: #expect(moved <= 0)
                case .up: #expect(moved >= 0)
                case .towardZero: #expect(result.raw.magnitude <= value.raw.magnitude)
                case .awayFromZero: #expect(result.raw.magnitude >= value.raw.magnitude)
                case .halfAwayFromZero: #expect(moved.magnitude * 2 <= UInt128(step.raw.magnitude))
                }
            }
        }
    }

    @Test(arguments: [6, 7] as [UInt64]) func anyBytesAreANumberOrAnError(seed: UInt64) {
        var random = Seeded(seed)
        let alphabet = Array("0123456789+-.eE, \u{0}x".utf8)
        for _ in 0..<5000 {
            let bytes = (0..<Int.random(in: 0...40, using: &random)).map { _ in alphabet.randomElement(using: &random) ?? 0 }
            for exponent in [false, true] {
                if let value = try? Amount(parsing: bytes, allowingExponent: exponent) {
                    #expect((try? Amount(parsing: value.description)) == value, "seed \(seed)")
                    #expect(!bytes.contains(UInt8(ascii: ",")) && !bytes.contains(0))
                }
            }
        }
    }

    @Test func statisticsBecomeNumbersOnlyIfTheyFit() {
        #expect((try? Fixed(nearest: 1.005)) == Fixed(raw: 100_500_000))
        #expect((try? Fixed(nearest: -0.000_000_005)) == Fixed(raw: -1))
        for value in [Double.nan, .infinity, -.infinity, 1e12, -1e12, .greatestFiniteMagnitude] { #expect((try? Fixed(nearest: value)) == nil) }
    }

    @Test func amountsDivideAndMultiply() throws {
        let money = try Amount(parsing: "1000000000000.00000001")
        #expect(try money.multiplied(by: Fixed(parsing: "0.5")).description == "500000000000.00000001")
        #expect(try money.divided(by: Amount(parsing: "3")).description == "333333333333.33333334")
        #expect(throws: NumberError.self) { try money.divided(by: .zero) }
        #expect(throws: NumberError.self) { try money.fixed() }
        #expect(throws: NumberError.self) { try Amount(raw: .max).adding(Amount(raw: 1)) }
        #expect(throws: NumberError.self) { try Amount(raw: .min).magnitude() }
        #expect(throws: NumberError.self) { try Amount(raw: .max).multiplied(by: Fixed(raw: 2)) }
        #expect(throws: NumberError.self) { try Fixed.min.negated() }
    }
}
