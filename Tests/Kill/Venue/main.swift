import Glibc

// keel-rehearsal-venue SOCKET STEPS REPORT [PACE]: serves one host at a time on a unix socket, writes REPORT after every change
// (and every order and fill into REPORT.book), and ends when its standard input closes; a line there ends the day soon. PACE: a step every so many milliseconds.

guard (4...5).contains(CommandLine.arguments.count), let steps = Int(CommandLine.arguments[2]) else {
    print("usage: keel-rehearsal-venue SOCKET STEPS REPORT [PACE]")
    exit(2)
}
let pace = CommandLine.arguments.count == 5 ? Int32(CommandLine.arguments[4]) : nil
let socketPath = CommandLine.arguments[1], reportPath = CommandLine.arguments[3]
signal(SIGPIPE, SIG_IGN)

var venue = Venue(steps: steps, isPaced: pace != nil)

func say(_ line: String) {
    let bytes = Array((line + "\n").utf8)
    _ = bytes.withUnsafeBytes { write(1, $0.baseAddress, $0.count) }
}

/// What changed is written when there is time, at the latest after a twentieth of a second.
var isStale = false
var written = ContinuousClock.now

@MainActor func report() {
    isStale = false
    written = ContinuousClock.now
    if let book = fopen(reportPath + ".book", "a") {
        fputs(venue.takeNews(), book)
        fclose(book)
    }
    guard let file = fopen(reportPath + ".new", "w") else { return }
    fputs(venue.summary, file)
    fclose(file)
    rename(reportPath + ".new", reportPath)
}

let listener = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
var address = sockaddr_un()
address.sun_family = sa_family_t(AF_UNIX)
withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(socketPath.utf8)) }
unlink(socketPath)
let bound = withUnsafePointer(to: &address) {
    $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(listener, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
}
guard bound == 0, listen(listener, 4) == 0 else {
    perror(socketPath)
    exit(1)
}
report()
say("ready")

var client: Int32 = -1
var unread = ""

@MainActor func send(_ lines: [String]) {
    guard client >= 0, !lines.isEmpty else { return }
    let bytes = Array((lines.joined(separator: "\n") + "\n").utf8)
    _ = bytes.withUnsafeBytes { write(client, $0.baseAddress, $0.count) }
}

var chunk = [UInt8](repeating: 0, count: 1 << 16)
while true {
    var interests = [
        pollfd(fd: 0, events: Int16(POLLIN), revents: 0), pollfd(fd: listener, events: Int16(POLLIN), revents: 0),
        pollfd(fd: client, events: Int16(POLLIN), revents: 0),
    ]
    // A late fill comes after 3 ms; a tick nobody answered is shown again after 20 (or the pace).
    let ready = poll(&interests, 3, venue.waits ? 3 : pace ?? 20)
    if isStale, ready == 0 || ContinuousClock.now - written > .milliseconds(50) { report() }
    if ready == 0 {
        let late = venue.waits
        let lines = venue.advance()
        if late { isStale = true }
        send(lines)
        continue
    }
    if interests[0].revents != 0 {
        // Whatever is said here means that the day should come to its end.
        if read(0, &chunk, chunk.count) <= 0 { exit(0) }
        venue.endSoon()
        report()
    }
    if interests[1].revents != 0 {
        let fresh = accept(listener, nil, nil)
        if fresh >= 0 {
            if client >= 0 { close(client) }
            client = fresh
            unread = ""
            continue
        }
    }
    if interests[2].revents != 0 {
        let count = read(client, &chunk, chunk.count)
        guard count > 0 else {
            close(client)
            client = -1
            continue
        }
        unread += String(decoding: chunk[..<count], as: UTF8.self)
        var answers: [String] = []
        while let newline = unread.firstIndex(of: "\n") {
            answers += venue.receive(String(unread[..<newline]))
            unread = String(unread[unread.index(after: newline)...])
        }
        isStale = true
        send(answers)
    }
}
