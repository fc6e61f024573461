/// What `keel plugin new` writes. @NAMES@ in capitals are filled in.
///
/// These texts are the real thing: the tests scaffold every role in every language whose compiler is there, build it, and
/// check it.
enum Templates {
    static func source(_ language: Scaffold.Language, _ role: Scaffold.Role) -> String {
        switch (language, role) {
        case (.c, .feed): cFeed
        case (.c, .broker): cBroker
        case (.c, .decider): cDecider
        case (.c, .router): cRouter
        case (.cpp, .feed): cppFeed
        case (.cpp, .broker): cppBroker
        case (.cpp, .decider): cppDecider
        case (.cpp, .router): cppRouter
        case (.rust, .feed): rustFeed
        case (.rust, .broker): rustBroker
        case (.rust, .decider): rustDecider
        case (.rust, .router): rustRouter
        case (.swift, .feed): swiftFeed
        case (.swift, .broker): swiftBroker
        case (.swift, .decider): swiftDecider
        case (.swift, .router): swiftRouter
        case (.zig, .feed): zigFeed
        case (.zig, .broker): zigBroker
        case (.zig, .decider): zigDecider
        case (.zig, .router): zigRouter
        }
    }

    static func makefile(cpp: Bool) -> String {
        let compiler = cpp ? "CXX" : "CC"
        let standard = cpp ? "-std=c++17 -fvisibility=hidden -fno-gnu-unique" : "-std=gnu11"
        let suffix = cpp ? "cpp" : "c"
        return """
            # What keel.h asks of the linker: one exported symbol, everything bound at load, never unloaded.
            LINKING = -Wl,--version-script=exports.map -Wl,-z,nodelete -Wl,-z,now -Wl,-z,relro -Wl,-z,noexecstack -Wl,-z,defs

            build/@STEM@.so: src/@STEM@.\(suffix) keel/keel.h keel/plugin.h exports.map
            \tmkdir -p build
            \t$(\(compiler)) \(standard) -O2 -g -Wall -Wextra -fPIC -shared -Ikeel -o $@ $< $(LINKING)

            clean:
            \trm -rf build

            .PHONY: clean

            """
    }

    static let plainProfile = """
        {
          "config": {},
          "instrument": { "symbol": "BTC/USDT", "venue_symbol": "BTCUSDT", "kind": "spot", "tick": "0.01", "lot": "0.00001", "min_qty": "0.00001", "max_qty": "1000" },
          "price": "100.00",
          "quantity": "0.3"
        }

        """

    static let brokerProfile = """
        {
          "config": { "port": "${mock.port}", "key": { "$secret": "@STEM@.key" } },
          "secrets": { "@STEM@.key": "test-key" },
          "venue": { "recorded": "mock/venue.json" },
          "instrument": { "symbol": "BTC/USDT", "venue_symbol": "BTCUSDT", "kind": "spot", "tick": "0.01", "lot": "0.00001", "min_qty": "0.00001", "max_qty": "1000" },
          "price": "100.00",
          "quantity": "0.3"
        }

        """

    static let brokerManifest = manifest(
        plugin: #""@STEM@": { "component": "@ID@", "file": "@LIBRARY@", "secrets": ["@STEM@.key"], "config": { "port": 7070, "key": { "$secret": "@STEM@.key" } } }"#,
        decide: "emacross", feed: "sim", broker: "@STEM@", route: "direct")
    static let feedManifest = manifest(plugin: plain, decide: "emacross", feed: "@STEM@", broker: "sim", route: "direct")
    static let deciderManifest = manifest(plugin: plain, decide: "@STEM@", feed: "sim", broker: "sim", route: "direct")
    static let routerManifest = manifest(plugin: plain, decide: "emacross", feed: "sim", broker: "sim", route: "@STEM@")

    private static let plain = #""@STEM@": { "component": "@ID@", "file": "@LIBRARY@" }"#

    /// A paper pipeline around the new plugin; the rest of it comes with Keel.
    private static func manifest(plugin: String, decide: String, feed: String, broker: String, route: String) -> String {
        """
        {
          "version": 1,
          "mode": "paper",
          "state": "state",
          "seed": 7,
          "plugins": {
            "sim": { "component": "keel.sim", "file": "Sim", "config": { "bar": "1s", "trade_gap": "50ms", "volatility": 0.002, "seed": 3 } },
            "emacross": { "component": "keel.emacross", "file": "EMACross", "config": { "fast": 2, "slow": 4, "warmup": 5 } },
            "direct": { "component": "keel.direct", "file": "DirectRouter" },
            \(plugin)
          },
          "instruments": {
            "BTC/USDT": { "kind": "spot", "tick": "0.01", "lot": "0.00001", "min_notional": "5", "venue_symbols": { "\(broker)": "BTCUSDT", "\(feed)": "BTCUSDT" } }
          },
          "pipelines": [
            {
              "name": "btc",
              "feeds": ["\(feed)"],
              "instruments": ["BTC/USDT"],
              "bars": ["1s"],
              "gate": { "candle": "1s" },
              "risk": { "cooldown": "0s", "freshness": null },
              "decide": { "primary": "\(decide)", "deadline": "1s" },
              "route": "\(route)",
              "broker": "\(broker)",
              "capital": "10000"
            }
          ]
        }

        """
    }

    static let readme = """
        # @NAME@

        A @ROLE@ for Keel, in @LANG@. `keel/` holds the plugin interface (`keel.h`, with its hash in
        `keel/VERSION`) and small helpers; `keel plugin new --upgrade` renews that folder and `exports.map` and touches
        nothing else. Everything else is yours.


        """.dropLast().description

    static let plainReadme = """
        ```sh
        @BUILD@
        keel plugin check @LIBRARY@
        keel plugin pin --manifest manifest.json && keel run manifest.json --until 10s
        ```

        The first command builds the library. The second runs every conformance check on it, each in a process of its own; a
        failure names the rule of `keel.h` it is about, and `keel-check.json` tells the checks which configuration and
        instrument to use. The third pins the library - Keel loads it only while its bytes stay the same, so pin again after
        each build - and runs a paper pipeline with it.

        """

    static let brokerReadme = """
        ```sh
        @BUILD@
        keel plugin check @LIBRARY@
        keel plugin pin --manifest manifest.json && keel plugin mock mock/venue.json --port 7070 -- keel run manifest.json --until 15s
        ```

        The first command builds the library. The second runs every conformance check on it, each in a process of its own; a
        failure names the rule of `keel.h` it is about. `keel-check.json` tells the checks which configuration, instrument and
        venue to use: the venue is recorded in `mock/venue.json`. The third pins the library - Keel loads it only while its
        bytes stay the same, so pin again after each build - plays that venue, and runs a paper pipeline against it for a
        few seconds; put the key into the environment first: `export KEEL_SECRET_@UPPER@_KEY=test-key`.

        """
}
