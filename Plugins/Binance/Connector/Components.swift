import PluginKit

/// What libBinance.so offers.
public let binanceLibrary = Library(
    Component(
        SpotInstance.self, id: "keel.binance.spot", name: "Binance spot", vendor: "Keel", version: "1.0.0", license: "MIT", config: Settings.shape(.spot)
    ).feed().broker().describe().account(),
    Component(
        FuturesInstance.self, id: "keel.binance.futures", name: "Binance USD-M futures", vendor: "Keel", version: "1.0.0", license: "MIT",
        config: Settings.shape(.futures)
    ).feed().broker().describe().account())
