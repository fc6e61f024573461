import Glibc
import HostPlugins

// Stands in for `keel worker` in tests: the same verb, without the rest of the program.
var arguments = Array(CommandLine.arguments.dropFirst())
if arguments.first == "worker" { arguments.removeFirst() }
exit(Worker.main(arguments))
