extension Templates {
    /// A broker in C.
    static let cBroker = ###"""
/* @NAME@: a broker for Keel, in C.
 *
 * It talks to a venue that speaks lines of text, recorded in mock/venue.json. Replace the two halves marked VENUE with
 * your venue's protocol; what stands around them - the checks before an order leaves, the order of events, what happens
 * when the connection drops - is what `keel plugin check` tests.
 *
 *   to the venue                              from the venue
 *   LOGIN key                                 WELCOME | DENIED
 *   NEW id symbol side kind qty limit         ACK id | REJECT id why | FILL id fill-id qty price fee
 *   CANCEL id                                 CANCELED id | NOCANCEL id why
 *   SYNC                                      ORDER id side qty state limit | FILL ... | BALANCE asset total | END
 */
#include "plugin.h"

#define MOST_ORDERS 1000
#define MOST_FILLS 32
#define FEATURES (KEEL_ORD_MARKET | KEEL_ORD_LIMIT)   /* everything submit takes */

/* ---- configuration: the struct, its schema and its fields, side by side ------------------------------------------- */

struct config {
    int64_t port;
    int64_t patience;      /* seconds to wait for an acknowledgement */
    char key[64];          /* the secret's name, not the secret */
};

static const char schema[] =
    "{\"type\":\"object\",\"required\":[\"port\",\"key\"],\"properties\":{"
    "\"port\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":65535,\"description\":\"Port of the venue on this machine.\"},"
    "\"patience\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":600,\"default\":5,\"x-unit\":\"s\",\"description\":\"How long to wait for an acknowledgement.\"},"
    "\"key\":{\"type\":\"object\",\"x-secret\":true,\"description\":\"The API key.\"}}}";

static keel_status configure(struct config *config, keel_str json, keel_error *error) {
    const plugin_field fields[] = {
        {"port", PLUGIN_INTEGER, 1, 65535, &config->port, 0, 1},
        {"patience", PLUGIN_INTEGER, 1, 600, &config->patience, 0, 0},
        {"key", PLUGIN_SECRET, 0, 0, config->key, sizeof config->key, 1},
    };
    config->patience = 5;
    return plugin_configure(json, fields, sizeof fields / sizeof *fields, error);
}

/* ---- the instance ------------------------------------------------------------------------------------------------- */

struct order {
    keel_id id;
    keel_instrument_id instrument;
    uint32_t side, state;
    keel_fixed qty, limit, filled;
    __int128 notional;          /* sum of quantity x price, for an exact average */
    uint64_t submit, cancel;    /* requests still waiting for their DONE, 0 = none */
    uint64_t timer;             /* runs while we wait for the acknowledgement */
    int fill_count;
    char fills[MOST_FILLS][24]; /* ids already counted: venues repeat themselves */
};

struct instance {
    const keel_host *host;
    struct config config;
    enum { CREATED, RUNNING, STOPPED } state;
    plugin_line line;
    char key[128];
    int ready;                  /* logged in */
    uint64_t sync;              /* the open sync's request, 0 = none */
    int count;
    struct order orders[MOST_ORDERS];
};

static struct instance *me(keel_instance *instance) { return (struct instance *)instance; }

static int ended(const struct order *order) { return order->state >= KEEL_ORDER_FILLED && order->state <= KEEL_ORDER_EXPIRED; }

static struct order *find(struct instance *self, keel_id id) {
    for (int i = 0; i < self->count; i++) if (self->orders[i].id.hi == id.hi && self->orders[i].id.lo == id.lo) return &self->orders[i];
    return NULL;
}

static struct order *add(struct instance *self, keel_id id) {
    int at = 0;
    struct order *order;
    if (self->count == MOST_ORDERS) {
        while (at < MOST_ORDERS && !ended(&self->orders[at])) at++;
        if (at == MOST_ORDERS) return NULL;
        memmove(&self->orders[at], &self->orders[at + 1], sizeof *self->orders * (size_t)(MOST_ORDERS - at - 1));
        self->count--;
    }
    order = &self->orders[self->count++];
    memset(order, 0, sizeof *order);
    order->id = id;
    return order;
}

/* ---- events ------------------------------------------------------------------------------------------------------- */

static void tell_order(struct instance *self, const struct order *order, uint16_t flags) {
    keel_ev_order event;
    memset(&event, 0, sizeof event);
    event.head.size = sizeof event;
    event.head.kind = KEEL_EV_ORDER;
    event.head.flags = flags;
    event.head.instrument = order->instrument;
    event.order = order->id;
    event.state = order->state;
    event.side = order->side;
    event.filled = order->filled;              /* cumulative, never deltas */
    event.leaves = order->qty - order->filled;
    event.average = order->filled ? (keel_fixed)((order->notional * 2 + order->filled) / ((__int128)order->filled * 2)) : 0;
    event.limit = order->limit;
    self->host->emit(self->host, &event.head);
}

static void tell_fill(struct instance *self, const struct order *order, uint16_t flags, const char *id, keel_fixed qty, keel_fixed price, keel_fixed fee) {
    struct { keel_ev_fill event; char text[64]; } out;
    size_t length = strlen(id);
    memset(&out, 0, sizeof out);
    memcpy(out.text, "USDT", 4);
    memcpy(out.text + 4, id, length);
    out.event.head.size = (uint32_t)(sizeof out.event + 4 + length);
    out.event.head.kind = KEEL_EV_FILL;
    out.event.head.flags = flags;
    out.event.head.instrument = order->instrument;
    out.event.order = order->id;
    out.event.side = order->side;
    out.event.qty = qty;
    out.event.price = price;
    out.event.fee.lo = (uint64_t)fee;
    out.event.fee.hi = fee < 0 ? -1 : 0;
    out.event.liquidity = KEEL_LIQUIDITY_TAKER;
    out.event.fee_asset.off = sizeof out.event;
    out.event.fee_asset.len = 4;
    out.event.fill_id.off = sizeof out.event + 4;
    out.event.fill_id.len = (uint32_t)length;
    self->host->emit(self->host, &out.event.head);
}

static void end_submit(struct instance *self, struct order *order, keel_status status, const char *why) {
    uint64_t request = order->submit;
    if (order->timer) self->host->timer_stop(self->host, order->timer);
    order->timer = 0;
    order->submit = 0;
    if (request) plugin_done(self->host, request, status, why);
}

static void end_cancel(struct instance *self, struct order *order, keel_status status, const char *why) {
    uint64_t request = order->cancel;
    order->cancel = 0;
    if (request) plugin_done(self->host, request, status, why);
}

/* ---- VENUE, first half: what it says ------------------------------------------------------------------------------ */

static int parse_id(const char *text, keel_id *id) {
    unsigned long long hi, lo;
    if (strlen(text) != 32 || sscanf(text, "%16llx%16llx", &hi, &lo) != 2) return 0;
    id->hi = hi;
    id->lo = lo;
    return 1;
}

static void on_fill(struct instance *self, struct order *order, const char *id, keel_fixed qty, keel_fixed price, keel_fixed fee) {
    uint16_t flags = self->sync ? KEEL_EVF_SNAPSHOT : 0;
    int i, known = 0;
    for (i = 0; i < order->fill_count; i++) known |= strcmp(order->fills[i], id) == 0;
    if (known) {
        if (self->sync) tell_fill(self, order, flags, id, qty, price, fee);
        return;
    }
    if (order->fill_count < MOST_FILLS) snprintf(order->fills[order->fill_count++], sizeof *order->fills, "%s", id);
    order->filled += qty;
    order->notional += (__int128)qty * price;
    order->state = order->filled >= order->qty ? KEEL_ORDER_FILLED : KEEL_ORDER_OPEN;
    tell_fill(self, order, flags, id, qty, price, fee);
    tell_order(self, order, flags);
    if (order->state == KEEL_ORDER_FILLED) {
        end_submit(self, order, KEEL_OK, NULL);
        end_cancel(self, order, KEEL_E_REJECTED, "the order was filled first");
    }
}

static void on_line(void *owner, char *text) {
    struct instance *self = (struct instance *)owner;
    char word[7][40], log[160];
    keel_fixed qty, price, fee;
    keel_id id;
    struct order *order;
    int words = sscanf(text, "%39s %39s %39s %39s %39s %39s %39s", word[0], word[1], word[2], word[3], word[4], word[5], word[6]);
    if (words < 1) return;
    if (strcmp(word[0], "WELCOME") == 0) {
        self->ready = 1;
        plugin_link(self->host, KEEL_LINK_UP, KEEL_OK, "venue");
        return;
    }
    if (strcmp(word[0], "DENIED") == 0) {
        plugin_link(self->host, KEEL_LINK_DOWN, KEEL_E_AUTH, "venue");
        return;
    }
    if (strcmp(word[0], "END") == 0) {
        uint64_t request = self->sync;
        self->sync = 0;
        if (request) plugin_done(self->host, request, KEEL_OK, NULL);
        return;
    }
    if (strcmp(word[0], "BALANCE") == 0 && words == 3 && plugin_parse_decimal(word[2], &qty)) {
        struct { keel_ev_balance event; char text[40]; } out;
        size_t length = strlen(word[1]);
        memset(&out, 0, sizeof out);
        memcpy(out.text, word[1], length);
        out.event.head.size = (uint32_t)(sizeof out.event + length);
        out.event.head.kind = KEEL_EV_BALANCE;
        out.event.head.flags = self->sync ? KEEL_EVF_SNAPSHOT : 0;
        out.event.total.lo = out.event.available.lo = (uint64_t)qty;
        out.event.asset.off = sizeof out.event;
        out.event.asset.len = (uint32_t)length;
        self->host->emit(self->host, &out.event.head);
        return;
    }
    if (strcmp(word[0], "ORDER") == 0 && words == 6 && parse_id(word[1], &id) && plugin_parse_decimal(word[3], &qty) && plugin_parse_decimal(word[5], &price)) {
        /* Part of a sync. It may be an order of a run before this one: then this is how we learn of it. */
        order = find(self, id);
        if (!order) order = add(self, id);
        if (!order) return;
        if (!order->instrument) order->instrument = 1;
        order->side = strcmp(word[2], "buy") == 0 ? KEEL_BUY : KEEL_SELL;
        order->qty = qty;
        order->limit = price;
        if (strcmp(word[4], "open") == 0 && !ended(order)) order->state = KEEL_ORDER_OPEN;
        if (strcmp(word[4], "open") == 0) tell_order(self, order, KEEL_EVF_SNAPSHOT);
        return;
    }
    if (words >= 2 && parse_id(word[1], &id) && (order = find(self, id))) {
        if (strcmp(word[0], "ACK") == 0) {
            if (order->state == KEEL_ORDER_PENDING || order->state == KEEL_ORDER_IN_DOUBT) {
                order->state = KEEL_ORDER_OPEN;
                tell_order(self, order, 0);
            }
            end_submit(self, order, KEEL_OK, NULL);
            return;
        }
        if (strcmp(word[0], "REJECT") == 0) {
            if (!ended(order)) {
                order->state = KEEL_ORDER_REJECTED;
                tell_order(self, order, 0);
            }
            end_submit(self, order, KEEL_E_REJECTED, words > 2 ? word[2] : "rejected");
            return;
        }
        if (strcmp(word[0], "FILL") == 0 && words == 6 && strlen(word[2]) < 24 && plugin_parse_decimal(word[3], &qty) && plugin_parse_decimal(word[4], &price)
            && plugin_parse_decimal(word[5], &fee)) {
            on_fill(self, order, word[2], qty, price, fee);
            return;
        }
        if (strcmp(word[0], "CANCELED") == 0) {
            if (!ended(order)) {
                order->state = KEEL_ORDER_CANCELED;
                tell_order(self, order, 0);
            }
            end_submit(self, order, KEEL_OK, NULL);
            end_cancel(self, order, KEEL_OK, NULL);
            return;
        }
        if (strcmp(word[0], "NOCANCEL") == 0) {
            end_cancel(self, order, KEEL_E_REJECTED, words > 2 ? word[2] : "not cancelled");
            return;
        }
    }
    /* Lenient with what comes: say so and go on. */
    snprintf(log, sizeof log, "the venue said something unknown: %.100s", text);
    plugin_log(self->host, KEEL_LOG_WARN, log);
}

static void on_link(void *owner, int up) {
    struct instance *self = (struct instance *)owner;
    char text[160];
    uint64_t request = self->sync;
    int i;
    if (up) {
        snprintf(text, sizeof text, "LOGIN %s\n", self->key);
        plugin_line_send(&self->line, text);
        return;
    }
    self->ready = 0;
    self->sync = 0;
    plugin_link(self->host, KEEL_LINK_DOWN, KEEL_E_NETWORK, "venue");
    if (request) plugin_done(self->host, request, KEEL_E_NETWORK, "the connection was lost");
    for (i = 0; i < self->count; i++) {
        struct order *order = &self->orders[i];
        end_cancel(self, order, KEEL_E_IN_DOUBT, "the connection was lost");
        if (order->state != KEEL_ORDER_PENDING) continue;
        /* It may have arrived. Never call that rejected, never send it again: the host will sync. */
        order->state = KEEL_ORDER_IN_DOUBT;
        tell_order(self, order, 0);
        end_submit(self, order, KEEL_E_IN_DOUBT, "the connection was lost");
    }
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
    self->line.fd = -1;
    *out = (keel_instance *)self;
    return KEEL_OK;
}

static keel_status keep_key(const keel_writer *writer, const void *bytes, size_t length) {
    struct instance *self = (struct instance *)writer->ctx;
    size_t have = strlen(self->key);
    if (have + length >= sizeof self->key) return KEEL_E_RANGE;
    memcpy(self->key + have, bytes, length);
    return KEEL_OK;
}

static keel_status start(keel_instance *instance, keel_error *error) {
    struct instance *self = me(instance);
    keel_writer writer = {self, keep_key};
    if (self->state == RUNNING) return plugin_fail(error, KEEL_E_STATE, "it is running already");
    memset(self->key, 0, sizeof self->key);
    if (self->host->secret(self->host, plugin_str(self->config.key), &writer) != KEEL_OK)
        return plugin_fail(error, KEEL_E_AUTH, "the secret \"%s\" is missing", self->config.key);
    self->state = RUNNING;
    plugin_line_open(&self->line, self->host, (int)self->config.port, self, on_line, on_link);
    return KEEL_OK;
}

static keel_status stop(keel_instance *instance, keel_time deadline, uint64_t request, keel_error *error) {
    struct instance *self = me(instance);
    (void)deadline;
    if (self->state != RUNNING) return plugin_fail(error, KEEL_E_STATE, "it is not running");
    plugin_line_close(&self->line);
    self->ready = 0;
    if (self->sync) plugin_done(self->host, self->sync, KEEL_E_STATE, "stopped");
    self->sync = 0;
    for (int i = 0; i < self->count; i++) {
        struct order *order = &self->orders[i];
        if (order->state == KEEL_ORDER_PENDING) {
            order->state = KEEL_ORDER_IN_DOUBT;
            tell_order(self, order, 0);
        }
        end_submit(self, order, KEEL_E_IN_DOUBT, "stopped");
        end_cancel(self, order, KEEL_E_IN_DOUBT, "stopped");
    }
    self->state = STOPPED;
    plugin_done(self->host, request, KEEL_OK, NULL);   /* the very last event */
    return KEEL_OK;
}

static void destroy(keel_instance *instance) {
    memset(me(instance)->key, 0, sizeof me(instance)->key);
    free(instance);
}

static void on_timer(keel_instance *instance, uint64_t timer, uint64_t tag) {
    struct instance *self = me(instance);
    (void)tag;
    if (plugin_line_timer(&self->line, timer)) return;
    for (int i = 0; i < self->count; i++) {
        struct order *order = &self->orders[i];
        if (order->timer != timer) continue;
        order->timer = 0;
        if (order->state != KEEL_ORDER_PENDING) return;
        order->state = KEEL_ORDER_IN_DOUBT;   /* a late answer still puts this right */
        tell_order(self, order, 0);
        end_submit(self, order, KEEL_E_IN_DOUBT, "no acknowledgement yet");
        return;
    }
}

static void on_fd(keel_instance *instance, int fd, uint32_t ready) {
    (void)fd;
    plugin_line_ready(&me(instance)->line, ready);
}

/* ---- the broker's four functions; VENUE, second half: what it is told --------------------------------------------- */

static keel_status check(struct instance *self, const keel_order *order, keel_instrument *about, keel_error *error) {
    const unsigned char *bytes = (const unsigned char *)order;
    uint64_t kind = order->features & FEATURES;
    uint32_t i;
    /* Strict: what we don't know, we refuse. */
    if (order->features & ~FEATURES || (kind != KEEL_ORD_MARKET && kind != KEEL_ORD_LIMIT)) return plugin_fail(error, KEEL_E_UNSUPPORTED, "only plain market and limit orders");
    for (i = sizeof *order; i < order->struct_size; i++) if (bytes[i]) return plugin_fail(error, KEEL_E_UNSUPPORTED, "the order has parts this plugin doesn't know");
    if (order->side != KEEL_BUY && order->side != KEEL_SELL) return plugin_fail(error, KEEL_E_INVALID, "side must be buy or sell");
    memset(about, 0, sizeof *about);
    about->struct_size = sizeof *about;
    if (self->host->instrument(self->host, order->instrument, about) != KEEL_OK) return plugin_fail(error, KEEL_E_NOT_FOUND, "unknown instrument");
    if (about->venue_symbol.len == 0 || about->venue_symbol.len > 31) return plugin_fail(error, KEEL_E_INVALID, "the instrument needs a venue symbol");
    if (order->qty <= 0) return plugin_fail(error, KEEL_E_RANGE, "qty must be above 0");
    if (about->lot > 0 && order->qty % about->lot) return plugin_fail(error, KEEL_E_RANGE, "qty is no multiple of the lot");
    if (about->min_qty > 0 && order->qty < about->min_qty) return plugin_fail(error, KEEL_E_RANGE, "qty is below min_qty");
    if (about->max_qty > 0 && order->qty > about->max_qty) return plugin_fail(error, KEEL_E_RANGE, "qty is above max_qty");
    if (kind == KEEL_ORD_LIMIT && order->limit <= 0) return plugin_fail(error, KEEL_E_RANGE, "limit must be above 0");
    if (kind == KEEL_ORD_LIMIT && about->tick > 0 && order->limit % about->tick) return plugin_fail(error, KEEL_E_RANGE, "limit is no multiple of the tick");
    if (order->not_after && self->host->now(self->host) > order->not_after) return plugin_fail(error, KEEL_E_TIMEOUT, "not_after has passed");
    return KEEL_OK;
}

static keel_status submit(keel_instance *instance, const keel_order *wanted, uint64_t request, keel_error *error) {
    struct instance *self = me(instance);
    keel_instrument about;
    keel_status status;
    struct order *order;
    char line[256], qty[32], limit[32];
    if (self->state != RUNNING) return plugin_fail(error, KEEL_E_STATE, "it is not running");
    status = check(self, wanted, &about, error);
    if (status != KEEL_OK) return status;
    if (find(self, wanted->id)) return plugin_fail(error, KEEL_E_DUPLICATE, "this order id was used before");
    if (!self->ready) return plugin_fail(error, KEEL_E_NETWORK, "not connected");
    order = add(self, wanted->id);
    if (!order) return plugin_fail(error, KEEL_E_AGAIN, "too many open orders");
    order->instrument = wanted->instrument;
    order->side = wanted->side;
    order->qty = wanted->qty;
    order->limit = wanted->limit;
    order->state = KEEL_ORDER_PENDING;
    order->submit = request;
    tell_order(self, order, 0);
    plugin_decimal(wanted->qty, qty);
    plugin_decimal(wanted->limit, limit);
    /* The host's id travels as the venue's client order id. A venue without such a field needs host->put(id, ...) here,
     * before the first byte leaves, and host->get in sync. */
    snprintf(line, sizeof line, "NEW %016llx%016llx %.*s %s %s %s %s\n", (unsigned long long)wanted->id.hi, (unsigned long long)wanted->id.lo, (int)about.venue_symbol.len,
             about.venue_symbol.ptr, wanted->side == KEEL_BUY ? "buy" : "sell", wanted->features & KEEL_ORD_MARKET ? "market" : "limit", qty, limit);
    if (!plugin_line_send(&self->line, line)) {
        self->count--;
        return plugin_fail(error, KEEL_E_NETWORK, "not connected");
    }
    if (order->state == KEEL_ORDER_PENDING) self->host->timer(self->host, self->config.patience * 1000000000, 0, 1, &order->timer);
    return KEEL_OK;
}

static keel_status cancel(keel_instance *instance, keel_id id, uint64_t request, keel_error *error) {
    struct instance *self = me(instance);
    struct order *order = find(self, id);
    char line[64];
    if (self->state != RUNNING) return plugin_fail(error, KEEL_E_STATE, "it is not running");
    if (!order) return plugin_fail(error, KEEL_E_NOT_FOUND, "no such order");
    if (ended(order)) return plugin_fail(error, KEEL_E_REJECTED, "the order has ended");
    if (order->cancel) return plugin_fail(error, KEEL_E_DUPLICATE, "a cancel is on its way already");
    snprintf(line, sizeof line, "CANCEL %016llx%016llx\n", (unsigned long long)id.hi, (unsigned long long)id.lo);
    order->cancel = request;
    if (self->ready && plugin_line_send(&self->line, line)) return KEEL_OK;
    order->cancel = 0;
    return plugin_fail(error, KEEL_E_NETWORK, "not connected");
}

static keel_status sync_orders(keel_instance *instance, keel_time since, uint64_t request, keel_error *error) {
    struct instance *self = me(instance);
    (void)since;   /* this venue tells everything it has */
    if (self->state != RUNNING) return plugin_fail(error, KEEL_E_STATE, "it is not running");
    if (!self->ready) return plugin_fail(error, KEEL_E_NETWORK, "not connected");
    if (self->sync) return plugin_fail(error, KEEL_E_AGAIN, "a sync is running already");
    self->sync = request;
    plugin_line_send(&self->line, "SYNC\n");
    return KEEL_OK;
}

/* ---- what it says about itself ------------------------------------------------------------------------------------- */

static keel_status describe(keel_instance *instance, const keel_writer *out) {
    /* "live" once its endpoints move money: the host trades live with no other, and never by accident with that one. */
    static const char text[] = "{\"environment\":\"paper\"}";
    (void)instance;
    return out->write(out, text, sizeof text - 1);
}

/* ---- the tables --------------------------------------------------------------------------------------------------- */

static const keel_broker broker = {sizeof broker, 0, FEATURES, submit, cancel, NULL, sync_orders};
static const keel_describe description = {sizeof description, 0, describe};
static const keel_interface interfaces[] = {{KEEL_BROKER, &broker}, {KEEL_DESCRIBE, &description}};
static const keel_component component = {
    sizeof component, 0, "@ID@", "@NAME@", "", "0.1.0", "MIT", "", "c", schema, 0, 0, interfaces, 2, 0,
    NULL, create, start, stop, destroy, on_timer, on_fd, NULL,
};
static const keel_component *const components[] = {&component};
static const keel_library library = {sizeof library, KEEL_ABI_MAJOR, KEEL_ABI_MINOR, components, 1, 0};

const keel_library *keel_plugin_entry(uint32_t abi_major) { return abi_major == KEEL_ABI_MAJOR ? &library : NULL; }

"""###
}
