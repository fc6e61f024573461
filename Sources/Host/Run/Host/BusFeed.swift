import HostCore
import PluginAPI

/// Turns records into what observers hear. Done in batches after the orders have left, so that nobody's page or metric
/// stands between a tick and its order.
enum BusFeed {
    static func event(_ record: LedgerRecord) -> BusEvent? {
        func make(_ topic: Topic, _ time: Int64, _ pipeline: Int, _ instrument: keel_instrument_id, _ content: BusEvent.Content) -> BusEvent {
            BusEvent(sequence: 0, time: time, topic: topic, pipeline: pipeline, instrument: instrument, content: content)
        }
        switch record {
        case .decision(let value): return make(.decisionSignal, value.time, value.pipeline, value.instrument, .decision(value))
        case .intent(let value): return make(.orderIntended, value.time, value.pipeline, value.instrument, .intent(value))
        case .order(let value): return make(.orderChanged, value.time, value.order.pipeline, value.order.instrument, .order(value))
        case .fill(let value): return make(.orderFilled, value.time, value.pipeline, value.instrument, .fill(value))
        case .refusal(let value): return make(.orderRefused, value.time, value.pipeline, value.instrument, .refusal(value))
        case .position(let value): return make(.positionChanged, value.time, value.pipeline, value.instrument, .position(value))
        case .exit(let value): return make(.positionExit, value.time, value.pipeline, value.instrument, .exit(value))
        case .routing(let value): return make(.routing, value.time, value.pipeline, value.instrument, .routing(value))
        case .breaker(let value): return make(.breaker, value.time, value.pipeline, 0, .breaker(value))
        case .takeover(let value): return make(.takeover, value.time, value.pipeline, value.instrument, .takeover(value))
        case .link(let value): return make(.link, value.time, -1, 0, .link(value))
        case .alert(let value): return make(.alert, value.time, -1, 0, .alert(value))
        // Passes of the gate and ticks are not recorded one by one.
        case .run, .outcome, .shadow, .snapshot, .balance, .funding, .gate, .external, .session, .agreement, .state: return nil
        }
    }
}
