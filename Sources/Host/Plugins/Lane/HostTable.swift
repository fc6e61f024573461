import PluginAPI

/// The C functions behind every `keel_host`. Each finds its instance through `ctx` and does nothing else.
enum HostTable {
    static func make() -> keel_host {
        var table = keel_host()
        table.struct_size = UInt32(MemoryLayout<keel_host>.size)
        table.abi_major = UInt16(KEEL_ABI_MAJOR)
        table.abi_minor = UInt16(KEEL_ABI_MINOR)
        table.service = { host, id in instance(host)?.pluginService(id) }
        table.log = { host, level, text in instance(host)?.pluginLog(level, text) }
        // These two come with every event of a backtest: they borrow the instance, which lives as long as its table.
        table.now = { host in lent(host)?._withUnsafeGuaranteedRef { $0.services.now() } ?? 0 }
        table.emit = { host, event in lent(host)?._withUnsafeGuaranteedRef { $0.pluginEmit(event) } ?? KEEL_E_INVALID }
        table.wake = { host in instance(host)?.pluginWake() ?? KEEL_E_INVALID }
        table.fail = { host, why, text in instance(host)?.pluginFail(why, text) }
        table.timer = { host, delay, period, tag, id in instance(host)?.pluginTimer(delay, period, tag, id) ?? KEEL_E_INVALID }
        table.timer_stop = { host, id in instance(host)?.pluginTimerStop(id) ?? KEEL_E_INVALID }
        table.watch = { host, fd, interest in instance(host)?.pluginWatch(fd, interest) ?? KEEL_E_INVALID }
        table.secret = { host, name, out in instance(host)?.pluginSecret(name, out) ?? KEEL_E_INVALID }
        table.put = { host, key, bytes, count in instance(host)?.pluginPut(key, bytes, count) ?? KEEL_E_INVALID }
        table.get = { host, key, out in instance(host)?.pluginGet(key, out) ?? KEEL_E_INVALID }
        table.instrument = { host, id, out in instance(host)?.pluginInstrument(id, out) ?? KEEL_E_INVALID }
        return table
    }
}

@inline(__always)
private func lent(_ host: UnsafePointer<keel_host>?) -> Unmanaged<InstanceHost>? {
    guard let context = host?.pointee.ctx else { return nil }
    return Unmanaged<InstanceHost>.fromOpaque(context)
}

@inline(__always)
private func instance(_ host: UnsafePointer<keel_host>?) -> InstanceHost? { lent(host)?.takeUnretainedValue() }
