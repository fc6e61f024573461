import Foundation
import HostCore
import HostLedger
import HostManifest
import PluginKit

// What the verbs that read a ledger share. They work while a host runs, and never write.

extension Verb.Option {
    static let state = Verb.Option("state", value: "FOLDER", "the state folder, instead of the manifest's")
    static let ofRun = Verb.Option("run", value: "N", "only of this run")
    static let last = Verb.Option("last", value: "N", "how many, the newest first (default: 50)")
}

extension Invocation {
    /// The folder of --state, or of the manifest. The manifest needn't be valid: what happened can always be looked at.
    func stateFolder() throws -> String {
        if let folder = value(.state) { return folder }
        let file: ManifestFile
        do { file = try ManifestFile(reading: manifestName) } catch {
            throw Failure(.invalid, "\(manifestName) can't be read, so the state folder isn't known", hint: "name the manifest with --manifest, or the folder with --state")
        }
        struct Part: Decodable { var state: String? }
        let state = (try? JSONDecoder().decode(Part.self, from: Data(file.bytes)))?.state ?? Manifest().state
        return file.resolve(state)
    }

    func openLedger() throws -> LedgerReader {
        let path = try stateFolder() + "/" + Ledger.name
        do { return try LedgerReader(path: path) } catch {
            switch error {
            case .missing: throw Failure(.error, error.description, hint: "keel run starts it; --state names another folder")
            default: throw Failure(.error, error.description)
            }
        }
    }

    func filter(last fallback: Int = 50) throws -> LedgerReader.Filter { LedgerReader.Filter(run: try run(), last: try count(fallback)) }

    func run() throws -> UInt32? {
        guard let text = value(.ofRun) else { return nil }
        guard let run = UInt32(text) else { throw mistake("--run takes the number of a run, not \"\(text)\"") }
        return run
    }

    func count(_ fallback: Int) throws -> Int {
        guard let text = value(.last) else { return fallback }
        guard let count = Int(text), count > 0 else { throw mistake("--last takes a number above zero, not \"\(text)\"") }
        return count
    }

    /// Rows as JSON: a list of objects.
    func print(json rows: some Encodable) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        terminal.out(String(decoding: try encoder.encode(rows), as: UTF8.self))
    }

    func print(_ table: TextTable, none: String) {
        if table.isEmpty { terminal.out(none) } else { terminal.raw(.out, table.text(terminal)) }
    }
}

/// Times in tables: the day only where it isn't today's, seconds enough.
enum ShortTime {
    static func of(_ text: String) -> String { text.count > 19 ? String(text.prefix(10)) + " " + text.dropFirst(11).prefix(8) : text }
}
