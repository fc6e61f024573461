import PluginAPI
import PluginKit

/// What only futures have: leverage and margin settings, positions with their liquidation prices, funding, and the dead man's switch.
final class FuturesExtras {
    private unowned let desk: TradeDesk
    private var refusals: [String: PluginError] = [:]
    private var told: [UInt32: String] = [:]
    private var paid: Set<String> = []
    private var riskTimer: UInt64?
    private var riskAsked = false
    private var guardTimer: UInt64?
    private var guarded: Set<String> = []
    private var fundingTimer: UInt64?
    private var prepared: Set<String> = []
    private(set) var equity: (equity: Amount, cash: Amount, used: Amount, free: Amount)?

    init(_ desk: TradeDesk) { self.desk = desk }

    private var venue: Venue { desk.venue }
    private var settings: Settings { venue.settings }

    func stop() {
        for timer in [riskTimer, guardTimer, fundingTimer] { if let timer { venue.reactor.cancelTimer(timer) } }
        riskTimer = nil
        guardTimer = nil
        fundingTimer = nil
    }

    // MARK: settings of the account: read, compared, set, read again

    func prepare(_ done: @escaping (VenueFailure?) -> Void) {
        positionMode { [weak self] failure in
            guard let self else { return }
            if let failure { return done(failure) }
            self.symbolSettings(self.venue.symbols.all.filter { $0.rules != nil }, done)
        }
    }

    private func positionMode(_ done: @escaping (VenueFailure?) -> Void) {
        let read = Call("GET", venue.path("positionSide/dual"), security: .signed, weight: 30, urgency: .settle)
        venue.rest.send(read) { [weak self] reply in
            guard let self else { return }
            switch reply {
            case .failure(let failure): done(failure)
            case .success(let value):
                let hedge = value.find("dualSidePosition")?.asBool ?? (value.find("dualSidePosition")?.asText == "true")
                guard let wanted = self.settings.hedge, wanted != hedge else {
                    self.desk.wire.hedge = hedge
                    return done(nil)
                }
                var parameters = Parameters()
                parameters.add("dualSidePosition", wanted ? "true" : "false" as StaticString)
                self.venue.rest.send(Call("POST", self.venue.path("positionSide/dual"), parameters, security: .signed, weight: 1, urgency: .settle)) { [weak self] reply in
                    guard let self else { return }
                    if case .failure(let failure) = reply, failure.code != -4059 {
                        return done(VenueFailure(failure.treatment, status: failure.status, code: failure.code, message: "position_mode can't be set: \(failure.message)"))
                    }
                    self.desk.wire.hedge = wanted
                    done(nil)
                }
            }
        }
    }

    /// Leverage and margin type are the venue's state for each symbol and survive everything: what isn't as configured is set, and an instrument
    /// whose settings can't be had is not traded.
    private func symbolSettings(_ listings: [Listing], _ done: @escaping (VenueFailure?) -> Void) {
        guard settings.leverage > 0 || settings.marginType != nil, !listings.isEmpty else { return done(nil) }
        read { [weak self] held in
            guard let self else { return }
            switch held {
            case .failure(let failure): return done(failure)
            case .success(let held):
                var left = 1
                let settled = { [weak self] in
                    left -= 1
                    guard left == 0, let self else { return }
                    self.verify(listings, done)
                }
                for listing in listings {
                    let now = held[listing.symbol]
                    if let type = self.settings.marginType, now?.type != type.rawValue {
                        var parameters = Parameters()
                        parameters.add("marginType", type.rawValue)
                        parameters.add("symbol", listing.symbol)
                        left += 1
                        self.venue.rest.send(Call("POST", self.venue.path("marginType"), parameters, security: .signed, weight: 1, urgency: .settle)) { _ in settled() }
                    }
                    if self.settings.leverage > 0, now?.leverage != self.settings.leverage {
                        var parameters = Parameters()
                        parameters.add("leverage", Int64(self.settings.leverage))
                        parameters.add("symbol", listing.symbol)
                        left += 1
                        self.venue.rest.send(Call("POST", self.venue.path("leverage"), parameters, security: .signed, weight: 1, urgency: .settle)) { _ in settled() }
                    }
                }
                settled()
            }
        }
    }

    private typealias Held = [String: (type: String, leverage: Int)]

