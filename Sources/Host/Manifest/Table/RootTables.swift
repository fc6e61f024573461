import HostCore
import PluginKit

// Everything above the stages: instruments, plugins, pipelines and the manifest itself.

/// An instrument whose assets may still have to be taken from its symbol.
struct InstrumentDraft: Sendable {
    var settings = InstrumentSettings(symbol: "", base: "", quote: "", tick: .zero, lot: .zero)
    var base: String?
    var quote: String?
    var venueSymbols: [Named<String>] = []
}

let assetForm = "name of an asset"

let instrumentTable = Table<InstrumentDraft>(
    "instruments.SYMBOL",
    [
        Setting("kind", \.settings.kind, .choice, "What is traded."),
        Setting("tick", \.settings.tick, .positive, required: true, "Smallest step of a price."),
        Setting("lot", \.settings.lot, .positive, required: true, "Smallest step of a quantity."),
        Setting("min_quantity", \.settings.minimumQuantity, .notNegative, "Smallest quantity of an order; 0: not limited."),
        Setting("max_quantity", \.settings.maximumQuantity, .notNegative, "Largest quantity of an order; 0: not limited."),
        Setting("min_notional", \.settings.minimumNotional, .money, "Smallest value of an order; 0: not limited."),
        Setting("multiplier", \.settings.multiplier, .positive, "Units of the base asset one contract stands for."),
        Setting(
            "base", \.base, .optional(.text("^[A-Za-z0-9._-]{1,32}$", form: assetForm), off: "null: from the symbol"), hasDefault: false,
            "Asset that is bought and sold; left out: what stands before the slash of the symbol."),
        Setting(
            "quote", \.quote, .optional(.text("^[A-Za-z0-9._-]{1,32}$", form: assetForm), off: "null: from the symbol"), hasDefault: false,
            "Asset it is paid in; left out: what stands behind the slash."),
        Setting(
            "venue_symbols", \.venueSymbols,
            .map(.text("^[\\x21-\\x7e]{1,64}$", form: "venue's symbol"), names: Names.pattern, form: "name of a plugin", words: "object: plugin to text"),
            "The venue's own spelling, by plugin."),
    ],
    check: { instrument, value, path, problems in
        let settings = instrument.settings
        if settings.maximumQuantity.isPositive, settings.maximumQuantity < settings.minimumQuantity {
            problems.append(
                ManifestProblem(
                    path.appending("max_quantity"), start: place(of: "max_quantity", in: value),
                    .contradiction("max_quantity (\(settings.maximumQuantity)) is below min_quantity (\(settings.minimumQuantity))")))
        }
    })

let pluginTable = Table<PluginEntry>(
    "plugins.NAME",
    [
        Setting(
            "component", \.component, .text("^[A-Za-z][A-Za-z0-9_-]*(\\.[A-Za-z0-9_-]+)+$", form: "component id such as com.acme.kraken"), required: true,
            "Id of the component in the library."),
        Setting(
            "file", \.file, .path, required: true,
            "`Sim` means libSim.so in the host's own plugin folder. Anything else is a path from the manifest's folder and ends in .so."),
        Setting("enabled", \.isEnabled, .flag, "false: the plugin is not loaded, and what refers to it is an error."),
        Setting(
            "isolation", \.isolation, .optional(.choice, off: "null: by where the library lies"), hasDefault: false,
            "`process`: in a child process, which can't hurt the host. Left out: none for the host's own plugin folder, process for every other."),
        Setting(
            "sha256", \.sha256, .optional(.text("^[0-9a-f]{64}$", form: "sha256: 64 digits 0-9, a-f"), off: "null: not pinned"),
            "Hash of the library. `keel plugin pin` writes it."),
        Setting(
            "secrets", \.secrets, .list(.text(Names.secretPattern, form: Names.secretForm), of: "names"), "Names of the secrets the plugin may ask for."),
        Setting("config", \.config, .anyObject, "The plugin's own settings, checked by its schema. Secrets stand here as `{\"$secret\": \"name\"}`."),
    ],
    check: { entry, value, path, problems in
        var seen: Set<String> = []
        for (place, name) in entry.secrets.enumerated() where !seen.insert(name).inserted {
            let start = value.find("secrets")?.asList?[place].start
            problems.append(ManifestProblem(path.appending("secrets").appending(place), start: start, .repeated(name)))
        }
    })

struct PipelineDraft: Sendable {
    var settings = PipelineSettings(name: "", feeds: [], instruments: [], chain: ChainSettings(primary: ""), router: "", broker: "")
    var chain = ChainDraft()
    var isEnabled = true
    var currency: String?
}

