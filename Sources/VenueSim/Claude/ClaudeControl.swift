import PluginKit

/// The behaviours `keel plugin check` asks a decider's service for, as steps that every request meets.
extension ClaudeServer: ControlledVenue {
    private static let behaviours: [String: ClaudeStep] = [
        "answer": .answer,
        "garbage": .body("{\"id\": <<<"),
        "half": .resetInside,
        "refusal": .refusal(partial: false),
        "rate": .status(429, code: nil, retryAfter: "1", retryAfterMs: nil, shouldRetry: nil),
        "error": .status(500, code: nil, retryAfter: nil, retryAfterMs: nil, shouldRetry: nil),
        "hang-up": .reset,
        "silent": .hang,
    ]

    func play(_ scenario: String) -> Bool {
        guard let step = Self.behaviours[scenario] else { return false }
        startAfresh(with: step)
        return true
    }

    func counts() -> [(name: String, count: Int)] { [("placed", 0), ("requests", requests)] }
    func release() {}
    func drop() { for connection in connections { connection.close() } }
}
