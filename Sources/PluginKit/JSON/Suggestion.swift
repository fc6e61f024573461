/// "Did you mean …": the candidate a mistyped name was most likely meant to be.
public enum Suggestion {
    /// nil if none is close enough to be helpful.
    public static func nearest(to name: String, among candidates: some Sequence<String>) -> String? {
        let wanted = folded(name)
        if wanted.isEmpty || wanted.count > 100 { return nil }
        var best: (distance: Int, name: String)?
        for candidate in candidates {
            let other = folded(candidate)
            // A name cut short or continued ("max_pos") is taken for the longer one, more gladly the more of it is there.
            let distance: Int
            if other == wanted {
                distance = 0
            } else if wanted.count >= 3, other.starts(with: wanted) || wanted.starts(with: other) && other.count >= 3 {
                distance = 1
            } else {
                distance = steps(wanted, other)
                if distance > max(1, min(wanted.count, other.count) / 3) { continue }
            }
            if best.map({ distance < $0.distance }) ?? true { best = (distance, candidate) }
        }
        return best?.name
    }

    /// Lower case, without what people forget: "maxPosition", "max-position" and "max_position" are one name.
    private static func folded(_ name: String) -> [UInt8] {
        name.lowercased().utf8.filter { $0 != UInt8(ascii: "_") && $0 != UInt8(ascii: "-") && $0 != UInt8(ascii: " ") }
    }

    /// Letters to add, drop, change or swap with their neighbour.
    private static func steps(_ a: [UInt8], _ b: [UInt8]) -> Int {
        if a.isEmpty || b.isEmpty { return max(a.count, b.count) }
        var before = [Int](repeating: 0, count: b.count + 1)
        var last = Array(0...b.count)
        for i in 1...a.count {
            var row = [Int](repeating: 0, count: b.count + 1)
            row[0] = i
            for j in 1...b.count {
                let cost = a[i - 1] == b[j - 1] ? 0 : 1
                row[j] = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + cost)
                if i > 1, j > 1, a[i - 1] == b[j - 2], a[i - 2] == b[j - 1] { row[j] = min(row[j], before[j - 2] + 1) }
            }
            before = last
            last = row
        }
        return last[b.count]
    }
}
