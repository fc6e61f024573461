import Foundation
@testable import HostPlugins
import PluginAPI
import PluginKit
import Testing

@Suite("Recorded venues and the form of events")
struct VenueTests {
    @Test("a pattern takes the shortest run up to the next literal piece", arguments: [
        ("NEW {id} {qty}", "NEW k1 0.5", ["id": "k1", "qty": "0.5"]),
        ("{side} {ref}", "buy 7", ["side": "buy", "ref": "7"]),
        ("a{x}b{y}", "a1b2b3", ["x": "1", "y": "2b3"]),
        (#"{"op":"new","id":"{id}"}"#, #"{"op":"new","id":"k1"}"#, ["id": "k1"]),
        ("PING", "PING", [:]),
        ("{all}", "", ["all": ""]),
    ])
    func matches(_ example: (pattern: String, line: String, captures: [String: String])) {
        #expect(LinePattern(example.pattern).match(example.line) == example.captures)
    }

    @Test("what doesn't fit doesn't match", arguments: [("NEW {id}", "OLD 1"), ("PING", "PINGS"), ("{a} {b}", "one"), ("x{y}z", "xyy")])
    func mismatches(_ example: (pattern: String, line: String)) {
        #expect(LinePattern(example.pattern).match(example.line) == nil)
    }

    @Test("any bytes and any line leave the matcher standing, and a filled pattern matches itself")
    func properties() {
        var random = CheckRandom(seed: 99)
        let letters = Array("ab {}_\"\\xyz")
        for _ in 0..<3000 {
            let pattern = String((0..<random.below(12)).map { _ in letters[random.below(letters.count)] })
            let line = String((0..<random.below(20)).map { _ in letters[random.below(letters.count)] })
            let parsed = LinePattern(pattern)
            if let captures = parsed.match(line), Set(captures.keys).count == parsed.pieces.count(where: { if case .capture = $0 { true } else { false } }) {
                #expect(LinePattern.fill(pattern, captures) == line, "seed 99: \(pattern) on \(line)")
            }
        }
    }

    @Test("a recording's mistakes are refused", arguments: [
        "{}", "[]", "{\"scenarios\": {}}", #"{"scenarios": {"a": [{"reply": []}]}}"#, #"{"scenarios": {"a": []}, "more": 1}"#,
        #"{"scenarios": {"a": [{"on": "x", "replay": []}]}}"#, #"{"scenarios": {"a": [{"on": "x", "reply": [{"late": "y"}]}]}}"#, "not json",
    ])
    func badRecordings(_ text: String) {
        #expect(throws: (any Error).self) { try RecordedTalk(parsing: Array(text.utf8)) }
    }

    @Test("an event's own form: sizes, texts and lists in bounds, nothing reserved filled")
    func malformedEvents() {
        var event = keel_ev_decision()
        event.head.kind = UInt16(KEEL_EV_DECISION)
        let size = MemoryLayout<keel_ev_decision>.size
        func problem(_ change: (inout keel_ev_decision) -> Void, tail: [UInt8] = Array("reason..".utf8)) -> String? {
            var copy = event
            copy.head.size = UInt32(size + tail.count)
            change(&copy)
            let bytes = withUnsafeBytes(of: copy) { [UInt8]($0) } + tail
            return bytes.withUnsafeBytes { malformation(of: $0) }
        }
        #expect(problem { $0.reason = keel_text(off: UInt32(size), len: 8) } == nil)
        #expect(problem { $0.reason = keel_text(off: UInt32(size), len: 9) }?.contains("outside") ?? false)
        #expect(problem { $0.reason = keel_text(off: 0, len: 4) }?.contains("outside") ?? false)
        #expect(problem { $0.reason = keel_text(off: .max, len: .max) }?.contains("outside") ?? false)
        #expect(problem { $0.head.reserved = 1 }?.contains("reserved") ?? false)
        #expect(problem({ $0.reason = keel_text(off: UInt32(size), len: 1) }, tail: [0xff])?.contains("UTF-8") ?? false)
        #expect(problem({ $0.reason = keel_text(off: UInt32(size), len: 2) }, tail: [65, 0])?.contains("NUL") ?? false)
        #expect(problem { $0.wakes = keel_list(off: UInt32(size + 1), count: 1) }?.contains("multiple of 8") ?? false)
        #expect(problem { $0.wakes = keel_list(off: UInt32(size), count: .max) }?.contains("outside") ?? false)
        #expect(problem({ $0.head.kind = UInt16(KEEL_EV_ORDER) }, tail: []) == nil)
        let short = [UInt8](repeating: 0, count: MemoryLayout<keel_event>.size)
        var done = keel_event()
        done.kind = UInt16(KEEL_EV_DONE)
        done.size = UInt32(short.count)
        #expect(withUnsafeBytes(of: done) { malformation(of: $0) }?.contains("it needs") ?? false)
    }

    @Test("random bytes in an event's body never bring the examination down")
    func fuzzedEvents() {
        var random = CheckRandom(seed: 7)
        for _ in 0..<20_000 {
            var bytes = random.bytes(MemoryLayout<keel_event>.size + random.below(300))
            bytes[4] = UInt8(random.below(60))
            bytes[5] = 0
            _ = bytes.withUnsafeBytes { malformation(of: $0) }
        }
    }

    @Test("made configurations obey the schema, broken ones don't")
    func configurations() throws {
        let schema = try JSONSchema(parsing: """
            {"type":"object","required":["port"],"properties":{
              "port":{"type":"integer","minimum":1,"maximum":65535,"description":"p"},
              "mode":{"enum":["a","b"],"default":"a","description":"m"},
              "rate":{"type":"number","minimum":-1,"maximum":2.5,"default":0,"description":"r"},
              "names":{"type":"array","items":{"type":"string"},"default":[],"description":"n"},
              "on":{"type":"boolean","default":true,"description":"o"},
              "key":{"type":"object","x-secret":true,"description":"k"}}}
            """)
        var maker = ConfigMaker(schema: schema, base: ["port": 7, "key": ["$secret": "k"]], random: CheckRandom(seed: 5))
        for _ in 0..<500 {
            let config = maker.valid()
            #expect(schema.check(config).issues.filter { !$0.isWarning }.isEmpty, "seed 5: \(config)")
            let broken = maker.invalid()
            if let parsed = try? JSONValue(parsing: broken.text) {
                #expect(schema.check(parsed).issues.contains { !$0.isWarning }, "seed 5: \(broken.text), \(broken.fault)")
            }
        }
        #expect(maker.minimal().text(.compact) == #"{"port":7}"#)
    }
}
