import Foundation

/// Runs `body` for every item on six threads; the results in the items' order.
func inParallel<Item: Sendable, Value: Sendable>(_ items: [Item], _ body: @escaping @Sendable (Item) throws -> Value) -> [(Item, Result<Value, any Error>)] {
    let results = Locked<[Int: Result<Value, any Error>]>([:])
    let next = Locked(0)
    let group = DispatchGroup()
    for _ in 0..<min(6, items.count) {
        group.enter()
        Thread.detachNewThread {
            while true {
                let index = next.change { value -> Int in
                    value += 1
                    return value - 1
                }
                if index >= items.count { break }
                let result = Result { try body(items[index]) }
                results.change { $0[index] = result }
            }
            group.leave()
        }
    }
    group.wait()
    return items.indices.compactMap { index in results.change { $0[index] }.map { (items[index], $0) } }
}

final class Locked<Value>: @unchecked Sendable {
    private var value: Value
    private let lock = NSLock()
    init(_ value: Value) { self.value = value }
    func change<T>(_ body: (inout Value) -> T) -> T { lock.withLock { body(&value) } }
}
