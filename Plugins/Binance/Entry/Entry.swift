import BinanceConnector
import PluginAPI

@c @implementation
public func keel_plugin_entry(_ abi_major: UInt32) -> UnsafePointer<keel_library>! { binanceLibrary.table(abi_major) }
