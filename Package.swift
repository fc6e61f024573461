// swift-tools-version: 6.0
import Foundation
import PackageDescription

// Every target of the package, in the order things depend on each other.
// KEEL_PARTS=HostCore,CoreTests builds only the named targets and what they need:
// a convenience on slow machines, never needed for a full build.

let swift: [SwiftSetting] = [.swiftLanguageMode(.v6)]

/// A plugin exports one symbol and can never be unloaded or bound late.
let pluginLinking: [LinkerSetting] = [
    .unsafeFlags([
        "-use-ld=lld",
        "-Xlinker", "--version-script=\(Context.packageDirectory)/Plugins/exports.map",
        "-Xlinker", "-z", "-Xlinker", "nodelete",
        "-Xlinker", "-z", "-Xlinker", "now",
        "-Xlinker", "-z", "-Xlinker", "relro",
        "-Xlinker", "-z", "-Xlinker", "defs",
        "-Xlinker", "--gc-sections",
    ]),
    .linkedLibrary("m"),  // Double's rounding, which optimised builds have inline
]

/// Debug builds and tests check at run time that nothing is used while it is changed; in a release that costs a tenth of an order's time.
let optimising: [SwiftSetting] = [.unsafeFlags(["-enforce-exclusivity=unchecked"], .when(configuration: .release))]

let library: [Target] = [
    .target(name: "PluginAPI", path: "Sources/PluginAPI", exclude: ["abi", "schemas", "vectors"]),
    .target(name: "CSystem", path: "Sources/CSystem"),
    .systemLibrary(name: "CSQLite", path: "Sources/CSQLite", providers: [.apt(["libsqlite3-dev"])]),
    .target(name: "PluginKit", dependencies: ["PluginAPI", "CSystem"], path: "Sources/PluginKit", swiftSettings: swift + optimising),
    .target(name: "Tape", dependencies: ["PluginAPI", "PluginKit"], path: "Sources/Tape", swiftSettings: swift + optimising),
    .target(name: "HostCore", dependencies: ["PluginAPI", "PluginKit"], path: "Sources/Host/Core", swiftSettings: swift + optimising),
    .target(name: "HostManifest", dependencies: ["PluginAPI", "PluginKit", "HostCore"], path: "Sources/Host/Manifest", swiftSettings: swift),
    .target(name: "HostPlugins", dependencies: ["PluginAPI", "PluginKit", "CSystem"], path: "Sources/Host/Plugins", swiftSettings: swift + optimising),
    .target(name: "HostLedger", dependencies: ["PluginKit", "HostCore", "CSQLite"], path: "Sources/Host/Ledger", swiftSettings: swift),
    .target(
        name: "HostRun",
        dependencies: ["PluginAPI", "PluginKit", "CSystem", "Tape", "HostCore", "HostManifest", "HostPlugins", "HostLedger"],
        path: "Sources/Host/Run", swiftSettings: swift),
    .target(
        name: "HostBacktest",
        dependencies: ["PluginAPI", "PluginKit", "Tape", "HostCore", "HostManifest", "HostPlugins", "HostLedger", "HostRun"],
        path: "Sources/Host/Backtest", swiftSettings: swift + optimising),
    .executableTarget(
        name: "keel",
        dependencies: [
            "PluginAPI", "PluginKit", "CSystem", "Tape", "HostCore", "HostManifest", "HostPlugins", "HostLedger", "HostRun", "HostBacktest",
        ],
        path: "Sources/Host/Command", swiftSettings: swift),
    // make bench
    .executableTarget(
        name: "keel-bench",
        dependencies: ["PluginAPI", "PluginKit", "Tape", "HostCore", "HostManifest", "HostPlugins", "HostBacktest", "BinanceConnector"],
        path: "Benchmarks", swiftSettings: swift),
]

let venues: [Target] = [
    .target(name: "BinanceExchange", dependencies: ["PluginKit"], path: "Sources/VenueSim/Binance", swiftSettings: swift),
    .executableTarget(
        name: "keel-venues", dependencies: ["PluginKit", "BinanceExchange"], path: "Sources/VenueSim",
        exclude: FileManager.default.fileExists(atPath: "\(Context.packageDirectory)/Sources/VenueSim/Binance") ? ["Binance"] : [], swiftSettings: swift),
]

/// name: the library lib<name>.so; sources in Plugins/<name>.
func plugin(_ name: String, needs: [Target.Dependency] = [], path: String? = nil) -> Target {
    .target(
        name: name, dependencies: ["PluginAPI", "PluginKit"] + needs, path: path ?? "Plugins/\(name)",
        exclude: ["README.md", "keel-check.json"].filter {
            FileManager.default.fileExists(atPath: "\(Context.packageDirectory)/\(path ?? "Plugins/\(name)")/\($0)")
        },
        swiftSettings: swift + optimising, linkerSettings: pluginLinking)
}

let plugins: [Target] = [
    plugin("Sim", needs: ["Tape"]),
    plugin("DirectRouter"),
    plugin("EMACross"),
    plugin("ZScore"),
    plugin("Rules"),
    plugin("Claude", needs: ["ClaudeDecider"], path: "Plugins/Claude/Entry"),
    plugin("FRED", needs: ["FREDFeed"], path: "Plugins/FRED/Entry"),
    plugin("Binance", needs: ["BinanceConnector"], path: "Plugins/Binance/Entry"),
]

