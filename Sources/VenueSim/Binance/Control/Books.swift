/// The exchange's own books, whole and exact: every order, fill, fee, funding payment and balance. What a client believes is compared with these.
enum Books {
    static func written(_ exchange: Exchange) -> Out {
        Out.object { out in
            out.int("time", exchange.now)
            out.put("spot", spot(exchange.spot))
            out.put("futures", exchange.futures.books)
        }
    }

    static func amounts(_ amounts: [String: Int128]) -> Out {
        Out.object { out in for (asset, amount) in amounts.sorted(by: { $0.key < $1.key }) { out.decimal(asset, amount) } }
    }

    private static func spot(_ engine: SpotEngine) -> Out {
        Out.object { out in
            out.put("fees", amounts(engine.fees))
            out.put("house", amounts(engine.house))
            out.put("accounts", Out.list(engine.accounts) { account in
                Out.object { out in
                    out.text("name", account.name)
                    out.put("balances", Out.object { out in
                        for (asset, balance) in account.spot.sorted(by: { $0.key < $1.key }) {
                            out.put(asset, Out.object { out in
                                out.decimal("free", balance.free)
                                out.decimal("locked", balance.locked)
                            })
                        }
                    })
                    out.put("orders", Out.list(engine.orders.values.filter { $0.account == account.number }.sorted { $0.id < $1.id }) { engine.queried($0) })
                    out.put("fills", Out.list(engine.fills[account.number] ?? []) { engine.trade($0, engine.orders[$0.order]?.symbol ?? "") })
                }
            })
        }
    }
}
