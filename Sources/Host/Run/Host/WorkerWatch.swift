import HostLedger
import HostPlugins
import PluginAPI
import PluginKit

/// Hears what happens to one instance's worker, on its lane, and keeps its crash budget where the next host finds it.
final class WorkerWatch: WorkerObserver {
    /// Not the name of any plugin: names in a manifest have no dot in front.
    private static let owner = ".keel"

    private let name: String
    private let source: Source
    private let store: PluginStore?
    private let requests: LoopRequests

    init(name: String, source: Source, store: PluginStore?, requests: LoopRequests) {
        self.name = name
        self.source = source
        self.store = store
        self.requests = requests
    }

    /// As the last host left it. A restart by the operator forgives: that is what it is for.
    func budget() -> CrashBudget {
        guard let bytes = try? store?.get(instance: WorkerWatch.owner, key: "budget/\(name)"), let json = try? JSONValue(parsing: bytes),
            let budget = try? CrashBudget(json)
        else { return CrashBudget() }
        return budget
    }

    func forgive() { try? store?.put(instance: WorkerWatch.owner, key: "budget/\(name)", []) }

    func worker(of instance: String, _ event: WorkerEvent, budget: CrashBudget) {
        switch event {
        case .died, .quarantined: try? store?.put(instance: WorkerWatch.owner, key: "budget/\(name)", budget.json.bytes(.compact))
        default: break
        }
        requests.post(.worker(source, event))
    }
}
