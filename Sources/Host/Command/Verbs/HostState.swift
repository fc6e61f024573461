import HostRun

extension Invocation {
    func runFolder() throws -> RunFolder { RunFolder(try stateFolder()) }

    /// Asks the running host; its refusals become this verb's.
    func ask(_ request: ControlRequest, seconds: Int32 = 10) throws -> ControlReply {
        let folder = try runFolder()
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
