import PluginAPI

// Feeds that say they are down: nothing is entered on what they delivered last, however fresh it still looks.
extension Engine {
    /// Takes a feed's word about one of its connections in. A book is blocked while every feed that serves it has a connection down.
    func feedLink(_ name: String, _ state: UInt32, from port: Int) {
        var down = feedLinksDown[port] ?? []
        if state != KEEL_LINK_DOWN { down.remove(name) } else if down.count < 64 { down.insert(name) }
        feedLinksDown[port] = down.isEmpty ? nil : down
        for index in 0..<bookCount {
            let book = books + index
            var serves = 0
            var serving = 0
            for feed in 0..<portCount {
                let route = routes + (feed * stride + book.pointee.instrument.id.place)
                let first = Int(route.pointee.firstBook)
                guard (first..<(first + Int(route.pointee.bookCount))).contains(where: { routeBooks[$0] == Int32(index) }) else { continue }
                serves += 1
                if feedLinksDown[feed] == nil { serving += 1 }
            }
            book.pointee.feedDown = serves > 0 && serving == 0
        }
    }
}
