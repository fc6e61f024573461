import CSystem
import Glibc

/// A socket address the kernel can use.
struct SocketAddress: Sendable {
    var storage = sockaddr_storage()
    var length: socklen_t = 0
    var family: Int32 = AF_INET
}

/// Finds addresses without holding up a lane: getaddrinfo runs on a thread of its own and the answer comes through a pipe.
enum Resolver {
    /// Numeric addresses need no thread and no network.
    static func numeric(_ host: String, port: UInt16) -> SocketAddress? {
        lookUp(host, port: port, flags: AI_NUMERICHOST).first
    }

    private final class Question: @unchecked Sendable {  // written by the thread before the pipe is, read after
        let host: String
        let port: UInt16
        let writeEnd: Int32
        var addresses: [SocketAddress] = []
        var problem = ""
        init(host: String, port: UInt16, writeEnd: Int32) {
            self.host = host
            self.port = port
            self.writeEnd = writeEnd
        }
    }

    /// Calls `answer` on the reactor's thread. The returned closure gives up the question.
    static func resolve(_ host: String, port: UInt16, on reactor: Reactor, _ answer: @escaping ([SocketAddress], String) -> Void) -> () -> Void {
        if let address = numeric(host, port: port) {
            let token = reactor.after(0) { answer([address], "") }
            return { reactor.cancelTimer(token) }
        }
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else {
            let why = "no pipe: \(String(cString: strerror(errno)))"
            let token = reactor.after(0) { answer([], why) }
            return { reactor.cancelTimer(token) }
        }
        for end in ends { csystem_set_close_on_exec(end, 1) }
        let question = Question(host: host, port: port, writeEnd: ends[1])
        let readEnd = ends[0]
        reactor.watch(readEnd, .readable) { _ in
            reactor.forget(readEnd)
            close(readEnd)
            answer(question.addresses, question.problem)
        }
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        var thread = pthread_t()
        let started = pthread_create(&thread, &attributes, { argument in
            guard let argument else { return nil }
            let question = Unmanaged<Question>.fromOpaque(argument).takeRetainedValue()
            csystem_name_thread("keel-resolve")
            question.addresses = Resolver.lookUp(question.host, port: question.port, flags: AI_ADDRCONFIG, problem: &question.problem)
            close(question.writeEnd)  // end-of-file makes the read end readable
            return nil
        }, Unmanaged.passRetained(question).toOpaque())
        pthread_attr_destroy(&attributes)
        if started != 0 {
            Unmanaged.passUnretained(question).release()
            question.problem = "no thread to look it up: \(String(cString: strerror(started)))"
            close(question.writeEnd)
        }
        var open = true
        return {
            if open {
                open = false
                reactor.forget(readEnd)
                close(readEnd)
            }
        }
    }

    static func lookUp(_ host: String, port: UInt16, flags: Int32) -> [SocketAddress] {
        var problem = ""
        return lookUp(host, port: port, flags: flags, problem: &problem)
    }

    static func lookUp(_ host: String, port: UInt16, flags: Int32, problem: inout String) -> [SocketAddress] {
        var hints = addrinfo()
        hints.ai_family = AF_UNSPEC
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        hints.ai_flags = flags | AI_NUMERICSERV
        var list: UnsafeMutablePointer<addrinfo>?
        let code = getaddrinfo(host, String(port), &hints, &list)
        guard code == 0 else {
            problem = String(cString: gai_strerror(code))
            return []
        }
        defer { freeaddrinfo(list) }
        var found: [SocketAddress] = []
        var next = list
        while let entry = next {
            if let source = entry.pointee.ai_addr, Int(entry.pointee.ai_addrlen) <= MemoryLayout<sockaddr_storage>.size {
                var address = SocketAddress()
                address.length = entry.pointee.ai_addrlen
                address.family = entry.pointee.ai_family
                withUnsafeMutableBytes(of: &address.storage) {
                    $0.copyMemory(from: UnsafeRawBufferPointer(start: source, count: Int(entry.pointee.ai_addrlen)))
                }
                found.append(address)
            }
            next = entry.pointee.ai_next
        }
        return found
    }
}
