import Foundation
import PluginAPI
import PluginKit
import Tape

/// A folder of its own for one test, removed at the end.
final class Scratch {
    let path: String
    init() throws {
        path = NSTemporaryDirectory() + "keel-tape-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }
    deinit { try? FileManager.default.removeItem(atPath: path) }
    func file(_ name: String) -> String { path + "/" + name }
    func bytes(_ name: String) throws -> [UInt8] { Array(try Data(contentsOf: URL(fileURLWithPath: file(name)))) }
    func write(_ name: String, _ bytes: [UInt8]) throws { try Data(bytes).write(to: URL(fileURLWithPath: file(name))) }
    func write(_ name: String, _ text: String) throws { try write(name, Array(text.utf8)) }
}

let minute: Int64 = 60_000_000_000

func trade(_ time: Int64, instrument: UInt32 = 1, id: UInt64 = 0) -> keel_ev_trade {
    EventForm.trade(instrument: instrument, time: time, price: Fixed(raw: 100_00000000 + Int64(id)), quantity: .one, id: id, side: KEEL_BUY)
}

/// Everything on a tape as (time, instrument, kind, first body word).
struct Line: Equatable, Hashable {
    var time: Int64
    var instrument: UInt32
    var kind: UInt16
    var word: Int64
}

func lines(_ cursor: TapeCursor) throws -> [Line] {
    var result: [Line] = []
    while let span = try cursor.next() { span.forEach { result.append(line($0)) } }
    return result
}

func lines(_ merge: TapeMerge) throws -> [Line] {
    var result: [Line] = []
    while let span = try merge.next() { span.forEach { result.append(line($0)) } }
    return result
}

func line(_ event: UnsafePointer<keel_event>) -> Line {
    Line(
        time: TapeTime.of(event), instrument: event.pointee.instrument, kind: event.pointee.kind,
        word: event.pointee.size >= 48 ? UnsafeRawPointer(event).loadUnaligned(fromByteOffset: 40, as: Int64.self) : 0)
}
