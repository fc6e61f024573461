import PluginAPI
import PluginKit
import Testing

@testable import HostCore

@Suite struct EndToEndTests {
    @Test func anEventBecomesAnOrderAndAPosition() throws {
        let set = Usual()
        set.decider.observes = true
        try set.build()
        set.rig.start()
        set.askOnNextTrade(.buy("0.1"))
        set.rig.trade("50000")
        #expect(set.decider.questions.count == 1)
        #expect(set.rig.refusals.isEmpty)
        #expect(set.rig.intents.count == 1)
        #expect(set.rig.fills.count == 1)
        #expect(set.rig.position == amount("0.02"))
        #expect(set.rig.durableBeforeSubmit == [true])
        #expect(set.rig.alerts.filter { $0.severity == .critical }.isEmpty)
        // Cash: 10000 - 1000 - fee 1.
        #expect(set.rig.engine.state().pipelines[0].cash == amount("8999"))
        set.askOnNextTrade(.sell("1"))
        set.rig.trade("51000")
        #expect(set.rig.position == .zero)
        #expect(set.rig.exits.map(\.why) == [.decider])
        #expect(set.rig.engine.state().pipelines[0].cash == amount("10017.98"))
    }
}
