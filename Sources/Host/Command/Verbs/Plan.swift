import HostCore
import HostManifest
import PluginAPI
import PluginKit

extension Verb {
    static let plan = Verb(
        words: ["plan"],
        summary: "show the pipelines as composed, with every default filled in",
        details: "With --json: the whole manifest with every default written out, and what each library says of itself.",
        arguments: [Argument("MANIFEST", .optional, "the manifest (default: plugins.json)")],
        options: [.json, Option("no-secrets", "don't look for the secrets that plugins are granted")],
        run: { call in
            let report = call.readManifest(checksSecrets: !call.flag("no-secrets"))
            let manifest = try report.required(call.terminal)
            if call.wantsJSON {
                let libraries = report.libraries.sorted { $0.key < $1.key }.map { ($0.key, $0.value.json) }
                let plan: JSONValue = ["manifest": manifest.json, "libraries": JSONValue(JSONObject(libraries))]
                call.terminal.out(plan.text(.pretty))
            } else {
                call.terminal.raw(.out, Plan(manifest: manifest, libraries: report.libraries, terminal: call.terminal).text)
            }
            return .ok
        })
}

/// Pipelines drawn from the feed to the broker.
struct Plan {
    let manifest: Manifest
    let libraries: [String: LibraryDescription]
    let terminal: Terminal

    var text: String {
        var text = ""
        for pipeline in manifest.pipelines { text += draw(pipeline) + "\n" }
        for pipeline in manifest.disabledPipelines { text += terminal.dim("\(pipeline.name)  disabled") + "\n\n" }
        text += "plugins\n"
        let width = manifest.plugins.map(\.name.count).max() ?? 0
        for entry in manifest.plugins {
            let name = entry.name + String(repeating: " ", count: width - entry.name.count)
            text += "  \(terminal.bold(name))  \(describe(entry))\n"
        }
        return text
    }

    private func component(_ entry: PluginEntry) -> ComponentDescription? {
        libraries[entry.name]?.components.first { $0.id == entry.component }
    }

    private func describe(_ entry: PluginEntry) -> String {
        guard entry.isEnabled else { return terminal.dim("\(entry.component)  disabled") }
        var parts = [entry.component]
        if let component = component(entry) {
            parts.append(component.version)
            parts.append(component.roles.map(\.rawValue).joined(separator: " + "))
        }
        let isolation = entry.isolation ?? (libraries[entry.name]?.isBundled ?? entry.isBundled ? .none : .process)
        parts.append(isolation == .process ? "in a process of its own" : "in the host")
        parts.append(entry.sha256 == nil ? "not pinned" : "pinned")
        if !entry.secrets.isEmpty { parts.append("secrets: \(entry.secrets.joined(separator: ", "))") }
        return parts.filter { !$0.isEmpty }.joined(separator: "  ")
    }

    private func draw(_ pipeline: PipelineSettings) -> String {
        let money = pipeline.capital.map { "\($0) \(pipeline.currency)" } ?? "what the broker reports, in \(pipeline.currency)"
        var rows: [(String, String)] = []
        rows.append(("feed", pipeline.feeds.joined(separator: " + ") + "  →  " + pipeline.instruments.joined(separator: ", ")))
        rows.append(("bars", pipeline.bars.map(SpanText.format).joined(separator: ", ") + ", the last \(pipeline.history) of each"))
        rows.append(("gate", gate(pipeline.gate)))
        for (place, line) in chain(pipeline.chain).enumerated() { rows.append((place == 0 ? "decide" : "", line)) }
        for (place, line) in risk(pipeline.risk).enumerated() { rows.append((place == 0 ? "risk" : "", line)) }
        for (place, line) in position(pipeline.position).enumerated() { rows.append((place == 0 ? "position" : "", line)) }
        rows.append(("route", pipeline.router))
        let features = manifest.plugin(pipeline.broker).flatMap(component).map { "  (\(Plan.orders($0.orderFeatures)))" } ?? ""
        rows.append(("broker", pipeline.broker + features))
        var text = "\(terminal.bold(pipeline.name))  \(manifest.mode.rawValue)  capital: \(money)\n"
        for (place, row) in rows.enumerated() {
            // A stage starts with a knot; what belongs to it hangs below.
            let mark = row.0.isEmpty ? "│" : place == 0 ? "╷" : place == rows.count - 1 ? "▼" : "│"
            let name = row.0 + String(repeating: " ", count: 9 - row.0.count)
            text += "  \(terminal.dim(mark)) \(terminal.styled(name, .cyan))\(row.1)\n"
        }
        return text
    }

    private func gate(_ gate: GateSettings) -> String {
        var parts: [String] = []
        if let candle = gate.candle { parts.append("\(SpanText.format(candle)) candle") }
        if gate.timer { parts.append("timer \(SpanText.format(gate.minimumInterval))-\(SpanText.format(gate.maximumInterval))") }
        if let z = gate.priceZ { parts.append("price beyond \(JSONValue(z)) deviations") }
        if let z = gate.volumeZ { parts.append("volume beyond \(JSONValue(z)) deviations") }
        if gate.wakes { parts.append("wake conditions") }
        if gate.asks { parts.append("the decider's own ask") }
        if let watchdog = gate.watchdog { parts.append("watchdog \(SpanText.format(watchdog))") }
        return parts.isEmpty ? "closed: nothing ever asks the decider" : parts.joined(separator: " | ")
    }

