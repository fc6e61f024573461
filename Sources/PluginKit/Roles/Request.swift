import PluginAPI

/// A request of the host that ends in exactly one DONE. Keep it until then.
@frozen
public struct Request: Sendable {
    public let host: Host
    public let id: UInt64

    @inlinable public init(host: Host, id: UInt64) {
        self.host = host
        self.id = id
    }

    /// It's done, and well.
    @inlinable public func done() { host.emitFixed(keel_ev_done(), KEEL_EV_DONE, request: id) }

    /// It's done, and failed.
    public func done(_ error: PluginError) {
        var builder = EventBuilder()
        builder.begin(keel_ev_done.self)
        var body = keel_ev_done()
        body.status = error.reason.rawValue
        body.vendor_code = error.vendorCode
        body.retry_after = error.retryAfter
        body.message = builder.text(error.message)
        builder.emit(body, KEEL_EV_DONE, request: id, to: host)
    }
}

/// The stop request: end it with `done` when nothing more will be emitted.
public struct Stopping: @unchecked Sendable {
    let request: Request
    let instance: UnsafeMutablePointer<InstanceHeader>
    /// Host clock: be done by then.
    public let deadline: Int64

    /// The last event of this run.
    public func done() {
        guard instance.pointee.phase == .stopping else { return }
        instance.pointee.phase = .stopped
        request.done()
    }
}
