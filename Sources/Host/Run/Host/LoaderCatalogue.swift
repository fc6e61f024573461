import Foundation
import HostManifest
import HostPlugins
import PluginAPI
import PluginKit
import Synchronization

/// What the loader knows about plugins, for whoever checks a manifest. Libraries are inspected in children; only those that may run
/// inside the host are loaded here, to ask them about a configuration. Others are asked in a worker.
public final class LoaderCatalogue: PluginCatalogue {
    private let loader: Loader

    public init(_ loader: Loader) { self.loader = loader }

    /// For the verbs: copies go to the manifest's own cache, or to a folder of this user where the state can't be written yet.
    public convenience init(state: String) throws(RunError) {
        let folder = RunFolder(state)
        // Checking a manifest must not need the right to run it.
        do throws(RunError) { try folder.prepare() } catch {
            try self.init()
            return
        }
        do throws(LoadError) { self.init(try Loader(.init(cache: folder.cache, allowUnpinned: true))) } catch { throw .invalid(["\(error)"]) }
    }

    /// Where there is no manifest, or none whose state may be written: copies go to a folder of this user.
    public convenience init() throws(RunError) {
        let own = NSTemporaryDirectory() + "/keel-cache-\(geteuid())"
        do throws(LoadError) { self.init(try Loader(.init(cache: own, allowUnpinned: true))) } catch { throw .invalid(["\(error)"]) }
    }

    /// What there is to know about an entry's library without running it here, for people.
    public func library(_ entry: PluginEntry, in folder: String) throws(PluginFault) -> PreparedLibrary { try prepare(entry, in: folder) }

