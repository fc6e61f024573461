"""The real ccxt trades USD-M futures on the stand-in, by REST."""

import sys
from decimal import Decimal

import ccxt

from stand_in import StandIn, check, passed, raises

with StandIn(sys.argv[1], "--seed", "13") as venue:
    alice = venue.client(ccxt.binance, "alice", "futures")
    bob = venue.client(ccxt.binance, "bob", "futures")
    alice.load_markets()
    symbol = "BTC/USDT:USDT"
    market = alice.market(symbol)
    check("a perpetual", market["swap"] and market["linear"] and market["precision"] == {**market["precision"], "price": 0.1, "amount": 0.001})
    check("balance", alice.fetch_balance()["USDT"]["free"] == 100_000)
    check("leverage set", alice.set_leverage(10, symbol)["leverage"] == "10" or alice.set_leverage(10, symbol)["leverage"] == 10)
    check("leverage kept", next(iter(alice.fetch_leverages([symbol]).values()))["longLeverage"] == 10)
    raises("the margin type it has", ccxt.ExchangeError, lambda: alice.fapiprivate_post_margintype({"symbol": "BTCUSDT", "marginType": "CROSSED"}))
    check("one-way", alice.fetch_position_mode(symbol)["hedged"] is False)

    ticker = alice.fetch_ticker(symbol)
    check("ticker", ticker["last"] > 0)
    check("order book", len(alice.fetch_order_book(symbol, 10)["bids"]) == 10)
    check("candles", len(alice.fetch_ohlcv(symbol, "5m", limit=200)) == 200)
    check("mark candles", len(alice.fetch_ohlcv(symbol, "1h", limit=50, params={"price": "mark"})) == 50)
    check("trades", len(alice.fetch_trades(symbol, limit=5)) == 5)
    funding = alice.fetch_funding_rate(symbol)
    check("funding rate", funding["markPrice"] > 0 and abs(funding["fundingRate"]) < 0.01 and funding["fundingTimestamp"] > alice.milliseconds() - 60_000)
    check("funding history", len(alice.fetch_funding_rate_history(symbol, limit=10)) == 10)
    check("open interest", alice.fetch_open_interest(symbol)["openInterestAmount"] > 0)
    check("open interest history", len(alice.fetch_open_interest_history(symbol, "5m", limit=10)) == 10)
    ratios = alice.fetch_long_short_ratio_history(symbol, "1h", limit=10)
    check("long-short ratios", len(ratios) == 10 and ratios[0]["longShortRatio"] > 0)

    price = round(ticker["last"] * 0.97, 1)
    order = alice.create_order(symbol, "limit", "buy", 0.01, price)
    check("placed", order["status"] == "open")
    check("fetched", alice.fetch_order(order["id"], symbol)["price"] == price)
    check("open", [o["id"] for o in alice.fetch_open_orders(symbol)] == [order["id"]])
    used = alice.fetch_balance()["USDT"]["used"]
    check("margin tied up", abs(used - 0.01 * price / 10) < 0.01)
    changed = alice.edit_order(order["id"], symbol, "limit", "buy", 0.02, price)
    check("changed in place", changed["id"] == order["id"] and changed["amount"] == 0.02)
    check("cancelled", alice.cancel_order(order["id"], symbol)["status"] == "canceled")
    raises("cancelled twice", ccxt.OrderNotFound, lambda: alice.cancel_order(order["id"], symbol))
    several = alice.create_orders([
        {"symbol": symbol, "type": "limit", "side": "buy", "amount": 0.01, "price": price},
        {"symbol": symbol, "type": "limit", "side": "buy", "amount": 0.01, "price": round(price - 10, 1)},
    ])
    check("two at once", [o["status"] for o in several] == ["open", "open"])
    gone = alice.cancel_orders([o["id"] for o in several], symbol)
    check("cancelled at once", [o["status"] for o in gone] == ["canceled", "canceled"])

    bought = alice.create_order(symbol, "market", "buy", 0.05)
    check("market order", alice.fetch_order(bought["id"], symbol)["filled"] == 0.05)
    position = alice.fetch_positions([symbol])[0]
    check("position", position["contracts"] == 0.05 and position["side"] == "long" and position["entryPrice"] > 0)
    check("its leverage and liquidation", position["initialMargin"] > 0 and position["marginMode"] == "cross")
    fills = alice.fetch_my_trades(symbol)
    check("fills", abs(sum(t["amount"] for t in fills) - 0.05) < 1e-12 and all(t["fee"]["currency"] == "USDT" for t in fills))

    last = alice.fetch_ticker(symbol)["last"]
    stop = alice.create_order(symbol, "market", "sell", 0.05, None, {"stopLossPrice": round(last * 0.98, 1), "reduceOnly": True})
    check("stop waits apart", stop["id"] in [o["id"] for o in alice.fetch_open_orders(symbol, params={"trigger": True})])
    check("and not among the orders", alice.fetch_open_orders(symbol) == [])
    raises("a stop that would fire now", ccxt.ExchangeError, lambda: alice.create_order(symbol, "market", "sell", 0.05, None, {"stopLossPrice": round(last * 1.02, 1)}))
    check("stop taken back", alice.cancel_order(stop["id"], symbol, {"trigger": True}) is not None)
    raises("a market stop by the order call", ccxt.ExchangeError, lambda: alice.fapiprivate_post_order({"symbol": "BTCUSDT", "side": "SELL", "type": "STOP_MARKET", "quantity": "0.05", "stopPrice": str(round(last * 0.98, 1))}))
    stop = alice.create_order(symbol, "market", "sell", 0.05, None, {"stopLossPrice": round(last * 0.98, 1), "reduceOnly": True})
    venue.do("move", symbol="BTCUSDT", product="futures", percent="-3")
    for _ in range(60):
        if not alice.fetch_positions([symbol]):
            break
        alice.sleep(100)
    check("the stop closed the position", alice.fetch_positions([symbol]) == [])
    venue.do("move", symbol="BTCUSDT", product="futures", percent="3")
    alice.sleep(500)
    books = venue.books("futures", "alice")
    paid = sum(Decimal(row["income"]) for row in books["income"])
    check("wallet equals its income", Decimal(books["wallet"]["USDT"]) == Decimal(100_000) + paid)
    check("fees of five hundredths of a per cent", all(
        int(Decimal(f["quoteQty"]) * Decimal("0.0005") * 10**8) == int(Decimal(f["commission"]) * 10**8) for f in books["fills"] if not f["maker"]))

    # Two real clients in one book.
    venue.do("house", symbol="BTCUSDT", product="futures", on=False)
    mark = alice.fetch_funding_rate(symbol)["markPrice"]
    fair = round(mark, 1)
    resting = alice.create_order(symbol, "limit", "sell", 0.02, fair, {"postOnly": True})
    bob.create_order(symbol, "limit", "buy", 0.02, fair)
    check("bob took from alice", alice.fetch_order(resting["id"], symbol)["status"] == "closed")
    check("short and long", (alice.fetch_positions([symbol])[0]["side"], bob.fetch_positions([symbol])[0]["side"]) == ("short", "long"))
    raises("post only that would take", ccxt.ExchangeError, lambda: (bob.create_order(symbol, "limit", "sell", 0.01, fair), alice.create_order(symbol, "limit", "buy", 0.01, fair, {"postOnly": True})))
    bob.cancel_all_orders(symbol)
    venue.do("house", symbol="BTCUSDT", product="futures", on=True)
    alice.sleep(300)
    closed = alice.create_order(symbol, "market", "buy", 0.02, None, {"reduceOnly": True})
    check("closed", alice.fetch_positions([symbol]) == [])
    raises("nothing left to reduce", ccxt.ExchangeError, lambda: alice.create_order(symbol, "market", "buy", 0.02, None, {"reduceOnly": True}))
    raises("too much for the margin", ccxt.ExchangeError, lambda: alice.create_order(symbol, "market", "buy", 90))
    raises("too small", ccxt.ExchangeError, lambda: alice.fapiprivate_post_order({"symbol": "ETHUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.001"}))

    eth = "ETH/USDT:USDT"
    check("isolated", alice.set_margin_mode("isolated", eth) is not None)
    alice.create_order(eth, "market", "buy", 1)
    held = alice.fetch_positions([eth])[0]
    check("isolated position", held["marginMode"] == "isolated" and held["liquidationPrice"] > 0)
    check("margin added", alice.add_margin(eth, 50)["amount"] == 50)
    check("and it counts", alice.fetch_positions([eth])[0]["liquidationPrice"] < held["liquidationPrice"])
    check("income", len(alice.fetch_income()) if hasattr(alice, "fetch_income") else len(alice.fapiprivate_get_income({"limit": 10})) > 0)
    check("all orders", len(alice.fetch_orders(symbol)) >= 5)
passed("ccxt futures")
