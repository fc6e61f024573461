import BinanceExchange
import PluginKit

extension BinanceVenue: ControlledVenue {}

/// The stand-in exchange under the lines of `keel plugin check`.
func runControlledBinance(_ words: [String]) throws {
    let venue = try BinanceVenue(words)
    venue.obey()
    ControlLines(venue, ports: [(nil, venue.spotPort), ("futures", venue.futuresPort)], on: venue.reactor).serve()
}
