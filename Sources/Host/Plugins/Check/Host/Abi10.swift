/// Sizes of ABI 1.0, the least a plugin of this major may have. A test compares them with keel-1.0.layout.
enum Abi10 {
    static let sizes: [String: Int] = [
        "keel_host": 120, "keel_library": 24, "keel_component": 160, "keel_error": 280, "keel_instrument": 136, "keel_order": 72,
        "keel_snapshot": 568, "keel_feed": 40, "keel_broker": 48, "keel_decider": 40, "keel_router": 32, "keel_state": 24,
        "keel_describe": 16, "keel_rankings": 16, "keel_account": 16, "keel_market": 16,
    ]

    static func size(_ name: String) -> Int { sizes[name] ?? 8 }
}
