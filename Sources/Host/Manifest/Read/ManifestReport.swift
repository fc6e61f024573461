import PluginKit

/// What reading a manifest came to: the manifest, if nothing is wrong with it, and everything there is to say.
public struct ManifestReport: Sendable {
    public let file: ManifestFile
    public let document: JSONDocument?
    /// nil if there is an error among the problems.
    public let manifest: Manifest?
    /// What the catalogue said, by plugin entry.
    public let libraries: [String: LibraryDescription]
    /// In the order of the text.
    public let problems: [ManifestProblem]
    private var place: JSONPosition?

    init(file: ManifestFile, document: JSONDocument?, manifest: Manifest?, libraries: [String: LibraryDescription], problems: [ManifestProblem]) {
        self.file = file
        self.document = document
        self.manifest = manifest
        self.libraries = libraries
        self.problems = problems
    }

    /// The only problem's place, where there is no document to take it from.
    func placed(_ position: JSONPosition) -> ManifestReport {
        var copy = self
        copy.place = position
        return copy
    }

    public var errors: [ManifestProblem] { problems.filter { $0.severity == .error } }
    public var warnings: [ManifestProblem] { problems.filter { $0.severity == .warning } }

    public func position(of problem: ManifestProblem) -> JSONPosition? {
        if let document { problem.start.map { document.position(of: $0) } } else { place }
    }

    /// "plugins.json:12:15", as compilers write it and editors read it.
    public func location(of problem: ManifestProblem) -> String {
        position(of: problem).map { "\(file.name):\($0)" } ?? file.name
    }

    /// One problem in full, over one or two lines.
    public func text(of problem: ManifestProblem) -> String {
        let path = problem.path == .root ? "" : "\(problem.path): "
        return "\(location(of: problem)): \(problem.severity.rawValue): \(path)\(problem.what)" + (problem.hint.map { "\n    hint: \($0)" } ?? "")
    }

    public var text: String { problems.map(text(of:)).joined(separator: "\n") }

    /// The report for programs.
    public var json: JSONValue {
        let list = problems.map { problem -> JSONValue in
            let position = position(of: problem)
            return [
                "severity": JSONValue(problem.severity.rawValue), "code": JSONValue(problem.code), "file": JSONValue(file.name),
                "line": position.map { JSONValue($0.line) } ?? .null, "column": position.map { JSONValue($0.column) } ?? .null,
                "path": JSONValue(problem.path.description), "message": JSONValue(problem.what),
                "hint": problem.hint.map { JSONValue($0) } ?? .null,
            ]
        }
        return ["valid": JSONValue(errors.isEmpty), "file": JSONValue(file.name), "problems": JSONValue(list)]
    }
}
