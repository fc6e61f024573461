import HostCore
import HostManifest
import HostPlugins
import PluginAPI
import PluginKit

/// The libraries of a backtest's plugins, loaded once however many runs follow.
///
/// Everything is known from the libraries' descriptions before any of their code runs here: a decider that would call out is
/// refused unloaded. All plugins of a backtest run in its own process, whatever the manifest says about isolation: there is
/// no trading host in it that a crash could take down.
public final class BacktestLoader: Sendable {
    private let loader: Loader
    private let folder: String

    /// `folder`: what relative paths in the manifest start from.
    public init(_ loader: Loader, folder: String) {
        self.loader = loader
        self.folder = folder
    }

    private func component(_ entry: PluginEntry) throws(BacktestError) -> (PreparedLibrary, ComponentMetadata) {
        do throws(LoadError) {
            let prepared = try loader.prepare(file: entry.file, base: folder, pin: entry.sha256)
            return (prepared, try prepared.component(entry.component))
        } catch { throw .plugin(name: entry.name, what: "\(error)") }
    }

    /// Deciders of the request's pipelines that call out, and so can only be backtested from what was recorded of them.
    public func callers(_ request: Backtest.Request) throws(BacktestError) -> [String] {
        let names = request.manifest.pipelines.filter { request.pipelines.isEmpty || request.pipelines.contains($0.name) }
            .flatMap { [$0.chain.primary] + $0.chain.fallbacks }
        var found: [String] = []
        for name in names where !found.contains(name) {
            guard let entry = request.manifest.plugin(name) else { throw .plugin(name: name, what: "the manifest has no such plugin") }
            let both = KEEL_COMPONENT_INLINE | KEEL_COMPONENT_DETERMINISTIC
            if try component(entry).1.flags & both != both { found.append(name) }
        }
        return found
    }

    public func backtest(_ request: Backtest.Request) throws(BacktestError) -> Backtest {
        let manifest = request.manifest
        let found = try Backtest.needed(request) { name in
            guard let entry = manifest.plugin(name), entry.isEnabled, let (_, component) = try? self.component(entry) else { return false }
            return component.interfaces.contains(KEEL_MARKET) && component.interfaces.contains(KEEL_BROKER)
        }
        var plugins: [BacktestPlugin] = []
        for name in found.plugins {
            guard let entry = manifest.plugin(name) else { throw .plugin(name: name, what: "the manifest has no such plugin") }
            let (prepared, component) = try component(entry)
            let decides = found.pipelines.contains { $0.chain.primary == name || $0.chain.fallbacks.contains(name) }
            let both = KEEL_COMPONENT_INLINE | KEEL_COMPONENT_DETERMINISTIC
            if decides, component.flags & both != both, !request.recorders.contains(name) {
                throw .notDeterministic(plugin: name, component: component.id, hint: Backtest.recordingHint(name, component.id))
            }
            if component.flags & KEEL_COMPONENT_INLINE == 0, !request.recorders.contains(name) {
                throw .notInline(plugin: name, role: found.pipelines.contains { $0.router == name } ? "router" : "broker", component: component.id)
            }
            do throws(LoadError) {
                let tables = try loader.load(prepared).tables(component.id)
                plugins.append(
                    BacktestPlugin(
                        name: name, tables: tables, config: String(decoding: entry.config.bytes(.compact), as: UTF8.self),
                        version: "\(component.version) \(prepared.sha256.prefix(12))"))
            } catch { throw .plugin(name: name, what: "\(error)") }
        }
        return try Backtest(request, plugins: plugins)
    }
}
