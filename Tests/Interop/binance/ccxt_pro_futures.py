"""The real ccxt.pro watches futures streams of the stand-in."""

import asyncio
import sys

import ccxt.pro

from stand_in import StandIn, check, passed


async def watch(what, work, seconds=20):
    try:
        return await asyncio.wait_for(work, seconds)
    except asyncio.TimeoutError:
        check(f"{what} within {seconds} s", False)


async def main(venue):
    alice = venue.client(ccxt.pro.binance, "alice", "futures")
    try:
        await alice.load_markets()
        symbol = "BTC/USDT:USDT"
        ticker = await watch("a ticker", alice.watch_ticker(symbol))
        check("the ticker has a price", ticker["last"] > 0)
        check("trades", all(t["price"] > 0 for t in await watch("trades", alice.watch_trades(symbol))))
        check("candles", (await watch("candles", alice.watch_ohlcv(symbol, "1m")))[-1][4] > 0)
        last = 0
        for _ in range(30):
            book = await watch("the order book", alice.watch_order_book(symbol))
            check("book goes on", book["nonce"] >= last and book["bids"][0][0] < book["asks"][0][0])
            last = book["nonce"]
        check("mark price", (await watch("mark price", alice.watch_mark_price(symbol)))["markPrice"] > 0)
        best = await watch("best bid and ask", alice.watch_bids_asks([symbol]))
        check("bids below asks", best[symbol]["bid"] < best[symbol]["ask"])

        orders, mine, balances, positions = [], [], [], []

        async def collect(into, next_value):
            while True:
                into.append(await next_value())

        tasks = [
            asyncio.create_task(collect(orders, lambda: alice.watch_orders(symbol))),
            asyncio.create_task(collect(mine, lambda: alice.watch_my_trades(symbol))),
            asyncio.create_task(collect(balances, alice.watch_balance)),
            asyncio.create_task(collect(positions, lambda: alice.watch_positions([symbol]))),
        ]
        await asyncio.sleep(1.5)
        price = round(ticker["last"] * 0.97, 1)
        placed = await alice.create_order(symbol, "limit", "buy", 0.01, price)
        await alice.cancel_order(placed["id"], symbol)
        bought = await alice.create_order(symbol, "market", "buy", 0.02)
        by_socket = await alice.create_order_ws(symbol, "limit", "buy", 0.01, price)
        check("placed by socket", by_socket["status"] == "open")
        check("cancelled by socket", (await alice.cancel_order_ws(by_socket["id"], symbol))["status"] == "canceled")
        for _ in range(100):
            seen = {(o["id"], o["status"]) for batch in orders for o in batch}
            held = [p for batch in positions for p in batch if p["contracts"] == 0.02]
            if {(placed["id"], "canceled"), (bought["id"], "closed")} <= seen and mine and balances and held:
                break
            await asyncio.sleep(0.1)
        check("orders seen", {(placed["id"], "canceled"), (bought["id"], "closed")} <= seen)
        fills = {t["id"]: t for batch in mine for t in batch}
        check("my trades seen", abs(sum(t["amount"] for t in fills.values()) - 0.02) < 1e-12)
        check("position seen", held and held[-1]["side"] == "long")
        check("balance seen", balances and "USDT" in balances[-1])
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    finally:
        await alice.close()


with StandIn(sys.argv[1], "--seed", "14") as venue:
    asyncio.run(main(venue))
passed("ccxt.pro futures")
