/* decider.c - the zoo's reference decider: buys above the mean of the newest series, sells below it.
 * With -DREMOTE it asks a service over a socket instead, one line a question. */
#include "plugin.h"
#ifdef REMOTE
#include "line.h"
#endif

#define MOST_OPEN 64

struct open { uint64_t request; keel_hash hash; keel_instrument_id instrument; uint64_t timer; };

struct instance {
    struct base base;
    int64_t period;
    int64_t port;
    char secret[64];
#ifdef REMOTE
    struct line line;
    struct open open[MOST_OPEN];
#endif
#ifdef DEFECT_D05
    uint64_t last_request;
    int waiting;
    keel_ev_decision waiting_decision;
#endif
};

static void fields(struct instance *self, struct field out[2]) {
#ifdef DEFECT_G03
    out[0] = (struct field){"period", FIELD_INT, 1, 50, &self->period, 0, 0};
#else
    out[0] = (struct field){"period", FIELD_INT, 1, 500, &self->period, 0, 0};
#endif
    out[1] = (struct field){"port", FIELD_INT, 0, 65535, &self->port, 0, 0};
}

static const char schema[] =
    "{\"type\":\"object\",\"properties\":{"
#ifdef DEFECT_G02
    "\"period\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":500,\"default\":501,\"description\":\"Bars in the mean.\"},"
#else
    "\"period\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":500,\"default\":20,\"description\":\"Bars in the mean.\"},"
#endif
#ifdef DEFECT_G01
    "\"port\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":65535,\"default\":0}"
#else
    "\"port\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":65535,\"default\":0,\"description\":\"Port of the model service, 0 = none.\"}"
#endif
    "}}";

static keel_status check_config(const keel_component *component, keel_str json, const keel_writer *report) {
    (void)component;
    struct instance scratch;
    struct field list[2];
    fields(&scratch, list);
    return report_config(json, list, 2, report);
}

#ifdef DEFECT_C08
static const keel_host *current;  /* one for all instances: the last one created */
#endif

static keel_status create(const keel_component *component, const keel_host *host, keel_str name, keel_str json, keel_instance **out, keel_error *error) {
    (void)component;
    if (!host_fits(host)) return fail(error, KEEL_E_UNSUPPORTED, "this plugin needs a host of ABI 1");
    TOUCH_NAME();
    struct instance *self = calloc(1, sizeof *self);
    if (!self) return fail(error, KEEL_E_INTERNAL, "no memory");
    self->period = 20;
    struct field list[2];
    fields(self, list);
    keel_status status = parse_config(json, list, 2, error);
    if (status != KEEL_OK) {
#ifdef DEFECT_C03
        *out = (keel_instance *)self;
#else
        free(self);
#endif
        return status;
    }
    base_init(&self->base, host, name);
#ifdef REMOTE
    self->line.fd = -1;
    self->line.host = host;
#endif
#ifdef DEFECT_C08
    current = host;
#endif
    *out = (keel_instance *)self;
    return KEEL_OK;
}

#ifdef REMOTE
static void on_line(void *owner, char *line);
static void on_link(void *owner, int up);
#endif

static keel_status start(keel_instance *instance, keel_error *error) {
    struct instance *self = (struct instance *)instance;
    if (self->base.state != CREATED && self->base.state != STOPPED) return fail(error, KEEL_E_STATE, "start needs a created or stopped instance");
    base_started(&self->base);
#ifdef REMOTE
    self->line = (struct line){.host = self->base.host, .owner = self, .port = (int)self->port, .fd = -1, .on_line = on_line, .on_link = on_link};
    line_open(&self->line);
#endif
    return KEEL_OK;
}

#ifdef DEFECT_D05
static void flush(struct instance *self) {
    while (self->waiting > 0) {
        self->waiting--;
        self->waiting_decision.head.request = self->last_request;
        self->base.host->emit(self->base.host, &self->waiting_decision.head);
        done(&self->base, self->last_request, KEEL_OK, NULL);
    }
}
#endif

