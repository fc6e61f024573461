import Glibc
import HostPlugins

// The checking process for the tests, and a way to check a plugin without the whole program:
//     keel-check-child --child ORDER            what PluginCheck.run starts
//     keel-check-child --here FILE CHECK SEED   one check in this process
//     keel-check-child --mock FILE              a recorded venue on standard input and output
//     keel-check-child FILE [PATTERN...]        checks a file and prints the report

let arguments = Array(CommandLine.arguments.dropFirst())
do {
    switch arguments.first {
    case "--child": exit(PluginCheck.child(Array(arguments.dropFirst())))
    case "--here" where arguments.count == 4:
        var options = PluginCheck.Options(file: arguments[1])
        options.seed = UInt64(arguments[3])
        let result = try PluginCheck.runHere(options, check: arguments[2])
        print("\(result.status.rawValue) \(result.message)")
    case "--mock" where arguments.count == 2:
        guard let file = fopen(arguments[1], "r") else { exit(4) }
        var bytes: [UInt8] = []
        while case let byte = fgetc(file), byte != EOF { bytes.append(UInt8(truncatingIfNeeded: byte)) }
        try RecordedVenue(parsing: bytes, input: 0, output: 1).serve()
    case .some(let file):
        var options = PluginCheck.Options(file: file)
        options.include = Array(arguments.dropFirst())
        let report = try PluginCheck.run(options, executable: ["/proc/self/exe", "--child"])
        print(report.text(), terminator: "")
        exit(report.passed ? 0 : 7)
    case nil: exit(2)
    }
} catch {
    print("\(error)")
    exit(4)
}