    private func read(_ done: @escaping (Result<Held, VenueFailure>) -> Void) {
        venue.rest.send(Call("GET", venue.path("symbolConfig"), security: .signed, weight: 5, urgency: .settle)) { reply in
            switch reply {
            case .failure(let failure): done(.failure(failure))
            case .success(let value):
                var held: Held = [:]
                for entry in value.asList ?? [] {
                    guard let symbol = entry.find("symbol")?.asText else { continue }
                    held[symbol] = (entry.find("marginType")?.asText?.uppercased() ?? "", Int(entry.find("leverage")?.whole ?? 0))
                }
                done(.success(held))
            }
        }
    }

    private func verify(_ listings: [Listing], _ done: @escaping (VenueFailure?) -> Void) {
        read { [weak self] held in
            guard let self else { return }
            guard case .success(let held) = held else {
                if case .failure(let failure) = held { done(failure) }
                return
            }
            for listing in listings {
                let now = held[listing.symbol]
                self.prepared.insert(listing.symbol)
                self.refusals[listing.symbol] = nil
                if self.settings.leverage > 0, now?.leverage != self.settings.leverage {
                    self.refusals[listing.symbol] = PluginError(
                        .rejected, "\(listing.symbol) is not traded: its leverage is \(now.map { "\($0.leverage)" } ?? "not known"), \(self.settings.leverage) is configured and could not be set")
                } else if let type = self.settings.marginType, now?.type != type.rawValue {
                    self.refusals[listing.symbol] = PluginError(
                        .rejected, "\(listing.symbol) is not traded: its margin type is \(now?.type ?? "not known"), \(type.rawValue) is configured and could not be set")
                }
                if let refusal = self.refusals[listing.symbol] { self.venue.log(.error, refusal.message) }
            }
            done(nil)
        }
    }

    /// Why an instrument must not be traded now; nil: it may.
    func refusal(_ listing: Listing) -> PluginError? {
        guard settings.leverage > 0 || settings.marginType != nil else { return nil }
        if let refusal = refusals[listing.symbol] { return refusal }
        if prepared.contains(listing.symbol) { return nil }
        // An instrument met after the start: its settings are made, and the next order finds them.
        prepared.insert(listing.symbol)
        refusals[listing.symbol] = PluginError(.network, "not sent: leverage and margin type of \(listing.symbol) are being set")
        symbolSettings([listing]) { _ in }
        return refusals[listing.symbol]
    }

    /// Somebody changed leverage or mode at the venue: looked at again.
    func configurationChanged() {
        let listings = venue.symbols.all.filter { $0.rules != nil }
        guard settings.leverage > 0 || settings.marginType != nil, !listings.isEmpty else { return }
        verify(listings) { _ in }
    }

    // MARK: positions

    /// ACCOUNT_UPDATE: balances and sizes at once, the rest (liquidation, margin) is asked for.
    func account(_ event: JSONValue) {
        guard let account = event.find("a") else { return }
        let time = (event.find("T")?.whole ?? 0) &* 1_000_000
        for entry in account.find("B")?.asList ?? [] {
            guard let asset = entry.find("a")?.asText, let wallet = entry.find("wb")?.money else { continue }
            // Of the two numbers there are, the one that is not tied to isolated positions is what can be used.
            venue.host.balance(asset, total: wallet, available: entry.find("cw")?.money ?? wallet, at: time)
        }
        if !(account.find("P")?.asList ?? []).isEmpty { askRisk(soon: true) }
        if account.find("m")?.asText == "FUNDING_FEE" { askFunding(since: (event.find("T")?.whole ?? 0) - 60_000) }
    }

    private func askRisk(soon: Bool) {
        if soon, let riskTimer {
            venue.reactor.cancelTimer(riskTimer)
            self.riskTimer = nil
        }
        guard riskTimer == nil else { return }
        riskTimer = venue.reactor.after(soon ? 50_000_000 : 30_000_000_000) { [weak self] in
            guard let self else { return }
            self.riskTimer = nil
            self.fetchRisk()
        }
    }

