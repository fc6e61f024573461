#!/usr/bin/env python3
"""Recomputes keel backtest's two example strategies in plain Python, from the CSV files a user would have.

Nothing of Keel is used but the program itself: CSV -> keel data import -> keel backtest --json, and the same CSV -> this file.
Usage: run.py KEEL [BARS [TICKS]]     (`make exact` runs the full size: a million bars, five million ticks)
"""
import json
import math
import os
import random
import subprocess
import sys
import tempfile

keel = os.path.abspath(sys.argv[1])
rows = int(sys.argv[2]) if len(sys.argv) > 2 else 40_000
tick_rows = int(sys.argv[3]) if len(sys.argv) > 3 else rows * 6
root = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))


def run(*words):
    done = subprocess.run([keel, *words], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"keel {' '.join(words)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout


def cross(bars):
    """EMA(10) against EMA(20) on the close, filled at the next bar's open, 0.1 % commission."""
    a, b = 2 / 11, 2 / 21
    cash, units, fills, order = 1_000_000.0, 0, [], 0
    fast = slow = before = 0.0
    for i, (_, o, _, _, c, _) in enumerate(bars):
        if order:
            cash -= order * o + 0.001 * o
            units += order
            fills.append((i, "buy" if order > 0 else "sell", o))
            order = 0
        if i == 0:
            fast = slow = c
        else:
            fast = a * c + (1 - a) * fast
            slow = b * c + (1 - b) * slow
        d = fast - slow
        if i > 0 and i >= 20:
            if before <= 0 < d and units == 0:
                order = 1
            elif before >= 0 > d and units > 0:
                order = -1
        before = d
    return fills, cash + units * bars[-1][4]


def deviation(ticks):
    """EWMA z-score above 3, a minute between orders, filled at that tick's price, 0.1 % commission."""
    a = 1 / 512
    cash, units, fills, last = 1_000_000.0, 0, [], -math.inf
    mean = var = 0.0
    for i, (t, p, _) in enumerate(ticks):
        if i == 0:
            mean = p
        else:
            d = p - mean
            if i >= 5000 and d * d > 9 * var and t - last >= 60_000:
                side = -1 if d > 0 else 1
                cash -= side * p + 0.001 * p
                units += side
                fills.append((i, "buy" if side > 0 else "sell", p))
                last = t
            mean += a * d
            var = (1 - a) * (var + (a * d) * d)
    return fills, cash + units * ticks[-1][1]


def compare(name, manifest, csv, expected):
    tape = csv + ".tape"
    run("data", "import", csv, "--out", tape, "--instrument", "BTC/USDT", "--force")
    result = json.loads(run("backtest", os.path.join(root, "Examples", "Backtest", manifest), "--tape", tape, "--json", "--no-lookahead"))
    fills = [(f["index"], f["side"], float(f["price"])) for f in result["fills"]]
    wanted, equity = expected
    if fills != wanted:
        at = next((i for i, (x, y) in enumerate(zip(fills, wanted)) if x != y), min(len(fills), len(wanted)))
        sys.exit(f"{name}: {len(fills)} fills, {len(wanted)} expected; the first difference is fill {at}: {fills[at:at + 1]} and {wanted[at:at + 1]}")
    if abs(float(result["equity"]) - equity) > 1e-5:
        sys.exit(f"{name}: equity {result['equity']}, expected {equity:.8f}")
    if not wanted:
        sys.exit(f"{name}: nothing was traded, so nothing was compared")
    events = result["counts"]["events"]
    print(f"{name}: {events:,} events, {len(fills):,} fills and the equity {equity:.5f} agree with Python")


with tempfile.TemporaryDirectory() as folder:
    random.seed(11)
    price, bars = 20_000.0, []
    for i in range(rows):
        o = price
        path = [o]
        for _ in range(4):
            path.append(max(1.0, round(path[-1] * (1 + random.gauss(0, 0.0008)), 2)))
        price = path[-1]
        bars.append((1_704_067_200_000 + i * 60_000, o, max(path), min(path), price, round(random.random() * 10, 3)))
    name = os.path.join(folder, "bars.csv")
    with open(name, "w") as out:
        out.write("ts_ms,open,high,low,close,volume\n")
        out.writelines(",".join(str(v) for v in bar) + "\n" for bar in bars)
    compare("EMA cross", "emacross.json", name, cross(bars))

    price, ticks, time = 20_000.0, [], 1_704_067_200_000
    for i in range(tick_rows):
        price = max(1.0, round(price * (1 + random.gauss(0, 0.0001 * (4 if i // 5000 % 4 == 3 else 1))), 2))
        time += random.randint(1, 500)
        ticks.append((time, price, round(random.random(), 4)))
    name = os.path.join(folder, "ticks.csv")
    with open(name, "w") as out:
        out.write("ts_ms,price,qty\n")
        out.writelines(",".join(str(v) for v in tick) + "\n" for tick in ticks)
    compare("z-score", "zscore.json", name, deviation(ticks))
