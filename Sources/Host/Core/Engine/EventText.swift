import PluginAPI
import PluginKit

/// The only place that reads a plugin's event as more than its header: every size and offset is checked first.
@inline(__always)
func body<Event>(_ event: UnsafePointer<keel_event>, as type: Event.Type) -> UnsafePointer<Event>? {
    guard Int(event.pointee.size) >= MemoryLayout<Event>.size else { return nil }
    return UnsafeRawPointer(event).assumingMemoryBound(to: Event.self)
}

/// The bytes of a text inside an event; empty if it does not lie inside.
@inline(__always)
func textBytes(_ text: keel_text, in event: UnsafePointer<keel_event>) -> UnsafeRawBufferPointer {
    let (end, overflow) = text.off.addingReportingOverflow(text.len)
    guard !overflow, text.len > 0, end <= event.pointee.size else { return UnsafeRawBufferPointer(start: nil, count: 0) }
    return UnsafeRawBufferPointer(start: UnsafeRawPointer(event) + Int(text.off), count: Int(text.len))
}

func textString(_ text: keel_text, in event: UnsafePointer<keel_event>) -> String {
    String(decoding: textBytes(text, in: event), as: UTF8.self)
}

/// The elements of a list inside an event; empty if it does not lie inside or is not aligned. `most` bounds what is read.
func listElements<Element>(_ list: keel_list, of type: Element.Type, in event: UnsafePointer<keel_event>, most: Int = 256) -> [Element] {
    let stride = MemoryLayout<Element>.stride
    let (length, overflow) = Int(list.count).multipliedReportingOverflow(by: stride)
    guard !overflow, list.count > 0, list.off % 8 == 0, Int(list.off) + length <= Int(event.pointee.size) else { return [] }
    let base = UnsafeRawPointer(event) + Int(list.off)
    return (0..<min(Int(list.count), most)).map { base.loadUnaligned(fromByteOffset: $0 * stride, as: Element.self) }
}

extension Decision {
    init(_ event: keel_ev_decision) {
        self.init(
            action: event.action, fromRecord: event.from_record != 0, snapshotHi: event.snapshot.hi, snapshotLo: event.snapshot.lo,
            fraction: Fixed(raw: event.fraction), quantity: Fixed(raw: event.quantity), confidence: Fixed(raw: event.confidence),
            exitProbability: event.exit_probability < 0 ? nil : Fixed(raw: event.exit_probability), nextCheck: event.next_check,
            validUntil: event.valid_until, cost: Amount(event.cost), tokensIn: event.tokens_in, tokensCached: event.tokens_cached,
            tokensOut: event.tokens_out, instrument: event.head.instrument)
    }
}
