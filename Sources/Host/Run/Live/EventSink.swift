import HostPlugins
import PluginAPI

/// Where every instance's events go: onto the engine's own queue from its own thread, into the inbox from any other.
public final class EventSink: @unchecked Sendable {
    public let inbox: Inbox
    public let clock: HostClock
    public let inline: InlineLane
    /// The engine's thread only.
    let local = LocalQueue()
    /// Where the engine's thread stands in simulated time; set by the loop. Behind the clock while work is caught up with.
    @exclusivity(unchecked) var logical: Int64

    public init(clock: HostClock, capacity: Int = 1 << 20) {
        inbox = Inbox(capacity: capacity)
        self.clock = clock
        logical = clock.now()
        inline = InlineLane(now: logical)
    }

    /// What time it is for whoever asks. In simulated time the engine's thread works through what is due one step after the other, each
    /// at its own time, however far a paced clock has run on: so a run comes to the same at every speed.
    func now() -> keel_time { clock.isSimulated && inline.isCurrent ? logical : clock.now() }

    func emit(_ event: UnsafePointer<keel_event>, from source: Source) -> keel_status {
        if inline.isCurrent {
            local.append(event, from: source, at: now())
            return KEEL_OK
        }
        return inbox.post(event, from: source, at: clock.now()) == .dropped ? KEEL_E_AGAIN : KEEL_OK
    }

    /// A DONE the host itself says for an instance that cannot.
    func emitDone(_ request: UInt64, _ status: keel_status, _ message: String, from source: Source) {
        let text = Array(message.utf8.prefix(1024))
        let fixed = MemoryLayout<keel_ev_done>.size
        withUnsafeTemporaryAllocation(byteCount: fixed + text.count, alignment: 8) { buffer in
            var done = keel_ev_done()
            done.head.size = UInt32(fixed + text.count)
            done.head.kind = UInt16(KEEL_EV_DONE)
            done.head.request = request
            done.status = status
            done.message = keel_text(off: UInt32(fixed), len: UInt32(text.count))
            buffer.storeBytes(of: done, as: keel_ev_done.self)
            UnsafeMutableRawBufferPointer(rebasing: buffer[fixed...]).copyBytes(from: text)
            guard let base = buffer.baseAddress else { return }
            _ = emit(UnsafePointer(base.assumingMemoryBound(to: keel_event.self)), from: source)
        }
    }

    /// A LINK the host itself says: an instance died, or came back.
    func emitLink(_ state: UInt32, why: keel_status, name: String, _ message: String, from source: Source) {
        let text = Array(name.utf8.prefix(256)) + Array(message.utf8.prefix(1024))
        let fixed = MemoryLayout<keel_ev_link>.size
        let nameLength = min(name.utf8.count, 256)
        withUnsafeTemporaryAllocation(byteCount: fixed + text.count, alignment: 8) { buffer in
            var link = keel_ev_link()
            link.head.size = UInt32(fixed + text.count)
            link.head.kind = UInt16(KEEL_EV_LINK)
            link.state = state
            link.why = why
            link.name = keel_text(off: UInt32(fixed), len: UInt32(nameLength))
            link.message = keel_text(off: UInt32(fixed + nameLength), len: UInt32(text.count - nameLength))
            buffer.storeBytes(of: link, as: keel_ev_link.self)
            UnsafeMutableRawBufferPointer(rebasing: buffer[fixed...]).copyBytes(from: text)
            guard let base = buffer.baseAddress else { return }
            _ = emit(UnsafePointer(base.assumingMemoryBound(to: keel_event.self)), from: source)
        }
    }
}
