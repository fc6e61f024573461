extension Templates {
    /// A broker in C++.
    static let cppBroker = ###"""
// @NAME@: a broker for Keel, in C++17.
//
// It talks to a venue that speaks lines of text, recorded in mock/venue.json. Replace the two halves marked VENUE with
// your venue's protocol; what stands around them - the checks before an order leaves, the order of events, what happens
// when the connection drops - is what `keel plugin check` tests.
//
//   to the venue                              from the venue
//   LOGIN key                                 WELCOME | DENIED
//   NEW id symbol side kind qty limit         ACK id | REJECT id why | FILL id fill-id qty price fee
//   CANCEL id                                 CANCELED id | NOCANCEL id why
//   SYNC                                      ORDER id side qty state limit | FILL ... | BALANCE asset total | END
#include "plugin.hpp"
#include <map>
#include <set>
#include <sstream>
#include <vector>

static const uint64_t features = KEEL_ORD_MARKET | KEEL_ORD_LIMIT;  // everything submit takes

// Configuration: the members of Broker and the schema.
static const char schema[] =
    "{\"type\":\"object\",\"required\":[\"port\",\"key\"],\"properties\":{"
    "\"port\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":65535,\"description\":\"Port of the venue on this machine.\"},"
    "\"patience\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":600,\"default\":5,\"x-unit\":\"s\",\"description\":\"How long to wait for an acknowledgement.\"},"
    "\"key\":{\"type\":\"object\",\"x-secret\":true,\"description\":\"The API key.\"}}}";

struct Order {
    keel_id id{};
    keel_instrument_id instrument = 0;
    uint32_t side = 0, state = KEEL_ORDER_PENDING;
    keel_fixed qty = 0, limit = 0, filled = 0;
    __int128 notional = 0;            // sum of quantity x price, for an exact average
    uint64_t submit = 0, cancel = 0;  // requests still waiting for their DONE, 0 = none
    uint64_t timer = 0;               // runs while we wait for the acknowledgement
    std::set<std::string> fills;      // ids already counted: venues repeat themselves
    bool ended() const { return state >= KEEL_ORDER_FILLED && state <= KEEL_ORDER_EXPIRED; }
};

struct Broker : plugin::Base<Broker> {
    int64_t port = 0, patience = 5;
    char secret[64] = "";             // the secret's name
    std::string key;                  // its value, from start to stop
    plugin_line line;
    bool ready = false;               // logged in
    uint64_t sync = 0;                // the open sync's request, 0 = none
    std::map<std::string, Order> orders;

    Broker(const keel_host *host, keel_str json) : Base(host) {
        const plugin_field fields[] = {
            {"port", PLUGIN_INTEGER, 1, 65535, &port, 0, 1},
            {"patience", PLUGIN_INTEGER, 1, 600, &patience, 0, 0},
            {"key", PLUGIN_SECRET, 0, 0, secret, sizeof secret, 1},
        };
        plugin::configure(json, fields, 3);
        line.fd = -1;
    }

    // ---- life

    void start_up() {
        key.clear();
        keel_writer writer = {this, [](const keel_writer *writer, const void *bytes, size_t length) -> keel_status {
            return plugin::guard(nullptr, [&] { static_cast<Broker *>(writer->ctx)->key.append(static_cast<const char *>(bytes), length); });
        }};
        if (host->secret(host, plugin_str(secret), &writer) != KEEL_OK) throw plugin::Refusal(KEEL_E_AUTH, std::string("the secret \"") + secret + "\" is missing");
        plugin_line_open(&line, host, static_cast<int>(port), this,
                         [](void *self, char *text) { plugin::watched(static_cast<Broker *>(self)->host, [&] { static_cast<Broker *>(self)->on_line(text); }); },
                         [](void *self, int up) { plugin::watched(static_cast<Broker *>(self)->host, [&] { static_cast<Broker *>(self)->on_link(up); }); });
    }

    void shut_down() {
        plugin_line_close(&line);
        ready = false;
        if (sync) plugin_done(host, sync, KEEL_E_STATE, "stopped");
        sync = 0;
        for (auto &[name, order] : orders) {
            if (order.state == KEEL_ORDER_PENDING) tell(order, KEEL_ORDER_IN_DOUBT);
            end_submit(order, KEEL_E_IN_DOUBT, "stopped");
            end_cancel(order, KEEL_E_IN_DOUBT, "stopped");
        }
    }

    void on_timer(uint64_t timer, uint64_t) {
        if (plugin_line_timer(&line, timer)) return;
        for (auto &[name, order] : orders) {
            if (order.timer != timer) continue;
            order.timer = 0;
            if (order.state != KEEL_ORDER_PENDING) return;
            tell(order, KEEL_ORDER_IN_DOUBT);  // a late answer still puts this right
            end_submit(order, KEEL_E_IN_DOUBT, "no acknowledgement yet");
            return;
        }
    }

    void on_fd(uint32_t bits) { plugin_line_ready(&line, bits); }

    // ---- events

    void tell(Order &order, uint32_t state, uint16_t flags = 0) {
        order.state = state;
        auto event = plugin::event<keel_ev_order>(KEEL_EV_ORDER);
        event.head.flags = flags;
        event.head.instrument = order.instrument;
        event.order = order.id;
        event.state = state;
        event.side = order.side;
        event.filled = order.filled;  // cumulative, never deltas
        event.leaves = order.qty - order.filled;
        event.average = order.filled ? static_cast<keel_fixed>((order.notional * 2 + order.filled) / (static_cast<__int128>(order.filled) * 2)) : 0;
        event.limit = order.limit;
        host->emit(host, &event.head);
    }

    void end_submit(Order &order, keel_status status, const char *why) {
        if (order.timer) host->timer_stop(host, order.timer);
        order.timer = 0;
        uint64_t request = order.submit;
        order.submit = 0;
        if (request) plugin_done(host, request, status, why);
    }

    void end_cancel(Order &order, keel_status status, const char *why) {
        uint64_t request = order.cancel;
        order.cancel = 0;
        if (request) plugin_done(host, request, status, why);
    }

    // ---- VENUE, first half: what it says

    static keel_fixed decimal(const std::string &text) {
        keel_fixed value;
        if (!plugin_parse_decimal(text.c_str(), &value)) throw std::runtime_error("the venue sent \"" + text + "\" for a number");
        return value;
    }

    static bool parse_id(const std::string &text, keel_id &id) {
        unsigned long long hi, lo;
        if (text.size() != 32 || sscanf(text.c_str(), "%16llx%16llx", &hi, &lo) != 2) return false;
        id = {hi, lo};
        return true;
    }

    static std::string name(keel_id id) {
        char text[33];
        snprintf(text, sizeof text, "%016llx%016llx", static_cast<unsigned long long>(id.hi), static_cast<unsigned long long>(id.lo));
        return text;
    }

    void on_fill(Order &order, const std::string &fill_id, keel_fixed qty, keel_fixed price, keel_fixed fee) {
        uint16_t flags = sync ? KEEL_EVF_SNAPSHOT : 0;
        bool fresh = order.fills.insert(fill_id).second;
        if (!fresh && !sync) return;
        if (fresh) order.filled += qty, order.notional += static_cast<__int128>(qty) * price;
        struct { keel_ev_fill event; char text[64]; } out{};
        std::string texts = "USDT" + fill_id.substr(0, 60);
        memcpy(out.text, texts.data(), texts.size());
        out.event.head.size = static_cast<uint32_t>(sizeof out.event + texts.size());
        out.event.head.kind = KEEL_EV_FILL;
        out.event.head.flags = flags;
        out.event.head.instrument = order.instrument;
        out.event.order = order.id;
        out.event.side = order.side;
        out.event.qty = qty;
        out.event.price = price;
        out.event.fee = {static_cast<uint64_t>(fee), fee < 0 ? -1 : 0};
        out.event.liquidity = KEEL_LIQUIDITY_TAKER;
        out.event.fee_asset = {sizeof out.event, 4};
        out.event.fill_id = {sizeof out.event + 4, static_cast<uint32_t>(texts.size() - 4)};
        host->emit(host, &out.event.head);
        if (!fresh) return;
        tell(order, order.filled >= order.qty ? KEEL_ORDER_FILLED : KEEL_ORDER_OPEN, flags);
        if (order.state != KEEL_ORDER_FILLED) return;
        end_submit(order, KEEL_OK, nullptr);
        end_cancel(order, KEEL_E_REJECTED, "the order was filled first");
    }

    void on_line(const std::string &text) {
        std::istringstream stream(text);
        std::vector<std::string> word;
        for (std::string one; stream >> one;) word.push_back(one);
        if (word.empty()) return;
        word.resize(7);
        if (word[0] == "WELCOME") {
            ready = true;
            return plugin_link(host, KEEL_LINK_UP, KEEL_OK, "venue");
        }
        if (word[0] == "DENIED") return plugin_link(host, KEEL_LINK_DOWN, KEEL_E_AUTH, "venue");
        if (word[0] == "END") {
            uint64_t request = sync;
            sync = 0;
            if (request) plugin_done(host, request, KEEL_OK, nullptr);
            return;
        }
        if (word[0] == "BALANCE") {
            auto event = plugin::event<keel_ev_balance>(KEEL_EV_BALANCE);
            event.head.flags = sync ? KEEL_EVF_SNAPSHOT : 0;
            event.total.lo = event.available.lo = static_cast<uint64_t>(decimal(word[2]));
            return plugin::emit(host, event, &keel_ev_balance::asset, word[1]);
        }
        keel_id id;
        if (word[0] == "ORDER" && parse_id(word[1], id)) {
            // Part of a sync. It may be an order of a run before this one: then this is how we learn of it.
            Order &order = orders[word[1]];
            order.id = id;
            if (!order.instrument) order.instrument = 1;
            order.side = word[2] == "buy" ? KEEL_BUY : KEEL_SELL;
            order.qty = decimal(word[3]);
            order.limit = decimal(word[5]);
            if (word[4] == "open") tell(order, order.ended() ? order.state : KEEL_ORDER_OPEN, KEEL_EVF_SNAPSHOT);
            return;
        }
        auto found = orders.find(word[1]);
        if (found != orders.end()) {
            Order &order = found->second;
            if (word[0] == "ACK") {
                if (order.state == KEEL_ORDER_PENDING || order.state == KEEL_ORDER_IN_DOUBT) tell(order, KEEL_ORDER_OPEN);
                return end_submit(order, KEEL_OK, nullptr);
            }
            if (word[0] == "REJECT") {
                if (!order.ended()) tell(order, KEEL_ORDER_REJECTED);
                return end_submit(order, KEEL_E_REJECTED, word[2].c_str());
            }
            if (word[0] == "FILL") return on_fill(order, word[2], decimal(word[3]), decimal(word[4]), decimal(word[5]));
            if (word[0] == "CANCELED") {
                if (!order.ended()) tell(order, KEEL_ORDER_CANCELED);
                end_submit(order, KEEL_OK, nullptr);
                return end_cancel(order, KEEL_OK, nullptr);
            }
            if (word[0] == "NOCANCEL") return end_cancel(order, KEEL_E_REJECTED, word[2].c_str());
        }
        // Lenient with what comes: say so and go on.
        plugin_log(host, KEEL_LOG_WARN, ("the venue said something unknown: " + text.substr(0, 100)).c_str());
    }

    void on_link(bool up) {
        if (up) {
            plugin_line_send(&line, ("LOGIN " + key + "\n").c_str());
            return;
        }
        ready = false;
        uint64_t request = sync;
        sync = 0;
        plugin_link(host, KEEL_LINK_DOWN, KEEL_E_NETWORK, "venue");
        if (request) plugin_done(host, request, KEEL_E_NETWORK, "the connection was lost");
        for (auto &[name, order] : orders) {
            end_cancel(order, KEEL_E_IN_DOUBT, "the connection was lost");
            if (order.state != KEEL_ORDER_PENDING) continue;
            // It may have arrived. Never call that rejected, never send it again: the host will sync.
            tell(order, KEEL_ORDER_IN_DOUBT);
            end_submit(order, KEEL_E_IN_DOUBT, "the connection was lost");
        }
    }

    // ---- the broker's functions; VENUE, second half: what it is told

    keel_instrument check(const keel_order &order) const {
        uint64_t kind = order.features & features;
        if (order.features & ~features || (kind != KEEL_ORD_MARKET && kind != KEEL_ORD_LIMIT)) throw plugin::Refusal(KEEL_E_UNSUPPORTED, "only plain market and limit orders");
        plugin::refuse_unknown_tail(order);
        if (order.side != KEEL_BUY && order.side != KEEL_SELL) throw plugin::Refusal(KEEL_E_INVALID, "side must be buy or sell");
        keel_instrument about = plugin::instrument(host, order.instrument);
        if (about.venue_symbol.len == 0) throw plugin::Refusal(KEEL_E_INVALID, "the instrument needs a venue symbol");
        auto range = [](bool good, const char *rule) { if (!good) throw plugin::Refusal(KEEL_E_RANGE, rule); };
        range(order.qty > 0, "qty must be above 0");
        range(about.lot <= 0 || order.qty % about.lot == 0, "qty is no multiple of the lot");
        range(about.min_qty <= 0 || order.qty >= about.min_qty, "qty is below min_qty");
        range(about.max_qty <= 0 || order.qty <= about.max_qty, "qty is above max_qty");
        if (kind == KEEL_ORD_LIMIT) {
            range(order.limit > 0, "limit must be above 0");
            range(about.tick <= 0 || order.limit % about.tick == 0, "limit is no multiple of the tick");
        }
        if (order.not_after && host->now(host) > order.not_after) throw plugin::Refusal(KEEL_E_TIMEOUT, "not_after has passed");
        return about;
    }

    static keel_status submit(keel_instance *instance, const keel_order *wanted, uint64_t request, keel_error *error) {
        return plugin::guard(error, [&] {
            Broker &self = me(instance);
            self.needs_running();
            keel_instrument about = self.check(*wanted);
            std::string id = name(wanted->id);
            if (self.orders.count(id)) throw plugin::Refusal(KEEL_E_DUPLICATE, "this order id was used before");
            if (!self.ready) throw plugin::Refusal(KEEL_E_NETWORK, "not connected");
            Order order;
            order.id = wanted->id;
            order.instrument = wanted->instrument;
            order.side = wanted->side;
            order.qty = wanted->qty;
            order.limit = wanted->limit;
            order.submit = request;
            // The host's id travels as the venue's client order id. A venue without such a field needs host->put(id, ...)
            // here, before the first byte leaves, and host->get in sync.
            char qty[32], limit[32];
            plugin_decimal(order.qty, qty);
            plugin_decimal(order.limit, limit);
            std::string text = "NEW " + id + " " + std::string(about.venue_symbol.ptr, about.venue_symbol.len) + (order.side == KEEL_BUY ? " buy " : " sell ")
                + (wanted->features & KEEL_ORD_MARKET ? "market " : "limit ") + qty + " " + limit + "\n";
            Order &kept = self.orders[id] = order;
            self.tell(kept, KEEL_ORDER_PENDING);
            if (!plugin_line_send(&self.line, text.c_str())) {
                self.orders.erase(id);
                throw plugin::Refusal(KEEL_E_NETWORK, "not connected");
            }
            if (kept.state == KEEL_ORDER_PENDING) self.host->timer(self.host, self.patience * 1000000000, 0, 1, &kept.timer);
        });
    }

    static keel_status cancel(keel_instance *instance, keel_id id, uint64_t request, keel_error *error) {
        return plugin::guard(error, [&] {
            Broker &self = me(instance);
            self.needs_running();
            auto found = self.orders.find(name(id));
            if (found == self.orders.end()) throw plugin::Refusal(KEEL_E_NOT_FOUND, "no such order");
            Order &order = found->second;
            if (order.ended()) throw plugin::Refusal(KEEL_E_REJECTED, "the order has ended");
            if (order.cancel) throw plugin::Refusal(KEEL_E_DUPLICATE, "a cancel is on its way already");
            order.cancel = request;
            if (self.ready && plugin_line_send(&self.line, ("CANCEL " + name(id) + "\n").c_str())) return;
            order.cancel = 0;
            throw plugin::Refusal(KEEL_E_NETWORK, "not connected");
        });
    }

    static keel_status sync_orders(keel_instance *instance, keel_time, uint64_t request, keel_error *error) {
        return plugin::guard(error, [&] {
            Broker &self = me(instance);
            self.needs_running();
            if (!self.ready) throw plugin::Refusal(KEEL_E_NETWORK, "not connected");
            if (self.sync) throw plugin::Refusal(KEEL_E_AGAIN, "a sync is running already");
            self.sync = request;
            plugin_line_send(&self.line, "SYNC\n");  // this venue tells everything it has, whatever `since` says
        });
    }

    // "live" once its endpoints move money: the host trades live with no other, and never by accident with that one.
    static keel_status describe(keel_instance *, const keel_writer *out) {
        static const char text[] = "{\"environment\":\"paper\"}";
        return out->write(out, text, sizeof text - 1);
    }
};

static const keel_broker broker = {sizeof broker, 0, features, Broker::submit, Broker::cancel, nullptr, Broker::sync_orders};
static const keel_describe description = {sizeof description, 0, Broker::describe};
static const keel_interface interfaces[] = {{KEEL_BROKER, &broker}, {KEEL_DESCRIBE, &description}};
static const keel_component component = {
    sizeof component, 0, "@ID@", "@NAME@", "", "0.1.0", "MIT", "", "c++", schema, 0, 0, interfaces, 2, 0,
    nullptr, Broker::create, Broker::start, Broker::stop, Broker::destroy, Broker::timer_fired, Broker::ready_fd, nullptr,
};
static const keel_component *const components[] = {&component};
static const keel_library library = {sizeof library, KEEL_ABI_MAJOR, KEEL_ABI_MINOR, components, 1, 0};

extern "C" const keel_library *keel_plugin_entry(uint32_t abi_major) { return abi_major == KEEL_ABI_MAJOR ? &library : nullptr; }

"""###
}
