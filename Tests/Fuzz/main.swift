import Foundation
import FuzzKit

// keel-fuzz all|NAME... [--count N] [--seed S] [--from I] [--jobs N] [--chunk N] [--limit SECONDS]
//
// Each chunk runs in a child process, so that a crash is found, narrowed down to the one input and written to a file,
// and a hang ends after the limit.

struct Options {
    var subjects: [FuzzSubject] = []
    var count = 1_000_000
    var seed: UInt64 = 1
    var from = 0
    var chunk = 200_000
    var limit = 300.0
    /// Chunks at the same time.
    var jobs = max(1, ProcessInfo.processInfo.activeProcessorCount)
    var isChild = false

    init(_ words: [String]) throws {
        var rest = words[...]
        func number(_ name: String) throws -> UInt64 {
            guard let text = rest.popFirst(), let value = UInt64(text) else { throw Usage("\(name) needs a number") }
            return value
        }
        while let word = rest.popFirst() {
            switch word {
            case "--count": count = Int(clamping: try number(word))
            case "--seed": seed = try number(word)
            case "--from": from = Int(clamping: try number(word))
            case "--chunk": chunk = max(1, Int(clamping: try number(word)))
            case "--jobs": jobs = max(1, Int(clamping: try number(word)))
            case "--limit": limit = Double(try number(word))
            case "--child": isChild = true
            case "all": subjects = FuzzSubject.all
            default:
                guard let subject = FuzzSubject.all.first(where: { $0.name == word }) else {
                    throw Usage("there is no \"\(word)\", only all, \(FuzzSubject.all.map(\.name).joined(separator: ", "))")
                }
                subjects.append(subject)
            }
        }
        if subjects.isEmpty { throw Usage("name what to fuzz: all, \(FuzzSubject.all.map(\.name).joined(separator: ", "))") }
    }

    struct Usage: Error, CustomStringConvertible {
        let description: String
        init(_ text: String) { description = text }
    }
}

enum ChunkResult {
    case clean
    case finding(String)
    case died(Int32)
    case hung
}

func runChunk(_ subject: FuzzSubject, seed: UInt64, from: Int, count: Int, limit: Double) throws -> ChunkResult {
    let child = Process()
    child.executableURL = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
    child.arguments = [subject.name, "--child", "--seed", "\(seed)", "--from", "\(from)", "--count", "\(count)"]
    let output = Pipe()
    child.standardOutput = output
    child.standardError = FileHandle.nullDevice
    let ended = DispatchSemaphore(value: 0)
    child.terminationHandler = { _ in ended.signal() }
    try child.run()
    if ended.wait(timeout: .now() + limit) == .timedOut {
        kill(child.processIdentifier, SIGKILL)
        ended.wait()
        return .hung
    }
    let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    if child.terminationReason == .uncaughtSignal { return .died(child.terminationStatus) }
    return child.terminationStatus == 0 ? .clean : .finding(text)
}

/// The one input of a bad chunk that kills or hangs the child.
func narrow(_ subject: FuzzSubject, _ options: Options, from: Int, count: Int) throws -> Int {
    var (low, length) = (from, count)
    while length > 1 {
        let half = length / 2
        if case .clean = try runChunk(subject, seed: options.seed, from: low, count: half, limit: options.limit) {
            low += half
            length -= half
        } else {
            length = half
        }
    }
    return low
}

/// Results of chunks that run at the same time, each written once by its own thread.
final class Results: @unchecked Sendable {
    private let lock = NSLock()
    private var results: [Int: Result<ChunkResult, any Error>] = [:]
    func set(_ place: Int, _ result: Result<ChunkResult, any Error>) { lock.withLock { results[place] = result } }
    func get(_ place: Int) throws -> ChunkResult { try lock.withLock { results[place] }?.get() ?? .hung }
}

func fuzz(_ subject: FuzzSubject, _ options: Options) throws -> Bool {
    let started = Date()
    let shows = isatty(STDERR_FILENO) == 1
    var done = 0
    while done < options.count {
        var chunks: [(from: Int, count: Int)] = []
        var planned = done
        while planned < options.count, chunks.count < options.jobs {
            let length = min(options.chunk, options.count - planned)
            chunks.append((options.from + planned, length))
            planned += length
        }
        let results = Results()
        let running = chunks
        DispatchQueue.concurrentPerform(iterations: running.count) { place in
            results.set(place, Result { try runChunk(subject, seed: options.seed, from: running[place].from, count: running[place].count, limit: options.limit) })
        }
        for (place, chunk) in chunks.enumerated() {
            let result = try results.get(place)
            switch result {
            case .clean: done += chunk.count
            case .finding(let text):
                print(text)
                return false
            case .died, .hung:
                let index = try narrow(subject, options, from: chunk.from, count: chunk.count)
                let path = "fuzz-\(subject.name)-\(options.seed)-\(index).bin"
                try Data(subject.input(seed: options.seed, index: index)).write(to: URL(fileURLWithPath: path))
                let what = if case .died(let signal) = result { "signal \(signal)" } else { "no answer within \(Int(options.limit)) s" }
                print("\(subject.name): \(what)\n  again: keel-fuzz \(subject.name) --child --seed \(options.seed) --from \(index) --count 1\n  input: \(path)")
                return false
            }
        }
        if shows { FileHandle.standardError.write(Data("\r\(subject.name): \(done) of \(options.count)".utf8)) }
    }
    if shows { FileHandle.standardError.write(Data("\r\u{1B}[K".utf8)) }
    let seconds = Date().timeIntervalSince(started)
    print("\(subject.name): \(done) inputs from seed \(options.seed), no crash, nothing wrong, \(String(format: "%.1f", seconds)) s")
    return true
}

do {
    let options = try Options(Array(CommandLine.arguments.dropFirst()))
    if options.isChild {
        do {
            for subject in options.subjects { try subject.run(seed: options.seed, from: options.from, count: options.count) }
        } catch {
            print(error)
            exit(7)
        }
        exit(0)
    }
    var isClean = true
    for subject in options.subjects where try !fuzz(subject, options) { isClean = false }
    exit(isClean ? 0 : 7)
} catch {
    FileHandle.standardError.write(Data("keel-fuzz: \(error)\n".utf8))
    exit(2)
}
