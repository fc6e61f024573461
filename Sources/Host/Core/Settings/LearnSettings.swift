/// What a pipeline learns from its own trades and from its market. Only of use where a decider of the chain asks for weights.
public struct LearnSettings: Equatable, Sendable {
    public var isEnabled = true
    public var signals = LearnerSettings()
    /// How often the two-state model of daily returns is fitted anew, in days; nil: no regimes.
    public var refitDays: Int? = 7

    public init() {}
}
