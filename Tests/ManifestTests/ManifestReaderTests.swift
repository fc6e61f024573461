import Foundation
import HostCore
import PluginKit
import Testing

@testable import HostManifest

@Suite struct ManifestReaderTests {
    @Test func theDefaultManifestIsValid() {
        let report = ManifestReader(environment: [:]).read(repository + "/plugins.json", catalogue: TestCatalogue())
        #expect(report.text == "")
        #expect(report.manifest?.pipelines.map(\.name) == ["btc"])
        #expect(report.manifest?.mode == .paper)
    }

    @Test func fillsInEveryDefault() throws {
        let report = check(goodManifest, catalogue: TestCatalogue())
        #expect(report.text == "")
        let manifest = try #require(report.manifest)
        #expect(manifest.state == "state")
        #expect(manifest.plugin("rules")?.config == ["fast": 5, "slow": 20])
        let instrument = try #require(manifest.instrument("BTC/USDT"))
        #expect(instrument.base == "BTC")
        #expect(instrument.quote == "USDT")
        #expect(instrument.kind == .spot)
        #expect(instrument.venueSymbols == ["sim": "BTCUSDT"])
        let pipeline = try #require(manifest.pipelines.first)
        var expected = PipelineSettings(
            name: "btc", feeds: ["sim"], instruments: ["BTC/USDT"], chain: ChainSettings(primary: "rules", fallbacks: ["cross"]), router: "direct",
            broker: "sim", capital: Amount("10000"))
        expected.chain.deadline = 8 * Span.second
        expected.learn.signals.seed = manifest.seed
        #expect(pipeline == expected)
    }

