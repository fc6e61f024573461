import Foundation
import PluginKit
import TestSupport
import Testing

@testable import BinanceExchange

/// Whatever happens, no money appears or disappears, and what orders, fills and balances say agrees.
@Suite struct ConservationTests {
    static func text(_ value: Int64, _ digits: Int) -> String { decimalText(value, digits) }

    @Test(arguments: [1, 2, 3] as [UInt64]) func spotMoneyIsConserved(seed: UInt64) throws {
        let bench = try Bench(seed: seed, step: 1_000, symbols: SymbolRules.spot.map(\.name))
        bench.exchange.spotLimits.rules.weight = .max / 2
        bench.exchange.spotLimits.rules.orders = []
        let spot = bench.exchange.spot
        var random = SeededGenerator(seed: seed &* 77)
        var initial: [String: Int128] = [:]
        for account in bench.exchange.accounts { for (asset, balance) in account.spot { initial[asset, default: 0] += balance.free } }
        let names = ["alice", "bob", "carol"]
        for step in 0..<120 {
            let name = names[Int(random.below(3))]
            let symbol = spot.names[Int(random.below(4))]
            let listing = try #require(spot.listings[symbol])
            let rules = listing.rules
            let side = random.below(2) == 0 ? "BUY" : "SELL"
            let last = listing.last(bench.exchange.now)
            let price = max(rules.tick, down(last + last / 10_000 * (Int64(random.below(200)) - 100), to: rules.tick))
            let quantity = max(rules.step, down(Int64(clamping: Int128(fixed("2000")) * Int128(one) / Int128(max(1, rules.quote == "BTC" ? last * 60_000 : last))) / 100 * Int64(1 + random.below(100)), to: rules.step))
            let q = Self.text(quantity, 8)
            let p = Self.text(price, 8)
            switch random.below(9) {
            case 0: _ = try bench.call(name, "POST", "/api/v3/order", ["symbol": symbol, "side": side, "type": "MARKET", "quantity": q])
            case 1: _ = try bench.call(name, "POST", "/api/v3/order", ["symbol": symbol, "side": side, "type": "MARKET", "quoteOrderQty": rules.quote == "BTC" ? "0.01" : "700"])
            case 2: _ = try bench.call(name, "POST", "/api/v3/order", ["symbol": symbol, "side": side, "type": "LIMIT_MAKER", "quantity": q, "price": p])
            case 3:
                let way = (side == "SELL") == (random.below(2) == 0) ? -1 : 1 as Int64
                let stop = down(last + way * last / 1_000, to: rules.tick)
                _ = try bench.call(
                    name, "POST", "/api/v3/order",
                    ["symbol": symbol, "side": side, "type": (way > 0) == (side == "BUY") ? "STOP_LOSS_LIMIT" : "TAKE_PROFIT_LIMIT", "timeInForce": "GTC", "quantity": q, "price": p, "stopPrice": Self.text(stop, 8)])
            case 4:
                let up = Self.text(down(last + last / 500, to: rules.tick), 8)
                let low = Self.text(down(last - last / 500, to: rules.tick), 8)
                let isSell = side == "SELL"
                _ = try bench.call(
                    name, "POST", "/api/v3/orderList/oco",
                    isSell
                        ? ["symbol": symbol, "side": side, "quantity": q, "aboveType": "LIMIT_MAKER", "abovePrice": up, "belowType": "STOP_LOSS", "belowStopPrice": low]
                        : ["symbol": symbol, "side": side, "quantity": q, "aboveType": "STOP_LOSS", "aboveStopPrice": up, "belowType": "LIMIT_MAKER", "belowPrice": low])
            case 5: _ = try bench.call(name, "DELETE", "/api/v3/openOrders", ["symbol": symbol])
            case 6:
                _ = try bench.call(
                    name, "POST", "/api/v3/order",
                    ["symbol": symbol, "side": side, "type": "LIMIT", "timeInForce": ["IOC", "FOK", "GTC"][Int(random.below(3))], "quantity": q, "price": p])
            default:
                _ = try bench.call(name, "POST", "/api/v3/order", ["symbol": symbol, "side": side, "type": "LIMIT", "timeInForce": "GTC", "quantity": q, "price": p])
            }
            if random.below(3) == 0 { bench.advance(Int64(random.below(4_000))) }
            if step % 10 != 9 { continue }
            for asset in initial.keys {
                var sum = (spot.fees[asset] ?? 0) + (spot.house[asset] ?? 0)
                for account in bench.exchange.accounts {
                    let balance = account.spot[asset] ?? Balance()
                    #expect(balance.free >= 0 && balance.locked >= 0, "seed \(seed), step \(step), \(account.name) \(asset)")
                    sum += balance.free + balance.locked
                }
                #expect(sum == initial[asset], "seed \(seed), step \(step), \(asset)")
            }
            for account in bench.exchange.accounts {
                for asset in initial.keys {
                    let held = spot.orders.values.filter { order in
                        guard order.account == account.number, let rules = spot.listings[order.symbol]?.rules else { return false }
                        return (order.side == .buy ? rules.quote : rules.base) == asset
                    }.reduce(Int128(0)) { $0 + $1.locked }
                    #expect(held == account.spot[asset]?.locked ?? 0, "seed \(seed), step \(step), \(account.name) \(asset)")
                }
            }
        }
        for order in spot.orders.values {
            let fills = (spot.fills[order.account] ?? []).filter { $0.order == order.id }
            #expect(fills.reduce(0) { $0 + $1.quantity } == order.executed, "seed \(seed), order \(order.id)")
            #expect(fills.reduce(Int128(0)) { $0 + $1.quote } == order.quote, "seed \(seed), order \(order.id)")
            if !order.status.isOpen { #expect(order.locked == 0, "seed \(seed), order \(order.id)") }
            if order.status == .filled { #expect(order.executed == order.quantity, "seed \(seed), order \(order.id)") }
            #expect(order.executed <= order.quantity, "seed \(seed), order \(order.id)")
        }
        #expect(spot.fills.values.reduce(0) { $0 + $1.count } > 20, "seed \(seed): too little was traded to mean anything")
    }

    @Test(arguments: [1, 2, 3] as [UInt64]) func futuresMoneyIsConserved(seed: UInt64) throws {
        let bench = try Bench(seed: seed, step: 1_000)
        bench.exchange.futuresLimits.rules.weight = .max / 2
        bench.exchange.futuresLimits.rules.orders = []
        let futures = bench.exchange.futures
        var random = SeededGenerator(seed: seed &* 991)
        // One account is poor enough to be liquidated.
        try bench.account("carol").futures.wallet["USDT"] = Int128(fixed("400"))
        func whole() -> Int128 {
            var sum = futures.houseCash + futures.fees + futures.funding - futures.insurance
            for account in bench.exchange.accounts {
                sum += account.futures.wallet["USDT"] ?? 0
                for position in account.futures.positions.values { sum -= position.amount >= 0 ? position.cost : -position.cost }
            }
            return sum
        }
        let initial = whole()
        var liquidations = 0
        futures.liquidated = { _, _ in liquidations += 1 }
        for name in ["alice", "carol"] { for symbol in futures.names { _ = try bench.call(name, "POST", "/fapi/v1/leverage", ["symbol": symbol, "leverage": "100"]) } }
        _ = try bench.call("bob", "POST", "/fapi/v1/marginType", ["symbol": "ETHUSDT", "marginType": "ISOLATED"])
        for step in 0..<120 {
            let name = ["alice", "bob", "carol"][Int(random.below(3))]
            let symbol = futures.names[Int(random.below(2))]
            let listing = try #require(futures.listings[symbol])
            let side = random.below(2) == 0 ? "BUY" : "SELL"
            let last = listing.last(bench.exchange.now)
            let price = Self.text(down(last + last / 10_000 * (Int64(random.below(200)) - 100), to: listing.rules.tick), 2)
            let quantity = Self.text(down(listing.rules.typicalQuantity / 40 * Int64(1 + random.below(10)), to: listing.rules.step), 3)
            switch random.below(9) {
            case 0, 1: _ = try bench.call(name, "POST", "/fapi/v1/order", ["symbol": symbol, "side": side, "type": "MARKET", "quantity": quantity])
            case 2: _ = try bench.call(name, "POST", "/fapi/v1/order", ["symbol": symbol, "side": side, "type": "MARKET", "quantity": quantity, "reduceOnly": "true"])
            case 3: _ = try bench.call(name, "DELETE", "/fapi/v1/allOpenOrders", ["symbol": symbol])
            case 4:
                let way: Int64 = side == "SELL" ? -1 : 1
                _ = try bench.call(
                    name, "POST", "/fapi/v1/algoOrder",
                    ["algoType": "CONDITIONAL", "symbol": symbol, "side": side, "type": "STOP_MARKET", "quantity": quantity, "triggerPrice": Self.text(down(last + way * last / 2_000, to: listing.rules.tick), 2)])
            case 5:
                if random.below(4) == 0 { listing.shift = listing.shift / 1_000 * (random.below(2) == 0 ? 985 : 1_015) }
                bench.advance(2_000)
            default:
                _ = try bench.call(name, "POST", "/fapi/v1/order", ["symbol": symbol, "side": side, "type": "LIMIT", "timeInForce": "GTC", "quantity": quantity, "price": price])
            }
            if random.below(20) == 0 { bench.exchange.leap(to: futures.nextFunding(bench.exchange.now) + 1_000, steps: 20) } else { bench.advance(Int64(random.below(3_000))) }
            #expect(whole() == initial, "seed \(seed), step \(step)")
            for name in futures.names {
                let held = bench.exchange.accounts.reduce(Int64(0)) { $0 + $1.futures.positions.filter { $0.key.symbol == name }.reduce(0) { $0 + $1.value.amount } }
                #expect(held + (futures.houseHolds[name] ?? 0) == 0, "seed \(seed), step \(step), \(name)")
            }
            for account in bench.exchange.accounts {
                let sum = account.futures.income.reduce(Int128(0)) { $0 + $1.amount }
                let begun: Int128 = account.name == "carol" ? Int128(fixed("400")) : 10_000_000_000_000
                #expect(account.futures.wallet["USDT"] == begun + sum, "seed \(seed), step \(step), \(account.name)")
            }
        }
        #expect(futures.funding != 0, "seed \(seed): no funding was paid")
        #expect(futures.fills.values.contains { $0.count > 20 }, "seed \(seed): too little was traded to mean anything")
    }

    /// The same seed and the same requests give the same books, to the byte; another seed doesn't.
    @Test func theSameScriptGivesTheSameBooks() throws {
        func play(_ seed: UInt64) throws -> [UInt8] {
            let bench = try Bench(seed: seed)
            for step in 0..<12 {
                _ = try bench.call("alice", "POST", "/api/v3/order", ["symbol": "ETHUSDT", "side": step % 2 == 0 ? "BUY" : "SELL", "type": "MARKET", "quantity": "0.5"])
                _ = try bench.call("bob", "POST", "/fapi/v1/order", ["symbol": "ETHUSDT", "side": step % 3 == 0 ? "BUY" : "SELL", "type": "MARKET", "quantity": "0.5"])
                bench.advance(700)
            }
            return Books.written(bench.exchange).bytes
        }
        #expect(try play(4) == play(4))
        #expect(try play(4) != play(5))
    }

    /// Saved in the middle and put into a new exchange: from there on both go the same way.
    @Test func aRestartChangesNothing() throws {
        let bench = try Bench(seed: 9)
        func act(_ bench: Bench, _ step: Int) throws {
            _ = try bench.call("alice", "POST", "/api/v3/order", ["symbol": "BTCUSDT", "side": step % 2 == 0 ? "BUY" : "SELL", "type": "MARKET", "quantity": "0.01"])
            let price = decimalText(down(bench.exchange.spot.listings["BTCUSDT"]?.last(bench.exchange.now) ?? 0, to: one) - 30 * one, 2)
            _ = try bench.call("bob", "POST", "/api/v3/order", ["symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.3", "price": price])
            _ = try bench.call("alice", "POST", "/fapi/v1/order", ["symbol": "BTCUSDT", "side": step % 3 == 0 ? "SELL" : "BUY", "type": "MARKET", "quantity": "0.01"])
            _ = try bench.call(
                "bob", "POST", "/fapi/v1/algoOrder",
                ["algoType": "CONDITIONAL", "symbol": "BTCUSDT", "side": "SELL", "type": "STOP_MARKET", "quantity": "0.01", "triggerPrice": decimalText(down(bench.exchange.futures.listings["BTCUSDT"]?.last(bench.exchange.now) ?? 0, to: one) - 20 * one, 1)])
            bench.advance(1_300)
        }
        for step in 0..<6 { try act(bench, step) }
        let folder = try TemporaryFolder()
        let path = folder.path + "/state.json"
        try StateFile.write(bench.exchange.state, path)
        let saved = try #require(try StateFile.read(path))
        let second = try Bench(seed: 9)
        let fresh = try Exchange(second.exchange.settings, isFresh: false)
        #expect(fresh.restore(saved))
        #expect(Books.written(fresh).bytes == Books.written(bench.exchange).bytes)
        let other = try Bench(restored: fresh)
        for step in 6..<12 {
            try act(bench, step)
            try act(other, step)
        }
        #expect(Books.written(fresh).bytes == Books.written(bench.exchange).bytes)
        for name in bench.exchange.spot.names {
            let (a, b) = (try #require(bench.exchange.spot.listings[name]), try #require(fresh.spot.listings[name]))
            #expect(a.book.updateID == b.book.updateID && a.tape.lastID == b.tape.lastID)
            for interval in [Interval.m1, .h1, .d1] {
                #expect(a.candles.bars(interval, start: nil, end: nil, limit: 100, now: fresh.now) == b.candles.bars(interval, start: nil, end: nil, limit: 100, now: fresh.now), "\(name) \(interval)")
            }
        }
        #expect(throws: StateError.self) {
            try "{\"version\":99}".write(toFile: path, atomically: true, encoding: .utf8)
            _ = try StateFile.read(path)
        }
    }
}
