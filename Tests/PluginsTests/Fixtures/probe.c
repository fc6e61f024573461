/* A plugin with every role, for the tests of loader, lanes and workers. What it does wrong is chosen by words in its configuration. */
#define _GNU_SOURCE
#include "keel.h"
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct keel_instance {
    const keel_host *host;
    char name[64];
    char config[4096];
    uint64_t submitted, observed, cancelled, woken, timers;
    keel_order order;
    uint64_t request;
    uint64_t decide_request;
    int running;
    pthread_t thread;
    int has_thread;
};

static int says(const keel_instance *self, const char *word) { return strstr(self->config, word) != NULL; }

static void say(const keel_instance *self, const char *text) {
    self->host->log(self->host, KEEL_LOG_INFO, (keel_str){ text, strlen(text) });
}

static void done(const keel_instance *self, uint64_t request, keel_status status) {
    keel_ev_done event;
    memset(&event, 0, sizeof event);
    event.head.size = sizeof event;
    event.head.kind = KEEL_EV_DONE;
    event.head.request = request;
    event.status = status;
    event.message.off = sizeof event;
    self->host->emit(self->host, &event.head);
}

static void order_event(const keel_instance *self, const keel_order *order, uint32_t state, keel_fixed filled) {
    struct { keel_ev_order event; char venue_id[8]; } block;
    memset(&block, 0, sizeof block);
    block.event.head.size = sizeof block;
    block.event.head.kind = KEEL_EV_ORDER;
    block.event.head.instrument = order->instrument;
    block.event.head.request = self->request;
    block.event.order = order->id;
    block.event.state = state;
    block.event.side = order->side;
    block.event.filled = filled;
    block.event.leaves = order->qty - filled;
    block.event.limit = order->limit;
    block.event.venue_id.off = sizeof(keel_ev_order);
    block.event.venue_id.len = 5;
    block.event.message.off = sizeof(keel_ev_order);
    memcpy(block.venue_id, "V0001", 5);
    self->host->emit(self->host, &block.event.head);
}

static void value_event(const keel_instance *self, double value) {
    keel_ev_value event;
    memset(&event, 0, sizeof event);
    event.head.size = sizeof event;
    event.head.kind = KEEL_EV_VALUE;
    event.head.instrument = 1;
    event.head.at_source = self->host->now(self->host);
    event.value = value;
    event.name.off = sizeof event;
    self->host->emit(self->host, &event.head);
}

/* All the ways to be a bad plugin in a call. */
static keel_status misbehave(keel_instance *self, const char *call) {
    char word[64];
    snprintf(word, sizeof word, "null_%s", call);
    if (says(self, word)) *(volatile int *)(uintptr_t)8 = 1;
    snprintf(word, sizeof word, "hang_%s", call);
    if (says(self, word)) for (;;) pause();
    snprintf(word, sizeof word, "exit_%s", call);
    if (says(self, word)) _exit(9);
    snprintf(word, sizeof word, "abort_%s", call);
    if (says(self, word)) abort();
    snprintf(word, sizeof word, "kill_%s", call);
    if (says(self, word)) kill(getpid(), SIGKILL);
    snprintf(word, sizeof word, "leak_%s", call);
    if (says(self, word)) {
        for (int i = 0; i < 4096; i++) {
            char *block = malloc(1 << 20);
            if (!block) abort();
            memset(block, 1, 1 << 20);
        }
    }
    snprintf(word, sizeof word, "garbage_%s", call);
    if (says(self, word)) {
        /* Finds the worker's socket and writes nonsense to it. */
        for (int fd = 3; fd < 64; fd++) send(fd, "nonsense that is long enough to be taken for a frame's head", 60, MSG_NOSIGNAL);
    }
    snprintf(word, sizeof word, "print_%s", call);
    if (says(self, word)) {
        printf("printed by the plugin\n");
        fflush(stdout);
        fprintf(stderr, "complained by the plugin\n");
    }
    snprintf(word, sizeof word, "refuse_%s", call);
    return says(self, word) ? KEEL_E_REJECTED : KEEL_OK;
}

static keel_status refuse(keel_status status, keel_error *error, const char *text) {
    if (error && status < 0) {
        error->status = status;
        error->vendor_code = -2010;
        error->retry_after = 1500000000;
        snprintf(error->message, sizeof error->message, "%s", text);
    }
    return status;
}

static keel_status write_text(const keel_writer *writer, const void *bytes, size_t len) {
    char *target = writer->ctx;
    size_t used = strlen(target);
    if (used + len >= 1024) return KEEL_E_RANGE;
    memcpy(target + used, bytes, len);
    target[used + len] = 0;
    return KEEL_OK;
}

