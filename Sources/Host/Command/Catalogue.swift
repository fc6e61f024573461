import HostManifest

extension Program {
    /// How verbs look into plugins. nil: this build has no loader, and only the manifest itself is checked.
    static let catalogue: (@Sendable (_ manifest: ManifestFile) -> any PluginCatalogue)? = nil
}
