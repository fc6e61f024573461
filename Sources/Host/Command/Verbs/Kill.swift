import HostRun
import PluginKit

extension Verb {
    static let kill = Verb(
        words: ["kill"],
        summary: "the kill switch: on halts every entry, off lifts it; without an argument says which it is",
        details: """
            The switch is the file KILL in the state folder. While it exists no entry goes out and open entry orders are cancelled;
            protective exits still work. It works without a running host, survives restarts, and may be made by anyone who may write the folder.
            """,
        arguments: [Argument("STATE", .optional, "on or off"), manifestArgument],
        options: [.json, .state, Option("reason", value: "TEXT", "written into the file, the log and the alerts")],
        run: { call in
            let folder = try call.runFolder()
            let switched = KillSwitch(folder: folder)
            do throws(RunError) {
                switch call.arguments.first {
                case nil: break
                case "on":
                    try folder.prepare()
                    try switched.turnOn(reason: call.value("reason") ?? "keel kill on")
                case "off": try switched.turnOff()
                case let word?: throw .usage("the kill switch can be on or off, not \"\(word)\"")
                }
            } catch {
                throw Failure(error)
            }
            // A running host looks four times a second; asked, it looks at once.
            var runs = true
            do throws(RunError) {
                _ = try ControlClient.ask(ControlRequest(.kill), folder: folder)
            } catch {
                runs = false
                if case .notRunning = error {} else { call.terminal.error("the switch is set, but the host did not confirm it: \(error)") }
            }
            let isOn = switched.isOn
            if call.wantsJSON {
                let value: JSONValue = ["kill": JSONValue(isOn), "reason": JSONValue(switched.reason), "host": JSONValue(runs)]
                call.terminal.out(value.text(.compact))
            } else {
                call.terminal.out("kill switch \(isOn ? "ON" : "off")\(isOn && !switched.reason.isEmpty ? ": \(switched.reason)" : "")\(runs ? "" : " (no host runs)")")
            }
            return .ok
        })
}