static void *run_thread(void *raw) {
    keel_instance *self = raw;
    for (int i = 0; i < 20; i++) {
        value_event(self, i);
        self->host->wake(self->host);
    }
    uint64_t id;
    self->host->timer(self->host, 0, 0, 0, &id); /* off its lane: must be refused */
    return NULL;
}

static keel_status create(const keel_component *component, const keel_host *host, keel_str name, keel_str json, keel_instance **out, keel_error *error) {
    (void)component;
    if (host->abi_major != 1 || json.len >= 4096 || name.len >= 64) return refuse(KEEL_E_INVALID, error, "unusable host or configuration");
    keel_instance *self = calloc(1, sizeof *self);
    if (!self) return KEEL_E_INTERNAL;
    self->host = host;
    memcpy(self->name, name.ptr, name.len);
    if (json.len) memcpy(self->config, json.ptr, json.len);
    keel_status status = misbehave(self, "create");
    if (status < 0) {
        free(self);
        return refuse(status, error, "refused in create");
    }
    *out = self;
    return KEEL_OK;
}

static keel_status start(keel_instance *self, keel_error *error) {
    keel_status status = misbehave(self, "start");
    if (status < 0) return refuse(status, error, "refused in start");
    self->running = 1;
    if (says(self, "use_services")) {
        char text[1024], line[1600];
        keel_writer writer = { text, write_text };
        text[0] = 0;
        status = self->host->secret(self->host, (keel_str){ "api.key", 7 }, &writer);
        snprintf(line, sizeof line, "secret %d is %s", status, text);
        say(self, line);
        text[0] = 0;
        status = self->host->secret(self->host, (keel_str){ "other.key", 9 }, &writer);
        snprintf(line, sizeof line, "other secret %d", status);
        say(self, line);
        status = self->host->put(self->host, (keel_str){ "where", 5 }, "here", 4);
        text[0] = 0;
        keel_status got = self->host->get(self->host, (keel_str){ "where", 5 }, &writer);
        snprintf(line, sizeof line, "put %d get %d %s", status, got, text);
        say(self, line);
        keel_instrument instrument;
        memset(&instrument, 0, sizeof instrument);
        instrument.struct_size = sizeof instrument;
        status = self->host->instrument(self->host, 1, &instrument);
        snprintf(line, sizeof line, "instrument %d %.*s tick %lld", status, (int)instrument.symbol.len, instrument.symbol.ptr, (long long)instrument.tick);
        say(self, line);
        status = self->host->instrument(self->host, 99, &instrument);
        snprintf(line, sizeof line, "unknown instrument %d", status);
        say(self, line);
    }
    if (says(self, "slow_timer")) {
        uint64_t id;
        self->host->timer(self->host, 1000000, 0, 77, &id);
    }
    if (says(self, "own_thread")) {
        self->has_thread = 1;
        if (pthread_create(&self->thread, NULL, run_thread, self) != 0) self->has_thread = 0;
    }
    return KEEL_OK;
}

static keel_status stop(keel_instance *self, keel_time deadline, uint64_t request, keel_error *error) {
    (void)deadline;
    keel_status status = misbehave(self, "stop");
    if (status < 0) return refuse(status, error, "refused in stop");
    self->running = 0;
    done(self, request, KEEL_OK);
    if (says(self, "talk_after_stop")) value_event(self, 1);
    return KEEL_OK;
}

static void destroy(keel_instance *self) {
    misbehave(self, "destroy");
    if (self->has_thread) pthread_join(self->thread, NULL);
    free(self);
}

static void on_timer(keel_instance *self, uint64_t id, uint64_t tag) {
    (void)id;
    self->timers++;
    misbehave(self, "timer");
    if (tag == 77 && says(self, "flood ")) {
        /* Far more than a socket holds, while the host does not read; then a byte into the pipe that is named after "flood ". */
        char path[256] = { 0 };
        sscanf(strstr(self->config, "flood ") + 6, "%255[^ \"]", path);
        self->order.id.lo = 0x10000;
        self->order.qty = 1000000;
        for (int i = 1; i <= 5000; i++) order_event(self, &self->order, KEEL_ORDER_OPEN, i);
        int fd = open(path, O_WRONLY);
        if (fd >= 0) {
            ssize_t ignored = write(fd, "x", 1);
            (void)ignored;
            close(fd);
        }
    }
    if (tag == 1) {
        order_event(self, &self->order, KEEL_ORDER_OPEN, 0);
        order_event(self, &self->order, KEEL_ORDER_FILLED, self->order.qty);
        done(self, self->request, KEEL_OK);
    } else if (tag == 2) {
        done(self, self->decide_request, KEEL_OK);
    }
}

static void on_wake(keel_instance *self) { self->woken++; }

