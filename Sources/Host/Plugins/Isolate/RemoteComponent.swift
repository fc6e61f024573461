import PluginAPI

/// A component whose instances live in worker processes, as a set of real C tables: to the rest of the host it is a plugin like
/// any other. `tables` goes into an `InstanceHost`, and all that a worker's instance does arrives at that host's checks.
///
/// Give the instance a lane of its own with `LaneLimits.isolated`: a call waits for the worker's answer, and a new worker takes
/// some milliseconds to start. The worker dies with that lane's thread.
///
/// What differs from an instance in-process: `observe`, `on_event` and `on_market` are one-way (in lockstep they aren't);
/// `service` finds nothing, because tables can't cross; after a death `submit` and `replace` are refused with KEEL_E_STATE until a sync has ended
/// well; while no worker runs, calls answer KEEL_E_NETWORK ("certainly not sent"). A call that the worker died in or did not answer in time answers
/// KEEL_E_IN_DOUBT if it is about an order.
public final class RemoteComponent: @unchecked Sendable {
    public let library: PreparedLibrary
    public let metadata: ComponentMetadata
    public let settings: IsolationSettings
    public let tables: ComponentTables
    weak let observer: (any WorkerObserver)?
    let budget: CrashBudget

    /// Allocated for ever, like the tables of a library: an instance of it may be referred to until the process ends.
    private let table: UnsafeMutableRawPointer

    /// `budget`: what the host kept about this instance's earlier deaths.
    public init(
        library: PreparedLibrary, component: String, settings: IsolationSettings, budget: CrashBudget = CrashBudget(),
        observer: (any WorkerObserver)? = nil
    ) throws(LoadError) {
        self.library = library
        self.settings = settings
        self.observer = observer
        self.budget = budget
        metadata = try library.component(component)
        table = RemoteTables.make(metadata)
        guard let tables = ComponentTables(UnsafePointer(table.assumingMemoryBound(to: keel_component.self))) else {
            throw .badDescriptor(path: library.path, component: component, what: "it can't be represented")
        }
        self.tables = tables
        RemoteTables.setOwner(of: table, Unmanaged.passRetained(self).toOpaque())
    }
}

/// The C tables of a remote component. Behind the component stands a pointer to its `RemoteComponent`.
enum RemoteTables {
    private static let ownerOffset = MemoryLayout<keel_component>.stride

    static func setOwner(of table: UnsafeMutableRawPointer, _ owner: UnsafeMutableRawPointer) {
        table.storeBytes(of: owner, toByteOffset: ownerOffset, as: UnsafeMutableRawPointer.self)
    }

    static func ownerOf(_ component: UnsafePointer<keel_component>?) -> RemoteComponent? {
        guard let component,
            let owner = UnsafeRawPointer(component).load(fromByteOffset: ownerOffset, as: UnsafeMutableRawPointer?.self)
        else { return nil }
        return Unmanaged<RemoteComponent>.fromOpaque(owner).takeUnretainedValue()
    }

    private static func keep<T>(_ value: T) -> UnsafeRawPointer {
        let place = UnsafeMutablePointer<T>.allocate(capacity: 1)
        place.initialize(to: value)
        return UnsafeRawPointer(place)
    }

    private static func keep(_ text: String) -> UnsafePointer<CChar>? {
        let bytes = Array(text.utf8CString)
        let place = UnsafeMutablePointer<CChar>.allocate(capacity: bytes.count)
        place.initialize(from: bytes, count: bytes.count)
        return UnsafePointer(place)
    }

