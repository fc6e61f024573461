import Glibc
import PluginAPI
import PluginKit

/// What one check works with: the file, the profile, a seed, and ready-made instances. Lives in the check's own process.
final class Bench {
    let path: String
    let componentID: String?
    let profile: CheckProfile
    let seed: UInt64
    var random: CheckRandom
    let clock = CheckClock()
    private var loaded: Subject?
    private var mock: MockVenue?
    private(set) var scenario: String?
    private var neverLinks = false
    /// How to start this program as a checking process once more, and what it was told.
    var again: [String] = []
    var order: CheckOrder?

    init(path: String, componentID: String?, profile: CheckProfile, seed: UInt64, check: String) {
        self.path = path
        self.componentID = componentID
        self.profile = profile
        self.seed = seed
        random = CheckRandom(seed: seed, check: check)
    }

    func subject() throws -> Subject {
        if let loaded { return loaded }
        let subject = try Subject.load(path, component: componentID)
        loaded = subject
        return subject
    }

    /// The parsed schema, or a skip that points at the check that says what is wrong with it.
    func schema() throws -> JSONSchema {
        let text = try require(Subject.text(try subject().component.pointee.config_schema), "config_schema is NULL or not UTF-8")
        do { return try JSONSchema(parsing: text) } catch { throw Verdict.skip("the config_schema has faults: see G01 and G02") }
    }

    /// The profile's configuration, if it obeys the schema: checks that vary it can say nothing otherwise.
    func soundConfig(_ schema: JSONSchema) throws -> JSONValue {
        let config = try config(unreachable: true)
        if schema.check(config).issues.contains(where: { !$0.isWarning }) { throw Verdict.skip("the profile's configuration doesn't obey the schema: see G02") }
        return config
    }

    // MARK: venues

    var hasVenue: Bool { if case .none = profile.venue { false } else { true } }
    var hasMock: Bool {
        switch profile.venue {
        case .recorded, .command: true
        case .inline, .none: false
        }
    }

    /// The mock process, started on first use.
    func venue() throws -> MockVenue {
        if let mock { return mock }
        let started: MockVenue
        do {
            switch profile.venue {
            case .recorded(let file):
                started = try MockVenue(recording: file.hasPrefix("/") ? file : profile.folder + "/" + file, command: [], folder: profile.folder)
            case .command(let command):
                started = try MockVenue(recording: nil, command: command, folder: profile.folder)
            case .none, .inline: throw Verdict.skip("the profile names no mock venue")
            }
        } catch let error as VenueError {
            throw Verdict.fail("\(error)")
        } catch let error as RecordedTalkError {
            throw Verdict.fail("\(error)")
        }
        mock = started
        return started
    }

    /// Puts the venue into a scenario; skips the check where the venue doesn't have it.
    func play(_ name: String) throws {
        switch profile.venue {
        case .recorded, .command:
            if try !venue().scenario(name) { throw Verdict.skip("the mock venue has no scenario \"\(name)\"") }
        case .inline(let scenarios):
            if !scenarios.contains(where: { $0.scenario == name }) { throw Verdict.skip("the profile brings no inline scenario \"\(name)\" about") }
        case .none: throw Verdict.skip("the profile names no venue")
        }
        scenario = name
    }

    /// Like `play`, but stays with the venue's own default if it has no such scenario.
    func playIfThere(_ name: String) { try? play(name) }

    func play(anyOf names: String...) throws {
        for name in names.dropLast() where (try? play(name)) != nil { return }
        if let last = names.last { try play(last) }
    }

    // MARK: configurations

    /// The profile's configuration with the scenario's members and the mock's address in place; `over`: members that go over it, null removes one.
    func config(unreachable: Bool = false, over: JSONObject = JSONObject()) throws -> JSONValue {
        var whole = JSONValue(profile.config)
        for member in over.members { whole.set(member.name, member.value.isNull ? nil : member.value) }
        var object = whole.asObject ?? profile.config
        if case .inline(let scenarios) = profile.venue, let scenario, let found = scenarios.first(where: { $0.scenario == scenario }) {
            var value = JSONValue(object)
            for member in found.overrides.members { value.set(member.name, member.value) }
            object = value.asObject ?? object
        }
        let port = unreachable ? 1 : (hasMock ? try venue().port : 1)
        return Bench.place(JSONValue(object), port, unreachable || !hasMock ? [:] : try venue().ports)
    }

    func configText(unreachable: Bool = false) throws -> String { try config(unreachable: unreachable).text(.compact) }

