import Foundation
import TestSupport
import Testing

/// A deliberately broken plugin: which check it was made for, how it is built, and what must fail.
struct ZooPlugin: Sendable, CustomTestStringConvertible {
    enum Base: String, Sendable {
        case decider, broker, feed, router
        /// The decider that asks a service.
        case remote
    }

    var check: String
    var base: Base
    /// In one line: what it does wrong.
    var defect: String
    var flags: [String] = []
    /// Replaces the good linker flags.
    var linking: [String]? = nil
    /// Checks that can't help failing with it, and why.
    var also: [String: String] = [:]
    /// Zero bytes added behind the library.
    var padding = 0

    var testDescription: String { "\(check): \(defect)" }

    init(_ check: String, _ base: Base, _ defect: String, flags: [String] = [], linking: [String]? = nil, also: [String: String] = [:], padding: Int = 0) {
        self.check = check
        self.base = base
        self.defect = defect
        self.flags = flags
        self.linking = linking
        self.also = also
        self.padding = padding
    }

    static let folder = CompilePlugin.root + "/Tests/Zoo"
    static let good = linker(["now", "relro", "nodelete", "noexecstack", "defs"])

    static func linker(_ words: [String], map: String = "exports.map") -> [String] {
        ["-Wl,--version-script=\(folder)/\(map)"] + words.map { "-Wl,-z,\($0)" }
    }

    /// Builds it into `target` and puts its check profile beside it.
    func build(in target: String) throws -> String {
        let file = "\(target)/zoo-\(check).so"
        var flags = flags + ["-DDEFECT_\(check)", "-Wno-unused"]
        if base == .remote { flags.append("-DREMOTE") }
        let source = "\(ZooPlugin.folder)/\(base == .remote ? "decider" : base.rawValue).c"
        try CompilePlugin.c(files: [source], to: file, flags: flags, linking: linking ?? ZooPlugin.good)
        if padding > 0 {
            let handle = try FileHandle(forWritingTo: URL(fileURLWithPath: file))
            try handle.truncate(atOffset: UInt64(padding))
            try handle.close()
        }
        try ZooPlugin.profile(base).write(toFile: target + "/keel-check.json", atomically: true, encoding: .utf8)
        return file
    }

    static func profile(_ base: Base) -> String {
        switch base {
        case .decider, .router: "{}"
        case .broker:
            """
            { "config": { "port": "${mock.port}", "key": { "$secret": "zoo.key" } }, "secrets": { "zoo.key": "zoo-key" },
              "venue": { "recorded": "\(folder)/mock/broker.json" }, "notices_within": "30s", "stop": { "leave": {} },
              "environments": [{ "name": "paper", "config": {}, "hosts": ["127.0.0.1"] }] }
            """
        case .feed: #"{ "config": { "port": "${mock.port}" }, "venue": { "recorded": "\#(folder)/mock/feed.json" } }"#
        case .remote: #"{ "config": { "port": "${mock.port}" }, "venue": { "recorded": "\#(folder)/mock/decider.json" } }"#
        }
    }

