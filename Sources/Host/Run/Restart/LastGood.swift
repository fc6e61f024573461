import Foundation
import HostManifest
import HostPlugins
import PluginKit

/// The manifest and the libraries that traded last, as a failed restart goes back to them: the manifest's own bytes, and each
/// library as its verified copy.
public struct LastGood: Codable, Equatable, Sendable {
    public struct Library: Codable, Equatable, Sendable {
        public var sha256: String
        public var isIsolated: Bool
    }

    public var name: String
    public var folder: String
    public var manifest: String
    public var libraries: [String: Library]

    init(_ composition: Composition) {
        name = composition.manifestPath
        folder = (composition.manifestPath as NSString).deletingLastPathComponent
        manifest = composition.manifestText
        libraries = Dictionary(
            composition.plugins.map { ($0.entry.name, Library(sha256: $0.identity.sha256, isIsolated: $0.isIsolated)) },
            uniquingKeysWith: { first, _ in first })
    }

    func write(to folder: RunFolder) throws(RunError) {
        guard let bytes = try? JSONEncoder().encode(self) else { throw .control("the manifest cannot be written as JSON") }
        try RunFolder.replace(folder.lastGood, with: bytes)
    }

    public static func read(from folder: RunFolder) -> LastGood? {
        FileManager.default.contents(atPath: folder.lastGood).flatMap { try? JSONDecoder().decode(LastGood.self, from: $0) }
    }

    /// Composed again from the copies; nothing outside the state folder but secrets is needed.
    public func compose(in state: RunFolder, loader: Loader, environment: [String: String]) throws(RunError) -> Composition {
        let file = ManifestFile(name: name, folder: folder, bytes: Array(manifest.utf8))
        let report = ManifestReader(environment: environment).check(file, catalogue: nil)
        return try Composer.compose(report, loader: loader, environment: environment) { entry in
            guard let library = libraries[entry.name] else { return entry }
            var pinned = entry
            pinned.file = "\(state.cache)/\(library.sha256).so"
            pinned.sha256 = library.sha256
            pinned.isolation = library.isIsolated ? .process : PluginEntry.Isolation.none
            return pinned
        }
    }
}
