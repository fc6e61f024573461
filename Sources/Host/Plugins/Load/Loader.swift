import Glibc
import PluginAPI
import Synchronization

/// A library that was found, trusted, copied and inspected, and may be loaded or handed to a worker.
public struct PreparedLibrary: Hashable, Sendable {
    /// The user's file.
    public let path: String
    /// The copy; the only path that is ever loaded.
    public let copy: String
    public let isBundled: Bool
    public let metadata: LibraryMetadata
    public var sha256: String { metadata.sha256 }

    public func component(_ id: String) throws(LoadError) -> ComponentMetadata {
        guard let found = metadata.component(id) else {
            throw .noSuchComponent(id: id, path: path, offers: metadata.components.map(\.id))
        }
        return found
    }
}

/// A library in this process, its tables complete.
public struct LoadedLibrary: Sendable {
    public let prepared: PreparedLibrary
    private let components: [String: ComponentTables]

    init(prepared: PreparedLibrary, components: [String: ComponentTables]) {
        self.prepared = prepared
        self.components = components
    }

    public func tables(_ id: String) throws(LoadError) -> ComponentTables {
        let metadata = try prepared.component(id)
        if metadata.has(KEEL_COMPONENT_NEEDS_PROCESS), !Loader.isWorker { throw .needsProcess(id: id, path: prepared.path) }
        guard let tables = components[id] else {
            throw .noSuchComponent(id: id, path: prepared.path, offers: components.keys.sorted())
        }
        return tables
    }
}

/// From a manifest's `file` to a library in memory: find, trust, copy, pin, look at the bytes, look at it in a child, load.
///
/// `prepare` runs none of the library's code in this process; `load` does. Both may be called from any thread.
public final class Loader: Sendable {
    public struct Settings: Sendable {
        /// Folder of copies and of what is known about them; made if missing.
        public var cache: String
        /// The host's own plugin folders.
        public var bundled: [String]
        /// Take libraries without a pin from anywhere.
        public var allowUnpinned: Bool
        /// The keel program (or a test's), for inspection.
        public var program: String
        /// Seconds an inspection may take.
        public var inspectionLimit: Double

        public init(
            cache: String, bundled: [String] = bundledPluginFolders(), allowUnpinned: Bool = false, program: String = "/proc/self/exe",
            inspectionLimit: Double = 5
        ) {
            self.cache = cache
            self.bundled = bundled
            self.allowUnpinned = allowUnpinned
            self.program = program
            self.inspectionLimit = inspectionLimit
        }
    }

    public let settings: Settings
    private let cache: LibraryCache
    private let loaded = Mutex<[String: LoadedLibrary]>([:])
    private static let worker = Atomic<Bool>(false)

    public init(_ settings: Settings) throws(LoadError) {
        self.settings = settings
        cache = try LibraryCache(settings.cache)
    }

    /// Set in a worker: components that need a process of their own have one.
    static var isWorker: Bool { worker.load(ordering: .relaxed) }
    static func becomeWorker() { worker.store(true, ordering: .relaxed) }

    /// Everything up to loading. `file` as the manifest writes it, `base` the manifest's folder, `pin` its `sha256`; `allowUnpinned` for this
    /// library alone.
    public func prepare(file: String, base: String, pin: String? = nil, allowUnpinned: Bool? = nil) throws(LoadError) -> PreparedLibrary {
        let place = try LibraryPlace(file: file, base: base, bundled: settings.bundled)
        if let pin, !isHash(pin.lowercased()) { throw .badPin(path: place.path, pin: String(pin.prefix(80))) }
        let rules = TrustRules.current(program: place.isBundled ? thisProgram() : nil)
        let opened = try TrustedFile(place.path, rules)
        let needsPin = !(allowUnpinned ?? settings.allowUnpinned) && !place.isBundled
        if let quick = try quickly(place, opened.stamp, pin, needsPin) { return quick }
        let bytes = try opened.read()
        let sha256 = try LibraryCache.hash(bytes, place.path)
        try check(pin: pin, needsPin, sha256: sha256, place)
        let needed = try Self.look(bytes, place.path)
        let copy = try cache.store(bytes, sha256: sha256)
        try? cache.rememberHash(sha256, of: place.path, opened.stamp, now: Self.wallClock())
        if let what = cache.badness(sha256) { throw .knownBad(path: place.path, sha256: sha256, what: what) }
        let metadata: LibraryMetadata
        if var known = cache.metadata(sha256) {
            known.path = place.path
            metadata = known
        } else {
            metadata = try inspect(copy, sha256: sha256, size: bytes.count, needed: needed, place)
        }
        return PreparedLibrary(path: place.path, copy: copy, isBundled: place.isBundled, metadata: metadata)
    }

    /// The hash of a file, for `keel plugin pin`: the path rules hold, nothing else is asked.
    public func hash(file: String, base: String) throws(LoadError) -> (path: String, sha256: String) {
        let place = try LibraryPlace(file: file, base: base, bundled: settings.bundled)
        let opened = try TrustedFile(place.path, TrustRules.current(program: place.isBundled ? thisProgram() : nil))
        return (place.path, try LibraryCache.hash(try opened.read(), place.path))
    }

    /// Components that more than one of these libraries offers. The same library under two names is one.
    public static func duplicates(in libraries: [PreparedLibrary]) -> [LoadError] {
        var places: [String: [String: String]] = [:]
        for library in libraries {
            for component in library.metadata.components { places[component.id, default: [:]][library.sha256] = library.path }
        }
        return places.filter { $0.value.count > 1 }.sorted { $0.key < $1.key }.map { id, paths in
            .duplicateComponent(id: id, paths: paths.values.sorted())
        }
    }

