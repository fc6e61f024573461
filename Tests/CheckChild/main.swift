import Glibc
import HostPlugins

// The checking process for the tests, and a way to check a plugin without the whole program:
//     keel-check-child --child ORDER       what PluginCheck.run starts
//     keel-check-child FILE [PATTERN...]   checks a file and prints the report

let arguments = Array(CommandLine.arguments.dropFirst())
if arguments.first == "--child" { exit(PluginCheck.child(Array(arguments.dropFirst()))) }
guard let file = arguments.first else { exit(2) }
var options = PluginCheck.Options(file: file)
options.include = Array(arguments.dropFirst())
do {
    let report = try PluginCheck.run(options, executable: ["/proc/self/exe", "--child"])
    print(report.text(), terminator: "")
    exit(report.passed ? 0 : 7)
} catch {
    print("\(error)")
    exit(4)
}
