// swift-tools-version: 6.0
import PackageDescription

let package = Package(
    name: "Pace",
    products: [.library(name: "Pace", type: .dynamic, targets: ["Pace"])],
    targets: [
        .systemLibrary(name: "CKeel", path: "keel"),
        .target(
            name: "Pace", dependencies: ["CKeel"], path: ".", exclude: ["keel/keel.h", "keel/module.modulemap", "keel/VERSION", "exports.map", "keel-check.json", "manifest.json", "README.md"],
            sources: ["Sources", "keel/Keel.swift"],
            swiftSettings: [.swiftLanguageMode(.v6)],
            linkerSettings: [
                .unsafeFlags([
                    // The Swift runtime goes into the library: it then loads into any host, whatever Swift that was built
                    // with, and is about 9 MB larger. Without this line it needs the host's own toolchain, to the version;
                    // `keel plugin check` (L07) tells. The package flag --static-swift-stdlib has no effect on libraries.
                    "-static-stdlib",
                    "-use-ld=lld",
                    // What keel.h asks of the linker: one exported symbol, everything bound at load, never unloaded.
                    "-Xlinker", "--version-script=\(Context.packageDirectory)/exports.map",
                    "-Xlinker", "-z", "-Xlinker", "nodelete",
                    "-Xlinker", "-z", "-Xlinker", "now",
                    "-Xlinker", "-z", "-Xlinker", "relro",
                    "-Xlinker", "-z", "-Xlinker", "noexecstack",
                ])
            ])
    ])
