extension Templates {
    /// A decider in C.
    static let cDecider = ###"""
/* @NAME@: a decider for Keel, in C.
 *
 * It compares the last price with the mean of the newest bars and buys above it, sells below it, within what the
 * snapshot allows. Replace `judge` with your own idea; what stands around it is what `keel plugin check` tests.
 */
#include "plugin.h"

/* ---- configuration: the struct, its schema and its fields, side by side ------------------------------------------- */

struct config { int64_t bars; };

static const char schema[] =
    "{\"type\":\"object\",\"properties\":{"
    "\"bars\":{\"type\":\"integer\",\"minimum\":2,\"maximum\":500,\"default\":20,\"description\":\"How many of the newest bars make the mean.\"}}}";

static keel_status configure(struct config *config, keel_str json, keel_error *error) {
    const plugin_field fields[] = {{"bars", PLUGIN_INTEGER, 2, 500, &config->bars, 0, 0}};
    config->bars = 20;
    return plugin_configure(json, fields, sizeof fields / sizeof *fields, error);
}

/* ---- the instance ------------------------------------------------------------------------------------------------- */

struct instance {
    const keel_host *host;
    struct config config;
    enum { CREATED, RUNNING, STOPPED } state;
};

static struct instance *me(keel_instance *instance) { return (struct instance *)instance; }

struct verdict { uint32_t action; keel_fixed confidence; const char *reason; };

/* The idea. Lists lie behind the struct, at offsets from its start. */
static struct verdict judge(const struct instance *self, const keel_snapshot *snapshot) {
    struct verdict verdict = {KEEL_ACT_HOLD, 0, "no bars to compare with"};
    const char *block = (const char *)snapshot;
    const keel_series *series = (const keel_series *)(block + snapshot->series.off);
    const keel_bar *bar;
    uint32_t count;
    double mean = 0, last = (double)snapshot->last;
    if (snapshot->series.count == 0 || series->bars.count < (uint64_t)self->config.bars) return verdict;
    bar = (const keel_bar *)(block + series->bars.off) + series->bars.count - (uint32_t)self->config.bars;
    for (count = 0; count < (uint32_t)self->config.bars; count++) mean += (double)bar[count].close / (double)self->config.bars;
    verdict.confidence = KEEL_ONE / 2;
    verdict.reason = "the price is at the mean";
    if (last > mean) { verdict.action = KEEL_ACT_BUY; verdict.reason = "the price is above the mean"; }
    if (last < mean) { verdict.action = KEEL_ACT_SELL; verdict.reason = "the price is below the mean"; }
    return verdict;
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
    self->state = STOPPED;
    plugin_done(self->host, request, KEEL_OK, NULL);   /* the very last event */
    return KEEL_OK;
}

static void destroy(keel_instance *instance) { free(instance); }

/* ---- the decider's functions -------------------------------------------------------------------------------------- */

static keel_status decide(keel_instance *instance, const keel_snapshot *snapshot, keel_time deadline, uint64_t request, keel_error *error) {
    struct instance *self = me(instance);
    struct { keel_ev_decision event; char text[100]; } out;
    struct verdict verdict;
    size_t length;
    int flat;
    if (self->state != RUNNING) return plugin_fail(error, KEEL_E_STATE, "it is not running");
    if (snapshot->struct_size < sizeof *snapshot) return plugin_fail(error, KEEL_E_INVALID, "the snapshot is too short");
    if (deadline && self->host->now(self->host) >= deadline) {
        plugin_done(self->host, request, KEEL_E_TIMEOUT, "the deadline has passed");
        return KEEL_OK;
    }
    verdict = judge(self, snapshot);
    /* Never beyond what is allowed: the host would refuse it, and record that. */
    flat = snapshot->position.hi < 0 || (snapshot->position.hi == 0 && snapshot->position.lo == 0);
    if (verdict.action == KEEL_ACT_BUY && !(snapshot->allowed & KEEL_MAY_BUY)) verdict.action = KEEL_ACT_HOLD;
    if (verdict.action == KEEL_ACT_SELL && !(snapshot->allowed & KEEL_MAY_SELL)) verdict.action = KEEL_ACT_HOLD;
    if (verdict.action == KEEL_ACT_SELL && flat && !(snapshot->allowed & KEEL_MAY_SHORT)) verdict.action = KEEL_ACT_HOLD;
    length = strlen(verdict.reason);
    memset(&out, 0, sizeof out);
    memcpy(out.text, verdict.reason, length);
    out.event.head.size = (uint32_t)(sizeof out.event + length);
    out.event.head.kind = KEEL_EV_DECISION;
    out.event.head.instrument = snapshot->instrument;
    out.event.head.request = request;
    out.event.action = verdict.action;
    out.event.snapshot = snapshot->hash;
    out.event.fraction = verdict.action == KEEL_ACT_HOLD ? 0 : snapshot->max_fraction;
    if (out.event.fraction < 0) out.event.fraction = 0;
    if (out.event.fraction > KEEL_ONE) out.event.fraction = KEEL_ONE;
    out.event.confidence = verdict.confidence;
    out.event.exit_probability = -1;                    /* not said */
    out.event.reason.off = sizeof out.event;
    out.event.reason.len = (uint32_t)length;
    self->host->emit(self->host, &out.event.head);
    plugin_done(self->host, request, KEEL_OK, NULL);
    return KEEL_OK;
}

static void cancel(keel_instance *instance, uint64_t request) {
    (void)instance, (void)request;   /* decide answers at once: nothing is ever open */
}

/* ---- the tables --------------------------------------------------------------------------------------------------- */

static const keel_decider decider = {sizeof decider, 60, KEEL_WANT_BARS, decide, cancel, NULL};
static const keel_interface interfaces[] = {{KEEL_DECIDER, &decider}};
static const keel_component component = {
    sizeof component, KEEL_COMPONENT_INLINE | KEEL_COMPONENT_DETERMINISTIC, "@ID@", "@NAME@", "", "0.1.0", "MIT", "", "c", schema, 0, 0, interfaces, 1, 0,
    NULL, create, start, stop, destroy, NULL, NULL, NULL,
};
static const keel_component *const components[] = {&component};
static const keel_library library = {sizeof library, KEEL_ABI_MAJOR, KEEL_ABI_MINOR, components, 1, 0};

const keel_library *keel_plugin_entry(uint32_t abi_major) { return abi_major == KEEL_ABI_MAJOR ? &library : NULL; }

"""###
}
