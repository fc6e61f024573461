extension Templates {
    /// A router in C.
    static let cRouter = ###"""
/* @NAME@: a router for Keel, in C.
 *
 * It sends the parent in at most `slices` children, one after the other. Replace `next_quantity` with your own schedule;
 * the bookkeeping around it - never more than the parent, a doubt counts as live, no refused child twice - is what
 * `keel plugin check` tests.
 */
#include "plugin.h"

#define MOST_PARENTS 100
#define MOST_CHILDREN 200

/* ---- configuration: the struct, its schema and its fields, side by side ------------------------------------------- */

struct config { int64_t slices; };

static const char schema[] =
    "{\"type\":\"object\",\"properties\":{"
    "\"slices\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":100,\"default\":4,\"description\":\"Into how many children an order is cut.\"}}}";

static keel_status configure(struct config *config, keel_str json, keel_error *error) {
    const plugin_field fields[] = {{"slices", PLUGIN_INTEGER, 1, 100, &config->slices, 0, 0}};
    config->slices = 4;
    return plugin_configure(json, fields, sizeof fields / sizeof *fields, error);
}

/* ---- the instance ------------------------------------------------------------------------------------------------- */

struct child { uint32_t state; keel_fixed qty, filled; };

struct parent {
    uint64_t request;      /* 0: this place is free */
    keel_order order;
    keel_fixed lot, least, most, slice;
    keel_status ending;    /* no more children; how the DONE will read */
    int count, rejections;
    struct child children[MOST_CHILDREN];
};

struct instance {
    const keel_host *host;
    struct config config;
    enum { CREATED, RUNNING, STOPPED } state;
    struct parent parents[MOST_PARENTS];
};

static struct instance *me(keel_instance *instance) { return (struct instance *)instance; }

static int ended(const struct child *child) { return child->state >= KEEL_ORDER_FILLED && child->state <= KEEL_ORDER_EXPIRED; }

static keel_fixed down_to_lot(const struct parent *parent, keel_fixed qty) { return parent->lot > 0 ? qty / parent->lot * parent->lot : qty; }

/* What is not yet placed: a live child counts whole, also one in doubt; an ended one with what it filled. */
static keel_fixed left(const struct parent *parent) {
    keel_fixed sum = parent->order.qty;
    for (int i = 0; i < parent->count; i++) sum -= ended(&parent->children[i]) ? parent->children[i].filled : parent->children[i].qty;
    return sum;
}

static int live(const struct parent *parent) {
    int count = 0;
    for (int i = 0; i < parent->count; i++) count += !ended(&parent->children[i]);
    return count;
}

static void finish(struct instance *self, struct parent *parent, keel_status status, const char *why) {
    uint64_t request = parent->request;
    parent->request = 0;
    plugin_done(self->host, request, status, why);
}

/* The schedule: equal slices, the remainder with the last one. */
static keel_fixed next_quantity(const struct parent *parent) {
    keel_fixed rest = left(parent), qty = parent->slice;
    if (qty < parent->least) qty = parent->least;
    if (rest - qty < parent->slice / 2 || rest - qty < parent->least) qty = rest;
    if (parent->most > 0 && qty > parent->most) qty = parent->most;
    return down_to_lot(parent, qty);
}

static void send_child(struct instance *self, struct parent *parent, keel_fixed qty) {
    struct { keel_ev_child event; keel_order order; } out;
    struct child *child = &parent->children[parent->count++];
    child->state = KEEL_ORDER_PENDING;
    child->qty = qty;
    child->filled = 0;
    memset(&out, 0, sizeof out);
    out.order = parent->order;                     /* same side, instrument, limit, features and not_after */
    out.order.struct_size = sizeof out.order;
    out.order.id.lo |= (uint64_t)parent->count;    /* the parent's id plus the leg, from 1 */
    out.order.qty = qty;
    out.event.head.size = sizeof out;
    out.event.head.kind = KEEL_EV_CHILD;
    out.event.head.instrument = parent->order.instrument;
    out.event.head.request = parent->request;
    out.event.order.off = sizeof out.event;
    out.event.order.len = sizeof out.order;
    self->host->emit(self->host, &out.event.head);
}

/* Something about the parent has changed: the next child, or the end. */
static void go_on(struct instance *self, struct parent *parent) {
    keel_fixed qty;
    if (live(parent) > 0) return;
    if (left(parent) <= 0) { finish(self, parent, KEEL_OK, NULL); return; }
    if (!parent->ending && parent->order.not_after && self->host->now(self->host) > parent->order.not_after) parent->ending = KEEL_E_TIMEOUT;
    if (!parent->ending && (parent->rejections >= 3 || parent->count == MOST_CHILDREN)) parent->ending = KEEL_E_REJECTED;
    if (parent->ending) { finish(self, parent, parent->ending, "not all of it was placed"); return; }
    qty = next_quantity(parent);
    if (qty <= 0 || qty < parent->least) { finish(self, parent, KEEL_OK, "the rest is below the minimum"); return; }
    send_child(self, parent, qty);
}

/* ---- life --------------------------------------------------------------------------------------------------------- */

static keel_status create(const keel_component *component, const keel_host *host, keel_str name, keel_str json, keel_instance **out, keel_error *error) {
    struct instance *self;
    keel_status status;
    (void)component, (void)name;
    if (!plugin_host_fits(host)) return plugin_fail(error, KEEL_E_UNSUPPORTED, "this plugin needs a host of ABI %u", KEEL_ABI_MAJOR);
    self = (struct instance *)calloc(1, sizeof *self);
    if (!self) return plugin_fail(error, KEEL_E_INTERNAL, "no memory");
    status = configure(&self->config, json, error);
    if (status != KEEL_OK) {
        free(self);
        return status;
    }
    self->host = host;
    *out = (keel_instance *)self;
    return KEEL_OK;
}

static keel_status start(keel_instance *instance, keel_error *error) {
    struct instance *self = me(instance);
    if (self->state == RUNNING) return plugin_fail(error, KEEL_E_STATE, "it is running already");
    self->state = RUNNING;
    return KEEL_OK;
}

static keel_status stop(keel_instance *instance, keel_time deadline, uint64_t request, keel_error *error) {
    struct instance *self = me(instance);
    (void)deadline;
    if (self->state != RUNNING) return plugin_fail(error, KEEL_E_STATE, "it is not running");
    for (int i = 0; i < MOST_PARENTS; i++) if (self->parents[i].request) finish(self, &self->parents[i], KEEL_E_STATE, "stopped");
    self->state = STOPPED;
    plugin_done(self->host, request, KEEL_OK, NULL);   /* the very last event */
    return KEEL_OK;
}

static void destroy(keel_instance *instance) { free(instance); }

/* ---- the router's three functions --------------------------------------------------------------------------------- */

static keel_status route(keel_instance *instance, const keel_order *order, uint64_t request, keel_error *error) {
    struct instance *self = me(instance);
    const uint64_t known = KEEL_ORD_MARKET | KEEL_ORD_LIMIT | KEEL_ORD_POST_ONLY | KEEL_ORD_REDUCE_ONLY | KEEL_ORD_IOC;
    const unsigned char *bytes = (const unsigned char *)order;
    keel_instrument about;
    struct parent *parent = NULL;
    uint32_t i;
    if (self->state != RUNNING) return plugin_fail(error, KEEL_E_STATE, "it is not running");
    /* Strict: what we don't know, we refuse. */
    if (order->features & ~known) return plugin_fail(error, KEEL_E_UNSUPPORTED, "the order has features this router doesn't know");
    for (i = sizeof *order; i < order->struct_size; i++) if (bytes[i]) return plugin_fail(error, KEEL_E_UNSUPPORTED, "the order has parts this router doesn't know");
    if (order->qty <= 0) return plugin_fail(error, KEEL_E_RANGE, "qty must be above 0");
    if (order->not_after && self->host->now(self->host) > order->not_after) return plugin_fail(error, KEEL_E_TIMEOUT, "not_after has passed");
    memset(&about, 0, sizeof about);
    about.struct_size = sizeof about;
    if (self->host->instrument(self->host, order->instrument, &about) != KEEL_OK) return plugin_fail(error, KEEL_E_NOT_FOUND, "unknown instrument");
    for (i = 0; i < MOST_PARENTS && !parent; i++) if (!self->parents[i].request) parent = &self->parents[i];
    if (!parent) return plugin_fail(error, KEEL_E_AGAIN, "too many parents at once");
    memset(parent, 0, sizeof *parent);
    parent->request = request;
    parent->order = *order;
    parent->lot = about.lot;
    parent->least = about.min_qty;
    parent->most = about.max_qty;
    parent->slice = down_to_lot(parent, order->qty / self->config.slices);
    go_on(self, parent);
    return KEEL_OK;
}

static void on_event(keel_instance *instance, const keel_event *event) {
    struct instance *self = me(instance);
    const keel_ev_order *report = (const keel_ev_order *)event;
    if (self->state != RUNNING || event->kind != KEEL_EV_ORDER || event->size < sizeof *report) return;
    for (int i = 0; i < MOST_PARENTS; i++) {
        struct parent *parent = &self->parents[i];
        int leg = (int)(report->order.lo & 0xffff);
        struct child *child;
        if (!parent->request || parent->order.id.hi != report->order.hi || parent->order.id.lo >> 16 != report->order.lo >> 16) continue;
        if (leg < 1 || leg > parent->count) return;
        child = &parent->children[leg - 1];
        if (ended(child)) return;                                          /* told twice */
        if (report->filled > child->filled) child->filled = report->filled; /* cumulative: the highest is the newest */
        child->state = report->state;
        if (report->state == KEEL_ORDER_REJECTED) {
            /* By the venue or by the host's risk gate: never the same again, and not for ever. */
            parent->rejections++;
            parent->slice = down_to_lot(parent, parent->slice / 2);
        }
        go_on(self, parent);
        return;
    }
}

static void cancel(keel_instance *instance, uint64_t request) {
    struct instance *self = me(instance);
    if (self->state != RUNNING) return;
    for (int i = 0; i < MOST_PARENTS; i++) {
        struct parent *parent = &self->parents[i];
        if (!request || parent->request != request || parent->ending) continue;
        parent->ending = KEEL_E_REJECTED;
        for (int leg = 1; leg <= parent->count; leg++) {
            keel_ev_child_cancel event;
            if (ended(&parent->children[leg - 1])) continue;
            memset(&event, 0, sizeof event);
            event.head.size = sizeof event;
            event.head.kind = KEEL_EV_CHILD_CANCEL;
            event.head.instrument = parent->order.instrument;
            event.head.request = request;
            event.order = parent->order.id;
            event.order.lo |= (uint64_t)leg;
            self->host->emit(self->host, &event.head);
        }
        go_on(self, parent);   /* nothing live: done at once; otherwise after the last child has ended */
        return;
    }
}

/* ---- the tables --------------------------------------------------------------------------------------------------- */

static const keel_router router = {sizeof router, 0, route, on_event, cancel};
static const keel_interface interfaces[] = {{KEEL_ROUTER, &router}};
static const keel_component component = {
    sizeof component, KEEL_COMPONENT_INLINE | KEEL_COMPONENT_DETERMINISTIC, "@ID@", "@NAME@", "", "0.1.0", "MIT", "", "c", schema, 0, 0, interfaces, 1, 0,
    NULL, create, start, stop, destroy, NULL, NULL, NULL,
};
static const keel_component *const components[] = {&component};
static const keel_library library = {sizeof library, KEEL_ABI_MAJOR, KEEL_ABI_MINOR, components, 1, 0};

const keel_library *keel_plugin_entry(uint32_t abi_major) { return abi_major == KEEL_ABI_MAJOR ? &library : NULL; }

"""###
}
