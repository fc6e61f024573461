import HostManifest
import HostRun

extension Program {
    /// How verbs look into plugins.
    static let catalogue: (@Sendable (_ manifest: ManifestFile) -> any PluginCatalogue)? = { file in
        let report = ManifestReader(environment: [:], checksSecrets: false).check(file)
        let state = report.manifest?.state ?? Manifest().state
        do throws(RunError) { return try LoaderCatalogue(state: file.resolve(state)) } catch { return NoCatalogue(why: error.description) }
    }
}

/// Where libraries can't even be copied to be looked at.
private struct NoCatalogue: PluginCatalogue {
    let why: String
    func describe(_ entry: PluginEntry, in folder: String, allowsUnpinned: Bool) throws(PluginFault) -> LibraryDescription { throw PluginFault(why) }
}