static keel_status stop(keel_instance *instance, keel_time deadline, uint64_t request, keel_error *error) {
    (void)deadline;
    struct instance *self = (struct instance *)instance;
    if (self->base.state != RUNNING) return fail(error, KEEL_E_STATE, "stop needs a running instance");
#ifdef REMOTE
    for (int i = 0; i < MOST_OPEN; i++)
        if (self->open[i].request) {
            done(&self->base, self->open[i].request, KEEL_E_STATE, "stopped");
            self->open[i].request = 0;
        }
    line_close(&self->line);
#endif
#ifdef DEFECT_D05
    flush(self);
#endif
    base_stopped(&self->base, request);
    return KEEL_OK;
}

static void destroy(keel_instance *instance) {
    free(instance);
}

static void on_wake(keel_instance *instance) {
    base_wake(&((struct instance *)instance)->base);
#ifdef DEFECT_D05
    flush((struct instance *)instance);
#endif
}

static void emit_decision(struct instance *self, uint64_t request, keel_hash hash, keel_instrument_id instrument, uint32_t action, keel_fixed fraction,
                          keel_fixed confidence) {
    static const char reason[] = "above or below the mean", signal[] = "trend";
    struct { keel_ev_decision event; keel_signal signal; char text[64]; } out;
    memset(&out, 0, sizeof out);
    memcpy(out.text, reason, sizeof reason - 1);
    memcpy(out.text + 32, signal, sizeof signal - 1);
    out.event.head.size = sizeof out;
    out.event.head.kind = KEEL_EV_DECISION;
    out.event.head.instrument = instrument;
    out.event.head.request = request;
    out.event.action = action;
    out.event.snapshot = hash;
    out.event.fraction = fraction;
    out.event.confidence = confidence;
    out.event.exit_probability = -1;
    out.event.signals = (keel_list){offsetof(__typeof__(out), signal), 1};
    out.signal = (keel_signal){{(uint32_t)offsetof(__typeof__(out), text) + 32, sizeof signal - 1}, confidence > KEEL_ONE ? KEEL_ONE : confidence, action == KEEL_ACT_BUY ? 1 : action == KEEL_ACT_SELL ? -1 : 0, 0};
    out.event.reason = (keel_text){(uint32_t)offsetof(__typeof__(out), text), sizeof reason - 1};
#ifdef DEFECT_D02
    out.event.confidence = 2ll * KEEL_ONE;
#endif
#ifdef DEFECT_D09
    static int64_t made;
    out.event.confidence = (out.event.confidence + ++made) % KEEL_ONE;
#endif
#ifdef DEFECT_D05
    self->last_request = request;
    self->waiting++;
    self->waiting_decision = out.event;
    self->waiting_decision.head.size = sizeof out.event;
    self->waiting_decision.signals.count = 0;
    self->waiting_decision.reason.len = 0;
    self->base.host->wake(self->base.host);
    return;
#endif
#ifdef DEFECT_C08
    current->emit(current, &out.event.head);
#else
    self->base.host->emit(self->base.host, &out.event.head);
#endif
#ifdef DEFECT_D01
    self->base.host->emit(self->base.host, &out.event.head);
#endif
    done(&self->base, request, KEEL_OK, NULL);
}

