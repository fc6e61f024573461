import CSystem
import Glibc

/// Signals meant for the process (interrupt, terminate, child) are for its main thread; those a thread earns itself stay on.
func blockProcessSignals() {
    var all = sigset_t()
    sigfillset(&all)
    for own in [SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP] { sigdelset(&all, own) }
    pthread_sigmask(SIG_BLOCK, &all, nil)
}

/// A line on standard error, at once: for processes that are about to end.
func complain(_ text: String) {
    let bytes = Array((text + "\n").utf8)
    _ = bytes.withUnsafeBytes { write(2, $0.baseAddress, $0.count) }
}

/// The kernel keeps 15 bytes.
func nameThisThread(_ name: String) { _ = csystem_name_thread(String(decoding: name.utf8.prefix(15), as: UTF8.self)) }
