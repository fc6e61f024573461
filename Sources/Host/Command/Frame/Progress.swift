/// How far long work has come: one line on a terminal that is drawn anew, nothing in a pipe. On the error stream, so that
/// what a verb prints stays clean.
final class Progress {
    private let title: String
    private let unit: String
    private let terminal: Terminal
    private let clock: @Sendable () -> Int64
    private let started: Int64
    private var total: Int64?
    private var drawnAt: Int64
    private var isDrawn = false
    private static let pause: Int64 = 100_000_000

    init(_ title: String, total: Int64? = nil, unit: String = "", terminal: Terminal, clock: @escaping @Sendable () -> Int64) {
        self.title = title
        self.total = total
        self.unit = unit
        self.terminal = terminal
        self.clock = clock
        started = clock()
        drawnAt = started - Self.pause
    }

    /// Call it as often as you like: it draws ten times a second at most.
    func update(_ done: Int64, total newTotal: Int64? = nil, note: String = "") {
        if let newTotal { total = newTotal }
        guard terminal.errorIsTerminal else { return }
        let now = clock()
        guard now - drawnAt >= Self.pause else { return }
        drawnAt = now
        draw(done, now, note)
    }

    /// Removes the line, so that what follows starts clean.
    func finish() {
        guard isDrawn else { return }
        terminal.raw(.error, "\r\u{1B}[K")
        isDrawn = false
    }

    private func draw(_ done: Int64, _ now: Int64, _ note: String) {
        let seconds = Double(now - started) / 1e9
        let rate = seconds > 0 ? Double(done) / seconds : 0
        var parts = [title]
        if let total, total > 0 {
            let share = min(max(Double(done) / Double(total), 0), 1)
            let filled = Int(share * 20)
            parts.append("[" + String(repeating: "█", count: filled) + String(repeating: "░", count: 20 - filled) + "] \(Int(share * 100)) %")
            parts.append("\(Progress.short(Double(done)))/\(Progress.short(Double(total)))")
        } else {
            parts.append(Progress.short(Double(done)))
        }
        if rate > 0 { parts.append("\(Progress.short(rate))\(unit.isEmpty ? "" : " " + unit)/s") }
        if let total, rate > 0, total > done { parts.append("\(Progress.time(Double(total - done) / rate)) left") }
        if !note.isEmpty { parts.append(note) }
        let line = String(parts.joined(separator: "  ").prefix(max(terminal.width - 1, 20)))
        terminal.raw(.error, "\r\u{1B}[K" + line)
        isDrawn = true
    }

    /// 1234567 -> "1.23M".
    static func short(_ value: Double) -> String {
        for (factor, letter) in [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")] where value >= factor {
            let scaled = value / factor
            let decimals = scaled < 10 ? 100.0 : scaled < 100 ? 10.0 : 1.0
            let rounded = (scaled * decimals).rounded(.down) / decimals
            return (rounded == rounded.rounded() ? "\(Int(rounded))" : "\(rounded)") + letter
        }
        return value.isFinite && value >= 0 ? "\(Int(value))" : "?"
    }

    static func time(_ seconds: Double) -> String {
        guard seconds.isFinite, seconds < 360_000 else { return "long" }
        let whole = Int(seconds.rounded(.up))
        func two(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
        return whole >= 3600 ? "\(whole / 3600):\(two(whole / 60 % 60)):\(two(whole % 60))" : "\(whole / 60):\(two(whole % 60))"
    }
}
