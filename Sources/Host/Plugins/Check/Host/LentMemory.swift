import CSystem
import Glibc

/// How the hostile host hands memory to a plugin.
enum Lending: Sendable {
    /// Heap memory that stays readable as long as the instance lives, with a zero byte behind it: a friendly host.
    case kept
    /// Pages that become unreadable the moment the call returns.
    case unmapped
    /// The last byte lies at the end of a page; the next page can't be read.
    case guarded
    /// Pages that can't be written.
    case readOnly
}

/// Memory lent for calls. One lender an instance; what it lent goes when it goes.
final class Lender {
    let lending: Lending
    private var kept: [UnsafeMutableRawPointer] = []
    private(set) var keptBytes = 0
    private var mapped: [(start: UnsafeMutableRawPointer, length: Int)] = []
    /// Lent pages of the call that is running, to be closed when it returns.
    private var open: [(start: UnsafeMutableRawPointer, length: Int)] = []

    static let page = Int(sysconf(Int32(_SC_PAGESIZE)))

    init(_ lending: Lending) { self.lending = lending }

    deinit {
        for pointer in kept { free(pointer) }
        for block in mapped { munmap(block.start, block.length) }
    }

    /// A copy of `bytes` that a plugin may read during one call. `label` names it in a crash report.
    func lend(_ bytes: UnsafeRawBufferPointer, _ label: StaticString) -> UnsafeMutableRawPointer? {
        switch lending {
        case .kept:
            guard let pointer = malloc(bytes.count + 8) else { return nil }
            copy(bytes, to: pointer)
            memset(pointer + bytes.count, 0, 8)
            kept.append(pointer)
            keptBytes += bytes.count + 32
            return pointer
        case .unmapped, .readOnly, .guarded:
            // A multiple of 8 keeps structs aligned; strings may end at any byte.
            let room = (bytes.count + 8 + Lender.page - 1) / Lender.page * Lender.page
            guard let start = Lender.map(room + Lender.page) else { return nil }
            mprotect(start + room, Lender.page, PROT_NONE)
            let at = lending == .guarded ? start + (room - bytes.count) : start
            copy(bytes, to: at)
            csystem_guard_range(start, room + Lender.page, Lender.text(label))
            if lending == .readOnly { mprotect(start, room, PROT_READ) }
            open.append((start, room + Lender.page))
            return at
        }
    }

    func lend<T>(value: T, _ label: StaticString) -> UnsafeMutablePointer<T>? {
        withUnsafeBytes(of: value) { lend($0, label)?.assumingMemoryBound(to: T.self) }
    }

    /// Gives back what a friendly host keeps for an instance: called when the instance is gone.
    func releaseKept() {
        for pointer in kept { free(pointer) }
        kept.removeAll(keepingCapacity: true)
        keptBytes = 0
    }

    /// Called when the call that borrowed has returned.
    func closeCall() {
        if open.isEmpty { return }
        for block in open {
            switch lending {
            case .unmapped: mprotect(block.start, block.length, PROT_NONE)
            case .kept, .guarded, .readOnly: break
            }
        }
        mapped.append(contentsOf: open)
        open.removeAll(keepingCapacity: true)
        // A closed page stays reserved for a while, so that nothing else moves in and hides a late access.
        while mapped.count > 2048 {
            let oldest = mapped.removeFirst()
            munmap(oldest.start, oldest.length)
        }
    }

    private func copy(_ bytes: UnsafeRawBufferPointer, to pointer: UnsafeMutableRawPointer) {
        if let base = bytes.baseAddress, bytes.count > 0 { memcpy(pointer, base, bytes.count) }
    }

    /// Fresh zeroed pages, or nil.
    static func map(_ length: Int) -> UnsafeMutableRawPointer? {
        let start = mmap(nil, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        return start == UnsafeMutableRawPointer(bitPattern: -1) ? nil : start
    }

    /// `length` bytes that end where an unreadable page begins. Never given back: there are few.
    static func beforeGuard(_ length: Int, _ label: StaticString) -> UnsafeMutableRawPointer? {
        let room = (length + page - 1) / page * page
        guard let start = map(room + page) else { return nil }
        mprotect(start + room, page, PROT_NONE)
        csystem_guard_range(start + room, page, text(label))
        return start + (room - length)
    }

    static func protect(_ pointer: UnsafeMutableRawPointer, _ length: Int) {
        let start = UnsafeMutableRawPointer(bitPattern: UInt(bitPattern: pointer) / UInt(page) * UInt(page))
        mprotect(start, (length + page - 1) / page * page, PROT_READ)
    }

    private static func text(_ label: StaticString) -> UnsafePointer<CChar> {
        UnsafeRawPointer(label.utf8Start).assumingMemoryBound(to: CChar.self)
    }
}
