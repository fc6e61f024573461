extension Verb {
    /// Every verb, in the order of the overview. A verb's author adds a line here and a file in Verbs.
    static let all: [Verb] = [
        .check,
        .plan,
        .pluginEnable,
        .pluginDisable,
        .pluginPin,
        .orders,
        .positions,
        .decisions,
        .logs,
        .explain,
        .schema,
    ]
}