    /// Brings the library into this process, for good. Its copy is hashed once more.
    public func load(_ prepared: PreparedLibrary) throws(LoadError) -> LoadedLibrary {
        // One at a time: constructors and entries of different libraries never run beside each other.
        let result: Result<LoadedLibrary, LoadError> = loaded.withLock { loaded in
            if let known = loaded[prepared.sha256] { return .success(known) }
            do throws(LoadError) {
                guard try cache.verify(prepared.sha256) else {
                    throw .cache(path: prepared.copy, reason: "the copy is gone; check the manifest again")
                }
                let library = try Self.open(prepared)
                loaded[prepared.sha256] = library
                return .success(library)
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    /// Loads a copy that was verified; also what a worker does.
    static func open(_ prepared: PreparedLibrary) throws(LoadError) -> LoadedLibrary {
        let table = try OpenLibrary(prepared.copy, shown: prepared.path).negotiate(shown: prepared.path)
        do throws(DescriptorReader.Fault) {
            let components = try DescriptorReader.read(table)
            guard components == prepared.metadata.components else {
                throw DescriptorReader.Fault("its descriptors differ from those that inspection saw: they must be constant")
            }
        } catch {
            throw .badDescriptor(path: prepared.path, component: error.component, what: error.what)
        }
        var found: [String: ComponentTables] = [:]
        for index in 0..<Int(table.pointee.component_count) {
            if let component = table.pointee.components[index], let tables = ComponentTables(component) { found[tables.id] = tables }
        }
        return LoadedLibrary(prepared: prepared, components: found)
    }

    // MARK: steps

    /// Without reading the file: it has not changed since it was hashed, its copy is there, and it was inspected.
    private func quickly(_ place: LibraryPlace, _ stamp: FileStamp, _ pin: String?, _ needsPin: Bool) throws(LoadError) -> PreparedLibrary? {
        guard let sha256 = cache.knownHash(place.path, stamp), cache.seemsPresent(sha256, size: stamp.size) else { return nil }
        try check(pin: pin, needsPin, sha256: sha256, place)
        if let what = cache.badness(sha256) { throw .knownBad(path: place.path, sha256: sha256, what: what) }
        guard var metadata = cache.metadata(sha256) else { return nil }
        metadata.path = place.path
        return PreparedLibrary(path: place.path, copy: cache.library(sha256), isBundled: place.isBundled, metadata: metadata)
    }

    private func check(pin: String?, _ needsPin: Bool, sha256: String, _ place: LibraryPlace) throws(LoadError) {
        guard let pin else {
            if !needsPin { return }
            throw .unpinned(path: place.path, sha256: sha256)
        }
        if pin.lowercased() != sha256 { throw .wrongPin(path: place.path, pin: pin, sha256: sha256) }
    }

    /// What the bytes alone tell. Returns the libraries it needs.
    static func look(_ bytes: [UInt8], _ path: String) throws(LoadError) -> [String] {
        let elf: ElfFile
        do throws(ElfError) {
            let identity = try ElfFile.identity(of: bytes)
            guard identity.bits == 64, identity.littleEndian, identity.machine == .host else { throw ElfError.foreign(identity) }
            guard identity.kind == .shared else { throw ElfError.foreign(identity) }
            elf = try ElfFile(bytes)
        } catch {
            if case .foreign(let identity) = error {
                throw identity.machine == .host && identity.bits == 64 && identity.littleEndian
                    ? .notShared(path: path, is: identity) : .wrongMachine(path: path, is: identity)
            }
            throw .notALibrary(path: path, why: error)
        }
        guard elf.exports("keel_plugin_entry") else { throw .noEntry(path: path) }
        if elf.executableStack {
            throw .unsafeLinking(path: path, what: "it wants an executable stack, which would weaken the whole host", remedy: "link it with -z noexecstack")
        }
        if elf.hasTextRelocations {
            throw .unsafeLinking(path: path, what: "its code is changed while it loads (text relocations)", remedy: "compile it with -fPIC")
        }
        if elf.hasWritableCode {
            throw .unsafeLinking(path: path, what: "it has memory that is writable and executable at once", remedy: "link it without -N and -z rwx options")
        }
        return elf.dynamic.needed
    }

    private func inspect(
        _ copy: String, sha256: String, size: Int, needed: [String], _ place: LibraryPlace
    ) throws(LoadError) -> LibraryMetadata {
        let found: InspectionReport.Found
        do throws(LoadError) {
            found = try Inspector(program: settings.program, limit: settings.inspectionLimit).inspect(copy, shown: place.path)
        } catch {
            if error.condemns { try? cache.condemn(sha256, path: place.path, what: Self.verdict(error)) }
            throw error
        }
        let metadata = LibraryMetadata(
            sha256: sha256, size: size, path: place.path, abiMajor: found.abiMajor, abiMinor: found.abiMinor, components: found.components,
            needed: needed)
        try cache.remember(metadata)
        return metadata
    }

    private static func verdict(_ error: LoadError) -> String {
        switch error {
        case .crashed(_, let stage, let how): "crashed \(stage.words) (\(how))"
        case .hung(_, let stage, _): "hung \(stage.words)"
        case .endedEarly(_, let stage, let code): "ended the process \(stage.words) (exit code \(code))"
        default: error.code
        }
    }

    private static func wallClock() -> Int64 {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        return Int64(now.tv_sec) &* 1_000_000_000 &+ Int64(now.tv_nsec)
    }
}
