import Testing

@testable import HostRun

@Suite struct EvidenceTests {
    @Test func startsWithNothingObserved() {
        #expect(Evidence().findings.allSatisfy { $0.verdict == .notObserved })
    }

    @Test func everyClaimHasAPlaceOfItsOwn() {
        for claim in Evidence.Claim.allCases {
            var evidence = Evidence()
            evidence.note(claim, .pass, at: 5)
            #expect(evidence.findings.filter { $0.verdict == .pass }.map(\.claim) == [claim])
        }
    }

    @Test func aLinkThatComesBackCuresItsFailure() {
        var evidence = Evidence()
        evidence.noteLink(port: 1, name: "sim", isUp: true, at: 10)
        evidence.noteLink(port: 1, name: "sim", isUp: false, at: 20)
        #expect(evidence[.connected].verdict == .fail && evidence[.connected].detail == "down: sim")
        evidence.noteLink(port: 2, name: "other", isUp: true, at: 25)
        #expect(evidence[.connected].verdict == .fail)
        evidence.noteLink(port: 1, name: "sim", isUp: true, at: 30)
        #expect(evidence[.connected].verdict == .pass && evidence[.connected].first == 30)
    }

    @Test func aPositionClosedTwiceFailsForGood() {
        var evidence = Evidence()
        evidence.noteExit("a/1", at: 1)
        evidence.noteExit("a/2", at: 2)
        #expect(evidence[.exitOnce].verdict == .pass && evidence[.exitOnce].count == 2)
        evidence.noteExit("a/2", at: 3)
        evidence.noteExit("a/3", at: 4)
        #expect(evidence[.exitOnce].verdict == .fail && evidence[.exitOnce].first == 3)
    }

    @Test func theGateIsJudgedOnlyWithEnoughEvents() {
        var evidence = Evidence()
        evidence.noteMarket(events: 900, passes: 900, silent: [], at: 1)
        #expect(evidence[.gateSelective].verdict == .notObserved)
        evidence.noteMarket(events: 2_000, passes: 900, silent: [], at: 2)
        #expect(evidence[.gateSelective].verdict == .fail)
        evidence.noteMarket(events: 20_000, passes: 950, silent: [], at: 3)
        #expect(evidence[.gateSelective].verdict == .pass)
        evidence.noteMarket(events: 20_000, passes: 950, silent: ["btc"], at: 4)
        #expect(evidence[.marketData].verdict == .fail)
    }
}

@Suite struct LiveSwitchesTests {
    @Test func realMoneyNeedsAllThree() {
        func refusals(_ live: Bool, _ variable: String?, _ environment: BrokerEnvironment) -> Int {
            LiveSwitches(manifestIsLive: live, variable: variable, brokers: [("b", environment)]).refusals().count
        }
        #expect(refusals(true, "true", .live) == 0)
        #expect(refusals(true, nil, .live) == 1)
        #expect(refusals(true, "1", .live) == 1)
        #expect(refusals(true, "true", .paper) == 1)
        #expect(refusals(true, nil, .paper) == 2)
        #expect(refusals(false, nil, .paper) == 0)
        #expect(refusals(false, "true", .paper) == 0)
        #expect(refusals(false, "true", .live) == 1)
        #expect(refusals(false, nil, .unknown) == 0)
        #expect(refusals(true, "true", .unknown) == 1)
        #expect(LiveSwitches(manifestIsLive: false, variable: nil, brokers: [("b", .unknown)]).doubts.count == 1)
        #expect(LiveSwitches(manifestIsLive: true, variable: "true", brokers: [("b", .live)]).areAllOn)
        #expect(!LiveSwitches(manifestIsLive: false, variable: "true", brokers: [("b", .paper)]).areAllOn)
    }
}

@Suite struct RestartReportTests {
    @Test func onlyTheProgramThatWasMeantResumes() throws {
        let temporary = TemporaryFolder()
        let folder = RunFolder(temporary.path + "/state")
        try folder.prepare()
        func found(_ token: String?) -> String {
            switch ResumeRecord.take(from: folder, token: token) {
            case .mine: "mine"
            case .abandoned: "abandoned"
            case .none: "none"
            }
        }
        let record = ResumeRecord(
            token: "a", reason: "test", pid: 7, gateClosedMonotonic: 0, gateClosedAt: 0, simulatedTime: nil, plugins: [:], positions: [:],
            openOrders: [], saved: [:], lockDescriptor: -1, socketDescriptor: -1, callerDescriptor: -1, manifestPath: "")
        #expect(found(nil) == "none")
        try record.write(to: folder)
        #expect(found("a") == "mine")
        // It died before its gate was open.
        #expect(found(nil) == "abandoned")
        #expect(found("a") == "abandoned")
        ResumeRecord.settle(in: folder)
        #expect(found("a") == "none")
        try record.write(to: folder)
        #expect(found("b") == "abandoned")
    }

    @Test func saysWhatChangedAndForHowLongNothingTraded() {
        func plugin(_ version: String) -> PluginIdentity {
            PluginIdentity(component: "keel.sim", version: version, sha256: "abcdef0123456789", file: "libSim.so")
        }
        let resume = ResumeRecord(
            token: "t", reason: "test", pid: 7, gateClosedMonotonic: 1_000_000, gateClosedAt: 0, simulatedTime: nil,
            plugins: ["same": plugin("1"), "new version": plugin("1"), "gone": plugin("1")], positions: [:], openOrders: [], saved: [:],
            lockDescriptor: -1, socketDescriptor: -1, callerDescriptor: -1, manifestPath: "plugins.json")
        let report = RestartReport(
            resume: resume, plugins: ["same": plugin("1"), "new version": plugin("2"), "fresh": plugin("1")],
            gateOpenMonotonic: 43_500_000, differences: [], warnings: [])
        #expect(report.gapMilliseconds == 42.5)
        #expect(report.changes.map(\.kind) == [.added, .removed, .changed, .same])
        #expect(report.text.contains("42.5 ms"))
    }
}
