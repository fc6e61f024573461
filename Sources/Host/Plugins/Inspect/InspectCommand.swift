import Glibc
import PluginAPI

/// The child's side of an inspection: `keel worker --inspect FILE --report FD`.
enum InspectCommand {
    static func run(_ library: String, report fd: Int32) -> Int32 {
        func send(_ bytes: [UInt8]) {
            var done = 0
            while done < bytes.count {
                let put = bytes[done...].withUnsafeBytes { write(fd, $0.baseAddress, $0.count) }
                if put < 0, errno == EINTR { continue }
                if put <= 0 { _exit(70) }
                done += put
            }
        }
        let found: Result<InspectionReport.Found, LoadError>
        do throws(LoadError) {
            send([InspectionReport.loading])
            let open = try OpenLibrary(library, shown: library)
            send([InspectionReport.entry])
            let table = try open.negotiate(shown: library)
            send([InspectionReport.describing])
            do throws(DescriptorReader.Fault) {
                let components = try DescriptorReader.read(table)
                found = .success(
                    InspectionReport.Found(
                        abiMajor: UInt32(table.pointee.abi_major), abiMinor: UInt32(table.pointee.abi_minor), components: components))
            } catch {
                found = .failure(.badDescriptor(path: library, component: error.component, what: error.what))
            }
        } catch {
            found = .failure(error)
        }
        send([InspectionReport.result] + InspectionReport.encode(found))
        // Without destructors: the library's would run now, and could crash after all is said.
        _exit(0)
    }
}
