import PluginKit
import Testing

@testable import BinanceConnector

/// An order's story, told in any order, twice and with pieces missing, ends the same.
@Suite struct TicketTests {
    private enum Piece {
        case report(VenueReport)
        case trade(TradeReport)
    }

    private func report(_ id: ClientID, _ status: VenueStatus?, _ executed: Int64) -> Piece {
        var report = VenueReport()
        report.symbol = "BTCUSDT"
        report.clientID = id.description
        report.orderID = 28
        report.status = status
        report.executed = Fixed(raw: executed)
        report.quantity = Fixed(raw: 1000)
        report.side = .buy
        return .report(report)
    }

    private func trade(_ number: Int64, _ quantity: Int64, _ price: Int64) -> Piece {
        .trade(
            TradeReport(
                symbol: "BTCUSDT", tradeID: number, orderID: 28, quantity: Fixed(raw: quantity), price: Fixed(raw: price), fee: .zero, feeAsset: "", liquidity: .taker, side: .buy, time: 1))
    }

    @Test("shuffled, doubled: states only go forward, each trade counts once, the end is the venue's")
    func shuffled() throws {
        for seed in UInt64(1)...400 {
            var random = SeededGenerator(seed: seed)
            let id = ClientID(OrderID(hi: 3, lo: seed << 24))
            let ends: [VenueStatus] = [.filled, .canceled, .expired]
            let end = ends[Int(random.below(3))]
            var left: Int64 = 1000
            var pieces = [report(id, .new, 0)]
            var number: Int64 = 1
            var done: Int64 = 0
            while left > 0 {
                let part = min(left, Int64(random.below(400)) + 1)
                if end != .filled, random.chance(0.3) { break }
                left -= part
                done += part
                pieces.append(trade(number, part, 90_000 + number))
                pieces.append(report(id, left == 0 ? .filled : .partlyFilled, done))
                number += 1
            }
            let real: VenueStatus = left == 0 ? .filled : end == .filled ? .filled : end
            if left > 0 { pieces.append(report(id, real, done)) }
            pieces.append(report(id, nil, 0))
            pieces += pieces.filter { _ in random.chance(0.5) }
            pieces.shuffle(using: &random)
            var ticket = Ticket(
                Order(id: id.order, side: .buy, features: .limit, instrument: 1, quantity: Fixed(raw: 1000), limit: Fixed(raw: 90_000)), symbol: "BTCUSDT")
            ticket.legs.append(Ticket.Leg(id, quantity: Fixed(raw: 1000), isAlgo: false, sentAt: 1))
            var filled: Int64 = -1
            var terminal: PluginKit.Order.State?
            for piece in pieces {
                switch piece {
                case .report(let report): ticket.take(report)
                case .trade(let trade): _ = ticket.take(trade)
                }
                guard let update = ticket.news() else { continue }
                #expect(update.filled.raw >= filled, "seed \(seed)")
                filled = update.filled.raw
                #expect(update.filled.raw + update.leaves.raw == 1000, "seed \(seed)")
                if let terminal { #expect(update.state == .filled || update.state == terminal, "seed \(seed)") }
                if update.state.isTerminal { terminal = update.state }
            }
            #expect(ticket.filled.raw == done, "seed \(seed)")
            #expect(ticket.isOver, "seed \(seed)")
            let expected: PluginKit.Order.State = done == 1000 ? .filled : real == .expired ? .expired : .canceled
            #expect(ticket.state == expected, "seed \(seed): \(ticket.state) instead of \(expected)")
        }
    }

    @Test("an end is told only when every trade it counts is known")
    func waits() {
        let id = ClientID(OrderID(hi: 3, lo: 1 << 24))
        var ticket = Ticket(Order(id: id.order, side: .buy, features: .market, instrument: 1, quantity: Fixed(raw: 1000)), symbol: "BTCUSDT")
        ticket.legs.append(Ticket.Leg(id, quantity: Fixed(raw: 1000), isAlgo: false, sentAt: 1))
        func take(_ piece: Piece) {
            switch piece {
            case .report(let report): ticket.take(report)
            case .trade(let trade): _ = ticket.take(trade)
            }
        }
        take(report(id, .filled, 1000))
        #expect(ticket.state == .open && ticket.lacksTrades)
        take(trade(1, 400, 100))
        #expect(ticket.state == .open)
        take(trade(2, 600, 200))
        #expect(ticket.state == .filled && !ticket.lacksTrades)
        #expect(ticket.average.raw == 160)
    }

    @Test("client ids: ours and their parts come back, others don't")
    func clientIDs() {
        let order = OrderID(hi: 77, lo: 5 << 24 | 3)
        for part in ClientID.Part.allCases { #expect(ClientID(ClientID(order, part).description) == ClientID(order, part)) }
        for text in ["", "x-TKT5PX2F123", "autoclose-1", order.description + "x", String(order.description.dropLast()), order.description + "tt"] { #expect(ClientID(text) == nil) }
    }
}
