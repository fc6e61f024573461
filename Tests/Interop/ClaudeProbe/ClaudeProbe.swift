import Glibc
import PluginAPI
import PluginKit
import PluginSupport

/// The Claude plugin, driven through its C tables on a real clock: one decision a run of the arguments.
///
///     claude-probe LIBRARY CONFIG [--secret TEXT] [--deadline MS] [--news TEXT] [--symbol TEXT] [--times N] [--component ID]
///
/// Prints one line a decision: what the host would see.
@main
enum ClaudeProbe {
    static func main() throws {
        var words = Array(CommandLine.arguments.dropFirst())
        func option(_ name: String) -> String? {
            guard let place = words.firstIndex(of: name), place + 1 < words.count else { return nil }
            let value = words[place + 1]
            words.removeSubrange(place...place + 1)
            return value
        }
        let secret = option("--secret") ?? "sk-ant-api03-made-up"
        let deadline = Int64(option("--deadline") ?? "5000") ?? 5000
        let wanted = option("--component")
        let times = Int(option("--times") ?? "1") ?? 1
        var snapshot = TestSnapshot(now: 1_700_000_000_000_000_000, last: 100 * Fixed.scale)
        snapshot.symbol = option("--symbol") ?? "BTC/USDT"
        if let news = option("--news") { snapshot.news = [news] }
        guard words.count == 2 else { throw TestFailure("usage: claude-probe LIBRARY CONFIG [options]") }

        let host = TestHost()
        host.add(1, "BTC/USDT")
        host.secrets["anthropic.key"] = Array(secret.utf8)
        let instance = try TestInstance(try TestInstance.library(words[0], component: wanted), host: host, config: words[1])
        let component = instance.component
        try TestInstance.check { component.pointee.start(instance.raw, $0) }
        let decider = try instance.table(KEEL_DECIDER, keel_decider.self)
        for turn in 0..<times {
            snapshot.fixed.sequence = UInt64(turn)
            let request = instance.nextRequest()
            let began = clock()
            do {
                try snapshot.with { block in
                    try TestInstance.check { decider.pointee.decide(instance.raw, block, host.now + deadline * 1_000_000, request, $0) }
                }
                run(instance, host, until: { host.events.contains { $0.done != nil && $0.request == request } })
            } catch let refusal as Refusal {
                print("refused \(refusal.status) \(refusal.message)")
                continue
            }
            let milliseconds = (clock() - began) / 1_000_000
            for event in host.take() {
                if let decision = event.decision {
                    print(
                        "decision action=\(decision.action) fraction=\(Fixed(raw: decision.fraction)) cost=\(Amount(decision.cost)) in=\(decision.tokens_in) cached=\(decision.tokens_cached) out=\(decision.tokens_out) model=\(event.text(decision.model)) hash=\(decision.snapshot.hi)/\(decision.snapshot.lo) recorded=\(decision.from_record) memory=\(event.text(decision.memory))"
                    )
                } else if let done = event.done {
                    print("done \(done.status) within=\(milliseconds < deadline + 1000) \(event.text(done.message))")
                }
            }
        }
        let everything = host.logs.joined(separator: "\n")
        print("leaked=\(everything.contains(secret))")
    }

    static func clock() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }

    /// The lane: descriptors and timers, with the host's clock moving as the real one does.
    static func run(_ instance: TestInstance, _ host: TestHost, until done: () -> Bool) {
        let component = instance.component.pointee
        var last = clock()
        while !done() {
            let now = clock()
            host.now += now - last
            last = now
            if let due = host.timers.filter({ $0.due <= host.now }).min(by: { $0.due < $1.due }) {
                host.timers.removeAll { $0.id == due.id }
                component.on_timer(instance.raw, due.id, due.tag)
                continue
            }
            let next = host.timers.map(\.due).min() ?? host.now + 1_000_000_000
            var list = host.watches.map { pollfd(fd: $0.key, events: Int16($0.value & 1 != 0 ? POLLIN : 0) | Int16($0.value & 2 != 0 ? POLLOUT : 0), revents: 0) }
            _ = poll(&list, nfds_t(list.count), Int32(clamping: (next - host.now) / 1_000_000 + 1))
            for entry in list where entry.revents != 0 && host.watches[entry.fd] != nil {
                var ready: UInt32 = 0
                if entry.revents & Int16(POLLIN) != 0 { ready |= 1 }
                if entry.revents & Int16(POLLOUT) != 0 { ready |= 2 }
                if entry.revents & Int16(POLLHUP | POLLERR) != 0 { ready |= 4 }
                component.on_fd(instance.raw, entry.fd, ready)
            }
        }
    }
}
