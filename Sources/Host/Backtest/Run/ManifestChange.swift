import HostManifest
import PluginKit

/// One `--set path=value`: a manifest's value replaced before it is read, so that what is tried is checked like what is written.
///
/// The path names members with dots; a pipeline is found by its name or number: `pipelines.btc.risk.max_fraction`.
public struct ManifestChange: Equatable, Sendable {
    public var path: String
    public var value: String

    public init(path: String, value: String) {
        self.path = path
        self.value = value
    }

    public init(_ text: String) throws(BacktestError) {
        guard let at = text.firstIndex(of: "="), at != text.startIndex else { throw .change(text, what: "write it as path=value") }
        self.init(path: String(text[..<at]), value: String(text[text.index(after: at)...]))
    }

    /// Members with a dot or a slash in their name stand in brackets: `instruments[BTC/USDT].tick`.
    static func steps(_ path: String) throws(BacktestError) -> [String] {
        var steps: [String] = []
        var current = ""
        var inside = false
        for character in path {
            switch character {
            case "[" where !inside:
                if !current.isEmpty { steps.append(current) }
                current = ""
                inside = true
            case "]" where inside:
                steps.append(current.trimmingQuotes())
                current = ""
                inside = false
            case "." where !inside:
                if !current.isEmpty { steps.append(current) }
                current = ""
            default: current.append(character)
            }
        }
        if inside { throw .change(path, what: "a bracket is not closed") }
        if !current.isEmpty { steps.append(current) }
        if steps.isEmpty { throw .change(path, what: "the path is empty") }
        return steps
    }

    /// The values the text can stand for, in the order they are tried: as JSON, as text.
    var readings: [JSONValue] {
        guard let parsed = try? JSONValue(parsing: value) else { return [JSONValue(value)] }
        if case .text = parsed.content { return [parsed] }
        return [parsed, JSONValue(value)]
    }

    func apply(_ reading: Int, to document: JSONValue) throws(BacktestError) -> JSONValue {
        let readings = readings
        return try Self.replace(document.withoutPlace, try Self.steps(path)[...], readings[min(reading, readings.count - 1)], path)
    }

    private static func replace(_ value: JSONValue, _ steps: ArraySlice<String>, _ new: JSONValue, _ path: String) throws(BacktestError) -> JSONValue {
        guard let step = steps.first else {
            // What was a text stays one: money and lengths of time are written as texts.
            if case .text = value.content, case .number(let number) = new.content { return JSONValue(number.text) }
            return new
        }
        switch value.content {
        case .object(var object):
            let rest = steps.dropFirst()
            guard let member = object[step] else {
                if rest.isEmpty {
                    object[step] = new
                } else if step == "config" || ["gate", "risk", "position", "decide", "slippage", "funding", "faults"].contains(step) {
                    object[step] = try replace(JSONValue(JSONObject()), rest, new, path)
                } else {
                    throw .change(path, what: "there is no \"\(step)\"; there are: \(object.names.joined(separator: ", "))")
                }
                return JSONValue(object)
            }
            object[step] = rest.isEmpty ? try replace(member, rest, new, path) : try replace(member, rest, new, path)
            return JSONValue(object)
        case .list(var list):
            let names = list.map { $0.find("name")?.asText ?? "" }
            guard let place = names.firstIndex(of: step) ?? Int(step).flatMap({ list.indices.contains($0) ? $0 : nil }) else {
                throw .change(path, what: "there is no \"\(step)\"; there are: \(names.filter { !$0.isEmpty }.joined(separator: ", "))")
            }
            list[place] = try replace(list[place], steps.dropFirst(), new, path)
            return JSONValue(list)
        default: throw .change(path, what: "\"\(step)\" is inside \(value.type.words)")
        }
    }

    /// The manifest with every change made and checked. A number that has to be a text is made one.
    public static func read(_ file: ManifestFile, _ changes: [ManifestChange], reader: ManifestReader, catalogue: (any PluginCatalogue)? = nil) throws(BacktestError) -> ManifestReport {
        if changes.isEmpty { return reader.check(file, catalogue: catalogue) }
        guard let original = try? JSONDocument(parsing: file.bytes) else { return reader.check(file, catalogue: catalogue) }
        func checked(_ choice: [Int]) throws(BacktestError) -> ManifestReport {
            var document = original.root
            for (index, change) in changes.enumerated() { document = try change.apply(choice[index], to: document) }
            return reader.check(ManifestFile(name: file.name, folder: file.folder, bytes: document.bytes(.pretty)), catalogue: catalogue)
        }
        var choice = [Int](repeating: 0, count: changes.count)
        var report = try checked(choice)
        // Each change is read the other way where that leaves fewer errors: what is told in the end is not about quotation marks.
        for index in changes.indices where changes[index].readings.count > 1 {
            if report.manifest != nil { break }
            choice[index] = 1
            let other = try checked(choice)
            if other.manifest != nil || other.errors.count < report.errors.count { report = other } else { choice[index] = 0 }
        }
        return report
    }
}

extension String {
    fileprivate func trimmingQuotes() -> String { count >= 2 && first == "\"" && last == "\"" ? String(dropFirst().dropLast()) : self }
}
