/* router.c - the zoo's reference router: the parent in a few slices, one after the other. */
#include "plugin.h"

#define MOST_PARENTS 64
#define MOST_LEGS 200

struct leg { uint16_t number; uint32_t state; keel_fixed qty, filled; };

struct parent {
    uint64_t request;
    keel_order order;
    keel_fixed tick, lot, min, max;
    struct leg legs[MOST_LEGS];
    int count, rejections;
    int ending;               /* cancelled, or given up: no more legs */
    keel_status why;
    keel_fixed slice;
};

struct instance {
    struct base base;
    int64_t slices;
    struct parent *parents[MOST_PARENTS];
};

static const char schema[] =
    "{\"type\":\"object\",\"properties\":{"
    "\"slices\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":50,\"default\":3,\"description\":\"Into how many parts an order is cut.\"}}}";

static keel_status create(const keel_component *component, const keel_host *host, keel_str name, keel_str json, keel_instance **out, keel_error *error) {
    (void)component;
    if (!host_fits(host)) return fail(error, KEEL_E_UNSUPPORTED, "this plugin needs a host of ABI 1");
    struct instance *self = calloc(1, sizeof *self);
    if (!self) return fail(error, KEEL_E_INTERNAL, "no memory");
    self->slices = 3;
    struct field list[] = {{"slices", FIELD_INT, 1, 50, &self->slices, 0, 0}};
    keel_status status = parse_config(json, list, 1, error);
    if (status != KEEL_OK) { free(self); return status; }
    base_init(&self->base, host, name);
    *out = (keel_instance *)self;
    return KEEL_OK;
}

static keel_status start(keel_instance *instance, keel_error *error) {
    struct instance *self = (struct instance *)instance;
    if (self->base.state != CREATED && self->base.state != STOPPED) return fail(error, KEEL_E_STATE, "start needs a created or stopped instance");
    base_started(&self->base);
    return KEEL_OK;
}

static int terminal(uint32_t state) { return state >= KEEL_ORDER_FILLED && state <= KEEL_ORDER_EXPIRED; }

/* What could still come back: whole legs that live, the filled part of those that have ended. */
static keel_fixed taken(const struct parent *parent) {
    keel_fixed sum = 0;
    for (int i = 0; i < parent->count; i++) {
#ifdef DEFECT_R01
        /* Forgets what a cancelled leg had filled. */
        if (parent->legs[i].state == KEEL_ORDER_CANCELED) continue;
#endif
        sum += terminal(parent->legs[i].state) ? parent->legs[i].filled : parent->legs[i].qty;
    }
    return sum;
}

static int live(const struct parent *parent) {
    int count = 0;
    for (int i = 0; i < parent->count; i++) if (!terminal(parent->legs[i].state)) count++;
    return count;
}

static void finish(struct instance *self, struct parent *parent, keel_status status, const char *why) {
    for (int i = 0; i < MOST_PARENTS; i++) if (self->parents[i] == parent) self->parents[i] = NULL;
    uint64_t request = parent->request;
    free(parent);
    done(&self->base, request, status, why);
}

static keel_status stop(keel_instance *instance, keel_time deadline, uint64_t request, keel_error *error) {
    (void)deadline;
    struct instance *self = (struct instance *)instance;
    if (self->base.state != RUNNING) return fail(error, KEEL_E_STATE, "stop needs a running instance");
    for (int i = 0; i < MOST_PARENTS; i++) if (self->parents[i]) finish(self, self->parents[i], KEEL_E_STATE, "stopped");
    base_stopped(&self->base, request);
    return KEEL_OK;
}

static void destroy(keel_instance *instance) {
    struct instance *self = (struct instance *)instance;
    for (int i = 0; i < MOST_PARENTS; i++) free(self->parents[i]);
    free(self);
}

static void on_wake(keel_instance *instance) { base_wake(&((struct instance *)instance)->base); }

static void send_child(struct instance *self, struct parent *parent, keel_fixed qty) {
    struct { keel_ev_child event; keel_order order; } out;
    memset(&out, 0, sizeof out);
    struct leg *leg = &parent->legs[parent->count++];
    *leg = (struct leg){(uint16_t)parent->count, KEEL_ORDER_PENDING, qty, 0};
    out.event.head.size = sizeof out;
    out.event.head.kind = KEEL_EV_CHILD;
    out.event.head.instrument = parent->order.instrument;
    out.event.head.request = parent->request;
    out.event.order = (keel_text){sizeof out.event, sizeof out.order};
    out.order = parent->order;
    out.order.struct_size = sizeof out.order;
    out.order.id.lo |= leg->number;
    out.order.qty = qty;
#ifdef DEFECT_R02
    if (out.order.side == KEEL_BUY) out.order.limit += parent->tick;
#endif
    self->base.host->emit(self->base.host, &out.event.head);
}

