"""The real ccxt.pro watches spot streams of the stand-in and trades over its WebSocket API."""

import asyncio
import sys

import ccxt.pro

from stand_in import StandIn, check, passed


async def watch(what, work, seconds=20):
    try:
        return await asyncio.wait_for(work, seconds)
    except asyncio.TimeoutError:
        check(f"{what} within {seconds} s", False)


async def until(what, next_value, fits, tries=40):
    for _ in range(tries):
        value = await watch(what, next_value())
        if fits(value):
            check(what, True)
            return value
    check(what, False)


async def main(venue):
    alice = venue.client(ccxt.pro.binance, "alice", "spot")
    try:
        await alice.load_markets()
        symbol = "BTC/USDT"
        ticker = await watch("a ticker", alice.watch_ticker(symbol))
        check("the ticker has a price", ticker["last"] > 0 and ticker["baseVolume"] > 0)
        trades = await watch("trades", alice.watch_trades(symbol))
        check("trades have prices", all(t["price"] > 0 and t["amount"] > 0 for t in trades))
        candles = await watch("candles", alice.watch_ohlcv(symbol, "1m"))
        check("a candle", candles[-1][4] > 0)
        # ccxt raises if a sequence number doesn't fit: thirty updates without that.
        last = 0
        for _ in range(30):
            book = await watch("the order book", alice.watch_order_book(symbol))
            check("book goes on", book["nonce"] >= last and book["bids"][0][0] < book["asks"][0][0])
            last = book["nonce"]
        best = await watch("best bid and ask", alice.watch_bids_asks([symbol]))
        check("bids below asks", best[symbol]["bid"] < best[symbol]["ask"])

        orders, mine, balances = [], [], []

        async def collect(into, next_value):
            while True:
                into.append(await next_value())

        tasks = [
            asyncio.create_task(collect(orders, lambda: alice.watch_orders(symbol))),
            asyncio.create_task(collect(mine, lambda: alice.watch_my_trades(symbol))),
            asyncio.create_task(collect(balances, alice.watch_balance)),
        ]
        await asyncio.sleep(1)
        price = round(ticker["last"] * 0.9, 2)
        placed = await alice.create_order(symbol, "limit", "buy", 0.01, price)
        await alice.cancel_order(placed["id"], symbol)
        bought = await alice.create_order(symbol, "market", "buy", 0.02)
        by_socket = await alice.create_order_ws(symbol, "limit", "buy", 0.01, price)
        check("placed by socket", by_socket["status"] == "open")
        gone = await alice.cancel_order_ws(by_socket["id"], symbol)
        check("cancelled by socket", gone["status"] == "canceled")
        check("balance by socket", (await alice.fetch_balance_ws())["USDT"]["total"] > 0)
        for _ in range(100):
            seen = {(o["id"], o["status"]) for batch in orders for o in batch}
            if {(placed["id"], "canceled"), (bought["id"], "closed"), (by_socket["id"], "canceled")} <= seen and mine and balances:
                break
            await asyncio.sleep(0.1)
        check("orders seen", {(placed["id"], "canceled"), (bought["id"], "closed"), (by_socket["id"], "canceled")} <= seen)
        fills = {t["id"]: t for batch in mine for t in batch}
        check("my trades seen", abs(sum(t["amount"] for t in fills.values()) - 0.02) < 1e-12)
        check("their fees", all(t["fee"]["currency"] == "BTC" for t in fills.values()))
        rest = await alice.fetch_balance()
        check("balance seen", balances[-1]["USDT"]["free"] == rest["USDT"]["free"] and balances[-1]["BTC"]["free"] == rest["BTC"]["free"])
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    finally:
        await alice.close()


with StandIn(sys.argv[1], "--seed", "12") as venue:
    asyncio.run(main(venue))
passed("ccxt.pro spot")
