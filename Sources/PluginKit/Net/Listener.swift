import CSystem
import Glibc

/// Accepts TCP connections on the loopback address.
public final class Listener {
    /// The port that was asked for, or the free one the kernel chose for 0.
    public let port: UInt16
    private let descriptor: Int32
    private let reactor: Reactor

    public init(port: UInt16, on reactor: Reactor, _ accept: @escaping (Int32) -> Void) throws(NetError) {
        let name = "127.0.0.1:\(port)"
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw .refused(endpoint: name, why: String(cString: strerror(errno))) }
        var on: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<Int32>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let descriptor = descriptor
        let bound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
                bind(descriptor, generic, length) == 0 && listen(descriptor, 128) == 0 && getsockname(descriptor, generic, &length) == 0
            }
        }
        guard bound else {
            let why = String(cString: strerror(errno))
            close(descriptor)
            throw .refused(endpoint: name, why: why)
        }
        self.port = UInt16(bigEndian: address.sin_port)
        self.reactor = reactor
        reactor.watch(descriptor, .readable) { _ in
            while true {
                let connection = Glibc.accept(descriptor, nil, nil)
                if connection < 0 { return }
                csystem_set_close_on_exec(connection, 1)
                accept(connection)
            }
        }
    }

    deinit {
        reactor.forget(descriptor)
        close(descriptor)
    }
}
