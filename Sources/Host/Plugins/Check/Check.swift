/// One conformance check: an id that never changes, a name, one sentence, and the text of keel.h it stands on.
public struct Check: Sendable {
    /// Which components a check is about.
    public enum Scope: Hashable, Sendable {
        /// The file itself: runs without loading it.
        case file
        /// Every component.
        case component
        /// Components that list this interface id.
        case interface(String)
    }

    public let id: String
    public let name: String
    public let sentence: String
    /// A piece of keel.h, word for word: what a failure violates.
    public let rule: String
    public let scope: Scope
    /// Seconds a child may take.
    public let limit: Double
    let body: @Sendable (Bench) throws -> Void

    /// It can only say something about a component that takes the profile's configuration.
    var needsInstance: Bool {
        switch scope {
        case .file: false
        case .interface: true
        case .component: !["L", "G"].contains(id.prefix(1)) && !["E01", "E02", "E03", "E04", "E05", "E06", "E09", "C03"].contains(id) || id == "L10"
        }
    }

    init(_ id: String, _ name: String, _ sentence: String, rule: String, scope: Scope = .component, limit: Double = 10,
         _ body: @escaping @Sendable (Bench) throws -> Void) {
        self.id = id
        self.name = name
        self.sentence = sentence
        self.rule = rule
        self.scope = scope
        self.limit = limit
        self.body = body
    }

    /// Every check, in the order they run.
    public static let all: [Check] =
        libraryChecks + entryChecks + configChecks + lifecycleChecks + memoryChecks + stateChecks + processChecks + threadChecks
        + feedChecks + feedVenueChecks + brokerChecks + brokerVenueChecks + deciderChecks + routerChecks
}

/// What a check came to.
public enum CheckStatus: String, Sendable, CaseIterable {
    case pass, fail, warn, skip
}

/// How a check ends early. A check that returns has passed.
enum Verdict: Error {
    case fail(String)
    case warn(String)
    case skip(String)
}

/// Fails the check unless `condition` holds.
func require(_ condition: Bool, _ message: @autoclosure () -> String) throws {
    if !condition { throw Verdict.fail(message()) }
}

/// The value, or a failed check.
func require<T>(_ value: T?, _ message: @autoclosure () -> String) throws -> T {
    guard let value else { throw Verdict.fail(message()) }
    return value
}