    private func chain(_ chain: ChainSettings) -> [String] {
        let names = [chain.primary] + chain.fallbacks
        var lines = names.enumerated().map { place, name in
            (place == 0 ? "" : "or ") + name + " within \(SpanText.format(chain.deadlines[name] ?? chain.deadline))"
        }
        var terms = ["breaker after \(chain.failures) failures, trial after \(SpanText.format(chain.pause))"]
        if let cost = chain.dailyCost { terms.append("at most $\(cost) a day") }
        if chain.shadow, let first = chain.fallbacks.first { terms.append("\(first) answers in the shadow") }
        lines.append(terms.joined(separator: ", "))
        return lines
    }

    private func risk(_ risk: RiskSettings) -> [String] {
        func share(_ fixed: Fixed) -> String { Plan.percent(fixed) }
        var size = ["at most \(share(risk.maximumFraction)) of equity a decision"]
        if let most = risk.maximumOrder { size.append("\(most) an order") }
        if let most = risk.maximumPosition { size.append("\(most) a position") }
        if let most = risk.maximumExposure { size.append("\(most) x equity in all") }
        if let kelly = risk.kelly { size.append("\(kelly) Kelly after \(risk.kellyTrades) trades") }
        size.append(risk.allowShort ? "short allowed" : "no short positions")
        var stops: [String] = []
        if let loss = risk.dailyLoss { stops.append("\(share(loss)) lost in a day") }
        if let fall = risk.drawdown { stops.append("\(share(fall)) below the peak") }
        if let streak = risk.losingStreak { stops.append("\(streak) losses in a row (for \(SpanText.format(risk.streakPause)))") }
        var guards: [String] = []
        if let most = risk.ordersPerMinute { guards.append("\(most) orders a minute") }
        if let collar = risk.priceCollar { guards.append("price within \(share(collar))") }
        if let age = risk.freshness { guards.append("data younger than \(SpanText.format(age))") }
        if let skew = risk.clockSkew { guards.append("clocks within \(SpanText.format(skew))") }
        return [
            size.joined(separator: ", "), stops.isEmpty ? "nothing stops entries" : "entries stop at " + stops.joined(separator: ", "),
            guards.joined(separator: ", "),
        ].filter { !$0.isEmpty }
    }

    private func position(_ position: PositionSettings) -> [String] {
        var exits: [String] = []
        if let stop = position.stopLoss { exits.append("stop at -\(Plan.percent(stop))") }
        if let trailing = position.trailing { exits.append("trailing \(Plan.percent(trailing)) from +\(Plan.percent(position.trailingActivation))") }
        if let multiple = position.atrMultiple {
            exits.append("\(JSONValue(multiple)) x ATR(\(position.atrPeriod), \(SpanText.format(position.atrBars)))")
        }
        for stage in position.stages { exits.append("\(Plan.percent(stage.fraction)) out at +\(Plan.percent(stage.gain))") }
        if let probability = position.exitProbability { exits.append("exit probability from \(Plan.percent(probability))") }
        let review = position.review.map { "reviewed every \(SpanText.format($0))" } ?? "not reviewed by the decider"
        return [exits.isEmpty ? "nothing protects it" : exits.joined(separator: ", "), "looked at every \(SpanText.format(position.interval)), \(review)"]
    }

    /// "0.04" -> "4 %".
    static func percent(_ share: Fixed) -> String {
        let (value, overflow) = share.raw.multipliedReportingOverflow(by: 100)
        return overflow ? "\(share)" : "\(Fixed(raw: value)) %"
    }

    static func orders(_ features: UInt64) -> String {
        let names: [(UInt64, String)] = [
            (KEEL_ORD_MARKET, "market"), (KEEL_ORD_LIMIT, "limit"), (KEEL_ORD_STOP, "stop"), (KEEL_ORD_STOP_LIMIT, "stop-limit"), (KEEL_ORD_TAKE, "take"),
            (KEEL_ORD_TAKE_LIMIT, "take-limit"), (KEEL_ORD_POST_ONLY, "post-only"), (KEEL_ORD_REDUCE_ONLY, "reduce-only"), (KEEL_ORD_IOC, "IOC"),
            (KEEL_ORD_FOK, "FOK"),
        ]
        let taken = names.filter { features & $0.0 != 0 }.map(\.1)
        return taken.isEmpty ? "takes no orders" : "orders: " + taken.joined(separator: ", ")
    }
}

extension LibraryDescription {
    var json: JSONValue {
        let list = components.map { component -> JSONValue in
            [
                "id": JSONValue(component.id), "name": JSONValue(component.name), "vendor": JSONValue(component.vendor), "version": JSONValue(component.version),
                "roles": JSONValue(component.roles.map { JSONValue($0.rawValue) }), "extensions": JSONValue(component.extensions.map { JSONValue($0) }),
                "order_features": JSONValue(component.orderFeatures),
            ]
        }
        return ["path": JSONValue(path), "sha256": JSONValue(sha256), "bundled": JSONValue(isBundled), "components": JSONValue(list)]
    }
}
