"""The real ccxt trades spot on the stand-in, by REST."""

import sys
from decimal import Decimal

import ccxt

from stand_in import StandIn, check, passed, raises

with StandIn(sys.argv[1], "--seed", "11") as venue:
    alice = venue.client(ccxt.binance, "alice", "spot")
    bob = venue.client(ccxt.binance, "bob", "spot")
    markets = alice.load_markets()
    check("spot and swap markets", {"BTC/USDT", "ETH/USDT", "BTC/USDT:USDT"} <= set(markets))
    market = alice.market("BTC/USDT")
    check("precision", market["precision"]["price"] == 0.01 and market["precision"]["amount"] == 0.00001)
    check("limits", market["limits"]["cost"]["min"] == 5)
    check("the time", abs(alice.fetch_time() - alice.milliseconds()) < 5_000)

    ticker = alice.fetch_ticker("BTC/USDT")
    check("ticker", ticker["bid"] < ticker["ask"] and ticker["last"] > 0 and ticker["baseVolume"] > 0)
    book = alice.fetch_order_book("BTC/USDT", 10)
    check("order book", len(book["bids"]) == 10 and book["bids"][0][0] < book["asks"][0][0] and book["nonce"] > 0)
    candles = alice.fetch_ohlcv("BTC/USDT", "1m", limit=500)
    check("candles", len(candles) == 500 and all(b[0] - a[0] == 60_000 for a, b in zip(candles, candles[1:])))
    check("candles hold together", all(low <= min(o, c) and high >= max(o, c) for _, o, high, low, c, _ in candles))
    check("longer candles", len(alice.fetch_ohlcv("BTC/USDT", "1d", limit=100)) == 100)
    check("trades", len(alice.fetch_trades("BTC/USDT", limit=3)) > 0)
    check("all tickers", {"BTC/USDT", "ETH/USDT"} <= set(alice.fetch_tickers(["BTC/USDT", "ETH/USDT"])))

    before = alice.fetch_balance()
    check("balance", before["USDT"]["free"] == 100_000 and before["BTC"]["free"] == 2)
    price = round(ticker["bid"] * 0.9, 2)
    order = alice.create_order("BTC/USDT", "limit", "buy", 0.01, price)
    check("placed", order["status"] == "open" and order["price"] == price and order["remaining"] == 0.01)
    locked = alice.fetch_balance()["USDT"]
    check("held back", abs(locked["used"] - 0.01 * price) < 1e-6)
    check("fetched by id", alice.fetch_order(order["id"], "BTC/USDT")["clientOrderId"] == order["clientOrderId"])
    check("open orders", [o["id"] for o in alice.fetch_open_orders("BTC/USDT")] == [order["id"]])
    check("bob doesn't see it", bob.fetch_open_orders("BTC/USDT") == [])
    check("in the book", any(level[0] == price for level in alice.fetch_order_book("BTC/USDT", 1000)["bids"]))
    edited = alice.edit_order(order["id"], "BTC/USDT", "limit", "buy", 0.02, price)
    check("edited", edited["id"] != order["id"] and edited["amount"] == 0.02)
    canceled = alice.cancel_order(edited["id"], "BTC/USDT")
    check("cancelled", canceled["status"] == "canceled")
    raises("cancelled twice", ccxt.OrderNotFound, lambda: alice.cancel_order(edited["id"], "BTC/USDT"))
    raises("an order that never was", ccxt.OrderNotFound, lambda: alice.fetch_order("999999", "BTC/USDT"))
    check("money is back", alice.fetch_balance()["USDT"]["free"] == 100_000)

    market_buy = alice.create_order("BTC/USDT", "market", "buy", 0.05)
    check("market order", market_buy["status"] == "closed" and market_buy["filled"] == 0.05 and market_buy["average"] > 0)
    check("fee in the asset received", {fee["currency"] for fee in market_buy["fees"]} == {"BTC"} if market_buy.get("fees") else market_buy["fee"]["currency"] == "BTC")
    trades = alice.fetch_my_trades("BTC/USDT")
    check("my trades", abs(sum(t["amount"] for t in trades) - 0.05) < 1e-12 and all(t["order"] == market_buy["id"] for t in trades))
    books = venue.books("spot", "alice")
    spent = sum(Decimal(fill["quoteQty"]) for fill in books["fills"])
    fees = sum(Decimal(fill["commission"]) for fill in books["fills"])
    check("exact money", Decimal(books["balances"]["USDT"]["free"]) == Decimal(100_000) - spent)
    check("exact coins", Decimal(books["balances"]["BTC"]["free"]) == Decimal(2) + Decimal("0.05") - fees)
    check("a thousandth", fees == sum(int(Decimal(f["qty"]) * Decimal("0.001") * 10**8) for f in books["fills"]) / Decimal(10**8))

    by_cost = alice.create_market_buy_order_with_cost("BTC/USDT", 1000)
    check("market order by cost", by_cost["status"] == "closed" and 900 < by_cost["cost"] <= 1000)
    sold = alice.create_order("BTC/USDT", "market", "sell", 0.03)
    check("market sell", sold["status"] == "closed" and sold["filled"] == 0.03)

    # Two real clients meet in one book.
    venue.do("house", symbol="BTCUSDT", product="spot", on=False)
    resting = alice.create_order("BTC/USDT", "limit", "sell", 0.02, price)
    taken = bob.create_order("BTC/USDT", "limit", "buy", 0.015, price)
    check("bob took from alice", taken["status"] == "closed" and alice.fetch_order(resting["id"], "BTC/USDT")["filled"] == 0.015)
    check("alice was the maker", alice.fetch_my_trades("BTC/USDT")[-1]["takerOrMaker"] == "maker")
    raises("post only that would take", ccxt.OrderImmediatelyFillable, lambda: bob.create_order("BTC/USDT", "limit", "buy", 0.01, price, {"postOnly": True}))
    check("cancel all", len(alice.cancel_all_orders("BTC/USDT")) == 1)
    venue.do("house", symbol="BTCUSDT", product="spot", on=True)

    last = alice.fetch_ticker("BTC/USDT")["last"]
    stop = alice.create_order("BTC/USDT", "limit", "sell", 0.01, round(last * 0.94, 2), {"triggerPrice": round(last * 0.95, 2)})
    check("stop order waits", stop["id"] in [o["id"] for o in alice.fetch_open_orders("BTC/USDT")])
    venue.do("move", symbol="BTCUSDT", product="spot", percent="-6")
    for _ in range(50):
        if alice.fetch_order(stop["id"], "BTC/USDT")["status"] == "closed":
            break
        alice.sleep(100)
    check("stop order fired", alice.fetch_order(stop["id"], "BTC/USDT")["status"] in ("closed", "open"))

    raises("more than there is", ccxt.InsufficientFunds, lambda: alice.create_order("BTC/USDT", "limit", "buy", 5, round(last * 0.9, 2)))
    raises("too little", ccxt.BadRequest, lambda: alice.create_order("BTC/USDT", "limit", "buy", 0.00001, round(last * 0.9, 2)))
    raises("off the tick", ccxt.InvalidOrder, lambda: alice.private_post_order({"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.001", "price": "80000.001"}))
    thief = venue.client(ccxt.binance, "alice", "spot")
    thief.secret = "wrong"
    raises("a wrong secret", ccxt.AuthenticationError, thief.fetch_balance)
    late = venue.client(ccxt.binance, "alice", "spot", timeDifference=60_000)
    raises("a late clock", ccxt.InvalidNonce, late.fetch_balance)
    check("all orders", len(alice.fetch_orders("BTC/USDT")) >= 6)

    # Unknown outcomes look to ccxt as the real ones do, and the order is there.
    far = round(alice.fetch_ticker("BTC/USDT")["last"] * 0.5, 2)
    for fault, kind in (("timeout_after", ccxt.RequestTimeout), ("lost_reply", ccxt.NetworkError)):
        venue.control("scenario", {"rules": [{"do": fault, "times": 1}]})
        raises(fault, kind, lambda: alice.create_order("BTC/USDT", "limit", "buy", 0.001, far, {"newClientOrderId": fault}))
        check(f"{fault}: it was taken", alice.fetch_order(None, "BTC/USDT", {"origClientOrderId": fault})["status"] == "open")
    venue.control("scenario", {"rules": [{"do": "limited", "calls": ["GET /api/v3/account"], "times": 1}]})
    raises("too many requests", ccxt.DDoSProtection, alice.fetch_balance)
    venue.control("scenario", {})

    carol = venue.client(ccxt.binance, "carol", "spot")
    check("an Ed25519 key", carol.fetch_balance()["USDT"]["free"] == 100_000)
    check("orders signed by it", carol.create_order("ETH/USDT", "market", "buy", 1)["status"] == "closed")
passed("ccxt spot")
