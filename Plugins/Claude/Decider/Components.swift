import PluginKit

/// What libClaude.so offers.
public let claudeLibrary = Library(
    Component(
        ClaudeDecider.self, id: "keel.claude", name: "Claude", vendor: "Keel", version: "1.0.0", license: "MIT", config: ClaudeSettings.shape
    ).decider().describe(),
    Component(
        RecordedDecider.self, id: "keel.claude.recorded", name: "Claude, recorded", vendor: "Keel", version: "1.0.0", license: "MIT",
        config: RecordedDecider.shape, flags: [.inline, .deterministic]
    ).decider().describe(),
    Component(
        RecordingDecider.self, id: "keel.claude.recorder", name: "Claude, recording", vendor: "Keel", version: "1.0.0", license: "MIT",
        config: RecordingDecider.shape
    ).decider().describe())
