import Foundation
import Glibc
import HostPlugins
import PluginKit

// make bench: the figures to hold, on this machine, now.

let help = """
    keel-bench: the figures of docs/performance.md, measured on this machine.

      --runs N           runs of each figure (default: 5)
      --only TEXT        only figures whose group and part have TEXT in them; may be given more than once. Parts:
                         pipeline bars, pipeline ticks, pipeline orders 100k|200k|400k, tape read, tape import, tape memory,
                         boundary call, boundary worker, program check, program backtest, program sweep, host, parse json, parse frames, sign order
      --long             also what takes minutes: ten million rows imported, a million decisions, longer sweeps
      --json             one JSON object
      --markdown         the table of docs/performance.md
      --write FILE       replace the table between the marks in FILE
      --examples FOLDER  where the example manifests are (default: Examples/Backtest)

    """

// Its own worker, as keel is, and a small parent for a program whose memory is measured.
if CommandLine.arguments.count > 1, CommandLine.arguments[1] == "worker" { exit(Worker.main(Array(CommandLine.arguments.dropFirst(2)))) }
if CommandLine.arguments.count > 2, CommandLine.arguments[1] == "alone" { exit(Program.alone(Array(CommandLine.arguments.dropFirst(2)))) }

func wrong(_ text: String) -> Never {
    FileHandle.standardError.write(Data((text + "\n").utf8))
    exit(2)
}

var settings = Bench.Settings()
var json = false
var markdown = false
var target: String?
var rest = CommandLine.arguments.dropFirst()
while let word = rest.popFirst() {
    switch word {
    case "--runs":
        guard let number = rest.popFirst().flatMap(Int.init), (1...1000).contains(number) else { wrong("--runs needs a number from 1 to 1000") }
        settings.runs = number
    case "--json": json = true
    case "--markdown": markdown = true
    case "--long": settings.long = true
    case "--only":
        guard let part = rest.popFirst() else { wrong("--only needs a part: keel-bench --help lists them") }
        settings.only.append(part)
    case "--write":
        guard let file = rest.popFirst() else { wrong("--write needs a file") }
        target = file
    case "--examples":
        guard let folder = rest.popFirst() else { wrong("--examples needs a folder") }
        settings.examples = folder
    case "--help", "-h":
        print(help, terminator: "")
        exit(0)
    default: wrong("\(word): keel-bench --help tells what there is")
    }
}

let groups: [any FigureGroup.Type] = [
    LoopFigures.self, PipelineFigures.self, TapeFigures.self, BoundaryFigures.self, ParserFigures.self, SigningFigures.self, ProgramFigures.self, HostFigures.self,
]
let program = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? CommandLine.arguments[0]
settings.programs = (program as NSString).deletingLastPathComponent
let folder = NSTemporaryDirectory() + "keel-bench-\(getpid())"
let load = Measure.load
let isPerson = isatty(2) == 1
let quiet = json || markdown || target != nil
var output = Output(reference: .nan, runs: settings.runs)

func clearLine() { if isPerson { FileHandle.standardError.write(Data("\r\u{1B}[K".utf8)) } }

var status: Int32 = 0
do {
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    #if DEBUG
        FileHandle.standardError.write(Data("this is a debug build: the figures mean nothing\n".utf8))
    #endif
    if !quiet {
        print("\(Measure.machine), load \(load), \(settings.runs) runs each: median (lowest – highest) of processor time, of elapsed time for programs")
        print("× loop: how many times the fixed loop's time a bar, so that other machines and other days compare\n")
    }
    let bench = Bench(
        settings, folder: folder,
        onFigure: { figure in
            clearLine()
            if !quiet {
                print(output.line(figure))
                fflush(nil)
            }
        },
        onStep: { what in
            guard isPerson else { return }
            FileHandle.standardError.write(Data("\r\u{1B}[K\(what) …".utf8))
        })
    for group in groups {
        do {
            try group.run(bench)
            output.reference = bench.reference
        } catch {
            // One group that fails doesn't hide the others.
            clearLine()
            FileHandle.standardError.write(Data("keel-bench: \(group.name): \(error)\n".utf8))
            status = 1
        }
    }
    clearLine()
    if json { print(output.json(bench.figures, load: load).text(.pretty)) }
    if markdown || target != nil {
        let date = String(ISO8601DateFormatter().string(from: Date()).prefix(10))
        let table = output.markdown(bench.figures, load: load, date: date)
        if let target { try MarkedFile.replace(in: target, with: table) } else { print(table, terminator: "") }
    }
} catch {
    clearLine()
    FileHandle.standardError.write(Data("keel-bench: \(error)\n".utf8))
    exit(1)
}
exit(status)
