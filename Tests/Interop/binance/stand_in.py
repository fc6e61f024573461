"""Starts keel-venues binance for a test and points real clients at it."""

import json
import re
import subprocess
import sys
import urllib.request


class StandIn:
    def __init__(self, program, *options):
        self.process = subprocess.Popen([program, "binance", *options], stdout=subprocess.PIPE, text=True)
        first = self.process.stdout.readline()
        assert first.startswith("listening on http://127.0.0.1:"), first
        about = json.loads(self.process.stdout.readline())
        self.spot, self.futures = about["spot"], about["futures"]
        self.accounts = {account["name"]: account for account in about["accounts"]}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(10)

    def control(self, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(urllib.request.Request(f"{self.spot}/control/{path}", data=data), timeout=30) as answer:
            return json.loads(answer.read())

    def do(self, name, **members):
        return self.control("do", {"do": name, **members})

    def books(self, product, name):
        return next(account for account in self.control("books")[product]["accounts"] if account["name"] == name)

    def client(self, kind, account, product, **options):
        """A ccxt exchange (or ccxt.pro) whose every address is the stand-in's."""
        held = self.accounts[account]
        exchange = kind({
            "apiKey": held["apiKey"], "secret": held["secret"], "enableRateLimit": False,
            "options": {
                "defaultType": "spot" if product == "spot" else "swap", "fetchCurrencies": False, "fetchMargins": False,
                "fetchMarkets": {"types": ["spot", "linear"]}, **options,
            },
        })

        def local(urls):
            if isinstance(urls, dict):
                return {name: local(url) for name, url in urls.items()}
            base = self.futures if re.search(r"fapi|/futures/data", urls) else self.spot
            return re.sub(r"^https://[^/]+", base, urls)

        exchange.urls["api"] = local({k: v for k, v in exchange.urls["api"].items() if k != "ws"}) | {"ws": exchange.urls["api"].get("ws", {})}
        spot, futures = self.spot.replace("http", "ws"), self.futures.replace("http", "ws")
        sockets = exchange.urls["api"]["ws"]
        if sockets:
            sockets["spot"] = sockets["margin"] = f"{spot}/stream-spot/ws"
            sockets["linear"] = f"{futures}/ws"
            sockets["ws-api"] = {"spot": f"{spot}/ws-api/v3", "linear": f"{futures}/ws-fapi/v1"}
        return exchange


checks = 0


def check(what, holds):
    global checks
    if not holds:
        print(f"FAILED: {what}", file=sys.stderr)
        sys.exit(1)
    checks += 1


def raises(what, kind, work):
    try:
        work()
    except kind as error:
        check(what, True)
        return error
    except Exception as error:  # noqa: BLE001
        print(f"FAILED: {what}: {type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(1)
    print(f"FAILED: {what}: nothing was raised", file=sys.stderr)
    sys.exit(1)


def passed(name):
    print(f"{name}: {checks} checks passed")
