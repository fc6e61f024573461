import HostManifest
import HostRun
import PluginKit

extension Verb.Option {
    static let state = Verb.Option("state", value: "FOLDER", "the state folder (default: what the manifest says)")
}

extension Invocation {
    /// The state folder a verb is about. The manifest need not be valid: an operator must reach a running host although someone
    /// is just editing its manifest.
    func runFolder() -> RunFolder {
        if let named = value(.state) { return RunFolder(named) }
        let report = ManifestReader(environment: environment, checksSecrets: false).read(manifestName)
        let state = report.manifest?.state ?? report.document?.root.find("state")?.asText ?? Manifest().state
        return RunFolder(report.file.resolve(state))
    }

    /// Asks the running host; its refusals become this verb's.
    func ask(_ request: ControlRequest, seconds: Int32 = 10) throws -> ControlReply {
        let folder = runFolder()
        let reply: ControlReply
        do throws(RunError) {
            reply = try ControlClient.ask(request, folder: folder, milliseconds: seconds * 1000)
        } catch {
            throw Failure(error)
        }
        guard reply.ok else {
            throw Failure(ExitCode(rawValue: reply.code) ?? .error, reply.problems.joined(separator: "\n  "))
        }
        return reply
    }
}

let manifestArgument = Verb.Argument("MANIFEST", .optional, "the manifest (default: plugins.json)")
