import Foundation
import HostCore
import HostManifest
import HostPlugins
import PluginAPI
import PluginKit

/// From a valid manifest to loaded plugins. All problems at once; nothing is started.
public enum Composer {
    /// Folder of the state a manifest names, from the manifest's own folder.
    public static func stateFolder(of manifest: Manifest, file: ManifestFile) -> String { file.resolve(manifest.state) }

    /// Folder of verified copies, shared by everything that looks at this manifest's plugins.
    public static func cacheFolder(state: String) -> String { RunFolder(state).cache }

    public static func compose(
        _ report: ManifestReport, loader: Loader, environment: [String: String], instead: (PluginEntry) -> PluginEntry = { $0 }
    ) throws(RunError) -> Composition {
        guard let manifest = report.manifest else { throw .invalid(report.errors.map { report.text(of: $0) }) }
        var problems: [String] = []
        var plugins: [LoadedPlugin] = []
        for entry in Composition.usedPlugins(manifest) {
            do throws(LoadError) {
                plugins.append(try load(instead(entry), loader: loader, base: report.file.folder))
            } catch {
                problems.append("plugin \"\(entry.name)\": \(error)")
            }
        }
        if !problems.isEmpty { throw .invalid(problems) }
        let secrets = SecretStore(manifest.secrets, file: report.file, environment: environment)
        let hash = (try? Digest.sha256.hash(report.file.bytes)).map { $0.map { String(format: "%02x", $0) }.joined() } ?? ""
        let state = stateFolder(of: manifest, file: report.file)
        return Composition(
            manifest: manifest, manifestPath: absolute(report.file.name), manifestText: String(decoding: report.file.bytes, as: UTF8.self),
            manifestHash: hash, statePath: state, plugins: plugins,
            secrets: { name in
                do throws(SecretError) {
                    return .success(try secrets.secret(name).bytes)
                } catch {
                    return .failure(HostStatus(KEEL_E_NOT_FOUND))
                }
            })
    }

    private static func load(_ entry: PluginEntry, loader: Loader, base: String) throws(LoadError) -> LoadedPlugin {
        let prepared = try loader.prepare(file: entry.file, base: base, pin: entry.sha256)
        let component = try prepared.component(entry.component)
        let identity = PluginIdentity(component: component.id, version: component.version, sha256: prepared.sha256, file: prepared.path)
        let isolation = entry.isolation ?? (prepared.isBundled ? .none : .process)
        let config = String(decoding: entry.config.bytes(.compact), as: UTF8.self)
        let home: LoadedPlugin.Home
        switch isolation {
        case .none:
            let tables = try loader.load(prepared).tables(component.id)
            home = component.has(KEEL_COMPONENT_INLINE) ? .engine(tables) : .lane(tables)
        case .process: home = .process(prepared)
        }
        return LoadedPlugin(entry: entry, identity: identity, config: config, home: home)
    }

    static func absolute(_ path: String) -> String {
        path.hasPrefix("/") ? path : FileManager.default.currentDirectoryPath + "/" + path
    }
}
