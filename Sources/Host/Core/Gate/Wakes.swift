import PluginAPI
import PluginKit

extension WakeCondition {
    /// Strict: an unknown condition, a filled reserved field or a level without sense is refused, never guessed.
    public static func parse(_ wake: keel_wake, price: Fixed, regime: UInt32) -> Result<WakeCondition, Refusal> {
        let level = Fixed(raw: wake.level)
        let refused = Refusal(.unknownWake, .code, wake.condition)
        guard wake.reserved == 0 else { return .failure(refused) }
        switch wake.condition {
        case KEEL_WAKE_PRICE_ABOVE, KEEL_WAKE_PRICE_BELOW, KEEL_WAKE_VOLUME_Z, KEEL_WAKE_FUNDING:
            guard level.isPositive else { return .failure(refused) }
        case KEEL_WAKE_MOVE:
            guard level.isPositive, price.isPositive else { return .failure(refused) }
        case KEEL_WAKE_REGIME:
            guard level.isZero else { return .failure(refused) }
        case KEEL_WAKE_PROFIT:
            guard !level.isZero else { return .failure(refused) }
        default:
            return .failure(refused)
        }
        return .success(WakeCondition(condition: wake.condition, level: level, reference: price, regime: regime))
    }

    /// Prices at which it comes true: at or below `low`, at or above `high`; nil where it never does.
    func bounds(entry: Fixed, long: Bool, open: Bool) -> (low: Fixed?, high: Fixed?) {
        switch condition {
        case KEEL_WAKE_PRICE_ABOVE: return (nil, level)
        case KEEL_WAKE_PRICE_BELOW: return (level, nil)
        case KEEL_WAKE_MOVE:
            guard let distance = try? reference.multiplied(by: level) else { return (nil, nil) }
            return (try? reference.subtracting(distance), try? reference.adding(distance))
        case KEEL_WAKE_PROFIT:
            guard open, entry.isPositive, let distance = try? entry.multiplied(by: level) else { return (nil, nil) }
            let price = long ? try? entry.adding(distance) : try? entry.subtracting(distance)
            // A gain is met from below by a long and from above by a short; a loss the other way round.
            return level.isPositive == long ? (nil, price) : (price, nil)
        default: return (nil, nil)
        }
    }
}
