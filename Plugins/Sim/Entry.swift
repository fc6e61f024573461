import PluginAPI
import PluginKit

/// Each market event, before the pipeline sees it. While no order is at work it's a few stores.
private let onMarket: EventFunction = { instance, pointer in
    guard let pointer, let memory = hotState(instance, as: Sim.HotMemory.self) else { return }
    let event = Event(pointer)
    if memory.pointee.busy == 0, memory.pointee.instrument == event.instrument, let market = memory.pointee.market {
        if let trade = event.trade, trade.pointee.price > 0 {
            market.pointee.last = trade.pointee.price
            market.pointee.volume = Int128(trade.pointee.qty)
            market.pointee.hasTicks = true
            market.pointee.hasTrades = true
            return
        }
        if let bar = event.bar, bar.pointee.bar_flags & KEEL_BAR_CLOSED != 0, bar.pointee.bar.close > 0 {
            if !market.pointee.hasTicks {
                market.pointee.last = bar.pointee.bar.close
                market.pointee.volume = Amount(bar.pointee.bar.volume).raw
            }
            return
        }
        if let quote = event.quote, quote.pointee.bid > 0, quote.pointee.ask > 0, market.pointee.hasTrades {
            market.pointee.bid = quote.pointee.bid
            market.pointee.bidQuantity = quote.pointee.bid_qty
            market.pointee.ask = quote.pointee.ask
            market.pointee.askQuantity = quote.pointee.ask_qty
            return
        }
    }
    guard let owner = memory.pointee.owner else { return }
    owner._withUnsafeGuaranteedRef { $0.onMarket(event) }
}

private let library = Library(
    Component(
        Sim.self, id: "keel.sim", name: "Simulated venue", vendor: "Keel", version: "1.0.0", license: "MIT", config: SimConfig.shape,
        flags: [.inline, .deterministic]
    )
    .feed()
    .broker()
    .market(onMarket: onMarket)
    .state(version: 1)
    .describe()
    .account())

@c @implementation
public func keel_plugin_entry(_ major: UInt32) -> UnsafePointer<keel_library>! { library.table(major) }
