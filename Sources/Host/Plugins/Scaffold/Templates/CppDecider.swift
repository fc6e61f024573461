extension Templates {
    /// A decider in C++.
    static let cppDecider = ###"""
// @NAME@: a decider for Keel, in C++17.
//
// It compares the last price with the mean of the newest bars and buys above it, sells below it, within what the
// snapshot allows. Replace `judge` with your own idea; what stands around it is what `keel plugin check` tests.
#include "plugin.hpp"
#include <algorithm>

// Configuration: the members and the schema, side by side.
static const char schema[] =
    "{\"type\":\"object\",\"properties\":{"
    "\"bars\":{\"type\":\"integer\",\"minimum\":2,\"maximum\":500,\"default\":20,\"description\":\"How many of the newest bars make the mean.\"}}}";

struct Decider : plugin::Base<Decider> {
    int64_t bars = 20;

    struct Verdict {
        uint32_t action = KEEL_ACT_HOLD;
        keel_fixed confidence = 0;
        std::string reason = "no bars to compare with";
    };

    Decider(const keel_host *host, keel_str json) : Base(host) {
        const plugin_field fields[] = {{"bars", PLUGIN_INTEGER, 2, 500, &bars, 0, 0}};
        plugin::configure(json, fields, 1);
    }

    void start_up() {}
    void shut_down() {}

    // The idea. Lists lie behind the struct, at offsets from its start.
    Verdict judge(const keel_snapshot &snapshot) const {
        Verdict verdict;
        auto block = reinterpret_cast<const char *>(&snapshot);
        if (snapshot.series.count == 0) return verdict;
        auto series = reinterpret_cast<const keel_series *>(block + snapshot.series.off);
        if (series->bars.count < static_cast<uint64_t>(bars)) return verdict;
        auto end = reinterpret_cast<const keel_bar *>(block + series->bars.off) + series->bars.count;
        double mean = 0, last = static_cast<double>(snapshot.last);
        std::for_each(end - bars, end, [&](const keel_bar &bar) { mean += static_cast<double>(bar.close) / static_cast<double>(bars); });
        verdict.confidence = KEEL_ONE / 2;
        verdict.reason = "the price is at the mean";
        if (last > mean) verdict.action = KEEL_ACT_BUY, verdict.reason = "the price is above the mean";
        if (last < mean) verdict.action = KEEL_ACT_SELL, verdict.reason = "the price is below the mean";
        return verdict;
    }

    // Never beyond what is allowed: the host would refuse it, and record that.
    static bool allowed(const keel_snapshot &snapshot, uint32_t action) {
        bool flat = snapshot.position.hi < 0 || (snapshot.position.hi == 0 && snapshot.position.lo == 0);
        if (action == KEEL_ACT_BUY) return snapshot.allowed & KEEL_MAY_BUY;
        if (action == KEEL_ACT_SELL) return (snapshot.allowed & KEEL_MAY_SELL) && (!flat || (snapshot.allowed & KEEL_MAY_SHORT));
        return true;
    }

    static keel_status decide(keel_instance *instance, const keel_snapshot *snapshot, keel_time deadline, uint64_t request, keel_error *error) {
        return plugin::guard(error, [&] {
            Decider &self = me(instance);
            self.needs_running();
            if (snapshot->struct_size < sizeof *snapshot) throw plugin::Refusal(KEEL_E_INVALID, "the snapshot is too short");
            if (deadline && self.host->now(self.host) >= deadline) return plugin_done(self.host, request, KEEL_E_TIMEOUT, "the deadline has passed");
            Verdict verdict = self.judge(*snapshot);
            if (!allowed(*snapshot, verdict.action)) verdict.action = KEEL_ACT_HOLD;
            auto decision = plugin::event<keel_ev_decision>(KEEL_EV_DECISION);
            decision.head.instrument = snapshot->instrument;
            decision.head.request = request;
            decision.action = verdict.action;
            decision.snapshot = snapshot->hash;
            decision.fraction = verdict.action == KEEL_ACT_HOLD ? 0 : std::clamp<keel_fixed>(snapshot->max_fraction, 0, KEEL_ONE);
            decision.confidence = verdict.confidence;
            decision.exit_probability = -1;  // not said
            plugin::emit(self.host, decision, &keel_ev_decision::reason, verdict.reason);
            plugin_done(self.host, request, KEEL_OK, nullptr);
        });
    }

    static void cancel(keel_instance *, uint64_t) {}  // decide answers at once: nothing is ever open
};

static const keel_decider decider = {sizeof decider, 60, KEEL_WANT_BARS, Decider::decide, Decider::cancel, nullptr};
static const keel_interface interfaces[] = {{KEEL_DECIDER, &decider}};
static const keel_component component = {
    sizeof component, KEEL_COMPONENT_INLINE | KEEL_COMPONENT_DETERMINISTIC, "@ID@", "@NAME@", "", "0.1.0", "MIT", "", "c++", schema, 0, 0, interfaces, 1, 0,
    nullptr, Decider::create, Decider::start, Decider::stop, Decider::destroy, nullptr, nullptr, nullptr,
};
static const keel_component *const components[] = {&component};
static const keel_library library = {sizeof library, KEEL_ABI_MAJOR, KEEL_ABI_MINOR, components, 1, 0};

extern "C" const keel_library *keel_plugin_entry(uint32_t abi_major) { return abi_major == KEEL_ABI_MAJOR ? &library : nullptr; }

"""###
}
