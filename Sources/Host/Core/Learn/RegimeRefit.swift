import Foundation
import Synchronization

/// A fit that runs beside the engine. Pure work: the same window gives the same model, so the moment it is *adopted* is
/// all that counts for determinism, and that is fixed by the caller (the next day's close), not by this thread's speed.
final class RegimeRefit: Sendable {
    private let done = DispatchSemaphore(value: 0)
    private let outcome = Mutex<Result<GaussianHMM, RegimeRefusal>?>(nil)

    init(_ window: [Double], _ fit: RegimeFit) {
        let thread = Thread { [self] in
            var result: Result<GaussianHMM, RegimeRefusal>
            do throws(RegimeRefusal) { result = .success(try fit.fit(window)) } catch { result = .failure(error) }
            outcome.withLock { [result] in $0 = result }
            done.signal()
        }
        thread.name = "keel-regime"
        thread.stackSize = 1 << 20
        thread.start()
    }

    /// Waits if need be: normally a day has passed since it began.
    func result() -> Result<GaussianHMM, RegimeRefusal> {
        done.wait()
        done.signal()
        return outcome.withLock { $0 } ?? .failure(.notFinite)
    }
}
