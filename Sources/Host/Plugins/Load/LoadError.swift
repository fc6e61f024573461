import PluginAPI

/// Where a library was when it crashed or hung while being looked at.
public enum InspectionStage: String, Hashable, Sendable, CaseIterable {
    case starting, loading, entry, describing

    var words: String {
        switch self {
        case .starting: "while the inspector started"
        case .loading: "while being loaded (in a constructor)"
        case .entry: "in keel_plugin_entry"
        case .describing: "while its descriptors were read"
        }
    }
}

/// Why a library can't be used. Each says what happened, to what, and what to do.
public enum LoadError: Error, Hashable, Sendable {
    // The file.
    case emptyName
    case badName(String, why: String)
    case missing(path: String)
    case notBundled(name: String, searched: [String])
    case notAFile(path: String, what: String)
    case unreadable(path: String, reason: String)
    case symlinkOut(path: String, target: String, folder: String)
    case wrongOwner(path: String, owner: UInt32)
    case writableByOthers(path: String, folder: Bool, mode: UInt32)
    case tooLarge(path: String, size: Int, limit: Int)
    case changedWhileReading(path: String)
    // The pin.
    case unpinned(path: String, sha256: String)
    case badPin(path: String, pin: String)
    case wrongPin(path: String, pin: String, sha256: String)
    // The cache.
    case cache(path: String, reason: String)
    case cacheDamaged(path: String, sha256: String)
    // The library, before its code runs.
    case notALibrary(path: String, why: ElfError)
    case wrongMachine(path: String, is: ElfIdentity)
    case notShared(path: String, is: ElfIdentity)
    case noEntry(path: String)
    case unsafeLinking(path: String, what: String, remedy: String)
    // The library, its code running in a child.
    case wontLoad(path: String, reason: String)
    case needsNewerHost(path: String, needs: [UInt32], speaks: UInt32)
    case needsOlderHost(path: String, has: UInt32, speaks: UInt32)
    case noTable(path: String)
    case badDescriptor(path: String, component: String, what: String)
    case crashed(path: String, stage: InspectionStage, how: String)
    case hung(path: String, stage: InspectionStage, seconds: Double)
    case endedEarly(path: String, stage: InspectionStage, code: Int32)
    case knownBad(path: String, sha256: String, what: String)
    case inspector(path: String, reason: String)
    // The manifest's use of it.
    case noSuchComponent(id: String, path: String, offers: [String])
    case duplicateComponent(id: String, paths: [String])
    case needsProcess(id: String, path: String)
}