    /// Each setting of the four structs is set to something other than its default and arrives.
    @Test func everySettingIsReachable() throws {
        let gate = """
            { "candle": null, "timer": false, "min_interval": "2m", "max_interval": "20m", "price_z": 2.5, "volume_z": null, "z_window": 100, "z_warmup": 50,
              "z_cooldown": "2m", "wakes": false, "asks": false, "watchdog": "10m" }
            """
        let decide = """
            { "primary": "rules", "fallback": ["cross"], "deadline": "9s", "deadlines": { "cross": "250ms" }, "failures": 4, "pause": "5m", "daily_cost": "2.5",
              "assumed_cost": "0.1", "shadow": true, "reuse": "30m", "reuse_move": "0.01", "max_age": "1m" }
            """
        let risk = """
            { "max_fraction": "0.2", "equity_limits": false, "max_order": "100", "max_position": "200", "max_exposure": "2", "daily_loss": "0.01", "drawdown": "0.02",
              "losing_streak": 2, "streak_pause": "1h", "orders_per_minute": 3, "price_collar": "0.03", "cooldown": "4m", "min_hold": "5m", "freshness": "6s",
              "clock_skew": "7s", "allow_short": true, "kelly": "0.5", "kelly_trades": 8, "order_timeout": "9s" }
            """
        let position = """
            { "stop_loss": "0.01", "trailing": "0.02", "trailing_activation": "0.03", "atr_multiple": 4, "atr_period": 5, "atr_bars": "6m",
              "stages": [{ "gain": "0.07", "fraction": "0.08" }, { "gain": "0.09", "fraction": "0.1" }], "exit_probability": "0.11", "interval": "12s",
              "review": "13s", "exit_score": -0.14 }
            """
        let learn = """
            { "enabled": false, "reward": "graded", "scale": 0.05, "discount": 0.9, "pooling": 3, "enough": 7, "refit_days": null }
            """
        let text = goodManifest.changing(#""decide": { "primary": "rules", "fallback": "cross", "deadline": "8s" }"#, "\"decide\": \(decide), \"gate\": \(gate), \"risk\": \(risk), \"position\": \(position), \"learn\": \(learn), \"bars\": [\"5m\"], \"history\": 99, \"currency\": \"EUR\"")
            .changing(#""version": 1"#, #""version": 1, "mode": "backtest""#)
            .changing(#""lot": "0.00001""#, #""lot": "0.00001", "kind": "perpetual", "min_quantity": "1", "max_quantity": "2", "multiplier": "3", "min_notional": "4", "base": "X", "quote": "Y""#)
        let report = check(text)
        #expect(report.text == "")
        let manifest = try #require(report.manifest)
        let pipeline = try #require(manifest.pipelines.first)
        // A field that equals its default was not reached: found by mirroring both.
        func same(_ a: Any, _ b: Any) -> [String] {
            zip(Mirror(reflecting: a).children, Mirror(reflecting: b).children).compactMap { "\($0.value)" == "\($1.value)" ? $0.label : nil }
        }
        #expect(same(pipeline.gate, GateSettings()) == [])
        #expect(same(pipeline.chain, ChainSettings(primary: "", fallbacks: [])) == [])
        #expect(same(pipeline.risk, RiskSettings()) == [])
        #expect(same(pipeline.position, PositionSettings()) == [])
        #expect(same(pipeline.learn, LearnSettings()) == [])
        #expect(same(pipeline.learn.signals, LearnerSettings()) == ["prior"], "the prior is no setting")
        #expect(
            same(manifest.instruments[0], InstrumentSettings(symbol: "", base: "", quote: "", tick: .zero, lot: .zero)) == [])
        #expect(
            same(
                pipeline,
                PipelineSettings(name: "", feeds: [], instruments: [], chain: ChainSettings(primary: ""), router: "", broker: "")) == [])
        #expect(pipeline.position.stages == [.init(gain: Fixed("0.07") ?? .zero, fraction: Fixed("0.08") ?? .zero), .init(gain: Fixed("0.09") ?? .zero, fraction: Fixed("0.1") ?? .zero)])
        #expect(pipeline.chain.deadlines == ["cross": 250 * Span.millisecond])
    }

    struct Case: Sendable {
        var edits: [(String, String)]
        var expected: [String]

        init(_ old: String, _ new: String, _ expected: String...) {
            edits = [(old, new)]
            self.expected = expected
        }

        /// Marks a place that the edit leaves as it is.
        func marking(_ old: String, _ new: String) -> Case {
            var copy = self
            copy.edits.append((old, new))
            return copy
        }
    }

    /// What to replace in the good manifest, and every problem of the result. A ▸ in the text marks where each is found.
    static let problems: [Case] = [
        Case(
            #""deadline": "8s""#, #""deadline": ▸"25h""#, "$.pipelines[0].decide.deadline: it must be between 1ms and 1d"),
        Case(
            #""deadline": "8s""#, #""deadline": ▸8"#,
            "$.pipelines[0].decide.deadline: this is a whole number, not a text\n    hint: write it in quotation marks"),
        Case(
            #""deadline": "8s""#, #""deadline": ▸"8 s""#,
            "$.pipelines[0].decide.deadline: \"8 s\" is not a duration\n    hint: write a number and a unit: d, h, m, s, ms, us or ns, such as \"8s\", \"15m\", \"1h30m\""),
        Case(
            #""fallback": "cross""#, #""fallback": ▸"rules""#,
            "$.pipelines[0].decide.fallback: \"rules\" is the primary and its own fallback\n    hint: name another decider as fallback, or leave \"fallback\" out"),
        Case(#""fallback": "cross""#, #""fallback": ["cross", ▸"cross"]"#, "$.pipelines[0].decide.fallback[1]: \"cross\" stands here twice"),
        Case(
            #""fallback": "cross""#, #"▸"fallbck": "cross""#,
            "$.pipelines[0].decide.fallbck: \"fallbck\" is not known here\n    hint: did you mean \"fallback\"?"),
        Case(
            #""fallback": "cross""#, #""fallback": ▸"corss""#,
            "$.pipelines[0].decide.fallback: there is no plugin \"corss\"\n    hint: did you mean \"cross\"?"),
        Case(
            #""file": "EMACross""#, #""file": "EMACross", "enabled": false"#,
            "$.pipelines[0].decide.fallback: the plugin \"cross\" is disabled, and this refers to it\n    hint: enable it (keel plugin enable cross), or name another plugin here"
        ).marking(#""fallback": "cross""#, #""fallback": ▸"cross""#),
        Case(
            #""capital": "10000""#, #""capital": ▸10000"#,
            "$.pipelines[0].capital: this is a whole number, not a text\n    hint: write it in quotation marks"),
        Case(
            #""capital": "10000""#, #""capital": ▸"1e4""#,
            "$.pipelines[0].capital: \"1e4\" is not a decimal number\n    hint: write a plain decimal with at most 8 decimals, such as \"0.04\""),
        Case(
            #""capital": "10000""#, #""capital": ▸"0.123456789""#,
            "$.pipelines[0].capital: 0.123456789 has more than 8 decimals: round it first\n    hint: write a plain decimal with at most 8 decimals, such as \"0.04\""),
        Case(#""capital": "10000""#, #""capital": ▸"-1""#, "$.pipelines[0].capital: it must be between 0 and 100000000000000000000"),
        Case(#""capital": "10000""#, #""capital": ▸false"#, "$.pipelines[0].capital: false doesn't switch this off\n    hint: write null"),
        Case(#""version": 1"#, #""version": ▸2"#, "$.version: it must be between 1 and 1"),
        Case("{\n  \"version\": 1,", "▸{\n", "\"version\" is missing"),
        Case(
            #"["BTC/USDT"]"#, #"[▸"BTC/USD"]"#,
            "$.pipelines[0].instruments[0]: there is no instrument \"BTC/USD\"\n    hint: did you mean \"BTC/USDT\"?"),
        Case(#"["BTC/USDT"]"#, "▸[]", "$.pipelines[0].instruments: no instrument is named"),
        Case(#"["sim"]"#, "▸[]", "$.pipelines[0].feeds: no feed is named"),
        Case(
            #"{ "sim": "BTCUSDT" }"#, #"{ ▸"simm": "BTCUSDT" }"#,
            "$.instruments[\"BTC/USDT\"].venue_symbols.simm: there is no plugin \"simm\"\n    hint: did you mean \"sim\"?"),
        Case(
            #""ETH/USDT":"#, #"▸"ETHUSDT":"#,
            "$.instruments.ETHUSDT: \"ETHUSDT\" is not a symbol such as BTC/USDT, BTC/USDT:USDT or 005930/KRW"),
        Case(#""name": "btc""#, #""name": ▸"b/c""#, "$.pipelines[0].name: \"b/c\" is not a name: a letter, then letters, digits, - and _, 64 at most"),
        Case(
            #""name": "btc","#, #""name": "btc", "gate": { "min_interval": ▸"1h" },"#,
            "$.pipelines[0].gate.min_interval: min_interval (1h) is longer than max_interval (15m)"),
        Case(
            #""name": "btc","#,
            #""name": "btc", "gate": ▸{ "candle": null, "timer": false, "price_z": null, "volume_z": null, "wakes": false, "asks": false, "watchdog": null },"#,
            "$.pipelines[0].gate: every layer of the gate is off: nothing would ever ask the decider"),
        Case(
            #""name": "btc","#, #""name": "btc", "bars": ["1h", ▸"1m"],"#,
            "$.pipelines[0].bars[1]: 1m is not longer than 1h before it: the shortest comes first, each once"),
        Case(
            #""name": "btc","#, #""name": "btc", "position": { "stages": [{ "gain": "0.1", "fraction": "0.6" }, ▸{ "gain": "0.2", "fraction": "0.5" }] },"#,
            "$.pipelines[0].position.stages[1]: up to this stage more than the whole position is closed (1.1)"),
        Case(
            #""name": "btc","#, #""name": "btc", "position": { "stages": [{ "gain": "0.1", "fraction": "0.6" }, ▸{ "gain": "0.1", "fraction": "0.1" }] },"#,
            "$.pipelines[0].position.stages[1]: its gain is not above that of the stage before it"),
        Case(
            #""deadline": "8s""#, #""deadlines": { ▸"sim": "8s" }"#,
            "$.pipelines[0].decide.deadlines.sim: \"sim\" is neither the primary nor a fallback here\n    hint: remove it, or name the decider in \"primary\" or \"fallback\""),
        Case(#""component": "keel.sim""#, #""component": ▸"sim""#, "$.plugins.sim.component: \"sim\" is not a component id such as com.acme.kraken"),
        Case(
            #""config": { "fast": 5 }"#, #""config": { ▸"fsat": 5 }"#,
            "$.plugins.rules.config.fsat: \"fsat\" is not known here\n    hint: did you mean \"fast\"?"),
        Case(#""config": { "fast": 5 }"#, #""config": { "fast": ▸0 }"#, "$.plugins.rules.config.fast: it may not be below 1"),
        Case(
            #""config": { "fast": 5 }"#, #""config": { "key": ▸"hunter2" }"#,
            "$.plugins.rules.config.key: a secret may not be written here\n    hint: write {\"$secret\": \"name\"} and put the secret into the environment or a file"),
        Case(
            #""config": { "fast": 5 }"#, #""config": { "key": ▸{ "$secret": "venue.key" } }"#,
            "$.plugins.rules.config.key: the plugin is not granted the secret \"venue.key\"\n    hint: add \"venue.key\" to the plugin's \"secrets\""),
        Case(
            #""file": "DirectRouter""#, #""file": ▸"Gone""#, "$.plugins.direct.file: there is no library \"Gone\"\n    hint: build it"),
        Case(
            #""component": "keel.direct""#, #""component": ▸"keel.driect""#,
            "$.plugins.direct.component: the library has no component \"keel.driect\", only keel.direct\n    hint: did you mean \"keel.direct\"?"),
        Case(#""route": "direct""#, #""route": ▸"sim""#, "$.pipelines[0].route: \"sim\" (keel.sim) is no router, only feed and broker"),
        Case(
            #""file": "Sim""#, "\"file\": \"Sim\", \"sha256\": ▸\"\(String(repeating: "b", count: 64))\"",
            "$.plugins.sim.sha256: the library is not the pinned one: its sha256 is \(String(repeating: "a", count: 64))\n    hint: if you trust the new library, run: keel plugin pin"),
        Case(
            #""version": 1"#, #""version": 1, "mode": ▸"live""#,
            "$.mode: \"mode\" is \"live\", but LIVE_TRADING is not set in the environment\n    hint: set LIVE_TRADING=true if you mean real money; otherwise write \"mode\": \"paper\"",
            "$.pipelines[0].broker: \"mode\" is \"live\", but the endpoints of the broker \"sim\" are not live ones\n    hint: point the broker at its live endpoints, or write \"mode\": \"paper\""
        ).marking(#""broker": "sim""#, #""broker": ▸"sim""#),
        Case(
            #""version": 1,"#, "\"version\": 1,\n▸\"version\": 1,",
            "not JSON: the name \"version\" stands here a second time: the first is on line 2\n    hint: keep one of them: only the first would count, and nobody could see that"),
        Case(
            #""cross": {"#, #"▸"sim": {"#,
            "$.plugins: not JSON: the name \"sim\" stands here a second time: the first is on line 4\n    hint: keep one of them: only the first would count, and nobody could see that",
            "$.pipelines[0].decide.fallback: there is no plugin \"cross\"\n    hint: add it under \"plugins\", or name one that is there"
        ).marking(#""fallback": "cross""#, #""fallback": ▸"cross""#),
    ]

    @Test(arguments: problems) func namesTheProblemAndItsPlace(_ example: Case) {
        var marked = goodManifest
        for (old, new) in example.edits { marked = marked.changing(old, new) }
        let (text, places) = unmarked(marked)
        let report = check(text, catalogue: TestCatalogue())
        #expect(places.count == example.expected.count)
        #expect(report.text == zip(places, example.expected).map { "plugins.json:\($0): error: \($1)" }.joined(separator: "\n"))
        #expect(report.manifest == nil)
    }

    @Test func saysEverythingAtOnce() {
        let text = goodManifest.changing(#""version": 1"#, #""version": 1, "sede": 7"#).changing(#""tick": "0.01", "lot": "0.0001""#, #""tick": 0.01"#)
            .changing(#""route": "direct""#, #""route": "drect""#).changing(#""fast": 5"#, #""fast": "x""#).changing(#""deadline": "8s""#, #""deadline": """#)
        let report = check(text, catalogue: TestCatalogue())
        #expect(report.problems.map(\.path.description) == [
            "$.sede", "$.plugins.rules.config.fast", "$.instruments[\"ETH/USDT\"]", "$.instruments[\"ETH/USDT\"].tick", "$.pipelines[0].decide.deadline",
            "$.pipelines[0].route",
        ])
    }

    static let second = #"""
        , "capital": "10000" },
            { "name": "two", "feeds": ["sim"], "instruments": ["ETH/USDT"], "decide": { "primary": "rules" }, "route": "direct", "broker": "sim" }
        """#

    @Test func pipelinesKeepOutOfEachOthersWay() {
        let two = goodManifest.changing(#", "capital": "10000" }"#, Self.second)
        #expect(check(two, catalogue: TestCatalogue()).text == "")
        #expect(
            reportOfMarked(two.changing(#""name": "two""#, #""name": ▸"BTC""#))
                == "▸: error: $.pipelines[1].name: the name \"BTC\" is taken by $.pipelines[0]\n    hint: give each pipeline a name of its own")
        let shared = two.changing(#"["ETH/USDT"]"#, #"["ETH/USDT", "BTC/USDT"]"#)
        #expect(
            reportOfMarked(shared.changing(#", "BTC/USDT"]"#, #", ▸"BTC/USDT"]"#))
                == "▸: error: $.pipelines[1].instruments[1]: \"BTC/USDT\" is already traded through \"sim\" by the pipeline \"btc\": their positions could not be told apart\n    hint: take it out of one of them, or use two broker entries with an account each")
        // A disabled pipeline trades nothing.
        let report = check(shared.changing(#""name": "two","#, #""name": "two", "enabled": false,"#))
        #expect(report.text == "")
        #expect(report.manifest?.pipelines.map(\.name) == ["btc"])
        #expect(report.manifest?.disabledPipelines.map(\.name) == ["two"])
    }

    @Test func theCurrencyIsSaidWhereItIsNotClear() {
        let text = goodManifest.changing(#"["BTC/USDT"]"#, #"["BTC/USDT", "ETH/USDT"]"#).changing("\"ETH/USDT\": {", "\"ETH/USDT\": { \"quote\": \"EUR\",")
        #expect(check(text).text == "plugins.json:14:5: error: $.pipelines[0]: its instruments are quoted in USDT and EUR: which one is profit counted in?\n    hint: say it with \"currency\"")
        #expect(check(text.changing(#""name": "btc""#, #""name": "btc", "currency": "USDT""#)).text == "")
    }

    @Test func onlyAWarningWhereNothingIsWrong() throws {
        let report = check(goodManifest.changing(#""name": "btc""#, #""name": "btc", "enabled": false"#))
        #expect(report.text == "plugins.json:13:16: warning: $.pipelines: no pipeline is enabled: nothing would run\n    hint: write \"enabled\": true in one, or add a pipeline")
        #expect(report.manifest != nil)
    }

    @Test func librariesFromOutsideWantAPin() {
        var catalogue = TestCatalogue()
        catalogue.libraries["./Sim.so"] = TestCatalogue.library(TestCatalogue.component("keel.sim", [.feed, .broker]), bundled: false)
        let text = goodManifest.changing(#""file": "Sim""#, #""file": "./Sim.so""#)
        #expect(check(text, catalogue: catalogue).text == "plugins.json:4:12: warning: $.plugins.sim.sha256: the library is not pinned\n    hint: run: keel plugin pin")
        catalogue.endpoints = ["sim": .live]
        let live = check(text.changing("\"version\": 1", "\"version\": 1, \"mode\": \"live\""), catalogue: catalogue, environment: ["LIVE_TRADING": "true"])
        #expect(live.errors.map(\.kind) == [.notPinned])
    }

    @Test func allThreeSwitchesOrNone() {
        let live = goodManifest.changing("\"version\": 1", "\"version\": 1, \"mode\": \"live\"")
        func kinds(_ text: String, _ endpoints: BrokerEndpoints, _ variable: String?) -> [ManifestProblem.Kind] {
            var catalogue = TestCatalogue()
            catalogue.endpoints = ["sim": endpoints]
            return check(text, catalogue: catalogue, environment: variable.map { ["LIVE_TRADING": $0] } ?? [:]).errors.map(\.kind)
        }
        #expect(kinds(live, .live, "true") == [])
        #expect(kinds(live, .live, nil) == [.liveSwitchMissing(found: nil)])
        #expect(kinds(live, .live, "TRUE") == [.liveSwitchMissing(found: "TRUE")])
        #expect(kinds(live, .paper, "true") == [.notLive(broker: "sim")])
        #expect(kinds(live, .unknown, "true") == [.environmentUnknown(broker: "sim")])
        #expect(kinds(live, .notAsked, "true") == [])
        #expect(kinds(goodManifest, .live, "true") == [.liveInPaper(broker: "sim")])
        #expect(kinds(goodManifest, .live, nil) == [.liveInPaper(broker: "sim")])
        #expect(kinds(goodManifest, .paper, "true") == [])
        #expect(kinds(goodManifest, .unknown, nil) == [])
        #expect(kinds(goodManifest.changing("\"version\": 1", "\"version\": 1, \"mode\": \"backtest\""), .live, nil) == [])
    }

    @Test func processesAndSingleInstances() {
        var catalogue = TestCatalogue()
        catalogue.libraries["Sim"] = TestCatalogue.library(TestCatalogue.component("keel.sim", [.feed, .broker], single: true, needsProcess: true))
        let twice = goodManifest.changing(#""sim": { "component": "keel.sim", "file": "Sim" },"#, #""sim": { "component": "keel.sim", "file": "Sim" }, "sim2": { "component": "keel.sim", "file": "Sim" },"#)
        #expect(check(twice, catalogue: catalogue).errors.map(\.kind) == [.needsProcess("keel.sim"), .needsProcess("keel.sim"), .singleTwice(component: "keel.sim", first: "sim")])
        let apart = goodManifest.changing(#""component": "keel.sim","#, #""component": "keel.sim", "isolation": "process","#)
        #expect(check(apart, catalogue: catalogue).text == "")
    }

    @Test func oneComponentOneLibrary() {
        var catalogue = TestCatalogue()
        catalogue.libraries["Other"] = TestCatalogue.library(
            TestCatalogue.component("keel.rules", [.decider]), TestCatalogue.component("keel.other", [.decider]), hash: "c")
        let marked = goodManifest.changing(#""component": "keel.emacross", "file": "EMACross""#, #""component": "keel.other", "file": ▸"Other""#)
        #expect(
            reportOfMarked(marked, catalogue: catalogue)
                == "▸: error: $.plugins.cross.file: the component keel.rules is in two libraries: /plugins/x.so and /plugins/x.so\n    hint: an id belongs to one library: remove one of them")
    }

    @Test func theStateFolderIsKnownWhateverElseIsWrong() {
        func folder(_ text: String) -> String { ManifestFile(name: "plugins.json", folder: "/m", bytes: Array(text.utf8)).stateFolder }
        #expect(folder(goodManifest) == "/m/state")
        #expect(folder(goodManifest.changing("\"version\": 1", "\"version\": 9, \"state\": \"/var/keel\"")) == "/var/keel")
        #expect(folder("{ \"state\": \"a\", \"state\": \"b\" }") == "/m/a")
        #expect(folder("nonsense") == "/m/state")
    }

    @Test func thePluginsOwnComplaintsArePlaced() {
        var catalogue = TestCatalogue()
        catalogue.grumbles = [PluginComplaint(.name(.root, "fast"), "fast must be below slow")]
        #expect(reportOfMarked(goodManifest.changing(#""fast": 5"#, #""fast": ▸5"#), catalogue: catalogue) == "▸: error: $.plugins.rules.config.fast: the plugin refuses it: fast must be below slow")
    }

    @Test func aWrongSchemaIsThePluginsFault() {
        var catalogue = TestCatalogue()
        catalogue.libraries["Sim"] = TestCatalogue.library(TestCatalogue.component("keel.sim", [.feed, .broker], schema: "{\"type\":\"array\"}"))
        #expect(
            check(goodManifest, catalogue: catalogue).text
                == "plugins.json:4:27: error: $.plugins.sim.component: the plugin's own config_schema is wrong (keel.sim): $: the top of a configuration's schema needs \"type\": \"object\"")
    }

    @Test func theReportForPrograms() throws {
        let (text, places) = unmarked(goodManifest.changing(#""fallback": "cross""#, #""fallback": ▸"corss""#))
        let place = places[0].split(separator: ":")
        #expect(
            check(text).json.text(.compact)
                == #"{"valid":false,"file":"plugins.json","problems":[{"severity":"error","code":"unknownPlugin","file":"plugins.json","line":\#(place[0]),"column":\#(place[1]),"path":"$.pipelines[0].decide.fallback","message":"there is no plugin \"corss\"","hint":"did you mean \"cross\"?"}]}"#)
    }
}