static keel_status submit(keel_instance *self, const keel_order *order, uint64_t request, keel_error *error) {
    keel_status status = misbehave(self, "submit");
    if (status < 0) return refuse(status, error, "the venue says no to key hunter2-secret");
    self->submitted++;
    self->order = *order;
    self->request = request;
    order_event(self, order, KEEL_ORDER_PENDING, 0);
    if (says(self, "silent_submit")) return KEEL_OK;
    uint64_t id;
    return self->host->timer(self->host, 0, 0, 1, &id);
}

static keel_status cancel(keel_instance *self, keel_id order, uint64_t request, keel_error *error) {
    (void)order;
    keel_status status = misbehave(self, "cancel");
    if (status < 0) return refuse(status, error, "refused in cancel");
    self->cancelled++;
    done(self, request, KEEL_E_NOT_FOUND);
    return KEEL_OK;
}

static keel_status sync_account(keel_instance *self, keel_time since, uint64_t request, keel_error *error) {
    (void)since;
    keel_status status = misbehave(self, "sync");
    if (status < 0) return refuse(status, error, "refused in sync");
    done(self, request, KEEL_OK);
    return KEEL_OK;
}

static keel_status subscribe(keel_instance *self, keel_instrument_id id, uint64_t channels, uint64_t request, keel_error *error) {
    char line[128];
    keel_instrument instrument;
    memset(&instrument, 0, sizeof instrument);
    instrument.struct_size = sizeof instrument;
    keel_status status = self->host->instrument(self->host, id, &instrument);
    if (status < 0) return refuse(status, error, "unknown instrument");
    snprintf(line, sizeof line, "subscribed %.*s %llu", (int)instrument.symbol.len, instrument.symbol.ptr, (unsigned long long)channels);
    say(self, line);
    done(self, request, KEEL_OK);
    return KEEL_OK;
}

static keel_status decide(keel_instance *self, const keel_snapshot *snapshot, keel_time deadline, uint64_t request, keel_error *error) {
    (void)deadline;
    keel_status status = misbehave(self, "decide");
    if (status < 0) return refuse(status, error, "refused in decide");
    struct { keel_ev_decision event; keel_signal signal; char text[16]; } block;
    memset(&block, 0, sizeof block);
    block.event.head.size = sizeof block;
    block.event.head.kind = KEEL_EV_DECISION;
    block.event.head.instrument = snapshot->instrument;
    block.event.head.request = request;
    block.event.action = KEEL_ACT_BUY;
    block.event.snapshot = snapshot->hash;
    block.event.fraction = KEEL_ONE / 4;
    block.event.confidence = (keel_fixed)(snapshot->size % 1000) * 1000;
    block.event.signals.off = offsetof(__typeof__(block), signal);
    block.event.signals.count = 1;
    block.signal.name.off = offsetof(__typeof__(block), text);
    block.signal.name.len = 5;
    block.event.reason.off = offsetof(__typeof__(block), text);
    block.event.reason.len = 5;
    block.event.memory.off = block.event.model.off = sizeof block;
    memcpy(block.text, "trend", 5);
    self->host->emit(self->host, &block.event.head);
    self->decide_request = request;
    uint64_t id;
    return self->host->timer(self->host, 1000, 0, 2, &id);
}

static void cancel_decide(keel_instance *self, uint64_t request) { done(self, request, KEEL_E_TIMEOUT); }

static keel_status observe(keel_instance *self, const keel_event *event) {
    (void)event;
    self->observed++;
    misbehave(self, "observe");
    value_event(self, (double)self->observed);
    return self->observed % 3 == 0 ? KEEL_ASK : KEEL_OK;
}

static keel_status route(keel_instance *self, const keel_order *parent, uint64_t request, keel_error *error) {
    (void)error;
    struct { keel_ev_child event; keel_order order; } block;
    memset(&block, 0, sizeof block);
    block.event.head.size = sizeof block;
    block.event.head.kind = KEEL_EV_CHILD;
    block.event.head.instrument = parent->instrument;
    block.event.head.request = request;
    block.event.order.off = offsetof(__typeof__(block), order);
    block.event.order.len = sizeof(keel_order);
    block.order = *parent;
    block.order.id.lo |= 1;
    self->host->emit(self->host, &block.event.head);
    done(self, request, KEEL_OK);
    return KEEL_OK;
}
static void route_event(keel_instance *self, const keel_event *event) { value_event(self, 1000 + event->kind); }
static void route_cancel(keel_instance *self, uint64_t request) { done(self, request, KEEL_OK); }

