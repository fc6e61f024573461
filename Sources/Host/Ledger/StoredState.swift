import HostCore
import PluginKit

/// A state row as the ledger keeps it: JSON, except for the learner's own bytes.
///
/// A newer program may know fields that a row of an older one lacks: they get the value a new state would have. Where that would be
/// wrong for a running position, the change needs a new `EngineState.currentVersion` and a step in `upgrades`.
struct StoredState {
    var kind: String
    var bytes: [UInt8]

    /// upgrades[n] takes the JSON of a row (not the learner's) from version n + 1 to n + 2.
    static let upgrades: [@Sendable (_ kind: String, _ value: JSONValue) -> JSONValue] = []

    enum Fault: Error, CustomStringConvertible {
        case newer(version: Int64)
        case unknownKind(String)

        var description: String {
            switch self {
            case .newer(let version): "state of version \(version), this program knows up to \(EngineState.currentVersion)"
            case .unknownKind(let kind): "state of the unknown kind \"\(kind)\""
            }
        }
    }

    init(_ row: StateRow) throws {
        switch row {
        case .header(let value): (kind, bytes) = ("header", try StateCoding.bytes(value))
        case .pipeline(let value): (kind, bytes) = ("pipeline", try StateCoding.bytes(value))
        case .book(let value): (kind, bytes) = ("book", try StateCoding.bytes(value))
        case .broker(let value): (kind, bytes) = ("broker", try StateCoding.bytes(value))
        case .learner(let value): (kind, bytes) = ("learner", value)
        }
    }

    /// Reads a row. What can't be read is an error, never left out: a forgotten position is worse than a host that doesn't start.
    static func row(kind: String, bytes: [UInt8], version: Int64) throws -> StateRow {
        guard version <= Int64(EngineState.currentVersion), version >= 1 else { throw Fault.newer(version: version) }
        switch kind {
        case "header": return .header(try value(kind, bytes, version, HeaderState()))
        case "pipeline": return .pipeline(try value(kind, bytes, version, PipelineState(name: "")))
        case "book": return .book(try value(kind, bytes, version, BookState(pipeline: "", symbol: "")))
        case "broker": return .broker(try value(kind, bytes, version, BrokerState(name: "", syncedAt: 0)))
        case "learner": return .learner(bytes)
        default: throw Fault.unknownKind(kind)
        }
    }

    private static func value<Value: Codable>(_ kind: String, _ bytes: [UInt8], _ version: Int64, _ fresh: Value) throws -> Value {
        var bytes = bytes
        if version < Int64(EngineState.currentVersion) {
            var json = try JSONValue(parsing: bytes)
            for upgrade in upgrades.dropFirst(Int(version) - 1) { json = upgrade(kind, json) }
            bytes = json.bytes(.compact)
        }
        do {
            return try StateCoding.value(from: bytes)
        } catch {
            // Fields are missing, or it is damaged: with the missing ones filled in it is readable, or it is damaged.
            guard let stored = try? JSONValue(parsing: bytes), let base = try? JSONValue(parsing: try StateCoding.bytes(fresh)),
                let filled: Value = try? StateCoding.value(from: filling(stored, from: base).bytes(.compact))
            else { throw error }
            return filled
        }
    }

    /// `stored`, and from `base` what it lacks. Lists are taken as they are.
    private static func filling(_ stored: JSONValue, from base: JSONValue) -> JSONValue {
        guard let members = stored.asObject, let known = base.asObject else { return stored }
        var filled = stored
        for member in known.members {
            if let there = members[member.name] {
                filled.set(member.name, filling(there, from: member.value))
            } else {
                filled.set(member.name, member.value)
            }
        }
        return filled
    }
}
