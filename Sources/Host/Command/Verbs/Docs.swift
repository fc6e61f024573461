import Glibc
import HostManifest

extension Verb {
    /// For those who change the program: renews the generated parts of the documentation. A test compares them.
    static let docs = Verb(
        words: ["docs"],
        summary: "renew the generated parts of docs/manifest.md and docs/cli.md",
        arguments: [Argument("FOLDER", .one, "the folder docs")],
        isHidden: true,
        run: { call in
            for page in DocumentationPage.all(verbs: Verb.all) {
                let path = call.arguments[0] + "/" + page.file
                let file: ManifestFile
                do { file = try ManifestFile(reading: path) } catch { throw Failure(.error, "\"\(path)\" can't be read") }
                let renewed = page.renewed(String(decoding: file.bytes, as: UTF8.self))
                guard let stream = fopen(path, "w") else { throw Failure(.error, "\"\(path)\" can't be written: \(String(cString: strerror(errno)))") }
                let written = fputs(renewed, stream) >= 0
                guard fclose(stream) == 0, written else { throw Failure(.error, "\"\(path)\" can't be written: \(String(cString: strerror(errno)))") }
                call.terminal.out(path)
            }
            return .ok
        })
}

/// A page with parts made from the program's own tables, each between `<!-- made: NAME -->` and `<!-- end -->`.
struct DocumentationPage {
    let file: String
    let parts: [(name: String, text: String)]

    static func all(verbs: [Verb]) -> [DocumentationPage] {
        let plain = Terminal(outIsTerminal: false, errorIsTerminal: false, usesColour: false) { _, _ in }
        let codes = "| code | meaning |\n|---|---|\n" + ExitCode.allCases.map { "| \($0.rawValue) | \($0.meaning) |\n" }.joined()
        return [
            DocumentationPage(file: "manifest.md", parts: ManifestSchema.reference.map { ($0.title, $0.markdown) }),
            DocumentationPage(file: "cli.md", parts: [("exit codes", codes), ("verbs", Help(verbs: verbs, terminal: plain).reference())]),
        ]
    }

    func renewed(_ page: String) -> String {
        var page = page
        for part in parts {
            let start = "<!-- made: \(part.name) -->\n"
            guard let from = page.firstRange(of: start), let to = page[from.upperBound...].firstRange(of: "<!-- end -->") else { continue }
            page.replaceSubrange(from.upperBound..<to.lowerBound, with: part.text)
        }
        return page
    }

    /// Parts that have no place in the page.
    func missing(in page: String) -> [String] { parts.map(\.name).filter { !page.contains("<!-- made: \($0) -->\n") } }
}
