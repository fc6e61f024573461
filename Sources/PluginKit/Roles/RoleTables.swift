import PluginAPI

// The C functions of each role: check what can be checked once for all plugins, then call the Swift protocol.

func feedTable(channels: Channels, silence: Int64) -> UnsafeRawPointer {
    UnsafeRawPointer(
        forever(
            keel_feed(
                struct_size: UInt32(MemoryLayout<keel_feed>.size), reserved: 0, channels: channels.rawValue, silence: silence,
                subscribe: { instance, id, channels, request, error in
                    call(instance, .running, error) { core, _ in
                        let wanted = try servable(channels, core)
                        try core.feed?.subscribe(id, wanted, Request(host: core.host, id: request))
                    }
                },
                unsubscribe: { instance, id, channels, request, error in
                    call(instance, .running, error) { core, _ in
                        let wanted = try servable(channels, core)
                        try core.feed?.unsubscribe(id, wanted, Request(host: core.host, id: request))
                    }
                })))
}

private func servable(_ raw: UInt64, _ core: InstanceCore) throws(PluginError) -> Channels {
    let wanted = Channels(rawValue: raw)
    guard !wanted.isEmpty else { throw .invalid("no channel was named") }
    guard wanted.isSubset(of: core.component.channels) else {
        let extra = wanted.subtracting(core.component.channels).rawValue
        throw .unsupported("channels 0x\(String(extra, radix: 16)) are not served here")
    }
    return wanted
}

/// The order, if it is one this component accepts and it isn't too late for it.
@inline(__always)
private func timely(_ order: UnsafePointer<keel_order>?, _ accepted: OrderFeatures, _ core: InstanceCore) throws(PluginError) -> Order {
    let order = try Order(strict: order, accepting: accepted)
    if order.notAfter != 0, core.host.now > order.notAfter {
        throw PluginError(.timeout, "the order was not to be sent later than \(order.notAfter), and it is later")
    }
    return order
}

func brokerTable(features: OrderFeatures, replaces: Bool) -> UnsafeRawPointer {
    var table = keel_broker()
    table.struct_size = UInt32(MemoryLayout<keel_broker>.size)
    table.order_features = features.rawValue
    table.submit = { instance, order, request, error in
        call(instance, .running, error) { core, _ in
            let order = try timely(order, core.component.orderFeatures, core)
            try core.broker?.submit(order, Request(host: core.host, id: request))
        }
    }
    table.cancel = { instance, order, request, error in
        call(instance, .running, error) { core, _ in try core.broker?.cancel(OrderID(order), Request(host: core.host, id: request)) }
    }
    if replaces {
        table.replace = { instance, order, replacement, request, error in
            call(instance, .running, error) { core, _ in
                let replacement = try timely(replacement, core.component.orderFeatures, core)
                try core.replacing?.replace(OrderID(order), with: replacement, Request(host: core.host, id: request))
            }
        }
    }
    table.sync = { instance, since, request, error in
        call(instance, .running, error) { core, _ in try core.broker?.sync(since: since, Request(host: core.host, id: request)) }
    }
    return UnsafeRawPointer(forever(table))
}

func deciderTable(wants: Wants, bars: UInt32, observe: ObserveFunction?) -> UnsafeRawPointer {
    UnsafeRawPointer(
        forever(
            keel_decider(
                struct_size: UInt32(MemoryLayout<keel_decider>.size), bars_wanted: bars, wants: wants.rawValue,
                decide: { instance, snapshot, deadline, request, error in
                    call(instance, .running, error) { core, _ in
                        let request = Request(host: core.host, id: request)
                        let snapshot = try Snapshot(snapshot)
                        if deadline != 0, core.host.now > deadline {
                            request.done(PluginError(.timeout, "the deadline had passed before the question arrived"))
                        } else {
                            try core.decider?.decide(snapshot, deadline: deadline, request)
                        }
                    }
                },
                cancel: { instance, request in notify(instance, .running) { $0.decider?.cancel(request) } },
                observe: observe)))
}