    private func fetchRisk() {
        guard !riskAsked, desk.isReady else { return askRisk(soon: false) }
        riskAsked = true
        venue.rest.send(Call("GET", "/fapi/v3/account", security: .signed, weight: 5)) { [weak self] account in
            guard let self else { return }
            self.venue.rest.send(Call("GET", "/fapi/v3/positionRisk", security: .signed, weight: 5)) { [weak self] risk in
                guard let self, !self.desk.stopped else { return }
                self.riskAsked = false
                if case .success(let account) = account, case .success(let risk) = risk {
                    self.tell(account: account, risk: risk, request: 0, flags: 0)
                } else {
                    self.askRisk(soon: false)
                }
            }
        }
    }

    /// Positions with liquidation price and margin ratio; in a sync all of them and the balances too, otherwise what changed.
    func tell(account: JSONValue, risk: JSONValue, request: UInt64, flags: UInt32) {
        let isSync = flags & KEEL_EVF_SNAPSHOT != 0
        if isSync {
            for entry in account.find("assets")?.asList ?? [] {
                guard let asset = entry.find("asset")?.asText, let wallet = entry.find("walletBalance")?.money else { continue }
                venue.host.balance(asset, total: wallet, available: entry.find("availableBalance")?.money ?? wallet, request: request, flags: flags)
            }
        }
        let margin = account.find("totalMarginBalance")?.money
        let maintenance = account.find("totalMaintMargin")?.money
        if let margin, let wallet = account.find("totalWalletBalance")?.money, let used = account.find("totalInitialMargin")?.money,
            let free = account.find("availableBalance")?.money
        {
            equity = (margin, wallet, used, free)
        }
        var rows: [String: FuturesPosition] = [:]
        for entry in risk.asList ?? [] {
            guard let symbol = entry.find("symbol")?.asText, let row = FuturesPosition(entry, accountMargin: margin, accountMaintenance: maintenance) else { continue }
            rows[symbol] = rows[symbol].map { $0.joined(row) } ?? row
            if let listing = venue.symbols.listing(symbol: symbol), let mark = entry.find("markPrice")?.decimal ?? entry.find("markPrice").flatMap({ Fixed.cut($0.asText) }) {
                listing.refer(mark, at: venue.now)
            }
        }
        var any = false
        for listing in venue.symbols.all where listing.rules != nil {
            let row = rows[listing.symbol] ?? FuturesPosition()
            if !row.quantity.isZero { any = true }
            let said = "\(row.quantity) \(row.entry) \(row.liquidation) \(row.ratio)"
            if !isSync, told[listing.id] == said { continue }
            told[listing.id] = said
            venue.host.position(
                listing.id, quantity: row.quantity, entry: row.entry, liquidation: row.liquidation, marginRatio: row.ratio, request: request, flags: flags)
        }
        // The ratio moves with the market while something is held.
        if any { askRisk(soon: false) }
    }

    // MARK: funding

    private func askFunding(since: Int64, attempt: Int = 0) {
        if let fundingTimer { venue.reactor.cancelTimer(fundingTimer) }
        // The income list is a moment behind the event.
        fundingTimer = venue.reactor.after(attempt == 0 ? 500_000_000 : 5_000_000_000) { [weak self] in
            guard let self else { return }
            self.fundingTimer = nil
            var parameters = Parameters()
            parameters.add("incomeType", "FUNDING_FEE" as StaticString)
            parameters.add("limit", 1000)
            parameters.add("startTime", since)
            self.venue.rest.send(Call("GET", self.venue.path("income"), parameters, security: .signed, weight: 30, urgency: .settle)) { [weak self] reply in
                guard let self, !self.desk.stopped else { return }
                var fresh = 0
                if case .success(let list) = reply { fresh = self.tell(funding: list.asList ?? [], request: 0, flags: 0) }
                if fresh == 0, attempt < 6 { self.askFunding(since: since, attempt: attempt + 1) }
            }
        }
    }