    static func make(_ metadata: ComponentMetadata) -> UnsafeMutableRawPointer {
        let size = ownerOffset + MemoryLayout<UnsafeMutableRawPointer>.stride
        let place = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: MemoryLayout<keel_component>.alignment)
        place.initializeMemory(as: UInt8.self, repeating: 0, count: size)
        var c = keel_component()
        c.struct_size = UInt32(MemoryLayout<keel_component>.size)
        // In this process it is only a proxy; the process it may need is the worker.
        c.flags = metadata.flags & ~(KEEL_COMPONENT_NEEDS_PROCESS | KEEL_COMPONENT_INLINE)
        c.id = keep(metadata.id)
        c.name = keep(metadata.name)
        c.vendor = keep(metadata.vendor)
        c.version = keep(metadata.version)
        c.license = keep(metadata.license)
        c.url = keep(metadata.url)
        c.toolchain = keep(metadata.toolchain)
        c.config_schema = keep(metadata.configSchema)
        c.state_version = metadata.stateVersion
        c.state_oldest = metadata.stateOldest
        let list = metadata.interfaces.compactMap { name in
            interface(name, metadata).map { keel_interface(id: keep(name), table: $0) }
        }
        let interfaces = UnsafeMutablePointer<keel_interface>.allocate(capacity: max(1, list.count))
        interfaces.initialize(from: list, count: list.count)
        c.interfaces = UnsafePointer(interfaces)
        c.interface_count = UInt32(list.count)
        if metadata.checksConfig {
            c.check_config = { component, json, report in
                guard let owner = owner(component) else { return KEEL_E_INVALID }
                return RemoteInstance.checkConfig(owner, json, report)
            }
        }
        c.create = { component, host, name, json, out, error in
            guard let owner = owner(component), let host, let out else { return KEEL_E_INVALID }
            guard let name = name.text(), let config = json.text(limit: 16 << 20) else { return KEEL_E_INVALID }
            let instance = RemoteInstance(owner, host: host, name: name, config: config)
            let status = instance.create(error)
            if status >= 0 { out.pointee = OpaquePointer(Unmanaged.passRetained(instance).toOpaque()) }
            return status
        }
        c.start = { remote($0)?.start($1) ?? KEEL_E_INVALID }
        c.stop = { remote($0)?.stop($1, $2, $3) ?? KEEL_E_INVALID }
        c.destroy = { pointer in
            guard let pointer else { return }
            Unmanaged<RemoteInstance>.fromOpaque(UnsafeRawPointer(pointer)).takeRetainedValue().destroy()
        }
        c.on_timer = { instance, id, tag in remote(instance)?.onTimer(id, tag) }
        c.on_fd = { instance, fd, _ in remote(instance)?.onDescriptor(fd) }
        place.storeBytes(of: c, as: keel_component.self)
        return place
    }

    private static func interface(_ name: String, _ metadata: ComponentMetadata) -> UnsafeRawPointer? {
        switch name {
        case KEEL_FEED:
            var table = keel_feed()
            table.struct_size = UInt32(MemoryLayout<keel_feed>.size)
            table.channels = metadata.channels
            table.silence = metadata.silence
            table.subscribe = { remote($0)?.subscribe(.subscribe, $1, $2, $3, $4) ?? KEEL_E_INVALID }
            table.unsubscribe = { remote($0)?.subscribe(.unsubscribe, $1, $2, $3, $4) ?? KEEL_E_INVALID }
            return keep(table)
        case KEEL_BROKER:
            var table = keel_broker()
            table.struct_size = UInt32(MemoryLayout<keel_broker>.size)
            table.order_features = metadata.orderFeatures
            table.submit = { remote($0)?.submit($1, $2, $3) ?? KEEL_E_INVALID }
            table.cancel = { remote($0)?.cancelOrder($1, $2, $3) ?? KEEL_E_INVALID }
            if metadata.replacesOrders { table.replace = { remote($0)?.replace($1, $2, $3, $4) ?? KEEL_E_INVALID } }
            table.sync = { remote($0)?.sync($1, $2, $3) ?? KEEL_E_INVALID }
            return keep(table)
        case KEEL_DECIDER:
            var table = keel_decider()
            table.struct_size = UInt32(MemoryLayout<keel_decider>.size)
            table.bars_wanted = metadata.barsWanted
            table.wants = metadata.wants
            table.decide = { remote($0)?.decide($1, $2, $3, $4) ?? KEEL_E_INVALID }
            table.cancel = { remote($0)?.cancelRequest(.cancelDecision, $1) }
            if metadata.observes { table.observe = { remote($0)?.observe($1) ?? KEEL_OK } }
            return keep(table)
        case KEEL_ROUTER:
            var table = keel_router()
            table.struct_size = UInt32(MemoryLayout<keel_router>.size)
            table.route = { remote($0)?.route($1, $2, $3) ?? KEEL_E_INVALID }
            table.on_event = { _ = remote($0)?.tell(.routerEvent, $1) }
            table.cancel = { remote($0)?.cancelRequest(.cancelRoute, $1) }
            return keep(table)
        case KEEL_STATE:
            var table = keel_state()
            table.struct_size = UInt32(MemoryLayout<keel_state>.size)
            table.save = { remote($0)?.save($1, $2) ?? KEEL_E_INVALID }
            table.load = { remote($0)?.load($1, $2, $3) ?? KEEL_E_INVALID }
            return keep(table)
        case KEEL_DESCRIBE:
            var table = keel_describe()
            table.struct_size = UInt32(MemoryLayout<keel_describe>.size)
            table.describe = { remote($0)?.describe($1) ?? KEEL_E_INVALID }
            return keep(table)
        case KEEL_RANKINGS:
            var table = keel_rankings()
            table.struct_size = UInt32(MemoryLayout<keel_rankings>.size)
            table.fetch = { remote($0)?.rankings($1, $2, $3, $4) ?? KEEL_E_INVALID }
            return keep(table)
        case KEEL_ACCOUNT:
            var table = keel_account()
            table.struct_size = UInt32(MemoryLayout<keel_account>.size)
            table.summary = { remote($0)?.summary($1, $2) ?? KEEL_E_INVALID }
            return keep(table)
        case KEEL_MARKET:
            var table = keel_market()
            table.struct_size = UInt32(MemoryLayout<keel_market>.size)
            table.on_market = { _ = remote($0)?.tell(.market, $1) }
            return keep(table)
        default: return nil
        }
    }
}

private func owner(_ component: UnsafePointer<keel_component>?) -> RemoteComponent? { RemoteTables.ownerOf(component) }

private func remote(_ instance: OpaquePointer?) -> RemoteInstance? {
    guard let instance else { return nil }
    return Unmanaged<RemoteInstance>.fromOpaque(UnsafeRawPointer(instance)).takeUnretainedValue()
}