extension LoadError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .emptyName: "the file name of a library is empty; name a library of the plugin folder (\"Sim\") or a path (\"plugins/kraken.so\")"
        case .badName(let name, let why): "\"\(name)\" can't be the file of a library: \(why)"
        case .missing(let path): "\(path): there is no such file; check the path (it is relative to the manifest's folder) or build the plugin"
        case .notBundled(let name, let searched):
            "lib\(name).so is not in the host's plugin folder (\(searched.joined(separator: ", "))); a library elsewhere is named by its path, ending in .so"
        case .notAFile(let path, let what): "\(path): this is \(what), not a file; name the library itself"
        case .unreadable(let path, let reason): "\(path): can't be read: \(reason); make it readable for the user that runs keel"
        case .symlinkOut(let path, let target, let folder):
            "\(path): a symbolic link leads to \(target), outside of \(folder); copy the library into the folder, or name where it really is"
        case .wrongOwner(let path, let owner):
            "\(path): belongs to user \(owner), who could change it at any time; it must belong to you or to root (chown)"
        case .writableByOthers(let path, let folder, let mode):
            "\(path): \(folder ? "this folder" : "this file") can be changed by others (mode \(octal(mode))); run: chmod go-w \(path)"
        case .tooLarge(let path, let size, let limit): "\(path): has \(size) bytes, the limit is \(limit); this is hardly a plugin"
        case .changedWhileReading(let path): "\(path): changed while it was being read; install libraries under a new name and rename them"
        case .unpinned(let path, let sha256):
            "\(path): has no pin; after checking where it comes from run: keel plugin pin, or write \"sha256\": \"\(sha256)\""
        case .badPin(let path, let pin): "\(path): the pin \"\(pin)\" is not a SHA-256 in hex (64 digits); run: keel plugin pin"
        case .wrongPin(let path, let pin, let sha256):
            "\(path): is not the library that was pinned (pinned \(pin), found \(sha256)); if you replaced it yourself run: keel plugin pin, otherwise find out who did"
        case .cache(let path, let reason): "\(path): the library cache can't be used: \(reason)"
        case .cacheDamaged(let path, let sha256):
            "\(path): the cached copy is not what its name says (\(sha256)); it was removed, run again; if this comes back, check the disk and who has access"
        case .notALibrary(let path, let why): "\(path): is not a library: \(why); build it again, or name the .so file"
        case .wrongMachine(let path, let identity):
            "\(path): was built for another machine (\(identity)); this host needs a 64-bit library for \(ElfMachine.host)"
        case .notShared(let path, let identity): "\(path): is a \(identity), not a shared library; link it with -shared"
        case .noEntry(let path):
            "\(path): does not export keel_plugin_entry, so it is not a Keel plugin, or the symbol is hidden; mark it KEEL_EXPORT and list it in exports.map"
        case .unsafeLinking(let path, let what, let remedy): "\(path): \(what); \(remedy)"
        case .wontLoad(let path, let reason): "\(path): can't be loaded: \(reason)"
        case .needsNewerHost(let path, let needs, let speaks):
            "\(path): needs ABI \(needs.map(String.init).joined(separator: " or ")), this host speaks \(speaks): update the host, or use a version of the plugin for ABI \(speaks)"
        case .needsOlderHost(let path, let has, let speaks):
            "\(path): was built for ABI \(has), this host speaks \(speaks): the plugin is behind, update it or build it against this host's keel.h"
        case .noTable(let path):
            "\(path): keel_plugin_entry returns NULL for ABI \(KEEL_ABI_MAJOR) and every other; it must return its keel_library for ABI \(KEEL_ABI_MAJOR)"
        case .badDescriptor(let path, let component, let what):
            "\(path): \(component.isEmpty ? "" : "component \(component): ")\(what); this is the plugin author's to mend (keel plugin check says more)"
        case .crashed(let path, let stage, let how): "\(path): crashed \(stage.words) (\(how)); it is not used until it changes"
        case .hung(let path, let stage, let seconds): "\(path): hangs \(stage.words), no answer in \(seconds) s; it is not used until it changes"
        case .endedEarly(let path, let stage, let code):
            "\(path): ended the process \(stage.words) (exit code \(code)); a plugin must never call exit; it is not used until it changes"
        case .knownBad(let path, let sha256, let what):
            "\(path): \(what), when it was last looked at, and has not changed since (\(sha256.prefix(12))); replace it, or remove its .bad.json from the cache to try again"
        case .inspector(let path, let reason): "\(path): could not be inspected: \(reason)"
        case .noSuchComponent(let id, let path, let offers):
            "\(path): has no component \"\(id)\"; it offers \(offers.isEmpty ? "none" : offers.joined(separator: ", "))"
        case .duplicateComponent(let id, let paths):
            "the component \"\(id)\" is in more than one library (\(paths.joined(separator: ", "))); an id belongs to one library, remove the others"
        case .needsProcess(let id, let path):
            "\(path): the component \"\(id)\" may only run in a process of its own; write \"isolation\": \"process\""
        }
    }

    /// A word for programs.
    public var code: String {
        switch self {
        case .emptyName: "empty-name"
        case .badName: "bad-name"
        case .missing: "missing"
        case .notBundled: "not-bundled"
        case .notAFile: "not-a-file"
        case .unreadable: "unreadable"
        case .symlinkOut: "symlink-out"
        case .wrongOwner: "wrong-owner"
        case .writableByOthers: "writable-by-others"
        case .tooLarge: "too-large"
        case .changedWhileReading: "changed-while-reading"
        case .unpinned: "unpinned"
        case .badPin: "bad-pin"
        case .wrongPin: "wrong-pin"
        case .cache: "cache"
        case .cacheDamaged: "cache-damaged"
        case .notALibrary: "not-a-library"
        case .wrongMachine: "wrong-machine"
        case .notShared: "not-shared"
        case .noEntry: "no-entry"
        case .unsafeLinking: "unsafe-linking"
        case .wontLoad: "wont-load"
        case .needsNewerHost: "needs-newer-host"
        case .needsOlderHost: "needs-older-host"
        case .noTable: "no-table"
        case .badDescriptor: "bad-descriptor"
        case .crashed: "crashed"
        case .hung: "hung"
        case .endedEarly: "ended-early"
        case .knownBad: "known-bad"
        case .inspector: "inspector"
        case .noSuchComponent: "no-such-component"
        case .duplicateComponent: "duplicate-component"
        case .needsProcess: "needs-process"
        }
    }

    /// True for what only running the library's code could show: it is recorded by hash and not tried again.
    var condemns: Bool {
        switch self {
        case .crashed, .hung, .endedEarly: true
        default: false
        }
    }
}

func octal(_ mode: UInt32) -> String {
    let digits = String(mode & 0o7777, radix: 8)
    return String(repeating: "0", count: max(0, 4 - digits.count)) + digits
}
