import CSystem
import Glibc
import Synchronization

/// One end of the SEQPACKET pair. Sending is allowed from any thread; receiving belongs to one.
final class PacketSocket: @unchecked Sendable {
    let fd: Int32
    /// Only long messages take it: their parts must not mix with another long one.
    private let longSend = Mutex<Void>(())

    init(_ fd: Int32) { self.fd = fd }
    deinit { close(fd) }

    enum SendResult: Equatable {
        case sent
        case full
        case closed
    }

    /// Sends one message. `wait` nanoseconds for room, 0: not at all; a long message is never left half sent except at the limit.
    func send(
        _ kind: FrameKind, flags: UInt16 = 0, serial: UInt64, now: Int64 = 0, _ payload: UnsafeRawBufferPointer, wait: Int64,
        whileFull: () -> Bool = { true }
    ) -> SendResult {
        guard payload.count <= FrameHeader.largestMessage else { return .closed }
        let total = UInt32(payload.count)
        if payload.count <= FrameHeader.largestPart {
            return sendPart(FrameHeader(kind: kind, flags: flags, length: total, total: total, serial: serial, now: now), payload, wait, whileFull)
        }
        return longSend.withLock { _ in
            var at = 0
            while at < payload.count {
                let end = min(payload.count, at + FrameHeader.largestPart)
                let part = UnsafeRawBufferPointer(rebasing: payload[at..<end])
                let more = end < payload.count ? FrameHeader.more : 0
                let head = FrameHeader(kind: kind, flags: flags | more, length: UInt32(part.count), total: total, serial: serial, now: now)
                let result = sendPart(head, part, wait, whileFull)
                // Half a message is no message: the other side can't go on after it.
                if result != .sent { return at == 0 ? result : .closed }
                at = end
            }
            return .sent
        }
    }

    private func sendPart(_ head: FrameHeader, _ payload: UnsafeRawBufferPointer, _ wait: Int64, _ whileFull: () -> Bool) -> SendResult {
        withUnsafeTemporaryAllocation(byteCount: FrameHeader.size, alignment: 8) { buffer in
            head.write(to: buffer)
            var end: Int64 = 0
            while true {
                let sent = csystem_packet_send(fd, buffer.baseAddress, UInt64(FrameHeader.size), payload.baseAddress, UInt64(payload.count), 0)
                if sent >= 0 { return .sent }
                guard sent == -Int64(EAGAIN) || sent == -Int64(ENOBUFS) else { return .closed }
                if wait == 0 { return .full }
                let time = Monotonic.now()
                if end == 0 { end = time + wait }
                // Both sides could wait for each other to read; the caller reads meanwhile.
                guard time < end, whileFull() else { return .full }
                _ = csystem_wait_ready(fd, 3, min(end - time, 50_000_000))
            }
        }
    }

    enum ReceiveResult: Equatable {
        case packet(Int)
        case nothing
        case closed
        case oversized
    }

    func receive(into buffer: UnsafeMutableRawBufferPointer) -> ReceiveResult {
        let got = csystem_packet_receive(fd, buffer.baseAddress, UInt64(buffer.count), 0)
        switch got {
        case 1...: return .packet(Int(got))
        case -Int64(EAGAIN): return .nothing
        case -Int64(EMSGSIZE): return .oversized
        default: return .closed
        }
    }

    static let bufferSize = FrameHeader.size + FrameHeader.largestPart
}
