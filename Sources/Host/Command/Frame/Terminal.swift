import Glibc

/// Where a verb's words go. Colour and progress only where a person is watching.
struct Terminal: Sendable {
    enum Stream: Sendable { case out, error }

    /// Receives bytes for one of the two streams.
    let sink: @Sendable (Stream, [UInt8]) -> Void
    let outIsTerminal: Bool
    let errorIsTerminal: Bool
    let usesColour: Bool
    let width: Int

    init(outIsTerminal: Bool, errorIsTerminal: Bool, usesColour: Bool, width: Int = 80, sink: @escaping @Sendable (Stream, [UInt8]) -> Void) {
        self.outIsTerminal = outIsTerminal
        self.errorIsTerminal = errorIsTerminal
        self.usesColour = usesColour
        self.width = width
        self.sink = sink
    }

    /// The process's own streams. NO_COLOR (any value but an empty one) and TERM=dumb switch colour off: https://no-color.org.
    static func standard(_ environment: [String: String]) -> Terminal {
        let out = isatty(STDOUT_FILENO) == 1
        let plain = !(environment["NO_COLOR"] ?? "").isEmpty || environment["TERM"] == "dumb"
        var size = winsize()
        let width = ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0 ? Int(size.ws_col) : 80
        return Terminal(outIsTerminal: out, errorIsTerminal: isatty(STDERR_FILENO) == 1, usesColour: out && !plain, width: width) { stream, bytes in
            let fd = stream == .out ? STDOUT_FILENO : STDERR_FILENO
            var sent = 0
            while sent < bytes.count {
                let count = bytes.withUnsafeBytes { buffer in write(fd, buffer.baseAddress.map { $0 + sent }, buffer.count - sent) }
                // Whoever read our output has gone: nothing is left to say to them.
                if count < 0 { if errno == EINTR { continue } else { return } }
                sent += count
            }
        }
    }

    func out(_ text: String) { sink(.out, Array(text.utf8) + [UInt8(ascii: "\n")]) }
    func error(_ text: String) { sink(.error, Array(text.utf8) + [UInt8(ascii: "\n")]) }
    /// Without a line's end.
    func raw(_ stream: Stream, _ text: String) { sink(stream, Array(text.utf8)) }

    enum Style: String, Sendable {
        case bold = "1"
        case dim = "2"
        case red = "31"
        case green = "32"
        case yellow = "33"
        case blue = "34"
        case cyan = "36"
    }

    func styled(_ text: String, _ style: Style) -> String { usesColour ? "\u{1B}[\(style.rawValue)m\(text)\u{1B}[0m" : text }
    func bold(_ text: String) -> String { styled(text, .bold) }
    func dim(_ text: String) -> String { styled(text, .dim) }
}
