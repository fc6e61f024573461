import CSystem
import Glibc
import PluginAPI
import Synchronization

/// Exit codes of a worker.
enum WorkerExit {
    static let noLibrary: Int32 = 71
    static let hostGone: Int32 = 0
    static let broken: Int32 = 73
    static let overflow: Int32 = 74
    static let hung: Int32 = 75
}

/// The child's side: one component, one instance, the same lane and host table as in-process, and frames for services.
enum WorkerServer {
    static func run(socket fd: Int32, library: String, component: String, limit: keel_span) -> Int32 {
        Loader.becomeWorker()
        let tables: ComponentTables
        do throws(LoadError) {
            tables = try find(component, in: library)
        } catch {
            complain("\(error)")
            return WorkerExit.noLibrary
        }
        let side = WorkerSide(PacketSocket(fd), tables)
        do throws(LaneError) {
            try side.begin(limit: limit)
        } catch {
            complain("\(error)")
            return WorkerExit.broken
        }
        // The lane ends the process when the host is gone. If the plugin holds the lane, this thread does.
        while csystem_wait_ready(fd, 0, 3_600_000_000_000) == 0 {}
        usleep(300_000)
        _exit(WorkerExit.hostGone)
    }

    private static func find(_ id: String, in library: String) throws(LoadError) -> ComponentTables {
        let table = try OpenLibrary(library, shown: library).negotiate(shown: library)
        do throws(DescriptorReader.Fault) {
            _ = try DescriptorReader.read(table)
        } catch {
            throw .badDescriptor(path: library, component: error.component, what: error.what)
        }
        var offers: [String] = []
        for index in 0..<Int(table.pointee.component_count) {
            guard let component = table.pointee.components[index], let tables = ComponentTables(component) else { continue }
            if tables.id == id { return tables }
            offers.append(tables.id)
        }
        throw .noSuchComponent(id: id, path: library, offers: offers)
    }
}
