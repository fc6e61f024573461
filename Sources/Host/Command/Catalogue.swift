import HostManifest
import HostRun

extension Program {
    /// How verbs look into plugins.
    static let catalogue: (@Sendable (_ manifest: ManifestFile) -> any PluginCatalogue)? = { file in
        do throws(RunError) { return try loaders(for: file) } catch { return NoCatalogue(why: error.description) }
    }

    /// With the cache of this manifest's state. A file that can't be read as a manifest has none, and gets no folder made for it.
    static func loaders(for file: ManifestFile) throws(RunError) -> LoaderCatalogue {
        let report = ManifestReader(environment: [:], checksSecrets: false).check(file)
        guard report.document?.root.asObject != nil else { return try LoaderCatalogue() }
        return try LoaderCatalogue(state: file.resolve(report.manifest?.state ?? Manifest().state))
    }
}

/// Where libraries can't even be copied to be looked at.
private struct NoCatalogue: PluginCatalogue {
    let why: String
    func describe(_ entry: PluginEntry, in folder: String, allowsUnpinned: Bool) throws(PluginFault) -> LibraryDescription { throw PluginFault(why) }
}
