import Foundation
import HostCore
import HostManifest
import HostPlugins
import PluginAPI
import PluginKit

/// A plugin of the manifest, its library verified and loaded (or ready for a worker), not yet an instance.
public struct LoadedPlugin {
    public var entry: PluginEntry
    public var identity: PluginIdentity
    /// One JSON object, checked, defaults filled in.
    public var config: String
    public var home: Home

    /// Where the instance will live.
    public enum Home {
        /// On the engine's thread: it does no I/O and is not isolated.
        case engine(ComponentTables)
        /// On a thread of its own.
        case lane(ComponentTables)
        /// In a process of its own, called from a thread of its own; in simulated time from the engine's thread, in lockstep.
        case process(PreparedLibrary)
    }

    public init(entry: PluginEntry, identity: PluginIdentity, config: String, home: Home) {
        self.entry = entry
        self.identity = identity
        self.config = config
        self.home = home
    }

    public var isInline: Bool { if case .engine = home { true } else { false } }
    /// It does no I/O and keeps to the host's clock, wherever it runs.
    public var canBeSimulated: Bool {
        switch home {
        case .engine: true
        case .lane: false
        case .process(let library): library.metadata.component(entry.component)?.has(KEEL_COMPONENT_INLINE) ?? false
        }
    }
    public var isIsolated: Bool { if case .process = home { true } else { false } }
}

/// Everything a host is made of, before a run number exists: the manifest with its plugins loaded.
public struct Composition {
    public var manifest: Manifest
    public var manifestPath: String
    public var manifestText: String
    /// Of the manifest's bytes.
    public var manifestHash: String
    /// Folder of the state, absolute or relative to where the host was started.
    public var statePath: String
    /// Enabled and used by a pipeline; the index is the port.
    public var plugins: [LoadedPlugin]
    public var secrets: @Sendable (String) -> Result<[UInt8], HostStatus>

    public init(
        manifest: Manifest, manifestPath: String, manifestText: String, manifestHash: String, statePath: String, plugins: [LoadedPlugin],
        secrets: @escaping @Sendable (String) -> Result<[UInt8], HostStatus> = { _ in .failure(HostStatus(KEEL_E_NOT_FOUND)) }
    ) {
        self.manifest = manifest
        self.manifestPath = manifestPath
        self.manifestText = manifestText
        self.manifestHash = manifestHash
        self.statePath = statePath
        self.plugins = plugins
        self.secrets = secrets
    }

    /// The plugins that the enabled pipelines name, each once, in the manifest's order.
    public static func usedPlugins(_ manifest: Manifest) -> [PluginEntry] {
        var used: Set<String> = []
        for pipeline in manifest.pipelines {
            used.formUnion(pipeline.feeds)
            used.formUnion([pipeline.chain.primary] + pipeline.chain.fallbacks)
            used.formUnion([pipeline.router, pipeline.broker])
        }
        return manifest.plugins.filter { $0.isEnabled && used.contains($0.name) }
    }

    /// Nothing needs real time, so time can be simulated.
    public var isSimulated: Bool { plugins.allSatisfy(\.canBeSimulated) }

    /// What an instance of this name sees of the instruments: its own spelling of each.
    func instruments(for plugin: String) -> [InstrumentRecord] {
        manifest.instruments.enumerated().map { index, instrument in
            let kind: UInt32 =
                switch instrument.kind {
                case .spot: KEEL_KIND_SPOT
                case .perpetual: KEEL_KIND_PERP
                case .stock: KEEL_KIND_STOCK
                case .future: KEEL_KIND_FUTURE
                }
            return InstrumentRecord(
                id: keel_instrument_id(index + 1), kind: kind, symbol: instrument.symbol, venueSymbol: instrument.venueSymbols[plugin] ?? "",
                baseAsset: instrument.base, quoteAsset: instrument.quote, tick: instrument.tick, lot: instrument.lot,
                minQty: instrument.minimumQuantity, maxQty: instrument.maximumQuantity, multiplier: instrument.multiplier,
                minNotional: instrument.minimumNotional)
        }
    }

    /// Feed, instrument and channels to subscribe: each feed gets the instruments of the pipelines that name it.
    func subscriptions() -> [(plugin: String, instrument: keel_instrument_id)] {
        var seen: Set<String> = []
        var result: [(String, keel_instrument_id)] = []
        for pipeline in manifest.pipelines {
            for feed in pipeline.feeds {
                for symbol in pipeline.instruments {
                    guard let index = manifest.instruments.firstIndex(where: { $0.symbol == symbol }), seen.insert("\(feed)\n\(symbol)").inserted
                    else { continue }
                    result.append((feed, keel_instrument_id(index + 1)))
                }
            }
        }
        return result
    }
}
