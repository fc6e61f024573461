/// A plugin's lane as a reactor: descriptors and timers through the host. Pass `onTimer` and `onDescriptor` on to it.
public final class HostReactor: Reactor {
    private let host: Host
    private var watches: [Int32: (Readiness) -> Void] = [:]
    private var timers: [UInt64: (token: UInt64, handler: () -> Void)] = [:]  // by the host's id
    private var ids: [UInt64: UInt64] = [:]  // token to the host's id
    private var nextToken: UInt64 = 1

    /// Timers of this reactor carry this tag, so that a plugin can have others beside them.
    public static let tag: UInt64 = 0x6b65_656c_6e65_7400

    public init(_ host: Host) { self.host = host }

    public func now() -> Int64 { host.now }

    public func watch(_ descriptor: Int32, _ interest: Readiness, _ handler: @escaping (Readiness) -> Void) {
        watches[descriptor] = handler
        do throws(PluginError) {
            try host.watch(descriptor, for: Host.Readiness(rawValue: interest.rawValue))
        } catch {
            host.log(.error, "descriptor \(descriptor) can't be watched: \(error)")
        }
    }

    public func forget(_ descriptor: Int32) {
        if watches.removeValue(forKey: descriptor) != nil { try? host.watch(descriptor, for: []) }
    }

    public func after(_ delay: Int64, _ handler: @escaping () -> Void) -> UInt64 {
        let token = nextToken
        nextToken += 1
        do throws(PluginError) {
            let id = try host.timer(after: max(delay, 0), tag: Self.tag)
            timers[id] = (token, handler)
            ids[token] = id
        } catch {
            host.log(.error, "no timer: \(error)")
        }
        return token
    }

    public func cancelTimer(_ token: UInt64) {
        guard let id = ids.removeValue(forKey: token) else { return }
        timers[id] = nil
        host.stopTimer(id)
    }

    /// From `Plugin.onTimer`. False: not a timer of this reactor.
    @discardableResult
    public func fire(_ id: UInt64, tag: UInt64) -> Bool {
        guard tag == Self.tag else { return false }
        if let timer = timers.removeValue(forKey: id) {
            ids[timer.token] = nil
            timer.handler()
        }
        return true
    }

    /// From `Plugin.onDescriptor`. False: not watched by this reactor.
    @discardableResult
    public func ready(_ descriptor: Int32, _ ready: Host.Readiness) -> Bool {
        guard let handler = watches[descriptor] else { return false }
        handler(Readiness(rawValue: ready.rawValue))
        return true
    }
}
