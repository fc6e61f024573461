import HostCore
import HostLedger

extension Verb {
    static let explain = Verb(
        words: ["explain"],
        summary: "tell the story of an order or a decision, from the market to the last fill",
        details: """
            What the market looked like, why the decider was asked, what it said, which checks and limits it met, the order
            that was written down, what the venue answered, the fills, and how the position ended - with times. A refusal
            is shown with its rule and its numbers.
            """,
        arguments: [Argument("ORDER|DECISION", .one, "an order id (k...), a venue's order id, or a number from keel decisions")],
        options: [.json, .manifest, .state],
        run: { call in
            guard let text = call.arguments.first else { throw call.mistake("which order or decision?") }
            guard let story = try call.openLedger().explain(StorySubject(text)) else {
                throw Failure(.error, "the ledger knows no order and no decision \"\(text)\"", hint: "keel orders and keel decisions list them")
            }
            if call.wantsJSON { try call.print(json: story) } else { call.terminal.raw(.out, StoryPage(story: story, terminal: call.terminal).text) }
            return .ok
        })
}

/// A story for a person's eyes.
struct StoryPage {
    let story: Story
    let terminal: Terminal

    var text: String {
        var text = terminal.bold(PlainText.of(story.title)) + "\n\n"
        let offsets = story.entries.map { "+" + TimeText.span($0.after) }
        let width = offsets.map(\.count).max() ?? 0
        let what = story.entries.map(\.what.count).max() ?? 0
        for (entry, offset) in zip(story.entries, offsets) {
            let name = entry.what + String(repeating: " ", count: what - entry.what.count)
            let order = entry.order.map { terminal.dim("  [\($0)]") } ?? ""
            let space = String(repeating: " ", count: width - offset.count)
            text += "\(terminal.dim(entry.time.padded(to: 30)))  \(space)\(offset)  \(terminal.styled(name, colour(entry.what)))  \(PlainText.of(entry.text))\(order)\n"
            let indent = String(repeating: " ", count: 30 + 2 + width + 2 + what + 2)
            for detail in entry.details { text += indent + terminal.dim(PlainText.of(detail)) + "\n" }
        }
        return text + "\n" + "in the end: " + PlainText.of(story.ending) + "\n"
    }

    private func colour(_ what: String) -> Terminal.Style {
        switch what {
        case "refusal", "takeover": .yellow
        case "fill", "exit": .green
        case "decision": .blue
        default: .cyan
        }
    }
}

extension String {
    func padded(to width: Int) -> String { self + String(repeating: " ", count: max(0, width - count)) }
}