let observeSlowly: ObserveFunction = { instance, event in
    guard let event else { return KEEL_E_INVALID }
    var asks = false
    let status = call(instance, .running, nil) { core, _ in asks = core.observing?.observe(Event(event)) ?? false }
    return status == KEEL_OK && asks ? KEEL_ASK : status
}

func routerTable(onEvent: @escaping EventFunction) -> UnsafeRawPointer {
    UnsafeRawPointer(
        forever(
            keel_router(
                struct_size: UInt32(MemoryLayout<keel_router>.size), reserved: 0,
                route: { instance, parent, request, error in
                    call(instance, .running, error) { core, _ in
                        let parent = try timely(parent, .all, core)
                        guard parent.id.child == 0 else { throw PluginError.invalid("a parent order's low 16 bits are 0") }
                        try core.router?.route(parent, Request(host: core.host, id: request))
                    }
                },
                on_event: onEvent,
                cancel: { instance, request in notify(instance, .running) { $0.router?.cancel(request) } })))
}

let routeEventSlowly: EventFunction = { instance, event in
    guard let event else { return }
    notify(instance, .running) { $0.router?.onEvent(Event(event)) }
}

func marketTable(onMarket: @escaping EventFunction) -> UnsafeRawPointer {
    UnsafeRawPointer(forever(keel_market(struct_size: UInt32(MemoryLayout<keel_market>.size), reserved: 0, on_market: onMarket)))
}

let marketSlowly: EventFunction = { instance, event in
    guard let event else { return }
    notify(instance, .running) { $0.market?.onMarket(Event(event)) }
}

func stateTable() -> UnsafeRawPointer {
    UnsafeRawPointer(
        forever(
            keel_state(
                struct_size: UInt32(MemoryLayout<keel_state>.size), reserved: 0,
                save: { instance, out, error in
                    call(instance, [.created, .stopped], error) { core, _ in
                        guard let out else { throw PluginError.invalid("the writer is a null pointer") }
                        let status = out.write(SavedState.seal(try core.stateful?.save() ?? []))
                        if let failure = PluginError(status: status, "writing the state failed with status \(status)") { throw failure }
                    }
                },
                load: { instance, version, reader, error in
                    call(instance, .created, error) { core, _ in
                        guard let reader else { throw PluginError.invalid("the reader is a null pointer") }
                        let known = core.component.stateOldest...max(core.component.stateVersion, core.component.stateOldest)
                        guard known.contains(version) else {
                            throw PluginError.unsupported(
                                "state version \(version) can't be read: this is \(core.component.version), which reads \(known.lowerBound) to \(known.upperBound)")
                        }
                        let bytes = try SavedState.open(try reader.readAll(limit: SavedState.limit))
                        try core.stateful?.load(bytes, version: version)
                    }
                })))
}

func describeTable() -> UnsafeRawPointer {
    UnsafeRawPointer(
        forever(
            keel_describe(
                struct_size: UInt32(MemoryLayout<keel_describe>.size), reserved: 0,
                describe: { instance, out in
                    call(instance, [.created, .running, .stopping, .stopped], nil) { core, _ in
                        guard let out else { throw PluginError.invalid("the writer is a null pointer") }
                        let status = out.write((core.describing?.describe() ?? [:]).bytes(.compact))
                        if let failure = PluginError(status: status, "writing failed with status \(status)") { throw failure }
                    }
                })))
}

func rankingsTable() -> UnsafeRawPointer {
    UnsafeRawPointer(
        forever(
            keel_rankings(
                struct_size: UInt32(MemoryLayout<keel_rankings>.size), reserved: 0,
                fetch: { instance, list, most, request, error in
                    call(instance, .running, error) { core, _ in
                        guard let list = String(borrowed: list) else { throw PluginError.invalid("the list's name is not clean UTF-8") }
                        try core.rankings?.fetch(list, most: most, Request(host: core.host, id: request))
                    }
                })))
}

func accountTable() -> UnsafeRawPointer {
    UnsafeRawPointer(
        forever(
            keel_account(
                struct_size: UInt32(MemoryLayout<keel_account>.size), reserved: 0,
                summary: { instance, request, error in
                    call(instance, .running, error) { core, _ in try core.account?.summary(Request(host: core.host, id: request)) }
                })))
}