static keel_status decide(keel_instance *instance, const keel_snapshot *snapshot, keel_time deadline, uint64_t request, keel_error *error) {
    struct instance *self = (struct instance *)instance;
    if (self->base.state != RUNNING) {
#ifdef DEFECT_C05
        return fail(error, KEEL_E_INTERNAL, "decide needs a running instance");
#else
        return fail(error, KEEL_E_STATE, "decide needs a running instance");
#endif
    }
    const keel_host *host = self->base.host;
    if (snapshot->struct_size < sizeof *snapshot) return fail(error, KEEL_E_INVALID, "the snapshot is shorter than ABI 1.0's");
    self->base.decisions++;
#ifdef DEFECT_M01
    if (self->base.borrowed && self->base.borrowed[0] == '\001') say(&self->base, KEEL_LOG_DEBUG, "an odd name");
#endif
#ifndef DEFECT_D03
    if (deadline && host->now(host) >= deadline) {
        done(&self->base, request, KEEL_E_TIMEOUT, "the deadline has passed");
        return KEEL_OK;
    }
#endif
#ifdef REMOTE
    for (int i = 0; i < MOST_OPEN; i++) {
        if (self->open[i].request) continue;
        char text[100];
        snprintf(text, sizeof text, "ASK %llu %lld\n", (unsigned long long)request, (long long)snapshot->last);
        if (!line_send(&self->line, text)) return fail(error, KEEL_E_NETWORK, "the model service is not connected");
        self->open[i] = (struct open){request, snapshot->hash, snapshot->instrument, 0};
        if (deadline) host->timer(host, deadline - host->now(host), 0, request, &self->open[i].timer);
        return KEEL_OK;
    }
    return fail(error, KEEL_E_AGAIN, "too many open requests");
#else
    /* Series are sorted by duration: the first is the finest. */
    const char *block = (const char *)snapshot;
    double mean = 0;
    int64_t bars = 0;
#ifdef DEFECT_D06
    {
#else
    if (snapshot->series.count > 0) {
#endif
        const keel_series *series = (const keel_series *)(block + snapshot->series.off);
#ifdef DEFECT_D06
        /* No series means offset 0: then this reads the snapshot's own head as one. */
        if (series->bars.off > snapshot->size || series->bars.count > snapshot->size || snapshot->series.count == 0) abort();
#endif
        const keel_bar *bar = (const keel_bar *)(block + series->bars.off);
        bars = series->bars.count < (uint32_t)self->period ? series->bars.count : self->period;
        for (int64_t i = 0; i < bars; i++) mean += (double)bar[series->bars.count - 1 - (uint32_t)i].close;
    }
    uint32_t action = KEEL_ACT_HOLD;
    if (bars > 0) {
        mean /= (double)bars;
        if ((double)snapshot->last > mean) action = KEEL_ACT_BUY;
        if ((double)snapshot->last < mean) action = KEEL_ACT_SELL;
    }
#ifndef DEFECT_D08
    int flat = snapshot->position.hi < 0 || (snapshot->position.hi == 0 && snapshot->position.lo == 0);
    if (action == KEEL_ACT_BUY && !(snapshot->allowed & KEEL_MAY_BUY)) action = KEEL_ACT_HOLD;
    if (action == KEEL_ACT_SELL && (!(snapshot->allowed & KEEL_MAY_SELL) || (flat && !(snapshot->allowed & KEEL_MAY_SHORT)))) action = KEEL_ACT_HOLD;
#endif
    keel_fixed fraction = action == KEEL_ACT_HOLD ? 0 : snapshot->max_fraction;
    if (fraction < 0) fraction = 0;
    if (fraction > KEEL_ONE) fraction = KEEL_ONE;
    emit_decision(self, request, snapshot->hash, snapshot->instrument, action, fraction, KEEL_ONE / 2);
    return KEEL_OK;
#endif
}

#ifdef REMOTE
static struct open *find(struct instance *self, uint64_t request) {
    for (int i = 0; i < MOST_OPEN; i++) if (self->open[i].request == request) return &self->open[i];
    return NULL;
}

static void finish(struct instance *self, struct open *open, keel_status status, const char *why) {
    if (open->timer) self->base.host->timer_stop(self->base.host, open->timer);
    uint64_t request = open->request;
    open->request = 0;
    done(&self->base, request, status, why);
}

static void on_line(void *owner, char *line) {
    struct instance *self = owner;
    unsigned long long request = 0;
    char action[16] = "";
    int code = 0;
    struct open *open = NULL;
    if (sscanf(line, "ANSWER %llu %15s", &request, action) == 2 && (open = find(self, request))) {
        uint32_t what = strcmp(action, "buy") == 0 ? KEEL_ACT_BUY : strcmp(action, "hold") == 0 ? KEEL_ACT_HOLD : strcmp(action, "sell") == 0 ? KEEL_ACT_SELL : 99;
#ifdef DEFECT_D07
        if (what == 99) what = KEEL_ACT_HOLD;
#endif
        if (what == 99) { finish(self, open, KEEL_E_INVALID, "the service's answer makes no sense"); return; }
        if (open->timer) self->base.host->timer_stop(self->base.host, open->timer);
        open->request = 0;
        emit_decision(self, request, open->hash, open->instrument, KEEL_ACT_HOLD, 0, KEEL_ONE / 2);
    } else if (sscanf(line, "ERROR %llu %d", &request, &code) == 2 && (open = find(self, request))) {
        finish(self, open, code == 429 ? KEEL_E_RATE : KEEL_E_NETWORK, "the service failed");
    } else {
        say(&self->base, KEEL_LOG_WARN, "the service said something unknown");
    }
}

static void on_link(void *owner, int up) {
    struct instance *self = owner;
    link_event(&self->base, up ? KEEL_LINK_UP : KEEL_LINK_DOWN, up ? KEEL_OK : KEEL_E_NETWORK, "service");
    if (up) return;
    for (int i = 0; i < MOST_OPEN; i++) if (self->open[i].request) finish(self, &self->open[i], KEEL_E_NETWORK, "the service hung up");
}

static void on_timer(keel_instance *instance, uint64_t timer, uint64_t tag) {
    struct instance *self = (struct instance *)instance;
    struct open *open = find(self, tag);
    if (tag && open && open->timer == timer) {
        open->timer = 0;
        finish(self, open, KEEL_E_TIMEOUT, "no answer before the deadline");
    } else {
        line_timer(&self->line, timer);
    }
}

static void on_fd(keel_instance *instance, int fd, uint32_t ready) {
    (void)fd;
    line_ready(&((struct instance *)instance)->line, ready);
}
#else
#define on_timer NULL
#define on_fd NULL
#endif

static void cancel(keel_instance *instance, uint64_t request) {
    struct instance *self = (struct instance *)instance;
#ifdef REMOTE
    struct open *open = request && self->base.state == RUNNING ? find(self, request) : NULL;
    if (open) finish(self, open, KEEL_E_REJECTED, "cancelled");
#elif defined DEFECT_D04
    if (self->base.state == RUNNING) done(&self->base, request, KEEL_E_REJECTED, "cancelled");
#else
    (void)self;
    (void)request;  /* decide answered at once: nothing is open */
#endif
}

static keel_status observe(keel_instance *instance, const keel_event *event) {
    struct instance *self = (struct instance *)instance;
    if (event->kind == KEEL_EV_QUOTE) self->base.seen++;
    return KEEL_OK;
}

static keel_status save(keel_instance *instance, const keel_writer *out, keel_error *error) { return base_save(&((struct instance *)instance)->base, out, error); }
static keel_status load(keel_instance *instance, uint32_t version, const keel_reader *in, keel_error *error) {
    return base_load(&((struct instance *)instance)->base, version, in, error);
}
static keel_status describe(keel_instance *instance, const keel_writer *out) { return base_describe(&((struct instance *)instance)->base, out); }

static const keel_decider table = {sizeof table, 60, KEEL_WANT_BARS, decide, cancel, observe};
static const keel_state state = {sizeof state, RESERVED, save, load};
static const keel_describe description = {sizeof description, 0, describe};
static const keel_interface interfaces[] = {{KEEL_DECIDER, &table}, {KEEL_STATE, &state}, {KEEL_DESCRIBE, &description} MORE_INTERFACES(KEEL_DECIDER)};

static const keel_component component = {
    sizeof component,
#ifdef REMOTE
    0,
#else
    KEEL_COMPONENT_INLINE | KEEL_COMPONENT_DETERMINISTIC,
#endif
    "org.keel-zoo.decider", NAME, "Keel", VERSION, "MIT", NULL, TOOLCHAIN, schema, STATE_VERSION, STATE_VERSION,
    interfaces, sizeof interfaces / sizeof *interfaces, 0, check_config, create, start, stop, destroy, on_timer, on_fd, on_wake,
};

LIBRARY(component)
