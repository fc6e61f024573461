import HostCore
import PluginKit

extension Manifest {
    /// The manifest with every default written out: reading it gives the same manifest. Its canonical bytes are what a
    /// ledger keeps the hash of, so two spellings of the same settings are the same settings.
    public var json: JSONValue {
        var value = rootTable.write(ManifestDraft(self))
        value.set("$schema", nil)
        return value
    }
}

extension PipelineSettings {
    /// With every default written out, as it would stand in a manifest.
    public var json: JSONValue { pipelineTable.write(PipelineDraft(self, isEnabled: true)) }
}

extension ManifestDraft {
    init(_ manifest: Manifest) {
        mode = manifest.mode
        state = manifest.state
        seed = manifest.seed
        keepJournals = manifest.keepJournals
        secrets.settings = manifest.secrets
        secrets.environment = manifest.secrets.environment.sorted { $0.key < $1.key }.map { Named($0.key, $0.value) }
        plugins = manifest.plugins.map { Named($0.name, $0) }
        instruments = manifest.instruments.map { instrument in
            var draft = InstrumentDraft()
            draft.settings = instrument
            draft.base = instrument.base
            draft.quote = instrument.quote
            draft.venueSymbols = instrument.venueSymbols.sorted { $0.key < $1.key }.map { Named($0.key, $0.value) }
            return Named(instrument.symbol, draft)
        }
        pipelines = manifest.pipelines.map { PipelineDraft($0, isEnabled: true) } + manifest.disabledPipelines.map { PipelineDraft($0, isEnabled: false) }
    }
}

extension PipelineDraft {
    init(_ settings: PipelineSettings, isEnabled: Bool) {
        self.settings = settings
        self.isEnabled = isEnabled
        currency = settings.currency
        chain.settings = settings.chain
        chain.deadlines = settings.chain.deadlines.sorted { $0.key < $1.key }.map { Named($0.key, $0.value) }
    }
}
