"""A second real client, python-binance: sorted parameters, bodies on DELETE, other versions of the same calls."""

import asyncio
import sys

from binance import AsyncClient, BinanceSocketManager, Client
from binance.exceptions import BinanceAPIException

from stand_in import StandIn, check, passed, raises


def point(venue):
    spot, futures = venue.spot, venue.futures
    for kind in (Client, AsyncClient):
        kind.API_URL = spot + "/api"
        kind.FUTURES_URL = futures + "/fapi"
        kind.FUTURES_DATA_URL = futures + "/futures/data"
        kind.MARGIN_API_URL = spot + "/sapi"
        kind.WS_API_URL = spot.replace("http", "ws") + "/ws-api/v3"
        kind.WS_FUTURES_URL = futures.replace("http", "ws") + "/ws-fapi/v1"
    BinanceSocketManager.STREAM_URL = spot.replace("http", "ws") + "/"
    BinanceSocketManager.FSTREAM_URL = futures.replace("http", "ws") + "/"


async def streams(venue):
    alice = venue.accounts["alice"]
    client = await AsyncClient.create(alice["apiKey"], alice["secret"])
    manager = BinanceSocketManager(client)
    try:
        async with manager.kline_socket("BTCUSDT", interval="1m") as socket:
            check("kline socket", (await asyncio.wait_for(socket.recv(), 20))["e"] == "kline")
        async with manager.multiplex_socket(["btcusdt@aggTrade", "ethusdt@bookTicker"]) as socket:
            check("combined socket", "stream" in await asyncio.wait_for(socket.recv(), 20))
        async with manager.user_socket() as socket:
            await asyncio.sleep(0.5)
            await client.create_order(symbol="BTCUSDT", side="BUY", type="MARKET", quantity="0.01")
            seen = set()
            while not {"executionReport", "outboundAccountPosition"} <= seen:
                event = await asyncio.wait_for(socket.recv(), 20)
                seen.add(event.get("event", event).get("e"))
            check("user socket", True)
        async with manager.futures_user_socket() as socket:
            await asyncio.sleep(0.5)
            await client.futures_create_order(symbol="BTCUSDT", side="BUY", type="MARKET", quantity="0.01")
            seen = set()
            while not {"ORDER_TRADE_UPDATE", "ACCOUNT_UPDATE"} <= seen:
                seen.add((await asyncio.wait_for(socket.recv(), 20))["e"])
            check("futures user socket", True)
        placed = await client.ws_create_order(symbol="BTCUSDT", side="BUY", type="LIMIT", timeInForce="GTC", quantity="0.01", price="50000.00")
        check("order by socket", placed["status"] == "NEW")
    finally:
        await client.close_connection()


with StandIn(sys.argv[1], "--seed", "15") as venue:
    point(venue)
    for name in ("alice", "carol"):
        held = venue.accounts[name]
        key = {"private_key": held["secret"]} if "PRIVATE KEY" in held["secret"] else {"api_secret": held["secret"]}
        client = Client(held["apiKey"], **key)
        check("symbols", "BTCUSDT" in {s["symbol"] for s in client.get_exchange_info()["symbols"]})
        check("account", any(b["asset"] == "USDT" for b in client.get_account()["balances"]))
        order = client.order_limit_buy(symbol="BTCUSDT", quantity="0.01", price="50000.00")
        check("placed", order["status"] == "NEW")
        check("open", [o["orderId"] for o in client.get_open_orders(symbol="BTCUSDT")] == [order["orderId"]])
        check("fetched", client.get_order(symbol="BTCUSDT", orderId=order["orderId"])["price"] == "50000.00000000")
        check("cancelled, from a body", client.cancel_order(symbol="BTCUSDT", orderId=order["orderId"])["status"] == "CANCELED")
        check("tested", client.create_test_order(symbol="BTCUSDT", side="BUY", type="MARKET", quantity="0.01") == {})
        check("bought", client.order_market_buy(symbol="BTCUSDT", quantity="0.01")["status"] == "FILLED")
        last = float(client.get_symbol_ticker(symbol="BTCUSDT")["price"])
        pair = client.order_oco_sell(
            symbol="BTCUSDT", quantity="0.01", aboveType="LIMIT_MAKER", abovePrice=f"{last * 1.1:.2f}", belowType="STOP_LOSS_LIMIT", belowStopPrice=f"{last * 0.9:.2f}",
            belowPrice=f"{last * 0.89:.2f}", belowTimeInForce="GTC")
        check("a pair", pair["contingencyType"] == "OCO" and len(pair["orderReports"]) == 2)
        check("my trades", client.get_my_trades(symbol="BTCUSDT")[-1]["qty"])
        check("bars", len(client.get_klines(symbol="BTCUSDT", interval="1h", limit=24)) == 24)

        check("futures balance", client.futures_account_balance()[0]["asset"] == "USDT")
        client.futures_change_leverage(symbol="BTCUSDT", leverage=25)
        mark = float(client.futures_mark_price(symbol="BTCUSDT")["markPrice"])
        resting = client.futures_create_order(symbol="BTCUSDT", side="BUY", type="LIMIT", timeInForce="GTC", quantity="0.01", price=f"{mark * 0.97:.1f}")
        check("futures order", client.futures_get_order(symbol="BTCUSDT", orderId=resting["orderId"])["status"] == "NEW")
        check("futures cancel", client.futures_cancel_order(symbol="BTCUSDT", orderId=resting["orderId"])["status"] == "CANCELED")
        client.futures_create_order(symbol="BTCUSDT", side="BUY", type="MARKET", quantity="0.01")
        check("position", client.futures_position_information(symbol="BTCUSDT")[0]["positionAmt"] == "0.010")
        check("account v2", any(p["leverage"] == "25" for p in client.futures_account()["positions"]))
        stop = client.futures_create_order(symbol="BTCUSDT", side="SELL", type="STOP_MARKET", quantity="0.01", stopPrice=f"{mark * 0.95:.1f}")
        check("a stop goes to the algo service", "algoId" in stop)
        check("open interest history", len(client.futures_open_interest_hist(symbol="BTCUSDT", period="5m", limit=5)) == 5)
        error = raises("a refusal", BinanceAPIException, lambda: client.order_market_buy(symbol="BTCUSDT", quantity="100"))
        check("its code", error.code == -2010)
    asyncio.run(streams(venue))
passed("python-binance")
