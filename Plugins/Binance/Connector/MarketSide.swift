import PluginKit

/// The market data half of an instance, as the instance drives it.
public protocol MarketSide: AnyObject {
    /// The venue is reachable and its symbols are loaded; called once a run.
    func begin()
    func stop()
    /// As `Feed.subscribe`; the instrument is known to `venue.symbols` and the venue has it.
    func subscribe(_ listing: Listing, _ channels: Channels, _ request: Request)
    func unsubscribe(_ listing: Listing, _ channels: Channels, _ request: Request)
    /// For `describe`: no secrets.
    var description: JSONValue { get }
}
