import HostLedger
import HostPlugins
import PluginAPI
import PluginKit

/// What one instance may ask of the host. One object an instance, because venue symbols and secrets differ.
final class InstanceServices: HostServices, @unchecked Sendable {
    struct Shared: Sendable {
        var sink: EventSink
        var store: PluginStore?
        var secrets: @Sendable (String) -> Result<[UInt8], HostStatus>
        var log: @Sendable (LogLine) -> Void
        var failed: @Sendable (Source, keel_status, String) -> Void
    }

    private let shared: Shared
    private let source: Source
    private let instruments: [InstrumentRecord]

    init(_ shared: Shared, source: Source, instruments: [InstrumentRecord]) {
        self.shared = shared
        self.source = source
        self.instruments = instruments
    }

    func now() -> keel_time { shared.sink.now() }

    func emit(_ event: UnsafePointer<keel_event>, from instance: InstanceHost) -> keel_status { shared.sink.emit(event, from: source) }

    func log(_ line: LogLine) { shared.log(line) }

    func failed(_ instance: InstanceHost, why: keel_status, text: String) { shared.failed(source, why, text) }

    func secret(_ name: String, for instance: InstanceHost) -> Result<[UInt8], HostStatus> { shared.secrets(name) }

    func put(_ key: String, _ bytes: [UInt8], for instance: InstanceHost) -> keel_status {
        guard let store = shared.store else { return KEEL_E_UNSUPPORTED }
        do {
            try store.put(instance: instance.name, key: key, bytes)
            return KEEL_OK
        } catch {
            instance.report(.error, "put \"\(key)\": \(error)")
            return error.status
        }
    }

    func get(_ key: String, for instance: InstanceHost) -> Result<[UInt8], HostStatus> {
        guard let store = shared.store else { return .failure(HostStatus(KEEL_E_UNSUPPORTED)) }
        do {
            guard let bytes = try store.get(instance: instance.name, key: key) else { return .failure(HostStatus(KEEL_E_NOT_FOUND)) }
            return .success(bytes)
        } catch {
            instance.report(.error, "get \"\(key)\": \(error)")
            return .failure(HostStatus(error.status))
        }
    }

    func instrument(_ id: keel_instrument_id) -> InstrumentRecord? {
        let index = Int(id) - 1
        return instruments.indices.contains(index) ? instruments[index] : nil
    }

    func service(_ id: String, for instance: InstanceHost) -> UnsafeRawPointer? { nil }
}
