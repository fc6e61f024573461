import CSystem
import Glibc

/// The child's program: `keel worker ...`. The keel verb hands its arguments over unchanged.
///
///     worker --inspect FILE --report FD      look at a library, write what was found to FD
///     worker --serve FD --library FILE --component ID [--limit NANOSECONDS]
///                                            run instances of a component for the host at the other end of FD
///
/// People never start it; it is not in the help.
public enum Worker {
    /// `arguments`: those after the verb. Returns an exit code, or never.
    public static func main(_ arguments: [String]) -> Int32 {
        // A host that is gone is noticed by its socket, not by a signal in the middle of a plugin's work.
        signal(SIGPIPE, SIG_IGN)
        var options: [String: String] = [:]
        var rest = arguments[...]
        while let name = rest.popFirst() {
            guard name.hasPrefix("--"), let value = rest.popFirst() else { return usage("unexpected \(name)") }
            options[name] = value
        }
        if let library = options["--inspect"] {
            guard let report = options["--report"].flatMap(Int32.init) else { return usage("--report needs a descriptor") }
            return InspectCommand.run(library, report: report)
        }
        guard let socket = options["--serve"].flatMap(Int32.init), let library = options["--library"], let component = options["--component"] else {
            return usage("--inspect, or --serve with --library and --component")
        }
        let limit = options["--limit"].flatMap(Int64.init) ?? LaneLimits().hang
        return WorkerServer.run(socket: socket, library: library, component: component, limit: limit)
    }

    private static func usage(_ text: String) -> Int32 {
        complain("keel worker: \(text). This verb is for the host itself.")
        return 2
    }
}
