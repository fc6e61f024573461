import CSystem
import Glibc
import PluginAPI
import PluginKit

// P: in a process of its own. T: threads.

let processChecks: [Check] = [
    Check("P03", "host-dies", "When the host dies, the process the plugin runs in is gone within a second.", rule: "Calls return at once.") { bench in
        try bench.prepareVenue()
        // The mock belongs to this process, so that it outlives the one that dies.
        if bench.hasMock { _ = try bench.venue() }
        var life: [Int32] = [0, 0], report: [Int32] = [0, 0]
        guard csystem_pipe(&life) == 0, csystem_pipe(&report) == 0 else { throw Verdict.fail("no pipe") }
        // The child runs the plugin and holds one end of a pipe; the host holds the other, and dies.
        let child = csystem_fork()
        if child == 0 {
            close(life[1])
            close(report[0])
            var ready: UInt8 = 1
            guard let instance = try? bench.running() else { _exit(1) }
            bench.exercise(instance)
            _ = bench.leaveInFlight(instance)
            _ = instance.host.pointer.pointee.wake(instance.host.pointer)
            _ = write(report[1], &ready, 1)
            // As in a worker: end of file on the host's socket is looked at between two calls into the plugin.
            while true {
                // The wake comes first: whatever the plugin does with it, the host dies meanwhile.
                instance.turn(10)
                var polled = pollfd(fd: life[0], events: Int16(POLLIN), revents: 0)
                if poll(&polled, 1, 0) > 0 { break }
            }
            instance.stopNow()
            instance.destroy()
            _exit(0)
        }
        close(life[0])
        close(report[1])
        defer { kill(child, SIGKILL) }
        var polled = pollfd(fd: report[0], events: Int16(POLLIN), revents: 0)
        _ = poll(&polled, 1, 6000)
        var byte: UInt8 = 0
        guard read(report[0], &byte, 1) == 1 else { throw Verdict.fail("the plugin did not come up in a process of its own") }
        usleep(15_000)
        close(life[1])
        let deadline = CheckClock.monotonic() + 1_000_000_000
        var status: Int32 = 0
        while CheckClock.monotonic() < deadline {
            if waitpid(child, &status, WNOHANG) == child {
                if status & 0x7f != 0 { throw Verdict.fail("the process did not end by itself: \(CheckProcess.death([], status))") }
                return
            }
            usleep(2000)
        }
        throw Verdict.fail("a second after the host died, the process is still there: a call into the plugin doesn't come back")
    },
]

let threadChecks: [Check] = [
    Check("T01", "lane-functions", "Host functions tagged [lane] are called from the lane only, and none after destroy.",
          rule: "[lane] the instance's thread. [any] every thread.") { bench in
        try bench.prepareVenue()
        let instance = try bench.running()
        bench.exercise(instance)
        instance.run(for: 0.02)
        instance.end()
        usleep(5000)
        let misuse = instance.host.misuse(.offLane, .late, .secretInCreate, .badArgument)
        try require(misuse == nil, misuse?.text ?? "")
    },
    Check("T04", "busy-host", "While the host takes no lossy events, the plugin drops them instead of trying again and again; what must arrive arrives.",
          rule: "copies, never blocks; AGAIN only for lossy kinds", scope: .interface(KEEL_FEED)) { bench in
        if bench.hasMock { try bench.play(anyOf: "stream", "normal") } else { bench.playIfThere("stream") }
        var style = HostStyle()
        style.refusesLossyFor = .milliseconds(400)
        let instance = try bench.created(style)
        let started = instance.start()
        try require(started.accepted, "start answers \(started.words)")
        let table = try require(instance.subject.table(KEEL_FEED, as: keel_feed.self), "the component has no feed table")
        let (called, request) = instance.subscribe(bench.profile.instrument.id, table.pointee.channels)
        let outcome = try require(instance.outcome(called, request), "with a busy host, subscribe got no DONE")
        try require(outcome.accepted, "subscribe ends with \(outcome.words)")
        instance.run(for: 0.3, jumping: !bench.hasMock, quiet: 5)
        try require(instance.host.insisted < 100, "a refused event was tried again \(instance.host.insisted) times within 0.4 s")
        try require(instance.run(for: 3, jumping: !bench.hasMock, until: { instance.host.eventsNow().contains { $0.kind >= 10 && $0.kind < 30 } }),
                    "when the host takes events again, none come")
        instance.end()
    },
    Check("T05", "wake-storm", "Ten thousand wakes do no harm, and neither does one after stop.", rule: "leads to on_wake, coalesced") { bench in
        try bench.prepareVenue()
        let instance = try bench.running()
        for _ in 0..<10_000 { _ = instance.host.pointer.pointee.wake(instance.host.pointer) }
        instance.run(for: 0.01)
        instance.stop()
        if let pointer = instance.pointer, let wake = instance.subject.component.pointee.on_wake {
            let before = instance.host.eventsNow().count
            wake(pointer)
            try require(instance.host.eventsNow().count == before, "on_wake after stop emits an event")
        }
        instance.destroy()
    },
]

extension Instance {
    /// A stop that is not waited for: what a worker does when its host is gone.
    func stopNow() {
        let (called, request) = stopCall(deadline: .milliseconds(200))
        if called.accepted { run(for: 0.2) { self.done(request) != nil } }
        markStopped()
    }
}
