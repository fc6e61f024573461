import PluginAPI

// The C side of a component. Everything here is made once and lives as long as the process.

func forever<Value>(_ value: Value) -> UnsafePointer<Value> {
    let pointer = UnsafeMutablePointer<Value>.allocate(capacity: 1)
    pointer.initialize(to: value)
    return UnsafePointer(pointer)
}

private func foreverText(_ text: String) -> UnsafePointer<CChar> {
    let bytes = UnsafeMutablePointer<CChar>.allocate(capacity: text.utf8.count + 1)
    var index = 0
    for byte in text.utf8 where byte != 0 {
        (bytes + index).initialize(to: CChar(bitPattern: byte))
        index += 1
    }
    (bytes + index).initialize(to: 0)
    return UnsafePointer(bytes)
}

/// A component's C table with the Swift side of it behind: `create` gets a pointer to the first and finds the second.
private struct ComponentRecord {
    var table: keel_component
    var core: Unmanaged<ComponentCore>
}

func componentTable(_ core: ComponentCore) -> UnsafePointer<keel_component> {
    var table = keel_component()
    table.struct_size = UInt32(MemoryLayout<keel_component>.size)
    table.flags = core.flags.rawValue
    table.id = foreverText(core.id)
    table.name = foreverText(core.name)
    table.vendor = foreverText(core.vendor)
    table.version = foreverText(core.version)
    table.license = foreverText(core.license)
    table.url = foreverText(core.url)
    table.toolchain = foreverText("swift \(_SwiftStdlibVersion.current)")
    table.config_schema = foreverText(core.config.schema.text(.compact))
    table.state_version = core.stateVersion
    table.state_oldest = core.stateOldest
    let interfaces = UnsafeMutablePointer<keel_interface>.allocate(capacity: max(core.interfaces.count, 1))
    for (place, interface) in core.interfaces.enumerated() {
        (interfaces + place).initialize(to: keel_interface(id: foreverText(interface.id), table: interface.table))
    }
    table.interfaces = UnsafePointer(interfaces)
    table.interface_count = UInt32(core.interfaces.count)

    table.check_config = { component, json, report in
        guard let core = componentCore(component), let report else { return KEEL_E_INVALID }
        let problems = core._withUnsafeGuaranteedRef { $0.config.problems(in: json) }
        let list = JSONValue(problems.map { ["path": JSONValue($0.path), "code": JSONValue($0.code), "message": JSONValue($0.message)] })
        return report.write(list.bytes(.compact))
    }
    table.create = { component, host, name, json, out, error in
        guard let out else { return PluginError.invalid("out is a null pointer").write(to: error) }
        out.pointee = nil
        do {
            out.pointee = try createInstance(component, host, name, json)
            return KEEL_OK
        } catch let thrown {
            return PluginError(thrown).write(to: error)
        }
    }
    table.start = { instance, error in
        call(instance, [.created, .stopped], error) { core, header in
            try core.plugin.start()
            header.pointee.phase = .running
            header.pointee.hot = core.hot?.hotState
        }
    }
    table.stop = { instance, deadline, request, error in
        call(instance, .running, error) { core, header in
            let hot = header.pointee.hot
            header.pointee.phase = .stopping
            header.pointee.hot = nil
            do {
                try core.plugin.stop(Stopping(request: Request(host: core.host, id: request), instance: header, deadline: deadline))
            } catch let thrown {
                if header.pointee.phase == .stopping {
                    header.pointee.phase = .running
                    header.pointee.hot = hot
                }
                throw thrown
            }
        }
    }
    table.destroy = { instance in
        guard let instance else { return }
        let header = UnsafeMutablePointer<InstanceHeader>(instance)
        let core = header.pointee.core
        header.deinitialize(count: 1)
        header.deallocate()
        core.release()
    }
    table.on_timer = { instance, id, tag in notify(instance, [.running, .stopping]) { $0.plugin.onTimer(id, tag: tag) } }
    table.on_fd = { instance, descriptor, ready in
        notify(instance, [.running, .stopping]) { $0.plugin.onDescriptor(descriptor, Host.Readiness(rawValue: ready)) }
    }
    table.on_wake = { instance in notify(instance, [.running, .stopping]) { $0.plugin.onWake() } }

    let record = forever(ComponentRecord(table: table, core: .passRetained(core)))
    return UnsafeRawPointer(record).assumingMemoryBound(to: keel_component.self)
}

private func componentCore(_ component: UnsafePointer<keel_component>?) -> Unmanaged<ComponentCore>? {
    guard let component else { return nil }
    return UnsafeRawPointer(component).assumingMemoryBound(to: ComponentRecord.self).pointee.core
}

private func createInstance(
    _ component: UnsafePointer<keel_component>?, _ host: UnsafePointer<keel_host>?, _ name: keel_str, _ json: keel_str
) throws -> OpaquePointer {
    guard let core = componentCore(component)?.takeUnretainedValue() else { throw PluginError.invalid("the component is a null pointer") }
    guard let host else { throw PluginError.invalid("the host is a null pointer") }
    let table = try Host(host)
    guard let name = String(borrowed: name) else { throw PluginError.invalid("the instance's name is not clean UTF-8") }
    let plugin = try core.make(table, name, try core.config.read(json))
    let instance = InstanceCore(host: table, component: core, plugin: plugin)
    for bind in core.bindings { bind(instance) }
    let header = UnsafeMutablePointer<InstanceHeader>.allocate(capacity: 1)
    header.initialize(to: InstanceHeader(hot: nil, phase: .created, core: .passRetained(instance)))
    return OpaquePointer(header)
}
