let binanceHelp = """
    usage: keel-venues binance [options]

    A local exchange that speaks Binance: spot (REST, market streams, WebSocket API, account events) on one port, USD-M futures on
    another. Loopback only; every key is made up. Its market is made from a seed. docs/venues-binance.md tells everything.

    First it prints two lines: "listening on http://127.0.0.1:PORT (spot) and http://127.0.0.1:PORT (futures)", then the same and the
    accounts with their keys as JSON. SIGTERM or SIGINT end it.

      --port N           of spot; 0, the standard: a free one
      --futures-port N   of futures; the same
      --seed N           of the market and all that looks random; the standard is 1
      --speed N          how fast its time runs; 1 is real time, 0: only as POST /control/time says
      --start MS         its time at the start, in milliseconds since 1970; the standard is now (with --speed 0: 1795000000000)
      --step MS          between two steps of the market; 100, from speed 6 on 1000
      --history DAYS     of one-minute bars before the start; 3
      --accounts FILE    JSON: the accounts instead of alice, bob and carol
      --symbols A,B      only these of BTCUSDT, ETHUSDT, BNBUSDT, ETHBTC (spot) and BTCUSDT, ETHUSDT (futures)
      --scenario FILE    JSON: what goes wrong and when
      --state FILE       orders, balances, positions and bars live on in it
      --control          obey the lines of keel plugin check on standard input (docs/plugin-guide.md)

    Control endpoint, on either port: POST /control/scenario, /control/do, /control/time, /control/save;
    GET /control/scenario, /control/time, /control/books, /control/accounts.
    """