/* The next slice, or the end. Called whenever something about the parent has changed. */
static void move(struct instance *self, struct parent *parent) {
    const keel_host *host = self->base.host;
    keel_fixed left = parent->order.qty - taken(parent);
    if (left <= 0 && live(parent) == 0) { finish(self, parent, KEEL_OK, NULL); return; }
    if (live(parent) > 0) return;
#ifndef DEFECT_R03
    if (!parent->ending && parent->order.not_after && host->now(host) > parent->order.not_after) {
        parent->ending = 1;
        parent->why = KEEL_E_TIMEOUT;
    }
#endif
    (void)host;
    if (!parent->ending && parent->count == MOST_LEGS - 1) { parent->ending = 1; parent->why = KEEL_E_REJECTED; }
    if (parent->ending) { finish(self, parent, parent->why, "not all of it could be placed"); return; }
    keel_fixed qty = parent->slice;
    /* A remainder too small for a slice of its own goes with this one. */
    if (left - qty < parent->slice && left - qty < parent->slice / 2) qty = left;
    if (qty > left || left - qty < parent->min) qty = left;
    if (parent->max > 0 && qty > parent->max) qty = parent->max;
#ifndef DEFECT_R06
    if (parent->lot > 0) qty = qty / parent->lot * parent->lot;
#endif
    if (qty < parent->min || qty <= 0) { finish(self, parent, KEEL_OK, "the rest is below the minimum"); return; }
    send_child(self, parent, qty);
}

static keel_status route(keel_instance *instance, const keel_order *order, uint64_t request, keel_error *error) {
    struct instance *self = (struct instance *)instance;
    const keel_host *host = self->base.host;
    if (self->base.state != RUNNING) return fail(error, KEEL_E_STATE, "route needs a running instance");
    const uint64_t known = KEEL_ORD_MARKET | KEEL_ORD_LIMIT | KEEL_ORD_POST_ONLY | KEEL_ORD_REDUCE_ONLY | KEEL_ORD_IOC;
    if (order->features & ~known) return fail(error, KEEL_E_UNSUPPORTED, "an order feature is not supported");
    const unsigned char *tail = (const unsigned char *)order;
    for (uint32_t i = sizeof *order; i < order->struct_size; i++) if (tail[i]) return fail(error, KEEL_E_UNSUPPORTED, "the order has a part this plugin doesn't know");
    if (order->qty <= 0) return fail(error, KEEL_E_RANGE, "qty must be above 0");
    keel_instrument about;
    memset(&about, 0, sizeof about);
    about.struct_size = sizeof about;
    if (host->instrument(host, order->instrument, &about) != KEEL_OK) return fail(error, KEEL_E_NOT_FOUND, "instrument %u is unknown", order->instrument);
#ifndef DEFECT_R03
    if (order->not_after && host->now(host) > order->not_after) return fail(error, KEEL_E_TIMEOUT, "not_after has passed");
#endif
    for (int i = 0; i < MOST_PARENTS; i++) {
        if (self->parents[i]) continue;
        struct parent *parent = calloc(1, sizeof *parent);
        if (!parent) return fail(error, KEEL_E_INTERNAL, "no memory");
        parent->request = request;
        parent->order = *order;
        parent->tick = about.tick;
        parent->lot = about.lot;
        parent->min = about.min_qty;
        parent->max = about.max_qty;
        parent->slice = order->qty / self->slices;
#ifndef DEFECT_R06
        if (parent->lot > 0) parent->slice = parent->slice / parent->lot * parent->lot;
#else
        parent->slice += 1;
#endif
        if (parent->slice < parent->min) parent->slice = parent->min;
        self->parents[i] = parent;
        move(self, parent);
        return KEEL_OK;
    }
    return fail(error, KEEL_E_AGAIN, "too many parents");
}

