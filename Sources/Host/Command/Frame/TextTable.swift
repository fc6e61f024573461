/// Rows under headings, each column as wide as it needs to be.
struct TextTable {
    enum Side { case left, right }

    private let headings: [String]
    private let sides: [Side]
    private var rows: [[String]] = []

    /// Headings that start with ">" stand over numbers and are set to the right.
    init(_ headings: String...) {
        sides = headings.map { $0.hasPrefix(">") ? .right : .left }
        self.headings = headings.map { $0.hasPrefix(">") ? String($0.dropFirst()) : $0 }
    }

    mutating func add(_ cells: String...) { rows.append(cells) }

    var isEmpty: Bool { rows.isEmpty }

    func text(_ terminal: Terminal) -> String {
        var widths = headings.map(\.count)
        for row in rows { for (column, cell) in row.enumerated() where column < widths.count { widths[column] = max(widths[column], cell.count) } }
        func line(_ cells: [String]) -> String {
            var text = ""
            for (column, cell) in cells.enumerated() where column < widths.count {
                let space = String(repeating: " ", count: widths[column] - cell.count)
                if column > 0 { text += "  " }
                text += sides[column] == .right ? space + cell : cell + space
            }
            while text.last == " " { text.removeLast() }
            return text
        }
        return ([terminal.bold(line(headings))] + rows.map(line)).joined(separator: "\n") + "\n"
    }
}
