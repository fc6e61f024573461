import PluginAPI
import PluginKit

// S: keel.state/1.

private let loads = "a refused load leaves the instance as it was"

let stateChecks: [Check] = [
    state("S01", "state-survives", "What was saved is there again after destroy, create and load.", rule: loads) { bench in
        let (instance, saved) = try bench.used()
        let before = instance.describe()
        instance.destroy()
        let again = try bench.created()
        let result = again.load(saved, version: again.subject.component.pointee.state_version)
        try require(result.accepted, "load refuses what save wrote: \(result.words)")
        if let before {
            let after = again.describe()
            try require(after == before, "describe differs after load: \(text(before)) became \(text(after ?? []))")
        } else {
            let (called, second) = again.save()
            try require(called.accepted && second == saved, "a second save after load differs from the first")
        }
        again.destroy()
    },
    state("S02", "save-is-stable", "Saving twice without doing anything in between writes the same bytes.", rule: "[lane & created or stopped]") { bench in
        let (instance, saved) = try bench.used()
        let (called, second) = instance.save()
        try require(called.accepted, "the second save answers \(called.words)")
        try require(second == saved, "the second save wrote \(second.count) other bytes than the first (\(saved.count))")
        instance.destroy()
    },
    state("S03", "short-reads", "A state read in pieces of 17 bytes is the same state.", rule: "> 0 bytes read (maybe fewer than asked), 0 end, < 0 keel_status") { bench in
        let (instance, saved) = try bench.used()
        instance.destroy()
        var results: [[UInt8]] = []
        for chunk in [Int.max, 17, 1] {
            let again = try bench.created()
            let result = again.load(saved, version: again.subject.component.pointee.state_version, chunk: chunk)
            try require(result.accepted, "load refuses its own state when it comes in pieces of \(chunk) bytes: \(result.words)")
            results.append(again.describe() ?? again.save().1)
            again.destroy()
        }
        try require(results[1] == results[0] && results[2] == results[0], "a state read in small pieces gives another instance than one read at once")
    },
    state("S04", "broken-states", "Cut, flipped and random states are refused or loaded, never a crash; after a refusal the instance still works.",
          rule: loads, limit: 30) { bench in
        let (used, saved) = try bench.used()
        let version = used.subject.component.pointee.state_version
        used.destroy()
        var states: [[UInt8]] = (0..<min(saved.count, 4096)).map { Array(saved[..<$0]) }
        for _ in 0..<300 where !saved.isEmpty {
            var flipped = saved
            flipped[bench.random.below(flipped.count)] ^= UInt8(1 << bench.random.below(8))
            states.append(flipped)
        }
        states.append(bench.random.bytes(1 << 20))
        for size in [1, 8, 64, 1000] { states.append(bench.random.bytes(size)) }
        states.append(saved + bench.random.bytes(64))
        var refused = 0
        for (index, bytes) in states.enumerated() {
            let instance = try bench.created()
            let result = instance.load(bytes, version: version)
            if !result.accepted {
                refused += 1
                // Every refusal leaves an instance; starting them all would take long, so a sample is started.
                let again = instance.load(saved, version: version)
                try require(again.accepted, "after a refused load (\(result.words)), the instance refuses a good state: \(again.words)")
                if refused % 97 == 1 {
                    try bench.prepareVenue()
                    let fresh = try bench.created()
                    _ = fresh.load(bytes, version: version)
                    let started = fresh.start()
                    try require(started.accepted, "after a refused load (\(result.words)), start fails: \(started.words)")
                    fresh.end()
                }
            }
            instance.destroy()
            if index == states.count - 1, saved.count > 0 { try require(refused > 0, "not one of \(states.count) broken states is refused") }
        }
    },
    state("S05", "state-versions", "Every version from state_oldest on loads from a stored sample; a version above its own is KEEL_E_UNSUPPORTED.",
          rule: "what load() accepts") { bench in
        let (used, saved) = try bench.used()
        let component = used.subject.component.pointee
        used.destroy()
        for version in component.state_oldest...component.state_version {
            let bytes: [UInt8]
            if let path = bench.profile.states[version] {
                bytes = try require(readFile(path.hasPrefix("/") ? path : bench.profile.folder + "/" + path), "the sample of state version \(version), \(path), can't be read")
            } else if version == component.state_version {
                bytes = saved
            } else {
                throw Verdict.fail("the profile's \"states\" has no sample of state version \(version), which the component says it loads")
            }
            let instance = try bench.created()
            let result = instance.load(bytes, version: version)
            try require(result.accepted, "the sample of state version \(version) is refused: \(result.words)")
            instance.destroy()
        }
        let instance = try bench.created()
        let newer = instance.load(saved, version: component.state_version + 1)
        try require(newer.status == KEEL_E_UNSUPPORTED, "state version \(component.state_version + 1) is answered with \(newer.words)")
        if component.state_oldest > 0 {
            let older = instance.load(saved, version: component.state_oldest - 1)
            try require(older.status == KEEL_E_UNSUPPORTED, "state version \(component.state_oldest - 1) is answered with \(older.words)")
        }
        instance.destroy()
    },
    state("S06", "failing-writer", "When the writer fails midway, save returns its status.", rule: "the only way to return bytes of unknown length") { bench in
        let (instance, saved) = try bench.used()
        if saved.isEmpty { throw Verdict.skip("the state is empty") }
        for limit in Set([0, 1, saved.count / 2, saved.count - 1]) where limit < saved.count {
            let (called, _) = instance.save(failingAfter: limit)
            try require(called.status == KEEL_E_INTERNAL, "the writer failed with KEEL_E_INTERNAL after \(limit) bytes, save answers \(called.words)")
        }
        instance.destroy()
    },
]

private func state(_ id: String, _ name: String, _ sentence: String, rule: String, limit: Double = 10, _ body: @escaping @Sendable (Bench) throws -> Void) -> Check {
    Check(id, name, sentence, rule: rule, scope: .interface(KEEL_STATE), limit: limit, body)
}

private func text(_ bytes: [UInt8]) -> String { String(decoding: bytes.prefix(200), as: UTF8.self) }

extension Bench {
    /// A stopped instance that has done something, and its state.
    fileprivate func used() throws -> (Instance, [UInt8]) {
        try prepareVenue()
        let instance = try running()
        exercise(instance)
        let stopped = instance.stop()
        try require(stopped.call.accepted && stopped.done != nil, "stop did not end in DONE: \(stopped.call.words)")
        let (called, bytes) = instance.save()
        try require(called.accepted, "save answers \(called.words)")
        return (instance, bytes)
    }
}
