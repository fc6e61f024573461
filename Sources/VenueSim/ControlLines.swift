import Glibc
import PluginKit

/// A stand-in that `keel plugin check` can direct. docs/plugin-guide.md says what each scenario stands for.
protocol ControlledVenue: AnyObject {
    /// A fresh venue that behaves so from now on; false: it has no such scenario.
    func play(_ scenario: String) -> Bool
    /// Since the scenario began. The first is always "placed".
    func counts() -> [(name: String, count: Int)]
    func release()
    func drop()
    /// That many orders of somebody else rest in the account; false: it can't have any.
    func rest(outside count: Int) -> Bool
    /// Its words when it last refused an order.
    var reason: String { get }
}

extension ControlledVenue {
    func rest(outside count: Int) -> Bool { false }
    var reason: String { "" }
}

/// The checker's lines on standard input, answered one by one on standard output.
final class ControlLines {
    private let venue: any ControlledVenue
    private let ports: [(name: String?, port: UInt16)]
    private let reactor: PollReactor
    private var received: [UInt8] = []
    private var isOpen = true

    init(_ venue: any ControlledVenue, ports: [(name: String?, port: UInt16)], on reactor: PollReactor) {
        self.venue = venue
        self.ports = ports
        self.reactor = reactor
    }

    /// Says "ready", then runs the venue until `quit` or the end of the input.
    func serve() {
        say("ready " + ports.map { entry in entry.name.map { "\($0)=\(entry.port)" } ?? "\(entry.port)" }.joined(separator: " "))
        reactor.watch(0, .readable) { [self] _ in read() }
        while isOpen { reactor.turn(most: 1_000_000_000) }
    }

    private func read() {
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = Glibc.read(0, &buffer, buffer.count)
        guard count > 0 else {
            isOpen = false
            return
        }
        received += buffer[0..<count]
        while isOpen, let end = received.firstIndex(of: 10) {
            let line = String(decoding: received[..<end], as: UTF8.self)
            received.removeSubrange(...end)
            obey(line)
        }
    }

    private func obey(_ line: String) {
        let words = line.split(separator: " ", maxSplits: 1).map(String.init)
        switch (words.first, words.count > 1 ? words[1] : nil) {
        case ("scenario", let name?): say(venue.play(name) ? "ok" : "unknown")
        case ("report", _):
            // What was sent before the question counts: it is read first.
            for _ in 0..<4 { reactor.turn(most: 0) }
            say(venue.counts().map { "\($0.name) \($0.count)" }.joined(separator: " "))
        case ("release", _):
            venue.release()
            say("ok")
        case ("outside", let text?): say(Int(text).map { venue.rest(outside: $0) } == true ? "ok" : "unknown")
        case ("reason", _): say("reason" + (venue.reason.isEmpty ? "" : " " + venue.reason))
        case ("drop", _):
            venue.drop()
            say("ok")
        case ("quit", _): isOpen = false
        default: say("unknown")
        }
    }

    private func say(_ line: String) {
        let bytes = Array((line + "\n").utf8)
        _ = write(1, bytes, bytes.count)
    }
}