static keel_status save(keel_instance *self, const keel_writer *out, keel_error *error) {
    (void)error;
    char text[64];
    int size = says(self, "large_state") ? 300000 : 0;
    snprintf(text, sizeof text, "%llu", (unsigned long long)self->submitted);
    keel_status status = out->write(out, text, strlen(text) + 1);
    for (int i = 0; i < size && status >= 0; i += 1000) {
        char block[1000];
        memset(block, 'a' + i / 1000 % 26, sizeof block);
        status = out->write(out, block, sizeof block);
    }
    return status;
}

static keel_status load(keel_instance *self, uint32_t version, const keel_reader *in, keel_error *error) {
    char text[64] = { 0 };
    if (version != 1) return refuse(KEEL_E_UNSUPPORTED, error, "unknown version");
    if (in->read(in, text, sizeof text - 1) <= 0) return refuse(KEEL_E_INVALID, error, "empty");
    self->submitted = strtoull(text, NULL, 10);
    return KEEL_OK;
}

static keel_status describe(keel_instance *self, const keel_writer *out) {
    char text[256];
    snprintf(text, sizeof text, "{\"name\":\"%s\",\"submitted\":%llu,\"observed\":%llu,\"woken\":%d,\"timers\":%llu}", self->name,
             (unsigned long long)self->submitted, (unsigned long long)self->observed, self->woken > 0, (unsigned long long)self->timers);
    return out->write(out, text, strlen(text));
}

static keel_status fetch(keel_instance *self, keel_str list, uint32_t most, uint64_t request, keel_error *error) {
    (void)error; (void)list; (void)most;
    done(self, request, KEEL_OK);
    return KEEL_OK;
}
static keel_status summary(keel_instance *self, uint64_t request, keel_error *error) {
    (void)error;
    done(self, request, KEEL_OK);
    return KEEL_OK;
}
static void on_market(keel_instance *self, const keel_event *event) { value_event(self, 2000 + event->kind); }

static keel_status check_config(const keel_component *component, keel_str json, const keel_writer *report) {
    (void)component;
    static const char problem[] = "[{\"path\":\"/word\",\"code\":\"bad\",\"message\":\"a bad word\"}]";
    if (json.len < 4096) {
        char text[4096] = { 0 };
        memcpy(text, json.ptr, json.len);
        if (strstr(text, "bad_word")) return report->write(report, problem, sizeof problem - 1) < 0 ? KEEL_E_INTERNAL : KEEL_E_INVALID;
    }
    return KEEL_OK;
}

static const keel_feed feed = { sizeof feed, 0, KEEL_CH_BARS | KEEL_CH_VALUES, 1000000000, subscribe, subscribe };
static const keel_broker broker = { sizeof broker, 0, KEEL_ORD_MARKET | KEEL_ORD_LIMIT, submit, cancel, NULL, sync_account };
static const keel_decider decider = { sizeof decider, 20, KEEL_WANT_BARS, decide, cancel_decide, observe };
static const keel_router router = { sizeof router, 0, route, route_event, route_cancel };
static const keel_state state = { sizeof state, 0, save, load };
static const keel_describe descriptor = { sizeof descriptor, 0, describe };
static const keel_rankings rankings = { sizeof rankings, 0, fetch };
static const keel_account account = { sizeof account, 0, summary };
static const keel_market market = { sizeof market, 0, on_market };

static const keel_interface interfaces[] = {
    { KEEL_FEED, &feed }, { KEEL_BROKER, &broker }, { KEEL_DECIDER, &decider }, { KEEL_ROUTER, &router }, { KEEL_STATE, &state },
    { KEEL_DESCRIBE, &descriptor }, { KEEL_RANKINGS, &rankings }, { KEEL_ACCOUNT, &account }, { KEEL_MARKET, &market },
    { "com.test.unknown/7", &market },
};

static const keel_component component = {
    .struct_size = sizeof component,
    .flags = KEEL_COMPONENT_DETERMINISTIC,
    .id = "com.test.probe",
    .name = "Probe",
    .vendor = "Tests",
    .version = "1.2.3",
    .license = "MIT",
    .url = "https://example.com",
    .toolchain = "cc",
    .config_schema = "{\"type\":\"object\"}",
    .state_version = 1,
    .state_oldest = 1,
    .interfaces = interfaces,
    .interface_count = sizeof interfaces / sizeof interfaces[0],
    .check_config = check_config,
    .create = create,
    .start = start,
    .stop = stop,
    .destroy = destroy,
    .on_timer = on_timer,
    .on_wake = on_wake,
};
static const keel_component *const components[] = { &component };
static const keel_library library = { sizeof library, 1, 0, components, 1, 0 };

KEEL_EXPORT const keel_library *keel_plugin_entry(uint32_t abi_major) { return abi_major == 1 ? &library : NULL; }
