import CSystem
import Glibc

/// Signals as bytes in a pipe, so that the loop that waits for commands also waits for them.
public enum Signals {
    /// Written by the handler, which may touch nothing else.
    nonisolated(unsafe) private static var pipe: (read: Int32, write: Int32) = (-1, -1)

    /// Installs the handlers once a process; returns the descriptor to read signal numbers from.
    public static func install(_ signals: [Int32] = [SIGTERM, SIGINT, SIGHUP]) throws(RunError) -> Int32 {
        signal(SIGPIPE, SIG_IGN)
        if pipe.read < 0 {
            var ends: [Int32] = [-1, -1]
            guard Glibc.pipe(&ends) == 0 else { throw .system(call: "pipe", what: "signals", code: errno) }
            for end in ends {
                csystem_set_close_on_exec(end, 1)
                csystem_set_nonblocking(end, 1)
            }
            pipe = (ends[0], ends[1])
        }
        var mask = sigset_t()
        sigemptyset(&mask)
        for number in signals {
            var action = sigaction()
            action.__sigaction_handler.sa_handler = { number in
                let saved = errno
                var byte = UInt8(truncatingIfNeeded: number)
                _ = write(Signals.pipe.write, &byte, 1)
                errno = saved
            }
            action.sa_flags = SA_RESTART
            sigaction(number, &action, nil)
            sigaddset(&mask, number)
        }
        // A parent may have left them blocked.
        pthread_sigmask(SIG_UNBLOCK, &mask, nil)
        return pipe.read
    }
}
