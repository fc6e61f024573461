import Testing

@testable import PluginKit

/// A small generator with a seed that a failing test prints.
struct TestRandom: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed &* 0x9e37_79b9_7f4a_7c15 | 1 }
    mutating func next() -> UInt64 {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return state
    }
}

@Suite struct WebSocketFrameTests {
    @Test("the example frames of RFC 6455 section 5.7")
    func examples() throws {
        var reader = WebSocketReader(isServer: false)
        var from = 0
        let hello = Array("Hello".utf8)
        #expect(try reader.next([0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f], from: &from) == .text(hello))
        from = 0
        var server = WebSocketReader(isServer: true)
        #expect(try server.next([0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58], from: &from) == .text(hello))
        #expect(webSocketFrame(.text, hello, mask: 0x37fa_213d) == [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58])
        from = 0
        let fragments: [UInt8] = [0x01, 0x03, 0x48, 0x65, 0x6c, 0x80, 0x02, 0x6c, 0x6f]
        #expect(try reader.next(fragments, from: &from) == .text(hello))
        #expect(from == fragments.count)
    }

    @Test("the accept key of RFC 6455 section 1.3")
    func accept() { #expect(webSocketAccept("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") }

    @Test("any messages in any fragments, cut anywhere, come out whole", arguments: 1...40 as ClosedRange<UInt64>)
    func anySplit(seed: UInt64) throws {
        var random = TestRandom(seed: seed)
        var bytes: [UInt8] = []
        var expected: [WebSocketMessage] = []
        for _ in 0..<20 {
            let size = [0, 1, 125, 126, 127, 1000, 65_535, 65_536].randomElement(using: &random) ?? 0
            let payload = (0..<size).map { _ in UInt8.random(in: 32...126, using: &random) }
            let isText = Bool.random(using: &random)
            let cut = size == 0 ? 0 : Int.random(in: 0...size, using: &random)
            let mask = UInt32.random(in: .min ... .max, using: &random)
            if cut > 0 {
                bytes += webSocketFrame(isText ? .text : .binary, payload[..<cut], mask: mask, final: false)
                if Bool.random(using: &random) {
                    bytes += webSocketFrame(.ping, [1, 2], mask: mask)
                    expected.append(.ping([1, 2]))
                }
                bytes += webSocketFrame(.continuation, payload[cut...], mask: mask)
            } else {
                bytes += webSocketFrame(isText ? .text : .binary, payload, mask: mask)
            }
            expected.append(isText ? .text(payload) : .binary(payload))
        }
        var reader = WebSocketReader(isServer: true)
        var got: [WebSocketMessage] = []
        var buffer: [UInt8] = []
        var sent = 0
        while sent < bytes.count {
            let part = Int.random(in: 1...Swift.min(40_000, bytes.count - sent), using: &random)
            buffer += bytes[sent..<sent + part]
            sent += part
            var from = 0
            while let message = try reader.next(buffer, from: &from) { got.append(message) }
            buffer.removeFirst(from)
        }
        #expect(got == expected, "seed \(seed)")
    }

    @Test("what the RFC forbids is refused with its close code")
    func violations() {
        func refusal(_ bytes: [UInt8], isServer: Bool = false, limit: Int = 1000) -> WebSocketViolation? {
            var reader = WebSocketReader(isServer: isServer, limit: limit)
            var from = 0
            do throws(WebSocketViolation) {
                while try reader.next(bytes, from: &from) != nil {}
                return nil
            } catch { return error }
        }
        #expect(refusal([0xc1, 0]) == .reservedBits)
        #expect(refusal([0x83, 0]) == .unknownOpcode(3))
        #expect(refusal([0x09, 0]) == .fragmentedControl)
        #expect(refusal([0x89, 126, 0, 126]) == .longControl(126))
        #expect(refusal([0x81, 0x80, 1, 2, 3, 4]) == .maskedServerFrame)
        #expect(refusal([0x81, 0x00], isServer: true) == .unmaskedClientFrame)
        #expect(refusal([0x81, 126, 0, 5]) == .wastefulLength)
        #expect(refusal([0x82, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff]) == .wastefulLength)
        #expect(refusal([0x82, 127, 0xff, 0, 0, 0, 0, 0, 0, 0]) == .tooLarge(.max, limit: 1000))
        #expect(refusal([0x82, 126, 3, 233]) == .tooLarge(1001, limit: 1000))
        #expect(refusal([0x80, 0]) == .strayContinuation)
        #expect(refusal([0x01, 0, 0x81, 0]) == .interruptedMessage)
        #expect(refusal([0x81, 2, 0xc3, 0x28]) == .notUTF8)
        #expect(refusal([0x88, 1, 3]) == .shortClose)
        #expect(refusal([0x88, 2, 0x03, 0xed]) == .badCloseCode(1005))
        #expect(refusal([0x88, 2, 0x03, 0xe8]) == nil)
        #expect(WebSocketViolation.tooLarge(2, limit: 1).closeCode == 1009)
        #expect(WebSocketViolation.notUTF8.closeCode == 1007)
        #expect(WebSocketViolation.reservedBits.closeCode == 1002)
    }

    @Test("random bytes never trap the reader, nor grow it past its limit", arguments: 1...20 as ClosedRange<UInt64>)
    func fuzz(seed: UInt64) {
        var random = TestRandom(seed: seed)
        for _ in 0..<500 {
            let bytes = (0..<Int.random(in: 0...64, using: &random)).map { _ in UInt8.random(in: .min ... .max, using: &random) }
            var reader = WebSocketReader(isServer: Bool.random(using: &random), limit: 4096)
            var from = 0
            var before = -1
            while from != before, let message = try? reader.next(bytes, from: &from) {
                before = from
                if case .text(let text) = message { #expect(text.count <= 4096, "seed \(seed)") }
            }
            #expect(from <= bytes.count, "seed \(seed)")
        }
    }
}
