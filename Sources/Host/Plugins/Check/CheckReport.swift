import PluginKit

/// One check on one component.
public struct CheckResult: Sendable {
    public var check: String
    public var name: String
    public var sentence: String
    /// nil: about the file.
    public var component: String?
    public var status: CheckStatus
    /// What went wrong, or why it was skipped.
    public var message: String
    /// The line of keel.h it stands on.
    public var rule: String
    public var milliseconds: Double
    /// What the plugin printed, the end of it.
    public var output: String
}

/// Everything `keel plugin check` found out about a file.
public struct CheckReport: Sendable {
    public struct Component: Sendable {
        public var id: String
        public var name: String
        public var version: String
        public var interfaces: [String]
    }

    public var file: String
    public var seed: UInt64
    public var components: [Component] = []
    public var results: [CheckResult] = []
    public var seconds = 0.0

    public func count(_ status: CheckStatus) -> Int { results.count { $0.status == status } }
    public var failed: [CheckResult] { results.filter { $0.status == .fail } }
    public var passed: Bool { failed.isEmpty }

    // MARK: text

    public func text(onlyFailed: Bool = false, colour: Bool = false) -> String {
        var lines: [String] = []
        for component in components {
            lines.append("\(file): \(component.id) \(component.version) (\(component.interfaces.joined(separator: ", "))), seed \(seed)")
        }
        if components.isEmpty { lines.append("\(file), seed \(seed)") }
        for result in results where !onlyFailed || result.status == .fail {
            lines.append(line(result, colour: colour))
            if result.status == .pass { continue }
            if !result.message.isEmpty { lines += result.message.split(separator: "\n").map { "          \($0)" } }
            guard result.status == .fail else { continue }
            lines.append("          \(result.rule)")
            if !result.output.isEmpty { lines += result.output.split(separator: "\n").suffix(12).map { "          | \($0)" } }
            lines.append("          again: keel plugin check \(file) --reproduce \(seed) --check \(result.check) --in-process")
        }
        lines.append(
            "\(count(.pass)) passed, \(count(.fail)) failed, \(count(.warn)) warned, \(count(.skip)) skipped in \(CheckReport.decimals(seconds)) s")
        return lines.joined(separator: "\n") + "\n"
    }

    private func line(_ result: CheckResult, colour: Bool) -> String {
        let word: String
        switch result.status {
        case .pass: word = colour ? "\u{1b}[32mok  \u{1b}[0m" : "ok  "
        case .fail: word = colour ? "\u{1b}[31mFAIL\u{1b}[0m" : "FAIL"
        case .warn: word = colour ? "\u{1b}[33mwarn\u{1b}[0m" : "warn"
        case .skip: word = "skip"
        }
        let pad = String(repeating: " ", count: max(1, 34 - result.name.count))
        return "  \(word)  \(result.check)  \(result.name)\(pad)\(result.sentence)"
    }

    // MARK: JSON

    public var json: JSONValue {
        JSONValue(
            JSONObject([
                ("file", JSONValue(file)), ("seed", JSONValue(seed)),
                ("components", JSONValue(components.map { component in
                    JSONValue(
                        JSONObject([
                            ("id", JSONValue(component.id)), ("name", JSONValue(component.name)), ("version", JSONValue(component.version)),
                            ("interfaces", JSONValue(component.interfaces.map { JSONValue($0) })),
                        ]))
                })),
                ("passed", JSONValue(count(.pass))), ("failed", JSONValue(count(.fail))), ("warned", JSONValue(count(.warn))),
                ("skipped", JSONValue(count(.skip))), ("seconds", JSONValue(seconds)),
                ("results", JSONValue(results.map { result in
                    JSONValue(
                        JSONObject([
                            ("check", JSONValue(result.check)), ("name", JSONValue(result.name)), ("sentence", JSONValue(result.sentence)),
                            ("component", result.component.map { JSONValue($0) } ?? .null), ("status", JSONValue(result.status.rawValue)),
                            ("message", JSONValue(result.message)), ("rule", JSONValue(result.rule)),
                            ("milliseconds", JSONValue(result.milliseconds)), ("output", JSONValue(result.output)),
                        ]))
                })),
            ]))
    }

    // MARK: JUnit

    public var junit: String {
        var text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
        text += "<testsuite name=\"keel plugin check\" tests=\"\(results.count)\" failures=\"\(count(.fail))\" skipped=\"\(count(.skip))\" "
        text += "time=\"\(CheckReport.decimals(seconds))\">\n"
        text += "  <properties><property name=\"seed\" value=\"\(seed)\"/><property name=\"file\" value=\"\(CheckReport.xml(file))\"/></properties>\n"
        for result in results {
            text += "  <testcase classname=\"\(CheckReport.xml(result.component ?? "library"))\" name=\"\(result.check) \(result.name)\" "
            text += "time=\"\(CheckReport.decimals(result.milliseconds / 1000))\""
            switch result.status {
            case .pass: text += "/>\n"
            case .warn: text += "><system-out>\(CheckReport.xml("warning: " + result.message))</system-out></testcase>\n"
            case .skip: text += "><skipped message=\"\(CheckReport.xml(result.message))\"/></testcase>\n"
            case .fail:
                text += "><failure message=\"\(CheckReport.xml(result.message))\">\(CheckReport.xml(result.rule + "\n" + result.output))</failure></testcase>\n"
            }
        }
        return text + "</testsuite>\n"
    }

    private static func decimals(_ seconds: Double) -> String {
        let thousandths = Int((max(0, seconds) * 1000).rounded())
        let part = String(thousandths % 1000)
        return "\(thousandths / 1000)." + String(repeating: "0", count: 3 - part.count) + part
    }

    private static func xml(_ text: String) -> String {
        var out = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": out += "&amp;"
            case "<": out += "&lt;"
            case ">": out += "&gt;"
            case "\"": out += "&quot;"
            case "\n", "\t": out.unicodeScalars.append(scalar)
            default:
                // XML has no way to write the other control characters.
                if scalar.value >= 32 { out.unicodeScalars.append(scalar) } else { out += "?" }
            }
        }
        return out
    }
}