    /// The plugins of the host's own folders, by the name a manifest's "file" has for each. What is no plugin there is left out.
    public func bundled() -> [(file: String, library: PreparedLibrary)] {
        var found: [String: PreparedLibrary] = [:]
        for folder in loader.settings.bundled {
            for name in (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? [] where name.hasPrefix("lib") && name.hasSuffix(".so") {
                let file = String(name.dropFirst(3).dropLast(3))
                guard found[file] == nil, let library = try? loader.prepare(file: file, base: folder) else { continue }
                found[file] = library
            }
        }
        return found.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }

    public func describe(_ entry: PluginEntry, in folder: String, allowsUnpinned: Bool) throws(PluginFault) -> LibraryDescription {
        let prepared = try prepare(entry, in: folder, allowsUnpinned: allowsUnpinned)
        return LibraryDescription(
            path: prepared.path, sha256: prepared.sha256, isBundled: prepared.isBundled, components: prepared.metadata.components.map(ComponentDescription.init))
    }

    private func prepare(_ entry: PluginEntry, in folder: String, allowsUnpinned: Bool? = nil) throws(PluginFault) -> PreparedLibrary {
        do throws(LoadError) {
            return try loader.prepare(file: entry.file, base: folder, pin: entry.sha256, allowUnpinned: allowsUnpinned)
        } catch {
            switch error {
            case .wrongPin(_, _, let found): throw PluginFault(error.description, concern: .wrongPin(found: found))
            case .unpinned: throw PluginFault(error.description, concern: .noPin)
            default: throw PluginFault(error.description)
            }
        }
    }

    /// Its tables, or those of a worker's proxy where it is to be isolated; nil: it can't be had.
    private func tables(_ entry: PluginEntry, in folder: String, _ watcher: WorkerWatcher? = nil) -> ComponentTables? {
        guard let prepared = try? prepare(entry, in: folder) else { return nil }
        switch entry.isolation ?? (prepared.isBundled ? .none : .process) {
        case .none: return try? loader.load(prepared).tables(entry.component)
        case .process:
            let settings = IsolationSettings(program: loader.settings.program)
            return (try? RemoteComponent(library: prepared, component: entry.component, settings: settings, observer: watcher))?.tables
        }
    }

    public func complaints(about config: JSONValue, of entry: PluginEntry, in folder: String) -> [PluginComplaint] {
        let watcher = WorkerWatcher()
        guard let tables = tables(entry, in: folder, watcher) else { return [] }
        if let check = tables.component.pointee.check_config {
            let text = String(decoding: config.bytes(.compact), as: UTF8.self)
            let (status, bytes) = Answers.collect { writer in text.withBorrowedText { check(tables.original, $0, writer) } }
            if let death = watcher.death { return [PluginComplaint(.root, "\(death)", isUnanswered: true)] }
            let told = LoaderCatalogue.complaints(in: bytes, status)
            if !told.isEmpty { return told }
        }
        // A broker is asked where its money is before it runs, and for that it is made: what it says against it is said here.
        guard tables.broker != nil, tables.describe != nil else { return [] }
        var entry = entry
        entry.config = config
        switch ask(entry, tables, watcher) {
        case .said, .silent: return []
        case .refused(let words): return [PluginComplaint(.root, words)]
        case .died(let words): return [PluginComplaint(.root, words, isUnanswered: true)]
        }
    }

    /// A `check_config` report; a refusal without one counts as well.
    private static func complaints(in report: [UInt8], _ status: keel_status) -> [PluginComplaint] {
        if status >= 0, report.isEmpty { return [] }
        guard let list = (try? JSONValue(parsing: report))?.asList, !list.isEmpty || status >= 0 else {
            return status < 0 ? [PluginComplaint(.root, "it refuses this configuration (\(StatusName.of(status))) and does not say why")] : []
        }
        return list.map { item in
            let path = (item.find("path")?.asText).flatMap { JSONPath($0) } ?? .root
            return PluginComplaint(path, item.find("message")?.asText ?? "refused")
        }
    }

    public func environment(of entry: PluginEntry, in folder: String) -> BrokerEndpoints {
        let watcher = WorkerWatcher()
        guard let tables = tables(entry, in: folder, watcher) else { return .notAsked }
        switch ask(entry, tables, watcher) {
        case .refused, .died: return .notAsked
        case .silent: return .unknown
        case .said(let value):
            return switch BrokerEnvironment(described: value.find("environment")?.asText) {
            case .live: .live
            case .paper: .paper
            case .unknown: .unknown
            }
        }
    }

    /// What an instance with this configuration says about itself.
    public func description(of entry: PluginEntry, in folder: String) -> JSONValue? {
        let watcher = WorkerWatcher()
        guard let tables = tables(entry, in: folder, watcher), case .said(let value) = ask(entry, tables, watcher) else { return nil }
        return value
    }

    private enum Description {
        case said(JSONValue)
        /// It can be made and has nothing to say.
        case silent
        case refused(String)
        /// Its worker did.
        case died(String)
    }

    /// An instance is made, asked and thrown away, and has done no I/O.
    private func ask(_ entry: PluginEntry, _ tables: ComponentTables, _ watcher: WorkerWatcher) -> Description {
        guard tables.describe != nil else { return .silent }
        let lane = InlineLane()
        let host = InstanceHost(name: entry.name, tables: tables, lane: lane, services: NoServices(), redactor: SecretRedactor())
        do throws(CallError) {
            try host.create(config: String(decoding: entry.config.bytes(.compact), as: UTF8.self))
        } catch {
            if let death = watcher.death { return .died(death) }
            return .refused(error.message.isEmpty ? "create answers \(StatusName.of(error.status)) and does not say why" : error.message)
        }
        defer { host.destroy() }
        let text = try? host.describe()
        if let death = watcher.death { return .died(death) }
        guard let text, let value = try? JSONValue(parsing: text) else { return .silent }
        return .said(value)
    }
}

/// Hears how a worker died that was only asked something.
private final class WorkerWatcher: WorkerObserver {
    private let first = Mutex<WorkerCause?>(nil)

    /// "it hung in check_config"; nil: none died.
    var death: String? { first.withLock { $0 }.map { "\($0)" } }

