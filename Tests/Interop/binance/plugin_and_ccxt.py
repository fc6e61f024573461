"""Keel's own plugin and the real ccxt in one book of the stand-in: each trades with the other's orders."""

import queue
import subprocess
import sys
import threading
import time
from decimal import Decimal

import ccxt

from stand_in import StandIn, check, passed


class Probe:
    def __init__(self, program, library, component, venue, product, symbol, tick, lot):
        account = venue.accounts["alice"]
        port = (venue.spot if product == "spot" else venue.futures).rsplit(":", 1)[1]
        self.process = subprocess.Popen(
            [program, library, component, port, account["apiKey"], account["secret"], symbol, tick, lot], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.lines, self.seen = queue.Queue(), []
        threading.Thread(target=lambda: [self.lines.put(line.strip()) for line in self.process.stdout], daemon=True).start()

    def say(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def wait(self, what, fits, seconds=30):
        end = time.time() + seconds
        for line in self.seen:
            if fits(line):
                return line
        while time.time() < end:
            try:
                line = self.lines.get(timeout=0.5)
            except queue.Empty:
                continue
            self.seen.append(line)
            if fits(line):
                return line
        check(f"{what}; seen: {self.seen}", False)

    def send(self, line):
        self.seen.clear()
        self.say(line)
        return self.wait("sent", lambda text: text.startswith("sent ")).split()[1]

    def end(self):
        self.say("quit")
        check("the probe ends", self.process.wait(10) == 0)


def trade(venue, product, symbol, quantity, program, library):
    component = "keel.binance." + product
    tick, lot = ("0.01", "0.00001") if product == "spot" else ("0.1", "0.001")
    bob = venue.client(ccxt.binance, "bob", product)
    bob.load_markets()
    probe = Probe(program, library, component, venue, product, symbol, tick, lot)
    probe.wait("the plugin is up", lambda line: line == "up")
    venue.do("house", product=product, on=False)
    price = round(bob.fetch_ticker(symbol)["last"], 1)
    # ccxt rests, the plugin takes.
    resting = bob.create_order(symbol, "limit", "sell", quantity, price)
    ours = probe.send(f"buy {quantity} {price}")
    fill = probe.wait("our fill", lambda line: line.startswith(f"fill {ours} "))
    check("our fill is at bob's price", Decimal(fill.split()[4]) == Decimal(str(price)) and Decimal(fill.split()[2]) == Decimal(str(quantity)))
    check("bob's order is filled", bob.fetch_order(resting["id"], symbol)["status"] == "closed")
    # The plugin rests, ccxt sees it in the book, and takes half.
    higher = round(price + 10, 1)
    ours = probe.send(f"sell {quantity} {higher}")
    probe.wait("ours rests", lambda line: line.startswith(f"order {ours} state 2"))
    asks = bob.fetch_order_book(symbol, 5)["asks"]
    check("ccxt sees our order", asks and asks[0][0] == higher and asks[0][1] == quantity)
    half = quantity / 2
    bob.create_order(symbol, "limit", "buy", half, higher)
    probe.wait("our maker fill", lambda line: line.startswith(f"fill {ours} "))
    probe.say(f"cancel {ours}")
    probe.wait("the rest is cancelled", lambda line: line.startswith(f"order {ours} state 4"))
    books = venue.books(product, "alice")
    check("the venue knows our ids", any(order["clientOrderId"] == ours for order in books["orders"]))
    probe_fills = [line for line in probe.seen if line.startswith("fill ")]
    check("each fill is told once", len(probe_fills) == 1)
    probe.end()
    venue.do("house", product=product, on=True)


with StandIn(sys.argv[1], "--seed", "16") as venue:
    trade(venue, "spot", "BTC/USDT", 0.01, sys.argv[2], sys.argv[3])
    trade(venue, "futures", "BTC/USDT:USDT", 0.02, sys.argv[2], sys.argv[3])
passed("the plugin and ccxt in one book")
