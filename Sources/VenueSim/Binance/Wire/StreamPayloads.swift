// What the market streams carry, for both products.

extension Listing {
    private func head(_ event: String, _ now: Int64, _ out: inout Out) {
        out.text("e", event)
        out.int("E", now)
        out.text("s", rules.name)
    }

    func tradeEvent(_ trade: Trade, _ now: Int64, _ product: Product) -> Out {
        Out.object { out in
            head("trade", now, &out)
            out.int("t", trade.id)
            out.decimal("p", trade.price)
            out.decimal("q", trade.quantity)
            out.int("T", trade.time)
            out.bool("m", trade.buyerIsMaker)
            if product == .spot { out.bool("M", true) } else { out.text("X", "MARKET") }
            if product == .futures { out.int("st", 1) }
        }
    }

    func aggregateEvent(_ trade: AggregateTrade, _ now: Int64, _ product: Product) -> Out {
        Out.object { out in
            head("aggTrade", now, &out)
            trade.write(&out, isSpot: product == .spot)
            if product == .futures { out.int("st", 1) }
        }
    }

    func bookTickerEvent(_ now: Int64, _ product: Product) -> Out {
        let bid = book.depth(.buy, 1).first
        let ask = book.depth(.sell, 1).first
        return Out.object { out in
            if product == .futures { out.text("e", "bookTicker") }
            out.int("u", book.updateID)
            if product == .futures {
                out.int("E", now)
                out.int("T", now)
            }
            out.text("s", rules.name)
            if product == .futures { out.text("ps", rules.name) }
            out.decimal("b", bid?.price ?? 0)
            out.decimal("B", bid?.quantity ?? 0)
            out.decimal("a", ask?.price ?? 0)
            out.decimal("A", ask?.quantity ?? 0)
            if product == .futures { out.int("st", 1) }
        }
    }

    func klineEvent(_ bar: Candle, _ interval: Interval, isClosed: Bool, _ now: Int64, _ product: Product, isContinuous: Bool = false) -> Out {
        Out.object { out in
            out.text("e", isContinuous ? "continuous_kline" : "kline")
            out.int("E", now)
            out.text(isContinuous ? "ps" : "s", rules.name)
            if isContinuous { out.text("ct", "PERPETUAL") }
            out.put("k", Out.object { out in
                out.int("t", bar.open)
                out.int("T", interval.next(bar.open) - 1)
                if !isContinuous { out.text("s", rules.name) }
                out.text("i", interval.rawValue)
                out.int("f", bar.firstID)
                out.int("L", bar.lastID)
                out.decimal("o", bar.first)
                out.decimal("c", bar.last)
                out.decimal("h", bar.high)
                out.decimal("l", bar.low)
                out.decimal("v", bar.volume)
                out.int("n", bar.trades)
                out.bool("x", isClosed)
                out.decimal("q", bar.quote)
                out.decimal("V", bar.takerVolume)
                out.decimal("Q", bar.takerQuote)
                out.text("B", "0")
            })
            if product == .futures { out.int("st", 1) }
        }
    }

    func miniTickerEvent(_ now: Int64, _ product: Product) -> Out {
        let day = day(now)
        return Out.object { out in
            head("24hrMiniTicker", now, &out)
            out.decimal("c", last(now))
            out.decimal("o", day.bar.first)
            out.decimal("h", day.bar.high)
            out.decimal("l", day.bar.low)
            out.decimal("v", day.bar.volume)
            out.decimal("q", day.bar.quote)
            if product == .futures { out.int("st", 1) }
        }
    }

    func tickerEvent(_ now: Int64, _ product: Product) -> Out {
        let day = day(now)
        return Out.object { out in
            head("24hrTicker", now, &out)
            out.decimal("p", day.change)
            out.decimal("P", day.percent, 3)
            out.decimal("w", day.average)
            if product == .spot { out.decimal("x", day.bar.first) }
            out.decimal("c", last(now))
            out.decimal("Q", tape.last?.quantity ?? 0)
            if product == .spot {
                let bid = book.depth(.buy, 1).first
                let ask = book.depth(.sell, 1).first
                out.decimal("b", bid?.price ?? 0)
                out.decimal("B", bid?.quantity ?? 0)
                out.decimal("a", ask?.price ?? 0)
                out.decimal("A", ask?.quantity ?? 0)
            }
            out.decimal("o", day.bar.first)
            out.decimal("h", day.bar.high)
            out.decimal("l", day.bar.low)
            out.decimal("v", day.bar.volume)
            out.decimal("q", day.bar.quote)
            out.int("O", day.bar.open)
            out.int("C", now)
            out.int("F", max(day.bar.firstID, 0))
            out.int("L", tape.lastID)
            out.int("n", day.bar.trades)
            if product == .futures { out.int("st", 1) }
        }
    }

    func averageEvent(_ now: Int64) -> Out {
        Out.object { out in
            head("avgPrice", now, &out)
            out.text("i", "5m")
            out.decimal("w", average(now))
            out.int("T", tape.last?.time ?? now)
        }
    }

    /// Changed levels with what stands on them now. `previous`: the last update the stream told, on futures.
    func depthEvent(_ places: Set<Book.Place>, first: Int64, last: Int64, previous: Int64?, _ now: Int64) -> Out {
        func side(_ side: Side) -> Out {
            let prices = places.lazy.filter { $0.side == side }.map(\.price).sorted { side == .buy ? $0 > $1 : $0 < $1 }
            return Out.list(prices) { Out.list([.decimal($0), .decimal(book.quantity(Book.Place(side: side, price: $0)))]) }
        }
        return Out.object { out in
            out.text("e", "depthUpdate")
            out.int("E", now)
            if previous != nil { out.int("T", now) }
            out.text("s", rules.name)
            if previous != nil { out.text("ps", rules.name) }
            out.int("U", first)
            out.int("u", last)
            if let previous { out.int("pu", previous) }
            out.put("b", side(.buy))
            out.put("a", side(.sell))
            if previous != nil { out.int("st", 1) }
        }
    }

    func partialEvent(_ levels: Int, previous: Int64, _ now: Int64, _ product: Product) -> Out {
        Out.object { out in
            if product == .spot {
                out.int("lastUpdateId", book.updateID)
            } else {
                out.text("e", "depthUpdate")
                out.int("E", now)
                out.int("T", now)
                out.text("s", rules.name)
                out.text("ps", rules.name)
                out.int("U", previous + 1)
                out.int("u", book.updateID)
                out.int("pu", previous)
            }
            out.put(product == .spot ? "bids" : "b", side(.buy, levels))
            out.put(product == .spot ? "asks" : "a", side(.sell, levels))
            if product == .futures { out.int("st", 1) }
        }
    }
}