static struct parent *parent_of(struct instance *self, keel_id child, struct leg **leg) {
    for (int i = 0; i < MOST_PARENTS; i++) {
        struct parent *parent = self->parents[i];
        if (!parent || parent->order.id.hi != child.hi || parent->order.id.lo >> 16 != child.lo >> 16) continue;
        int number = (int)(child.lo & 0xffff);
        if (number < 1 || number > parent->count) return NULL;
        *leg = &parent->legs[number - 1];
        return parent;
    }
    return NULL;
}

static void on_event(keel_instance *instance, const keel_event *event) {
    struct instance *self = (struct instance *)instance;
    if (self->base.state != RUNNING) return;
    struct leg *leg = NULL;
#ifdef DEFECT_R08
    /* Adds up the ORDER events' filled, as if it were the news since the last one. */
#endif
    if (event->kind != KEEL_EV_ORDER || event->size < sizeof(keel_ev_order)) return;
    const keel_ev_order *report = (const keel_ev_order *)event;
    struct parent *parent = parent_of(self, report->order, &leg);
    if (!parent) return;
    if (terminal(leg->state)) return;
#ifdef DEFECT_R08
    if (report->filled > 0 && leg->filled < leg->qty) leg->filled += report->filled;
    if (leg->filled > leg->qty) leg->filled = leg->qty;
    if (leg->filled == leg->qty && report->state == KEEL_ORDER_OPEN) leg->state = KEEL_ORDER_FILLED;
    else leg->state = report->state;
#else
    if (report->filled > leg->filled) leg->filled = report->filled;
    leg->state = report->state;
#endif
#ifdef DEFECT_R05
    if (report->state == KEEL_ORDER_IN_DOUBT) leg->state = KEEL_ORDER_REJECTED;  /* takes a doubt for a no */
    if (report->state == KEEL_ORDER_IN_DOUBT && parent->rejections++ < 3) { move(self, parent); return; }
#endif
    if (report->state == KEEL_ORDER_REJECTED) {
        /* Never the same again: half the size, and three times at most. */
#ifndef DEFECT_R09
        parent->slice /= 2;
        if (parent->lot > 0) parent->slice = parent->slice / parent->lot * parent->lot;
        if (parent->slice < parent->min) parent->slice = parent->min;
#endif
#ifdef DEFECT_R04
        if (parent->slice == parent->min) parent->slice = parent->order.qty / 2;
#else
        if (++parent->rejections >= 3) { parent->ending = 1; parent->why = KEEL_E_REJECTED; }
#endif
    }
    if (terminal(leg->state)) move(self, parent);
}

static void cancel(keel_instance *instance, uint64_t request) {
    struct instance *self = (struct instance *)instance;
    if (self->base.state != RUNNING) return;
    for (int i = 0; i < MOST_PARENTS; i++) {
        struct parent *parent = self->parents[i];
        if (!parent || parent->request != request || parent->ending) continue;
        parent->ending = 1;
        parent->why = KEEL_E_REJECTED;
        for (int j = 0; j < parent->count; j++) {
            if (terminal(parent->legs[j].state)) continue;
            keel_ev_child_cancel event;
            memset(&event, 0, sizeof event);
            event.head.size = sizeof event;
            event.head.kind = KEEL_EV_CHILD_CANCEL;
            event.head.instrument = parent->order.instrument;
            event.head.request = request;
            event.order = parent->order.id;
            event.order.lo |= parent->legs[j].number;
            self->base.host->emit(self->base.host, &event.head);
        }
#ifdef DEFECT_R07
        finish(self, parent, KEEL_E_REJECTED, "cancelled");
#else
        if (live(parent) == 0) finish(self, parent, KEEL_E_REJECTED, "cancelled");
#endif
        return;
    }
}

static keel_status describe(keel_instance *instance, const keel_writer *out) { return base_describe(&((struct instance *)instance)->base, out); }

static const keel_router table = {sizeof table, RESERVED, route, on_event, cancel};
static const keel_describe description = {sizeof description, 0, describe};
static const keel_interface interfaces[] = {{KEEL_ROUTER, &table}, {KEEL_DESCRIBE, &description} MORE_INTERFACES(KEEL_ROUTER)};

static const keel_component component = {
    sizeof component, KEEL_COMPONENT_INLINE | KEEL_COMPONENT_DETERMINISTIC, "org.keel-zoo.router", NAME, "Keel", VERSION, "MIT", NULL, TOOLCHAIN, schema, 0, 0,
    interfaces, sizeof interfaces / sizeof *interfaces, 0, NULL, create, start, stop, destroy, NULL, NULL, on_wake,
};

LIBRARY(component)
