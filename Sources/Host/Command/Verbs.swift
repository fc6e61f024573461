extension Verb {
    /// Every verb, in the order of the overview. A verb's author adds a line here and a file in Verbs.
    static let all: [Verb] = [
        .run,
        .check,
        .plan,
        .status,
        .stop,
        .restart,
        .kill,
        .flatten,
        .monitor,
        .replay,
        .doctor,
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
