"""Keys of three kinds from an accounts file, and a state that survives the exchange: by the real ccxt."""

import json
import os
import sys
import tempfile

import ccxt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from stand_in import StandIn, check, passed

pem = rsa.generate_private_key(65537, 2048).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
with tempfile.TemporaryDirectory() as folder:
    accounts, state = os.path.join(folder, "accounts.json"), os.path.join(folder, "state.json")
    with open(accounts, "w") as file:
        json.dump([
            {"name": "dora", "apiKey": "d" * 64, "secret": "dora's secret", "spot": {"USDT": "10000"}, "futures": {"USDT": "5000"}},
            {"name": "emil", "apiKey": "e" * 64, "privateKey": pem, "spot": {"BTC": "1.5"}},
        ], file)
    with StandIn(sys.argv[1], "--seed", "17", "--accounts", accounts, "--state", state) as venue:
        dora, emil = venue.client(ccxt.binance, "dora", "spot"), venue.client(ccxt.binance, "emil", "spot")
        check("an RSA key", emil.fetch_balance()["BTC"]["free"] == 1.5)
        price = round(dora.fetch_ticker("BTC/USDT")["last"] * 0.5, 2)
        order = dora.create_order("BTC/USDT", "limit", "buy", 0.01, price)
        emil.create_order("BTC/USDT", "market", "sell", 0.1)
        futures = venue.client(ccxt.binance, "dora", "futures")
        futures.create_order("BTC/USDT:USDT", "market", "buy", 0.01)
        before = {name: venue.control("books")[name] for name in ("spot", "futures")}
    check("a state file is left", os.path.getsize(state) > 1000)
    with StandIn(sys.argv[1], "--seed", "17", "--accounts", accounts, "--state", state) as venue:
        after = {name: venue.control("books")[name] for name in ("spot", "futures")}
        for product in ("spot", "futures"):
            for old, new in zip(before[product]["accounts"], after[product]["accounts"]):
                for member in ("balances", "orders", "fills", "wallet", "positions"):
                    check(f"{product} {old['name']} {member}", old.get(member) == new.get(member))
        dora = venue.client(ccxt.binance, "dora", "spot")
        check("the order is open still", dora.fetch_order(order["id"], "BTC/USDT")["status"] == "open")
        check("and can be cancelled", dora.cancel_order(order["id"], "BTC/USDT")["status"] == "canceled")
        check("trades go on", dora.create_order("BTC/USDT", "market", "buy", 0.01)["status"] == "closed")
passed("accounts and restart")
