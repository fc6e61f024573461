import Glibc
import HostManifest
import PluginKit

extension Verb {
    static let schema = Verb(
        words: ["schema"],
        summary: "print or write the JSON Schemas of manifest and decision",
        details: """
            Editors complete and check plugins.json by its schema: keep a copy beside it and name it in "$schema".
            The schemas are made of the tables that the program itself reads by.
            """,
        arguments: [Argument("WHICH", .optional, "manifest or decision (default: manifest)")],
        options: [Option("write", value: "FOLDER", "write plugins.v1.json and decision.v1.json into this folder")],
        run: { call in
            let all = [("manifest", "plugins.v1.json", ManifestSchema.text), ("decision", "decision.v1.json", DecisionDefinition.schemaText)]
            if let folder = call.value("write") {
                if !call.arguments.isEmpty { throw call.mistake("--write writes both schemas: name none") }
                for (_, file, text) in all {
                    let path = folder + "/" + file
                    guard let stream = fopen(path, "w") else { throw Failure(.error, "\"\(path)\" can't be written: \(String(cString: strerror(errno)))") }
                    let written = fputs(text, stream) >= 0
                    guard fclose(stream) == 0, written else { throw Failure(.error, "\"\(path)\" can't be written: \(String(cString: strerror(errno)))") }
                    call.terminal.out(path)
                }
                return .ok
            }
            let which = call.arguments.first ?? "manifest"
            guard let (_, _, text) = all.first(where: { $0.0 == which }) else {
                throw call.mistake("there is no schema \"\(which)\", only manifest and decision")
            }
            call.terminal.raw(.out, text)
            return .ok
        })
}
