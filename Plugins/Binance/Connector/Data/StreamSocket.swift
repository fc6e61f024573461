import PluginKit

/// A WebSocket as the data side uses it: the real one, or a test's.
public protocol StreamSocket: AnyObject {
    var onOpen: () -> Void { get set }
    var onText: ([UInt8]) -> Void { get set }
    /// After it nothing more is called.
    var onEnd: (String) -> Void { get set }
    func send(_ text: String) -> Bool
    /// Ends it without a word to `onEnd`.
    func close()
}

/// The real one. Pings are answered by the connection itself; our own go out only when the venue's stay away.
public final class WebSocketStream: StreamSocket {
    public var onOpen: () -> Void {
        get { socket.onOpen }
        set { socket.onOpen = newValue }
    }
    public var onText: ([UInt8]) -> Void {
        get { socket.onText }
        set { socket.onText = newValue }
    }
    public var onEnd: (String) -> Void = { _ in }
    private let socket: WebSocket

    public init(_ socket: WebSocket) {
        self.socket = socket
        socket.onClose = { [weak self] ending in self?.onEnd(ending.description) }
    }

    public func send(_ text: String) -> Bool { socket.send(text: text) }

    public func close() {
        socket.onOpen = {}
        socket.onText = { _ in }
        socket.onClose = { _ in }
        onEnd = { _ in }
        // It goes when nobody holds it; a goodbye is enough for the venue.
        socket.close()
    }
}
