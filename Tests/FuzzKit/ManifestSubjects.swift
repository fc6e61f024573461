import HostManifest
import PluginKit

extension FuzzSubject {
    static let manifestSeed = Array(
        #"""
        { "version": 1, "mode": "paper", "state": "s", "seed": 3, "secrets": { "folder": "f", "environment": { "a.key": "A" } },
          "plugins": { "sim": { "component": "keel.sim", "file": "Sim", "enabled": true, "isolation": "none", "config": { "x": [1, { "$secret": "a.key" }] } },
            "rules": { "component": "keel.rules", "file": "Rules" }, "cross": { "component": "keel.emacross", "file": "EMACross" },
            "direct": { "component": "keel.direct", "file": "./direct.so", "isolation": "process" } },
          "instruments": { "BTC/USDT": { "kind": "spot", "tick": "0.01", "lot": "0.00001", "min_notional": "5", "venue_symbols": { "sim": "BTCUSDT" } } },
          "pipelines": [ { "name": "btc", "enabled": true, "feeds": ["sim"], "instruments": ["BTC/USDT"], "bars": ["1m", "1h"], "history": 99,
            "gate": { "candle": "15m", "price_z": 3, "volume_z": null, "min_interval": "1m" },
            "decide": { "primary": "rules", "fallback": ["cross"], "deadline": "8s", "deadlines": { "cross": "1s" }, "daily_cost": "1.5" },
            "risk": { "max_fraction": "0.1", "losing_streak": null, "allow_short": true }, "position": { "stop_loss": "0.04", "stages": [ { "gain": "0.1", "fraction": "0.5" } ] },
            "route": "direct", "broker": "sim", "capital": "10000", "currency": "USDT" } ] }
        """#.utf8)

    static let manifestWords =
        jsonWords + [
            "\"8s\"", "\"1h30m\"", "\"99999999999999999999d\"", "\"0.00000001\"", "\"92233720368.54775807\"", "\"-1\"", "\"sim\"", "\"rules\"", "\"enabled\": false,", "\"fallback\":", "\"plugins\":",
            "\"pipelines\":", "\"live\"", "\"BTC/USDT\"", "\"a/b\":", "{ \"$secret\": \"x\" }", "\"config\":", "\"stages\":",
        ]

    private static func manifestInput(_ generator: inout FuzzGenerator) -> [UInt8] {
        var bytes = manifestSeed
        if generator.chance(3) {
            // Half of the inputs below stay JSON: one value is replaced by another, so that the reader gets to see it.
            FuzzMutation.mutate(&bytes, words: manifestWords, &generator)
        } else if var value = try? JSONValue(parsing: bytes) {
            for _ in 0...generator.below(3) { value = replacing(value, &generator, 0) }
            bytes = value.bytes(generator.chance(2) ? .pretty : .compact)
        }
        return bytes
    }

    private static let wordValues: [JSONValue] = manifestWords.compactMap { try? JSONValue(parsing: Array($0.utf8)) }

    /// The same value with one place changed.
    private static func replacing(_ value: JSONValue, _ generator: inout FuzzGenerator, _ depth: Int) -> JSONValue {
        switch value.content {
        case .object(let object) where !object.isEmpty && !generator.chance(6):
            var changed = object
            let member = object.members[generator.below(object.count)]
            switch generator.below(8) {
            case 0: changed[member.name] = nil
            case 1: changed[String(member.name.dropLast())] = member.value
            default: changed[member.name] = replacing(member.value, &generator, depth + 1)
            }
            return JSONValue(changed)
        case .list(let list) where !list.isEmpty && !generator.chance(6):
            var changed = list
            let place = generator.below(list.count)
            if generator.chance(4) { changed.append(list[place]) } else { changed[place] = replacing(list[place], &generator, depth + 1) }
            return JSONValue(changed)
        default:
            return generator.pick(wordValues) ?? value
        }
    }

    private static let reader = ManifestReader(environment: ["A": "secret-value", "LIVE_TRADING": "true"])

    /// The whole way from bytes to a manifest.
    public static let manifest = FuzzSubject(
        "manifest", makeInput: manifestInput,
        check: { bytes in
            let report = reader.check(ManifestFile(name: "plugins.json", folder: "/nonexistent", bytes: bytes))
            if (report.manifest == nil) == report.errors.isEmpty { return "errors and a manifest, or neither" }
            for problem in report.problems {
                if let position = report.position(of: problem), position.offset > bytes.count { return "a problem outside the text" }
                let text = report.text(of: problem)
                if text.contains("secret-value") { return "a secret is printed" }
            }
            guard let manifest = report.manifest else { return nil }
            // Written out with all its defaults it is the same manifest.
            let again = reader.check(ManifestFile(name: "plugins.json", folder: "/nonexistent", bytes: manifest.json.bytes(.pretty)))
            if let what = again.errors.first { return "written out, it is refused: \(again.text(of: what))" }
            if again.manifest != manifest { return "written out, it is another manifest" }
            return nil
        })

    /// Edits in place: only the wanted value changes, on any text that has the entry.
    public static let edit = FuzzSubject(
        "edit", makeInput: manifestInput,
        check: { bytes in
            var edit = ManifestEdit(bytes)
            do throws(ManifestEdit.Failure) {
                try edit.set("enabled", of: "sim", to: false)
                try edit.set("sha256", of: "rules", to: "00ff")
            } catch {
                if case .damaged(let path) = error { return "damaged \(path)" }
                return nil
            }
            guard let before = try? JSONValue(parsing: bytes), let after = try? JSONValue(parsing: edit.bytes) else { return "edited without being JSON" }
            if after.find("plugins")?.find("sim")?.find("enabled") != false { return "the value was not set" }
            if after.find("pipelines") != before.find("pipelines") { return "something else changed" }
            return nil
        })

    /// Every subject, in the order `keel-fuzz all` runs them. Authors of other parsers add theirs.
    public static let all: [FuzzSubject] = [json, pattern, schema, manifest, edit, frames, elf, binanceStream, binanceRows]
}