let pipelineTable = Table<PipelineDraft>(
    "pipelines[]",
    [
        Setting("name", \.settings.name, .name, required: true, "Its name in the ledger, in messages and on the page; unique."),
        Setting("enabled", \.isEnabled, .flag, "false: it is checked but not run."),
        Setting("feeds", \.settings.feeds, .list(.plugin, of: "plugin names"), required: true, "Where its market data comes from."),
        Setting(
            "instruments", \.settings.instruments, .list(.text(Names.symbolPattern, form: Names.symbolForm), of: "symbols"), required: true,
            "What it watches and trades; each described under `instruments`."),
        Setting(
            "bars", \.settings.bars, .list(.span(Span.second ... 7 * Span.day), of: "durations"), "Lengths of the bars that are kept and shown to the decider, shortest first."),
        Setting("history", \.settings.history, .count(2 ... 100_000), "Closed bars of each length that are kept."),
        Setting("gate", \.settings.gate, gateTable.codec(GateSettings()), inner: AnyTable(gateTable, GateSettings()), "When the decider is asked."),
        Setting("decide", \.chain, chainTable.codec(ChainDraft()), required: true, inner: AnyTable(chainTable, ChainDraft()), "Who decides."),
        Setting("risk", \.settings.risk, riskTable.codec(RiskSettings()), inner: AnyTable(riskTable, RiskSettings()), "What may be ordered at most."),
        Setting(
            "position", \.settings.position, positionTable.codec(PositionSettings()), inner: AnyTable(positionTable, PositionSettings()),
            "How an open position is protected."),
        Setting("learn", \.settings.learn, learnTable.codec(LearnSettings()), inner: AnyTable(learnTable, LearnSettings()), "What is learned from its trades."),
        Setting("route", \.settings.router, .plugin, required: true, "The router that turns an order into the orders sent."),
        Setting("broker", \.settings.broker, .plugin, required: true, "Who executes them."),
        Setting(
            "capital", \.settings.capital, .optional(.money, off: "null: what the broker reports"), "Money the pipeline may use."),
        Setting(
            "currency", \.currency, .optional(.text("^[A-Za-z0-9._-]{1,32}$", form: assetForm), off: "null: from the instruments"), hasDefault: false,
            "Asset that equity, limits and profit are counted in; left out: what its instruments are quoted in."),
    ],
    check: { draft, value, path, problems in
        let pipeline = draft.settings
        for (key, names) in [("feeds", pipeline.feeds), ("instruments", pipeline.instruments)] {
            let list = value.find(key)
            if names.isEmpty {
                problems.append(ManifestProblem(path.appending(key), start: list?.start ?? value.start, .empty(what: key == "feeds" ? "feed" : "instrument")))
            }
            var seen: Set<String> = []
            for (place, name) in names.enumerated() where !seen.insert(name).inserted {
                problems.append(ManifestProblem(path.appending(key).appending(place), start: list?.asList?[place].start, .repeated(name)))
            }
        }
        let bars = value.find("bars")
        if pipeline.bars.isEmpty {
            problems.append(ManifestProblem(path.appending("bars"), start: bars?.start ?? value.start, .empty(what: "length of bars")))
        }
        for (place, pair) in zip(pipeline.bars, pipeline.bars.dropFirst()).enumerated() where pair.0 >= pair.1 {
            problems.append(
                ManifestProblem(
                    path.appending("bars").appending(place + 1), start: bars?.asList?[place + 1].start,
                    .contradiction("\(SpanText.format(pair.1)) is not longer than \(SpanText.format(pair.0)) before it: the shortest comes first, each once")))
        }
    })

/// The secrets section with its mapping in the order written.
struct SecretDraft: Sendable {
    var settings = SecretSettings()
    var environment: [Named<String>] = []
}

let secretTable = Table<SecretDraft>(
    "secrets",
    [
        Setting(
            "folder", \.settings.folder, .path,
            "Folder with one file a secret, named like it, from the manifest's folder. The folder must be 0700, the files 0600."),
        Setting(
            "environment", \.environment,
            .map(.text("^[A-Za-z_][A-Za-z0-9_]*$", form: "name of an environment variable"), names: Names.secretPattern, form: Names.secretForm, words: "object: secret to variable"),
            "Environment variables to look into, by secret. KEEL_SECRET_NAME is always looked at, with capitals and _ for every other sign."),
    ])

struct ManifestDraft: Sendable {
    var schema = ""
    var version = 1
    var mode = Manifest.Mode.paper
    var state = "state"
    var seed: UInt64 = 7
    var keepJournals: Int64? = 90 * Span.day
    var secrets = SecretDraft()
    var plugins: [Named<PluginEntry>] = []
    var instruments: [Named<InstrumentDraft>] = []
    var pipelines: [PipelineDraft] = []
}

let rootTable = Table<ManifestDraft>(
    "Top level",
    [
        Setting("$schema", \.schema, .text("", form: "address of the schema"), hasDefault: false, "Address of the schema, for editors. Not read by Keel."),
        Setting("version", \.version, .count(1 ... 1), required: true, "Version of this format."),
        Setting(
            "mode", \.mode, .choice,
            "`live` sends real orders if LIVE_TRADING=true is in the environment and the broker's endpoints are live ones; anything less trades on paper or not at all."),
        Setting("state", \.state, .path, "Folder of ledger, tapes and plugin state, from the manifest's folder."),
        Setting("seed", \.seed, .seed, "Seed of everything random, so that a run can be repeated."),
        Setting(
            "keep_journals", \.keepJournals, .optional(.span(Span.hour ... 36_500 * Span.day), off: "null: for ever"),
            "How long the journals of earlier runs stay, which `keel replay` needs; the last two always do. The ledger keeps everything."),
        Setting("secrets", \.secrets, secretTable.codec(SecretDraft()), inner: AnyTable(secretTable, SecretDraft()), "Where secrets are found."),
        Setting(
            "plugins", \.plugins, .map(pluginTable.codec(PluginEntry(name: "")), names: Names.pattern, form: Names.form, words: "object: name to plugin"), required: true,
            inner: AnyTable(pluginTable, PluginEntry(name: "")), "The plugins, each under a name that the rest of the manifest uses."),
        Setting(
            "instruments", \.instruments,
            .map(instrumentTable.codec(InstrumentDraft()), names: Names.symbolPattern, form: Names.symbolForm, words: "object: symbol to instrument"), required: true,
            inner: AnyTable(instrumentTable, InstrumentDraft()), "What is traded."),
        Setting(
            "pipelines", \.pipelines, .list(pipelineTable.codec(PipelineDraft()), of: "objects"), required: true, inner: AnyTable(pipelineTable, PipelineDraft()),
            "The pipelines, from market data to orders."),
    ])
