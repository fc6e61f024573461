import HostPlugins
import PluginAPI

/// Tells the loop about lanes that hang.
final class HangObserver: LaneObserver {
    private let log: RunLog
    private let hangs: @Sendable (String, String) -> Void

    init(log: RunLog, _ hangs: @escaping @Sendable (String, String) -> Void) {
        self.log = log
        self.hangs = hangs
    }

    /// Steps of an instance's life happen while nothing is traded, and a worker's take as long as a process takes to start.
    private static let steps: Set<String> = ["create", "load", "start", "stop", "save", "destroy", "restart", "renew"]

    func laneWasSlow(_ call: LaneCall, took: keel_span) {
        if HangObserver.steps.contains(call.what), took < 1_000_000_000 { return }
        log.write(.warning, call.lane, "\(call) took \(took / 1_000_000) ms: calls should return at once")
    }

    func laneHangs(_ call: LaneCall, since: keel_span) {
        hangs(call.lane, "\(call) has not returned for \(since / 1_000_000) ms")
    }

    func laneRecovered(_ call: LaneCall, took: keel_span) {
        log.write(.warning, call.lane, "\(call) returned after \(took / 1_000_000) ms")
    }
}
