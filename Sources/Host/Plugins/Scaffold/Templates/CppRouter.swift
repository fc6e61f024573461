extension Templates {
    /// A router in C++.
    static let cppRouter = ###"""
// @NAME@: a router for Keel, in C++17.
//
// It sends the parent in at most `slices` children, one after the other. Replace `next_quantity` with your own schedule;
// the bookkeeping around it - never more than the parent, a doubt counts as live, no refused child twice - is what
// `keel plugin check` tests.
#include "plugin.hpp"
#include <algorithm>
#include <map>
#include <vector>

// Configuration: the members and the schema, side by side.
static const char schema[] =
    "{\"type\":\"object\",\"properties\":{"
    "\"slices\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":100,\"default\":4,\"description\":\"Into how many children an order is cut.\"}}}";

struct Child {
    uint32_t state = KEEL_ORDER_PENDING;
    keel_fixed qty, filled = 0;
    bool ended() const { return state >= KEEL_ORDER_FILLED && state <= KEEL_ORDER_EXPIRED; }
};

struct Parent {
    keel_order order;
    keel_fixed lot, least, most, slice;
    keel_status ending = KEEL_OK;  // no more children; how the DONE will read
    int rejections = 0;
    std::vector<Child> children;

    keel_fixed down_to_lot(keel_fixed qty) const { return lot > 0 ? qty / lot * lot : qty; }
    bool live() const { return std::any_of(children.begin(), children.end(), [](const Child &child) { return !child.ended(); }); }

    // What is not yet placed: a live child counts whole, also one in doubt; an ended one with what it filled.
    keel_fixed left() const {
        keel_fixed sum = order.qty;
        for (const Child &child : children) sum -= child.ended() ? child.filled : child.qty;
        return sum;
    }

    // The schedule: equal slices, the remainder with the last one.
    keel_fixed next_quantity() const {
        keel_fixed rest = left(), qty = std::max(slice, least);
        if (rest - qty < slice / 2 || rest - qty < least) qty = rest;
        if (most > 0 && qty > most) qty = most;
        return down_to_lot(qty);
    }
};

struct Router : plugin::Base<Router> {
    int64_t slices = 4;
    std::map<uint64_t, Parent> parents;  // by request

    Router(const keel_host *host, keel_str json) : Base(host) {
        const plugin_field fields[] = {{"slices", PLUGIN_INTEGER, 1, 100, &slices, 0, 0}};
        plugin::configure(json, fields, 1);
    }

    void start_up() {}
    void shut_down() {
        for (auto &[request, parent] : parents) plugin_done(host, request, KEEL_E_STATE, "stopped");
        parents.clear();
    }

    void finish(uint64_t request, keel_status status, const char *why) {
        parents.erase(request);
        plugin_done(host, request, status, why);
    }

    // Something about the parent has changed: the next child, or the end.
    void go_on(uint64_t request, Parent &parent) {
        if (parent.live()) return;
        if (parent.left() <= 0) return finish(request, KEEL_OK, nullptr);
        if (!parent.ending && parent.order.not_after && host->now(host) > parent.order.not_after) parent.ending = KEEL_E_TIMEOUT;
        if (!parent.ending && (parent.rejections >= 3 || parent.children.size() >= 1000)) parent.ending = KEEL_E_REJECTED;
        if (parent.ending) return finish(request, parent.ending, "not all of it was placed");
        keel_fixed qty = parent.next_quantity();
        if (qty <= 0 || qty < parent.least) return finish(request, KEEL_OK, "the rest is below the minimum");
        send_child(request, parent, qty);
    }

    void send_child(uint64_t request, Parent &parent, keel_fixed qty) {
        Child child;
        child.qty = qty;
        parent.children.push_back(child);
        struct { keel_ev_child event; keel_order order; } out{};
        out.order = parent.order;  // same side, instrument, limit, features and not_after
        out.order.struct_size = sizeof out.order;
        out.order.id.lo |= parent.children.size();  // the parent's id plus the leg, from 1
        out.order.qty = qty;
        out.event.head.size = sizeof out;
        out.event.head.kind = KEEL_EV_CHILD;
        out.event.head.instrument = parent.order.instrument;
        out.event.head.request = request;
        out.event.order = {sizeof out.event, sizeof out.order};
        host->emit(host, &out.event.head);
    }

    static keel_status route(keel_instance *instance, const keel_order *order, uint64_t request, keel_error *error) {
        return plugin::guard(error, [&] {
            Router &self = me(instance);
            self.needs_running();
            const uint64_t known = KEEL_ORD_MARKET | KEEL_ORD_LIMIT | KEEL_ORD_POST_ONLY | KEEL_ORD_REDUCE_ONLY | KEEL_ORD_IOC;
            if (order->features & ~known) throw plugin::Refusal(KEEL_E_UNSUPPORTED, "the order has features this router doesn't know");
            plugin::refuse_unknown_tail(*order);
            if (order->qty <= 0) throw plugin::Refusal(KEEL_E_RANGE, "qty must be above 0");
            if (order->not_after && self.host->now(self.host) > order->not_after) throw plugin::Refusal(KEEL_E_TIMEOUT, "not_after has passed");
            keel_instrument about = plugin::instrument(self.host, order->instrument);
            Parent parent{};
            parent.order = *order;
            parent.lot = about.lot;
            parent.least = about.min_qty;
            parent.most = about.max_qty;
            parent.slice = parent.down_to_lot(order->qty / self.slices);
            self.go_on(request, self.parents[request] = parent);
        });
    }

    static void on_event(keel_instance *instance, const keel_event *event) {
        plugin::watched(me(instance).host, [&] {
            Router &self = me(instance);
            auto report = reinterpret_cast<const keel_ev_order *>(event);
            if (self.state != plugin::State::running || event->kind != KEEL_EV_ORDER || event->size < sizeof *report) return;
            for (auto &[request, parent] : self.parents) {
                size_t leg = report->order.lo & 0xffff;
                if (parent.order.id.hi != report->order.hi || parent.order.id.lo >> 16 != report->order.lo >> 16) continue;
                if (leg < 1 || leg > parent.children.size()) return;
                Child &child = parent.children[leg - 1];
                if (child.ended()) return;                                // told twice
                child.filled = std::max(child.filled, report->filled);     // cumulative: the highest is the newest
                child.state = report->state;
                if (report->state == KEEL_ORDER_REJECTED) {
                    // By the venue or by the host's risk gate: never the same again, and not for ever.
                    parent.rejections++;
                    parent.slice = parent.down_to_lot(parent.slice / 2);
                }
                return self.go_on(request, parent);
            }
        });
    }

    static void cancel(keel_instance *instance, uint64_t request) {
        plugin::watched(me(instance).host, [&] {
            Router &self = me(instance);
            auto found = self.parents.find(request);
            if (found == self.parents.end() || found->second.ending) return;
            Parent &parent = found->second;
            parent.ending = KEEL_E_REJECTED;
            for (size_t leg = 1; leg <= parent.children.size(); leg++) {
                if (parent.children[leg - 1].ended()) continue;
                auto event = plugin::event<keel_ev_child_cancel>(KEEL_EV_CHILD_CANCEL);
                event.head.instrument = parent.order.instrument;
                event.head.request = request;
                event.order = parent.order.id;
                event.order.lo |= leg;
                self.host->emit(self.host, &event.head);
            }
            self.go_on(request, parent);  // nothing live: done at once; otherwise after the last child has ended
        });
    }
};

static const keel_router router = {sizeof router, 0, Router::route, Router::on_event, Router::cancel};
static const keel_interface interfaces[] = {{KEEL_ROUTER, &router}};
static const keel_component component = {
    sizeof component, KEEL_COMPONENT_INLINE | KEEL_COMPONENT_DETERMINISTIC, "@ID@", "@NAME@", "", "0.1.0", "MIT", "", "c++", schema, 0, 0, interfaces, 1, 0,
    nullptr, Router::create, Router::start, Router::stop, Router::destroy, nullptr, nullptr, nullptr,
};
static const keel_component *const components[] = {&component};
static const keel_library library = {sizeof library, KEEL_ABI_MAJOR, KEEL_ABI_MINOR, components, 1, 0};

extern "C" const keel_library *keel_plugin_entry(uint32_t abi_major) { return abi_major == KEEL_ABI_MAJOR ? &library : nullptr; }

"""###
}
