extension Templates {
    /// A feed in C++.
    static let cppFeed = ###"""
// @NAME@: a feed for Keel, in C++17.
//
// It makes up a market: a price that walks up and down, one quote an instrument every `every` milliseconds of the host's
// clock. Replace `walk` with your data source; plugin.h has a connection (plugin_line) that never blocks and comes back
// by itself, and the host's watch() tells you when a socket of your own is ready.
#include "plugin.hpp"
#include <map>

// Configuration: the members and the schema, side by side.
static const char schema[] =
    "{\"type\":\"object\",\"properties\":{"
    "\"every\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":60000,\"default\":100,\"x-unit\":\"ms\",\"description\":\"Time between two quotes.\"}}}";

struct Feed : plugin::Base<Feed> {
    struct Stream {
        keel_fixed tick, price;
        uint64_t steps = 0;
    };

    int64_t every = 100;
    uint64_t pace = 0;
    std::map<keel_instrument_id, Stream> streams;

    Feed(const keel_host *host, keel_str json) : Base(host) {
        const plugin_field fields[] = {{"every", PLUGIN_INTEGER, 1, 60000, &every, 0, 0}};
        plugin::configure(json, fields, 1);
    }

    void start_up() {
        if (host->timer(host, every * 1000000, every * 1000000, 0, &pace) != KEEL_OK) throw plugin::Refusal(KEEL_E_INTERNAL, "the host gave no timer");
        plugin_link(host, KEEL_LINK_UP, KEEL_OK, "market");
    }

    void shut_down() {
        host->timer_stop(host, pace);
        streams.clear();
    }

    void on_timer(uint64_t, uint64_t) {
        for (auto &[id, stream] : streams) {
            walk(id, stream);
            auto quote = plugin::event<keel_ev_quote>(KEEL_EV_QUOTE);
            quote.head.instrument = id;
            quote.head.at_source = host->now(host);
            quote.bid = stream.price;
            quote.ask = stream.price + stream.tick;
            quote.bid_qty = quote.ask_qty = static_cast<keel_fixed>(1 + stream.steps % 7) * KEEL_ONE;
            host->emit(host, &quote.head);  // KEEL_E_AGAIN: the host is busy, and the next quote will do
        }
    }

    // The next price: a walk that looks random and is the same each time.
    static void walk(keel_instrument_id id, Stream &stream) {
        uint64_t mixed = (++stream.steps + id) * 0x9e3779b97f4a7c15ull;
        stream.price += static_cast<keel_fixed>(mixed >> 62) * stream.tick - stream.tick;
        if (stream.price < 1000 * stream.tick) stream.price = 1000 * stream.tick;
    }

    static keel_status subscribe(keel_instance *instance, keel_instrument_id id, uint64_t channels, uint64_t request, keel_error *error) {
        return plugin::guard(error, [&] {
            Feed &self = me(instance);
            self.needs_running();
            if (channels & ~KEEL_CH_QUOTES || !channels) throw plugin::Refusal(KEEL_E_UNSUPPORTED, "this feed has quotes only");
            keel_instrument about = plugin::instrument(self.host, id);
            keel_fixed tick = about.tick > 0 ? about.tick : KEEL_ONE / 100;
            self.streams.emplace(id, Stream{tick, tick * 10000});  // a second time changes nothing
            plugin_done(self.host, request, KEEL_OK, nullptr);
        });
    }

    static keel_status unsubscribe(keel_instance *instance, keel_instrument_id id, uint64_t, uint64_t request, keel_error *error) {
        return plugin::guard(error, [&] {
            Feed &self = me(instance);
            self.needs_running();
            self.streams.erase(id);
            plugin_done(self.host, request, KEEL_OK, nullptr);
        });
    }
};

static const keel_feed feed = {sizeof feed, 0, KEEL_CH_QUOTES, 0, Feed::subscribe, Feed::unsubscribe};
static const keel_interface interfaces[] = {{KEEL_FEED, &feed}};
static const keel_component component = {
    sizeof component, 0, "@ID@", "@NAME@", "", "0.1.0", "MIT", "", "c++", schema, 0, 0, interfaces, 1, 0,
    nullptr, Feed::create, Feed::start, Feed::stop, Feed::destroy, Feed::timer_fired, nullptr, nullptr,
};
static const keel_component *const components[] = {&component};
static const keel_library library = {sizeof library, KEEL_ABI_MAJOR, KEEL_ABI_MINOR, components, 1, 0};

extern "C" const keel_library *keel_plugin_entry(uint32_t abi_major) { return abi_major == KEEL_ABI_MAJOR ? &library : nullptr; }

"""###
}