    /// Puts the mock's address where the profile has its placeholders.
    static func place(_ value: JSONValue, _ port: Int, _ ports: [String: Int] = [:]) -> JSONValue {
        switch value.content {
        case .text(let text):
            if text == "${mock.port}" { return JSONValue(port) }
            if text == "${mock.host}" { return JSONValue("127.0.0.1") }
            guard text.contains("${mock.") else { return value }
            if let named = ports.first(where: { text == "${mock.port.\($0.key)}" }) { return JSONValue(named.value) }
            var filled = text.replacing("${mock.port}", with: String(port)).replacing("${mock.host}", with: "127.0.0.1")
            for (name, number) in ports { filled = filled.replacing("${mock.port.\(name)}", with: String(number)) }
            return JSONValue(filled)
        case .list(let items): return JSONValue(items.map { place($0, port, ports) })
        case .object(let object): return JSONValue(JSONObject(object.members.map { ($0.name, place($0.value, port, ports)) }))
        default: return value
        }
    }

    // MARK: instances

    /// A host and an instance of the component on it, not created yet.
    func instance(_ style: HostStyle = HostStyle(), store: CheckStore = CheckStore(), firstRequest: UInt64? = nil) throws -> Instance {
        let host = HostileHost(style: style, clock: clock, store: store)
        for (name, value) in profile.secrets { host.secrets[name] = value }
        host.instruments[profile.instrument.id] = LentInstrument(profile.instrument)
        return Instance(try subject(), host, firstRequest: firstRequest ?? 1000 + random.next() % 1_000_000)
    }

    /// Created with the profile's configuration.
    func created(_ style: HostStyle = HostStyle(), store: CheckStore = CheckStore()) throws -> Instance {
        let instance = try instance(style, store: store)
        let result = instance.create(try configText())
        try require(result.accepted, "create refused the profile's configuration: \(result.words)")
        return instance
    }

    /// Created, started and, for a broker, connected and synced: as the host would have it before it trades.
    func running(_ style: HostStyle = HostStyle(), store: CheckStore = CheckStore()) throws -> Instance {
        let instance = try created(style, store: store)
        try begin(instance)
        return instance
    }

    func begin(_ instance: Instance, jumping: Bool = true) throws {
        let result = instance.start()
        try require(result.accepted, "start failed: \(result.words)")
        if instance.subject.lists(KEEL_BROKER) {
            var last = Called(status: KEEL_E_NETWORK, message: "no link")
            let ready = instance.run(for: 8, jumping: jumping) {
                let (called, request) = instance.sync(since: 0)
                guard let outcome = instance.outcome(called, request, within: 1.5) else { return false }
                last = outcome
                return outcome.accepted || (outcome.status != KEEL_E_NETWORK && outcome.status != KEEL_E_AGAIN && outcome.status != KEEL_E_STATE)
            }
            try require(ready && last.accepted, "the first sync after start did not succeed: \(last.words)")
            try quoteIfSimulated(instance)
        } else if hasMock {
            // Most say LINK up when they are connected; one that never does is not waited for again.
            let linked = instance.run(for: neverLinks ? 0.01 : 1) { instance.host.eventsNow().contains { $0.link?.state == KEEL_LINK_UP } }
            if !linked { neverLinks = true }
        }
    }

    /// A simulated venue needs a market before it can fill anything: first one in which a buyer at the profile's price
    /// trades, then one in which a seller does.
    func quoteIfSimulated(_ instance: Instance) throws {
        for shift in [0, profile.instrument.tick.raw] { try quote(instance, profile.price.raw &+ shift) }
    }

    private func quote(_ instance: Instance, _ ask: keel_fixed) throws {
        guard let market = instance.subject.table(KEEL_MARKET, as: keel_market.self), let pointer = instance.pointer else { return }
        var quote = keel_ev_quote()
        quote.head.size = UInt32(MemoryLayout<keel_ev_quote>.size)
        quote.head.kind = UInt16(KEEL_EV_QUOTE)
        quote.head.instrument = profile.instrument.id
        quote.head.at_source = clock.now
        quote.head.at_host = clock.now
        quote.bid = ask &- profile.instrument.tick.raw
        quote.ask = ask
        quote.bid_qty = profile.quantity.raw &* 1000
        quote.ask_qty = profile.quantity.raw &* 1000
        withUnsafePointer(to: &quote.head) { market.pointee.on_market(pointer, $0) }
    }

    func isRole(_ interface: String) throws -> Bool { try subject().lists(interface) }
}
