import CSystem
import Glibc

/// Signals meant for the process (interrupt, terminate, child) are for its main thread; those a thread earns itself stay on.
func blockProcessSignals() {
    var all = sigset_t()
    sigfillset(&all)
    for own in [SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP] { sigdelset(&all, own) }
    pthread_sigmask(SIG_BLOCK, &all, nil)
}

/// The kernel keeps 15 bytes.
func nameThisThread(_ name: String) { _ = csystem_name_thread(String(decoding: name.utf8.prefix(15), as: UTF8.self)) }
