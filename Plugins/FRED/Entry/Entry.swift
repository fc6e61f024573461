import FREDFeed
import PluginAPI

@c @implementation
public func keel_plugin_entry(_ abi_major: UInt32) -> UnsafePointer<keel_library>! { fredLibrary.table(abi_major) }