    /// Each payment once; in a sync all of them again, flagged. How many were new.
    @discardableResult
    func tell(funding list: [JSONValue], request: UInt64, flags: UInt32) -> Int {
        var fresh = 0
        for entry in list {
            guard entry.find("incomeType")?.asText == "FUNDING_FEE", let symbol = entry.find("symbol")?.asText, let listing = venue.symbols.listing(symbol: symbol),
                let number = entry.find("tranId")?.whole, let amount = entry.find("income").map(TradeReport.fee), let asset = entry.find("asset")?.asText
            else { continue }
            // The number is unique within its kind only.
            let id = "FUNDING_FEE:\(symbol):\(number)"
            let isNew = paid.insert(id).inserted
            if isNew { fresh += 1 }
            guard isNew || flags != 0 else { continue }
            venue.host.funding(
                listing.id, amount: amount, rate: .zero, asset: asset, paymentID: id, at: (entry.find("time")?.whole ?? 0) &* 1_000_000, flags: flags, request: request)
        }
        if paid.count > 20_000 { paid = [] }
        return fresh
    }

    // MARK: the dead man's switch

    func orderLives(_ listing: Listing) {
        guard settings.deadMan > 0, guarded.insert(listing.symbol).inserted else { return }
        set(listing.symbol, settings.deadMan / 1_000_000)
        if guardTimer == nil { guardLater() }
    }

    func orderEnded(_ listing: Listing) {
        guard guarded.contains(listing.symbol), !desk.tickets.values.contains(where: { $0.symbol == listing.symbol && !$0.isOver }) else { return }
        guarded.remove(listing.symbol)
        set(listing.symbol, 0)
    }

    private func guardLater() {
        guardTimer = venue.reactor.after(settings.deadMan / 3) { [weak self] in
            guard let self else { return }
            self.guardTimer = nil
            // Healthy: this lane runs, and the account's events reach it. Without them the venue had better cancel.
            if self.desk.isReady { for symbol in self.guarded.sorted() { self.set(symbol, self.settings.deadMan / 1_000_000) } }
            if !self.guarded.isEmpty { self.guardLater() }
        }
    }

    private func set(_ symbol: String, _ milliseconds: Int64) {
        var parameters = Parameters()
        parameters.add("countdownTime", milliseconds)
        parameters.add("symbol", symbol)
        venue.rest.send(Call("POST", venue.path("countdownCancelAll"), parameters, security: .signed, weight: 10, urgency: .cancel)) { [weak self] reply in
            if case .failure(let failure) = reply { self?.venue.log(.warning, "the dead man's switch of \(symbol) could not be set: \(failure)") }
        }
    }
}

/// A row of positionRisk, or two in hedge mode, as one net position.
struct FuturesPosition: Equatable {
    var quantity = Amount.zero
    var entry = Fixed.zero
    var liquidation = Fixed.zero
    var ratio = Fixed.zero

    init() {}

    init?(_ row: JSONValue, accountMargin: Amount?, accountMaintenance: Amount?) {
        guard let size = row.find("positionAmt")?.money else { return nil }
        quantity = size
        entry = row.find("entryPrice").flatMap { $0.decimal ?? Fixed.cut($0.asText) } ?? .zero
        liquidation = row.find("liquidationPrice").flatMap { $0.decimal ?? Fixed.cut($0.asText) } ?? .zero
        if liquidation.isNegative { liquidation = .zero }
        // Isolated: of its own margin. Cross: of the whole account.
        var held = accountMargin
        var needed = accountMaintenance
        if let wallet = row.find("isolatedWallet")?.money, wallet.isPositive, let profit = row.find("unRealizedProfit")?.money, let own = row.find("maintMargin")?.money {
            held = try? wallet.adding(profit)
            needed = own
        }
        if let held, let needed, held.isPositive, needed.isPositive, !size.isZero, let share = try? needed.divided(by: held).fixed() { ratio = share }
    }

    /// Both sides of a hedge: what is left of one against the other, at the larger side's prices.
    func joined(_ other: FuturesPosition) -> FuturesPosition {
        let larger = quantity.raw.magnitude >= other.quantity.raw.magnitude ? self : other
        var net = larger
        net.quantity = Amount(raw: quantity.raw &+ other.quantity.raw)
        net.ratio = max(ratio, other.ratio)
        return net
    }
}

extension Fixed {
    /// A decimal with more places than eight, cut: for prices that are shown, never for orders.
    static func cut(_ text: String?) -> Fixed? {
        guard let text else { return nil }
        if let exact = Fixed(text) { return exact }
        guard let point = text.firstIndex(of: "."), let end = text.index(point, offsetBy: 9, limitedBy: text.endIndex) else { return nil }
        return Fixed(String(text[..<end]))
    }
}