    func worker(of instance: String, _ event: WorkerEvent, budget: CrashBudget) {
        if case .died(let cause, _) = event { first.withLock { if $0 == nil { $0 = cause } } }
    }
}

extension ComponentDescription {
    init(_ metadata: ComponentMetadata) {
        let roles = metadata.roles.compactMap { ComponentDescription.Role(rawValue: $0.rawValue) }
        let roleIDs = [KEEL_FEED, KEEL_BROKER, KEEL_DECIDER, KEEL_ROUTER]
        self.init(
            id: metadata.id, name: metadata.name, vendor: metadata.vendor, version: metadata.version, roles: roles,
            extensions: metadata.interfaces.filter { !roleIDs.contains($0) }, orderFeatures: metadata.orderFeatures,
            configSchema: metadata.configSchema, needsProcess: metadata.has(KEEL_COMPONENT_NEEDS_PROCESS),
            isSingle: metadata.has(KEEL_COMPONENT_SINGLE), isInline: metadata.has(KEEL_COMPONENT_INLINE),
            isDeterministic: metadata.has(KEEL_COMPONENT_DETERMINISTIC))
    }
}

/// A host that gives nothing: for instances that are only asked what they are.
private final class NoServices: HostServices {
    func now() -> keel_time { HostClock.wall() }
    func emit(_ event: UnsafePointer<keel_event>, from instance: InstanceHost) -> keel_status { KEEL_OK }
    func log(_ line: LogLine) {}
    func failed(_ instance: InstanceHost, why: keel_status, text: String) {}
    func secret(_ name: String, for instance: InstanceHost) -> Result<[UInt8], HostStatus> { .failure(HostStatus(KEEL_E_NOT_FOUND)) }
    func put(_ key: String, _ bytes: [UInt8], for instance: InstanceHost) -> keel_status { KEEL_E_UNSUPPORTED }
    func get(_ key: String, for instance: InstanceHost) -> Result<[UInt8], HostStatus> { .failure(HostStatus(KEEL_E_NOT_FOUND)) }
    func instrument(_ id: keel_instrument_id) -> InstrumentRecord? { nil }
    func service(_ id: String, for instance: InstanceHost) -> UnsafeRawPointer? { nil }
}

/// Collects what a plugin writes through a `keel_writer`.
enum Answers {
    private static let most = 1 << 20

    static func collect(_ body: (UnsafePointer<keel_writer>) -> keel_status) -> (keel_status, [UInt8]) {
        var bytes: [UInt8] = []
        let status = withUnsafeMutablePointer(to: &bytes) { target in
            var writer = keel_writer()
            writer.ctx = UnsafeMutableRawPointer(target)
            writer.write = { writer, data, count in
                guard let target = writer?.pointee.ctx?.assumingMemoryBound(to: [UInt8].self) else { return KEEL_E_INVALID }
                guard target.pointee.count + count <= Answers.most else { return KEEL_E_RANGE }
                target.pointee.append(contentsOf: UnsafeRawBufferPointer(start: data, count: count))
                return KEEL_OK
            }
            return withUnsafePointer(to: writer) { body($0) }
        }
        return (status, bytes)
    }
}

extension String {
    /// Borrows the text for one call.
    func withBorrowedText<R>(_ body: (keel_str) -> R) -> R {
        var copy = self
        return copy.withUTF8 { bytes in bytes.withMemoryRebound(to: CChar.self) { body(keel_str(ptr: $0.baseAddress, len: $0.count)) } }
    }
}

/// The addresses plugins say they use ("endpoints" in `keel.describe/1`), for `keel doctor`.
public enum PluginEndpoints {
    public static func all(_ manifest: Manifest, file: ManifestFile, folder: RunFolder) -> [(plugin: String, address: String)] {
        guard let catalogue = try? LoaderCatalogue(state: folder.path) else { return [] }
        return Composition.usedPlugins(manifest).flatMap { entry -> [(plugin: String, address: String)] in
            let addresses = catalogue.description(of: entry, in: file.folder)?.find("endpoints")?.asList?.compactMap(\.asText) ?? []
            return addresses.map { (entry.name, $0) }
        }
    }
}
