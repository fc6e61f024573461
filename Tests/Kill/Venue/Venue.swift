import Glibc

/// A venue that lives in a process of its own, so that a host can be killed and find its orders again.
///
/// It drives a scripted day in lock step: step k shows price k and expects exactly one order, a buy at even steps and a
/// sell at odd ones. Until that order comes the tick is repeated; once it is filled the next step begins. An order
/// that was lost stops the day; one that was doubled comes with the wrong side or after the end and is written down.
/// Every third order is filled in two parts, and every fifth only after a pause, so that kills fall in between.
struct Venue {
    struct Order {
        var id: String
        var step: Int
        var side: String
        var quantity: Int64
        var filled: Int64 = 0
        var state = "open"
        var fills: [(id: String, quantity: Int64, price: Int64)] = []
    }

    /// Orders a sync goes back.
    static let recent = 200

    private(set) var steps: Int
    private(set) var step = 0
    private(set) var orders: [Order] = []
    private(set) var position: Int64 = 0
    private(set) var cash: Int64 = 0
    private(set) var violations: [String] = []
    private var fillCount = 0
    /// Fills that come later: order index and quantity.
    private var pending: (order: Int, quantity: Int64)?
    private var ids: Set<String> = []
    /// The next step is shown with the next pause, not at once.
    private let isPaced: Bool
    /// Orders and fills since they were last asked for, as lines.
    private(set) var news: [String] = []

    init(steps: Int, isPaced: Bool = false) {
        self.steps = steps
        self.isPaced = isPaced
    }

    /// The day ends a few steps from here, flat.
    mutating func endSoon() { steps = min(steps, (step + 21) / 2 * 2) }

    var isDone: Bool { step >= steps && pending == nil }
    var waits: Bool { pending != nil }

    /// Prices in units of 1e-8, rising and falling so that every step's is different.
    static func price(_ step: Int) -> Int64 { 100_00000000 + Int64((step * 37) % 101) * 1_000000 }

    var tick: String { isDone ? "end" : "tick \(step) \(Venue.price(step))" }

    /// One line from the host; what to answer.
    mutating func receive(_ line: String) -> [String] {
        let words = line.split(separator: " ").map(String.init)
        switch words.first {
        case "hello": return [tick]
        case "order" where words.count == 4:
            return accept(id: words[1], side: words[2], quantity: Int64(words[3]) ?? 0)
        case "sync" where words.count == 2:
            // Like most venues it tells what is recent, and what is still open.
            let recent = max(0, orders.count - Venue.recent)
            let told = orders.enumerated().filter { $0.offset >= recent || $0.element.state == "open" }
            // Marked as the answer: what happens meanwhile is told as it happens.
            return told.flatMap { report($0.element) }.map { "snapshot " + $0 } + ["snapshot position \(position)", "synced \(words[1])"]
        default:
            violations.append("not understood: \(line)")
            return []
        }
    }

    private mutating func accept(id: String, side: String, quantity: Int64) -> [String] {
        guard ids.insert(id).inserted else {
            violations.append("order \(id) was sent twice")
            return ["duplicate \(id)"]
        }
        let expected = step % 2 == 0 ? "B" : "S"
        if step >= steps || pending != nil {
            violations.append("order \(id) (\(side)) came at step \(step) when none was due")
        } else if side != expected {
            violations.append("order \(id) at step \(step) is \(side), due was \(expected)")
        }
        var order = Order(id: id, step: step, side: side, quantity: quantity)
        order.id = id
        orders.append(order)
        news.append("order \(id) \(step) \(side) \(quantity)")
        let index = orders.count - 1
        var lines = ["open \(id)"]
        if step % 5 == 4 {
            pending = (index, quantity)
        } else if step % 3 == 2, quantity >= 2 {
            lines += fill(index, quantity / 2)
            pending = (index, quantity - quantity / 2)
        } else {
            lines += fill(index, quantity)
            step += 1
            if !isPaced { lines.append(tick) }
        }
        return lines
    }

    /// The pause is over.
    mutating func advance() -> [String] {
        guard let (index, quantity) = pending else { return [tick] }
        pending = nil
        let lines = fill(index, quantity)
        step += 1
        return isPaced ? lines : lines + [tick]
    }

    private mutating func fill(_ index: Int, _ quantity: Int64) -> [String] {
        fillCount += 1
        let price = Venue.price(orders[index].step)
        let fill = (id: "f\(fillCount)", quantity: quantity, price: price)
        orders[index].fills.append(fill)
        orders[index].filled += quantity
        let sign: Int64 = orders[index].side == "B" ? 1 : -1
        position += sign * quantity
        cash -= sign * quantity / 1_000_000 * price / 100
        news.append("fill \(orders[index].id) \(fill.id) \(quantity) \(price)")
        if orders[index].filled >= orders[index].quantity { orders[index].state = "filled" }
        return [line(fill: fill, of: orders[index])] + [line(state: orders[index])]
    }

    private func report(_ order: Order) -> [String] { order.fills.map { line(fill: $0, of: order) } + [line(state: order)] }
    private func line(fill: (id: String, quantity: Int64, price: Int64), of order: Order) -> String {
        "fill \(order.id) \(order.side) \(fill.id) \(fill.quantity) \(fill.price)"
    }
    private func line(state order: Order) -> String { "state \(order.id) \(order.side) \(order.state) \(order.filled) \(order.quantity - order.filled)" }

    /// Where the day stands; orders and fills are told once each, by `takeNews`.
    var summary: String {
        (["step \(step)", "steps \(steps)", "position \(position)", "cash \(cash)"] + violations.map { "violation \($0)" }).joined(separator: "\n") + "\n"
    }

    mutating func takeNews() -> String {
        defer { news.removeAll(keepingCapacity: true) }
        return news.map { $0 + "\n" }.joined()
    }
}
