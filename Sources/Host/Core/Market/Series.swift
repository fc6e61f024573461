import PluginAPI
import PluginKit

/// Closed bars of one length in a ring, and the one that is forming. Bars lie on whole multiples of their length since 1970.
///
/// Bars come from ticks, or from shorter (or equal) bars once such a bar has been seen. Times without trades leave a gap:
/// no bar is invented, `gaps` counts the missing ones. What arrives for a bar that is already closed is counted, not used.
///
/// Its storage is raw because the market path reads and writes it on every tick; the engine frees it with `release`.
struct Series {
    let duration: Int64
    let capacity: Int
    private let ring: UnsafeMutablePointer<keel_bar>
    private var start = 0
    private(set) var count = 0
    private(set) var forming = keel_bar()
    /// End of the forming bar; 0: none is forming.
    private(set) var end: Int64 = 0
    /// Length of the bars this one is made of; 0: ticks.
    private(set) var source: Int64 = 0
    private(set) var closedUntil: Int64 = 0
    private(set) var gaps: UInt64 = 0
    private(set) var late: UInt64 = 0

    init(duration: Int64, capacity: Int) {
        self.duration = max(duration, 1)
        self.capacity = max(capacity, 1)
        ring = .allocate(capacity: self.capacity)
        ring.initialize(repeating: keel_bar(), count: self.capacity)
    }

    func release() { ring.deallocate() }

    /// True when a bar closed because of this tick.
    @inline(__always)
    mutating func add(price: Int64, quantity: Int64, at time: Int64) -> Bool {
        if source != 0 { return false }
        if time < end {
            if time < forming.open_time {
                late &+= 1
                return false
            }
            if price > forming.high { forming.high = price }
            if price < forming.low { forming.low = price }
            forming.close = price
            addVolume(UInt64(bitPattern: quantity), 0)
            return false
        }
        return roll(price: price, quantity: quantity, at: time)
    }

    @inline(never)
    private mutating func roll(price: Int64, quantity: Int64, at time: Int64) -> Bool {
        let closed = end != 0
        if closed { close() }
        if time < closedUntil {
            late &+= 1
            return closed
        }
        begin(at: time)
        forming.open = price
        forming.high = price
        forming.low = price
        forming.close = price
        addVolume(UInt64(bitPattern: quantity), 0)
        return closed
    }

    /// Closes the forming bar when its time is over although no tick said so.
    mutating func closeIfOver(at time: Int64) -> Bool {
        guard end != 0, time >= end else { return false }
        close()
        return true
    }

    /// A closed bar of `length`, which divides this series' duration. True when a bar closed because of it.
    @inline(__always)
    mutating func add(_ bar: UnsafePointer<keel_bar>, length: Int64) -> Bool {
        // The next bar of the series' own length: what nearly all are.
        if length == duration, length == source, bar.pointee.open_time == closedUntil, closedUntil < Int64.max / 2, duration < Int64.max / 4 {
            push(bar.pointee)
            closedUntil &+= length
            return true
        }
        return add(bar.pointee, length: length)
    }

    @inline(never)
    mutating func add(_ bar: keel_bar, length: Int64) -> Bool {
        if length != source {
            // The same length beats a shorter one, a shorter one beats ticks and longer ones.
            guard source == 0 || length == duration || (source != duration && length < source) else { return false }
            source = length
            end = 0
        }
        let (barEnd, overflow) = bar.open_time.addingReportingOverflow(length)
        if overflow { return false }
        if bar.open_time < closedUntil {
            late &+= 1
            return false
        }
        if length == duration {
            countGap(to: bar.open_time)
            push(bar)
            closedUntil = barEnd
            return true
        }
        var closed = false
        if end != 0, bar.open_time >= end {
            close()
            closed = true
        }
        if end == 0 {
            begin(at: bar.open_time)
            let opened = forming.open_time
            forming = bar
            forming.open_time = opened
        } else {
            if bar.high > forming.high { forming.high = bar.high }
            if bar.low < forming.low { forming.low = bar.low }
            forming.close = bar.close
            addVolume(bar.volume.lo, bar.volume.hi)
        }
        if barEnd >= end {
            close()
            closed = true
        }
        return closed
    }

    /// The bar `age` places before the newest closed one.
    subscript(back age: Int) -> keel_bar? {
        guard age >= 0, age < count else { return nil }
        return ring[(start + count - 1 - age) % capacity]
    }

    var newest: keel_bar? { self[back: 0] }

    /// Copies the newest `most` closed bars, oldest first, to raw memory; the number copied.
    func copy(most: Int, to target: UnsafeMutableRawPointer) -> Int {
        let number = min(max(most, 0), count)
        if number == 0 { return 0 }
        let first = (start + count - number) % capacity
        let head = min(number, capacity - first)
        let stride = MemoryLayout<keel_bar>.stride
        target.copyMemory(from: ring + first, byteCount: head * stride)
        if number > head { (target + head * stride).copyMemory(from: ring, byteCount: (number - head) * stride) }
        return number
    }

    private mutating func begin(at time: Int64) {
        let opened = time - ((time % duration) + duration) % duration
        countGap(to: opened)
        forming = keel_bar()
        forming.open_time = opened
        end = opened &+ duration
    }

    private mutating func countGap(to opened: Int64) {
        if closedUntil != 0, opened > closedUntil { gaps &+= UInt64((opened - closedUntil) / duration) }
    }

    private mutating func close() {
        push(forming)
        closedUntil = end
        end = 0
    }

    private mutating func push(_ bar: keel_bar) {
        if count < capacity {
            ring[(start + count) % capacity] = bar
            count += 1
        } else {
            ring[start] = bar
            start = start + 1 == capacity ? 0 : start + 1
        }
    }

    @inline(__always)
    private mutating func addVolume(_ lo: UInt64, _ hi: Int64) {
        let (low, carry) = forming.volume.lo.addingReportingOverflow(lo)
        forming.volume.lo = low
        forming.volume.hi = forming.volume.hi &+ hi &+ (carry ? 1 : 0)
    }
}

/// Tells when a candle of the gate's first layer has closed, without keeping bars.
struct CandleClock {
    /// 0: off.
    let duration: Int64
    private(set) var end: Int64 = .max

    init(duration: Int64) {
        self.duration = max(duration, 0)
        end = duration > 0 ? 0 : .max
    }

    /// A tick at `time`: true when the candle before it is over.
    @inline(__always)
    mutating func tick(at time: Int64) -> Bool { time >= end && roll(to: time) }

    @inline(never)
    private mutating func roll(to time: Int64) -> Bool {
        let passed = end != 0
        end = (time / duration + 1) * duration
        return passed
    }

    /// A bar that closed at `time`: true when it completes (or passes) the candle.
    @inline(__always)
    mutating func barClosed(at time: Int64) -> Bool {
        guard time >= end else { return false }
        let passed = end != 0 || time % duration == 0
        end = (time / duration + 1) * duration
        return passed
    }
}