/// The inside of plugins whose tests look into them; the plugin itself is only the entry.
let pluginInsides: [Target] = [
    .target(name: "ClaudeDecider", dependencies: ["PluginAPI", "PluginKit", "CSystem"], path: "Plugins/Claude/Decider", swiftSettings: swift),
    .target(name: "FREDFeed", dependencies: ["PluginAPI", "PluginKit"], path: "Plugins/FRED/Feed", swiftSettings: swift),
    .target(name: "BinanceConnector", dependencies: ["PluginAPI", "PluginKit", "CSystem"], path: "Plugins/Binance/Connector", swiftSettings: swift),
]

/// Built for the tests only, never installed: the venue that lives on while hosts are killed, and its plugin.
let testPlugins: [Target] = [plugin("Rehearsal", path: "Tests/Kill/Plugin")]

/// name: the folder Tests/<name>; what it tests, and so may see the inside of.
func test(_ name: String, _ needs: Target.Dependency...) -> Target {
    .testTarget(
        name: name, dependencies: ["PluginAPI", "PluginKit"] + needs, path: "Tests/\(name)",
        exclude: FileManager.default.fileExists(atPath: "\(Context.packageDirectory)/Tests/\(name)/Fixtures") ? ["Fixtures"] : [],
        swiftSettings: swift)
}

let tests: [Target] = [
    .target(name: "TestSupport", path: "Tests/Support", swiftSettings: swift),
    .executableTarget(name: "worker-probe", dependencies: ["HostPlugins"], path: "Tests/WorkerProbe", swiftSettings: swift),
    .executableTarget(name: "keel-rehearsal-venue", path: "Tests/Kill/Venue", swiftSettings: swift),
    .executableTarget(
        name: "claude-probe", dependencies: ["PluginAPI", "PluginKit", "PluginSupport"], path: "Tests/Interop/ClaudeProbe", swiftSettings: swift),
    .executableTarget(
        name: "binance-probe", dependencies: ["PluginAPI", "PluginKit", "PluginSupport"], path: "Tests/Interop/BinanceProbe", swiftSettings: swift),
    .executableTarget(name: "kit-probe", dependencies: ["PluginKit"], path: "Tests/Interop/Probe", swiftSettings: swift),
    // Fuzzing: subjects, shared by the tests (short) and keel-fuzz (long). A subject's target is named here and its file lies in FuzzKit.
    .target(name: "FuzzKit", dependencies: ["PluginAPI", "PluginKit", "HostCore", "HostManifest", "HostPlugins", "BinanceConnector"], path: "Tests/FuzzKit", swiftSettings: swift),
    .executableTarget(name: "keel-fuzz", dependencies: ["PluginKit", "FuzzKit"], path: "Tests/Fuzz", swiftSettings: swift),
    .executableTarget(name: "keel-check-child", dependencies: ["HostPlugins"], path: "Tests/CheckChild", swiftSettings: swift),
    test("PluginAPITests"),
    .target(name: "PluginSupport", dependencies: ["PluginAPI", "PluginKit"], path: "Tests/PluginSupport", swiftSettings: swift),
    test("PluginKitTests", "PluginSupport"),
    test("TapeTests", "Tape"),
    test("CoreTests", "HostCore"),
    test("ManifestTests", "HostCore", "HostManifest", "FuzzKit"),
    test("PluginsTests", "CSystem", "HostPlugins", "TestSupport", "FuzzKit", "worker-probe", "keel-check-child"),
    test("LedgerTests", "CSQLite", "HostCore", "HostLedger"),
    test("BundledTests", "Tape", "HostPlugins", "PluginSupport"),
    test("ClaudeTests", "ClaudeDecider"),
    test("FREDTests", "FREDFeed"),
    test("BinanceTests", "BinanceConnector", "BinanceExchange", "PluginSupport", "TestSupport"),
    test("BinanceExchangeTests", "BinanceExchange", "TestSupport"),
    test("RunTests", "CSystem", "Tape", "HostCore", "HostManifest", "HostPlugins", "HostLedger", "HostRun"),
    test("BacktestTests", "Tape", "HostCore", "HostManifest", "HostPlugins", "HostLedger", "HostRun", "HostBacktest"),
    test("CommandTests", "keel", "HostManifest", "TestSupport"),
]

// A target without a source yet is left out, so that a checkout always builds.
func hasSources(_ target: Target) -> Bool {
    guard target.type != .system, let path = target.path else { return true }
    let names = FileManager.default.enumerator(atPath: "\(Context.packageDirectory)/\(path)")
    while let name = names?.nextObject() as? String {
        if name.hasSuffix(".swift") || name.hasSuffix(".c") { return true }
    }
    return false
}

var targets = (library + venues + pluginInsides + plugins + testPlugins + tests).filter(hasSources)
let present = Set(targets.map(\.name))
for target in targets {
    target.dependencies.removeAll { if case .byNameItem(let name, _) = $0 { !present.contains(name) } else { false } }
}
if let parts = ProcessInfo.processInfo.environment["KEEL_PARTS"] {
    var wanted = Set(parts.split(separator: ",").map(String.init))
    var grown = true
    while grown {
        grown = false
        for target in targets where wanted.contains(target.name) {
            for dependency in target.dependencies {
                if case .byNameItem(let name, _) = dependency, wanted.insert(name).inserted { grown = true }
            }
        }
    }
    targets = targets.filter { wanted.contains($0.name) }
}
let kept = Set(targets.map(\.name))

let package = Package(
    name: "keel",
    products: (plugins + testPlugins).filter { kept.contains($0.name) }.map { .library(name: $0.name, type: .dynamic, targets: [$0.name]) }
        + ["keel", "keel-venues"].filter(kept.contains).map { .executable(name: $0, targets: [$0]) },
    targets: targets
)
