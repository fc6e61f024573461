extension Templates {
    /// A feed in C.
    static let cFeed = ###"""
/* @NAME@: a feed for Keel, in C.
 *
 * It makes up a market: a price that walks up and down, one quote an instrument every `every` milliseconds of the host's
 * clock. Replace `walk` with your data source; plugin.h has a connection (plugin_line) that never blocks and comes back
 * by itself, and the host's watch() tells you when a socket of your own is ready.
 */
#include "plugin.h"

#define MOST_STREAMS 1000

/* ---- configuration: the struct, its schema and its fields, side by side ------------------------------------------- */

struct config { int64_t every; };

static const char schema[] =
    "{\"type\":\"object\",\"properties\":{"
    "\"every\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":60000,\"default\":100,\"x-unit\":\"ms\",\"description\":\"Time between two quotes.\"}}}";

static keel_status configure(struct config *config, keel_str json, keel_error *error) {
    const plugin_field fields[] = {{"every", PLUGIN_INTEGER, 1, 60000, &config->every, 0, 0}};
    config->every = 100;
    return plugin_configure(json, fields, sizeof fields / sizeof *fields, error);
}

/* ---- the instance ------------------------------------------------------------------------------------------------- */

struct stream {
    keel_instrument_id id;
    keel_fixed tick, price;
    uint64_t steps;
};

struct instance {
    const keel_host *host;
    struct config config;
    enum { CREATED, RUNNING, STOPPED } state;
    uint64_t timer;
    int count;
    struct stream streams[MOST_STREAMS];
};

static struct instance *me(keel_instance *instance) { return (struct instance *)instance; }

static struct stream *find(struct instance *self, keel_instrument_id id) {
    for (int i = 0; i < self->count; i++) if (self->streams[i].id == id) return &self->streams[i];
    return NULL;
}

/* The next price: a walk that looks random and is the same each time. */
static void walk(struct stream *stream) {
    uint64_t mixed = (++stream->steps + stream->id) * 0x9e3779b97f4a7c15ull;
    stream->price += (keel_fixed)(mixed >> 62) * stream->tick - stream->tick;
    if (stream->price < 1000 * stream->tick) stream->price = 1000 * stream->tick;
}

static void tell(struct instance *self, struct stream *stream) {
    keel_ev_quote quote;
    walk(stream);
    memset(&quote, 0, sizeof quote);
    quote.head.size = sizeof quote;
    quote.head.kind = KEEL_EV_QUOTE;
    quote.head.instrument = stream->id;
    quote.head.at_source = self->host->now(self->host);
    quote.bid = stream->price;
    quote.ask = stream->price + stream->tick;
    quote.bid_qty = quote.ask_qty = (keel_fixed)(1 + stream->steps % 7) * KEEL_ONE;
    /* KEEL_E_AGAIN means that the host is busy. Quotes are lossy: the next one will do. */
    self->host->emit(self->host, &quote.head);
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
    keel_status status;
    if (self->state == RUNNING) return plugin_fail(error, KEEL_E_STATE, "it is running already");
    status = self->host->timer(self->host, self->config.every * 1000000, self->config.every * 1000000, 0, &self->timer);
    if (status != KEEL_OK) return plugin_fail(error, status, "the host gave no timer");
    self->state = RUNNING;
    plugin_link(self->host, KEEL_LINK_UP, KEEL_OK, "market");
    return KEEL_OK;
}

static keel_status stop(keel_instance *instance, keel_time deadline, uint64_t request, keel_error *error) {
    struct instance *self = me(instance);
    (void)deadline;
    if (self->state != RUNNING) return plugin_fail(error, KEEL_E_STATE, "it is not running");
    self->host->timer_stop(self->host, self->timer);
    self->count = 0;
    self->state = STOPPED;
    plugin_done(self->host, request, KEEL_OK, NULL);   /* the very last event */
    return KEEL_OK;
}

static void destroy(keel_instance *instance) { free(instance); }

static void on_timer(keel_instance *instance, uint64_t timer, uint64_t tag) {
    struct instance *self = me(instance);
    (void)timer, (void)tag;
    for (int i = 0; i < self->count; i++) tell(self, &self->streams[i]);
}

/* ---- the feed's two functions ------------------------------------------------------------------------------------- */

static keel_status subscribe(keel_instance *instance, keel_instrument_id id, uint64_t channels, uint64_t request, keel_error *error) {
    struct instance *self = me(instance);
    keel_instrument about;
    if (self->state != RUNNING) return plugin_fail(error, KEEL_E_STATE, "it is not running");
    if (channels & ~KEEL_CH_QUOTES || !channels) return plugin_fail(error, KEEL_E_UNSUPPORTED, "this feed has quotes only");
    memset(&about, 0, sizeof about);
    about.struct_size = sizeof about;
    if (self->host->instrument(self->host, id, &about) != KEEL_OK) return plugin_fail(error, KEEL_E_NOT_FOUND, "unknown instrument");
    if (!find(self, id)) {
        struct stream *stream = &self->streams[self->count];
        if (self->count == MOST_STREAMS) return plugin_fail(error, KEEL_E_AGAIN, "too many instruments");
        memset(stream, 0, sizeof *stream);
        stream->id = id;
        stream->tick = about.tick > 0 ? about.tick : KEEL_ONE / 100;
        stream->price = stream->tick * 10000;
        self->count++;
    }
    plugin_done(self->host, request, KEEL_OK, NULL);
    return KEEL_OK;
}

static keel_status unsubscribe(keel_instance *instance, keel_instrument_id id, uint64_t channels, uint64_t request, keel_error *error) {
    struct instance *self = me(instance);
    struct stream *stream = find(self, id);
    (void)channels;
    if (self->state != RUNNING) return plugin_fail(error, KEEL_E_STATE, "it is not running");
    if (stream) *stream = self->streams[--self->count];
    plugin_done(self->host, request, KEEL_OK, NULL);   /* a second time is harmless */
    return KEEL_OK;
}

/* ---- the tables --------------------------------------------------------------------------------------------------- */

static const keel_feed feed = {sizeof feed, 0, KEEL_CH_QUOTES, 0, subscribe, unsubscribe};
static const keel_interface interfaces[] = {{KEEL_FEED, &feed}};
static const keel_component component = {
    sizeof component, 0, "@ID@", "@NAME@", "", "0.1.0", "MIT", "", "c", schema, 0, 0, interfaces, 1, 0,
    NULL, create, start, stop, destroy, on_timer, NULL, NULL,
};
static const keel_component *const components[] = {&component};
static const keel_library library = {sizeof library, KEEL_ABI_MAJOR, KEEL_ABI_MINOR, components, 1, 0};

const keel_library *keel_plugin_entry(uint32_t abi_major) { return abi_major == KEEL_ABI_MAJOR ? &library : NULL; }

"""###
}