    static let all: [ZooPlugin] = [
        ZooPlugin("L01", .decider, "is larger than any plugin may be", padding: 257 << 20),
        ZooPlugin("L02", .decider, "exports a helper", linking: linker(["now", "relro", "nodelete", "noexecstack", "defs"], map: "helper.map")),
        ZooPlugin("L03", .decider, "has a symbol that is unique in the process",
                  linking: linker(["now", "relro", "nodelete", "noexecstack", "defs"], map: "unique.map")),
        ZooPlugin("L04", .decider, "needs a function nobody has", linking: linker(["now", "relro", "nodelete", "noexecstack"])),
        ZooPlugin("L05", .decider, "binds lazily and may be unloaded", linking: linker(["lazy", "norelro", "noexecstack", "defs"])),
        ZooPlugin("L06", .decider, "looks for libraries in a folder of its own", linking: good + ["-Wl,-rpath,/opt/elsewhere"]),
        ZooPlugin("L07", .decider, "uses the shared runtime of another Swift", linking: good + swiftCore),
        ZooPlugin("L08", .decider, "can change the process's folder"),
        ZooPlugin("L09", .decider, "prints a line when it is loaded"),
        ZooPlugin("L10", .decider, "wants to be the only one of its kind"),
        ZooPlugin("E01", .decider, "has a table for every major"),
        ZooPlugin("E02", .decider, "returns two tables in turn"),
        ZooPlugin("E03", .decider, "fills a reserved member"),
        ZooPlugin("E04", .decider, "has the version \"one\""),
        ZooPlugin("E05", .decider, "changes its own name"),
        ZooPlugin("E06", .decider, "lists its role twice"),
        ZooPlugin("E07", .decider, "takes a name that belongs to the header"),
        ZooPlugin("E08", .decider, "wants a host table of exactly its own size"),
        ZooPlugin("E09", .decider, "takes any host"),
        ZooPlugin("G01", .decider, "has a property without a description"),
        ZooPlugin("G02", .decider, "has a default above its own maximum"),
        ZooPlugin("G03", .decider, "refuses what its schema allows"),
        ZooPlugin("G04", .decider, "doesn't say which property is wrong"),
        ZooPlugin("G05", .broker, "takes its key in plain text"),
        ZooPlugin("G06", .decider, "reports the first problem only"),
        ZooPlugin("C01", .decider, "leaks 64 bytes in create"),
        ZooPlugin("C02", .decider, "opens a socket in create"),
        ZooPlugin("C03", .decider, "leaves a pointer behind when create fails"),
        ZooPlugin("C04", .broker, "doesn't say which secret is missing"),
        ZooPlugin("C05", .decider, "calls a wrong state an internal error"),
        ZooPlugin("C06", .decider, "emits an event after stop's DONE"),
        ZooPlugin("C07", .decider, "leaves a thread running"),
        ZooPlugin("C08", .decider, "keeps one host for all its instances"),
        ZooPlugin("C09", .decider, "leaks 8 KiB in start"),
        ZooPlugin("C10", .decider, "writes its whole error, whatever the caller's size"),
        ZooPlugin("M01", .decider, "keeps the name it was lent"),
        ZooPlugin("M02", .decider, "looks for the end of a text that has none"),
        ZooPlugin("M03", .decider, "looks at the first byte of an empty text"),
        ZooPlugin("M04", .decider, "cuts the configuration in place"),
        ZooPlugin("M05", .decider, "writes one byte past a block of its own"),
        ZooPlugin("M06", .decider, "fills the message to the brim, without a NUL"),
        ZooPlugin("S01", .decider, "forgets half of what it saved"),
        ZooPlugin("S02", .decider, "counts its saves in the state"),
        ZooPlugin("S03", .decider, "takes a short read for the end"),
        ZooPlugin("S04", .decider, "is spoiled by a refused load"),
        ZooPlugin("S05", .decider, "loads any version"),
        ZooPlugin("S06", .decider, "doesn't notice that the writer failed"),
        ZooPlugin("P03", .decider, "takes 2.5 s to wake up"),
        ZooPlugin("T01", .decider, "asks for a timer from a thread of its own"),
        ZooPlugin("T04", .feed, "asks a busy host again and again"),
        ZooPlugin("T05", .decider, "answers a wake after stop"),
        ZooPlugin("B01", .broker, "ends a submit twice"),
        ZooPlugin("B02", .broker, "overlooks a feature bit it doesn't know"),
        ZooPlugin("B03", .broker, "doesn't look at the lot"),
        ZooPlugin("B04", .broker, "doesn't look at not_after"),
        ZooPlugin("B05", .broker, "never lets leaves fall"),
        ZooPlugin("B06", .broker, "doesn't say in which asset a fee is"),
        ZooPlugin("B07", .broker, "cancels orders that don't exist"),
        ZooPlugin("B08", .broker, "calls an order cancelled before the venue does"),
        ZooPlugin("B09", .broker, "remembers one cancel at a time"),
        ZooPlugin("B10", .broker, "sends the new order and forgets the old one"),
        ZooPlugin("B11", .broker, "takes the same id twice"),
        ZooPlugin("B12", .broker, "calls an unanswered order rejected"),
        ZooPlugin("B13", .broker, "forgets an order it has given up on"),
        ZooPlugin("B14", .broker, "counts a fill as often as it is told"),
        ZooPlugin("B15", .broker, "sends the last order again after a restart"),
        ZooPlugin("B16", .broker, "takes somebody else's orders for its own"),
        ZooPlugin("B17", .broker, "forgets an order the venue doesn't know yet"),
        ZooPlugin("B18", .broker, "tells the first page of the open orders only"),
        ZooPlugin("B19", .broker, "believes the stream, and asks for nothing"),
        ZooPlugin("B20", .broker, "counts money in 64 bits"),
        ZooPlugin("B21", .broker, "says \"no\", whatever the reason"),
        ZooPlugin("B22", .broker, "doesn't wait when it is told to"),
        ZooPlugin("B23", .broker, "keeps its key with put"),
        ZooPlugin("B24", .broker, "cancels what it was to leave"),
        ZooPlugin("B25", .broker, "looks whether the live venue is up"),
        ZooPlugin("B26", .broker, "keeps the venue's reason to itself"),
        ZooPlugin("F01", .feed, "subscribes to instruments that don't exist"),
        ZooPlugin("F02", .feed, "takes any channel"),
        ZooPlugin("F03", .feed, "goes on after unsubscribe"),
        ZooPlugin("F04", .feed, "tells everything twice when it is asked twice"),
        ZooPlugin("F05", .feed, "leaks 2 KiB a subscription"),
        ZooPlugin("F06", .feed, "goes back in time"),
        ZooPlugin("F07", .feed, "swaps bid and ask"),
        ZooPlugin("F08", .feed, "doesn't subscribe again after a reconnect", also: ["F10": "a reconnect is also how it gets over a connection that talks garbage"]),
        ZooPlugin("F09", .feed, "doesn't look at the numbers"),
        ZooPlugin("F10", .feed, "keeps a useless connection to itself"),
        ZooPlugin("F11", .feed, "asks again at once when told to wait"),
        ZooPlugin("F12", .feed, "takes the host's time for the venue's"),
        ZooPlugin("F13", .feed, "keeps every quote until it is stopped"),
        ZooPlugin("F14", .feed, "takes the time of day for the time"),
        ZooPlugin("F15", .feed, "cuts off what doesn't fit"),
        ZooPlugin("D01", .decider, "decides twice"),
        ZooPlugin("D02", .decider, "is twice as sure as one can be"),
        ZooPlugin("D03", .decider, "doesn't look at the deadline"),
        ZooPlugin("D04", .decider, "ends a cancelled request once more"),
        ZooPlugin("D05", .decider, "answers the last request only"),
        ZooPlugin("D06", .decider, "takes it that there are bars"),
        ZooPlugin("D07", .remote, "takes garbage for a decision to hold"),
        ZooPlugin("D08", .decider, "doesn't look at what is allowed"),
        ZooPlugin("D09", .decider, "says it is deterministic, and counts"),
        ZooPlugin("R01", .router, "forgets what a cancelled child had filled"),
        ZooPlugin("R02", .router, "pays a tick more than it may"),
        ZooPlugin("R03", .router, "doesn't look at not_after"),
        ZooPlugin("R04", .router, "tries for ever"),
        ZooPlugin("R05", .router, "takes a doubt for a no"),
        ZooPlugin("R06", .router, "doesn't keep to the lot"),
        ZooPlugin("R07", .router, "is done before its children are"),
        ZooPlugin("R08", .router, "adds up totals as if they were news"),
        ZooPlugin("R09", .router, "sends a refused child again unchanged"),
    ]

    /// How to link with the Swift runtime that this test itself uses.
    private static let swiftCore: [String] = {
        let maps = (try? FileHandle(forReadingFrom: URL(fileURLWithPath: "/proc/self/maps")).readToEnd()).map { String(decoding: $0, as: UTF8.self) } ?? ""
        let line = maps.split(separator: "\n").first { $0.hasSuffix("/libswiftCore.so") }
        guard let path = line?.split(separator: " ").last else { return ["-lswiftCore"] }
        return ["-Wl,--no-as-needed", String(path)]
    }()
}
