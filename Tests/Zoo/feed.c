/* feed.c - the zoo's reference feed: a venue that speaks lines (mock/feed.json plays it).
 *
 *   SUB symbol      OK symbol, then  Q symbol bid bid-qty ask ask-qty milliseconds [number]  again and again
 *   SNAP symbol     IMG symbol number: what is numbered higher follows
 *   (anything)      WAIT milliseconds | WAIT
 *   UNSUB symbol    OK symbol
 */
#include "plugin.h"
#include "line.h"

#define MOST 2048

struct stream {
    keel_instrument_id id;
    char symbol[32];
    uint64_t request;   /* subscribe's or unsubscribe's, until its DONE */
    int wanted;
    long long number;   /* of the last quote, 0: they have none */
    int asked;          /* for an image */
#ifdef DEFECT_F04
    int times;
#endif
    keel_time last;
};

struct instance {
    struct base base;
    int64_t port;
    struct line line;
    struct stream streams[MOST];
    int count;
    uint64_t told;
    keel_time wait_until;
#ifdef DEFECT_F13
    struct past { struct past *next; keel_ev_quote quote; } *past;
#endif
};

static const char schema[] =
    "{\"type\":\"object\",\"required\":[\"port\"],\"properties\":{"
    "\"port\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":65535,\"description\":\"Port of the venue on this machine.\"}}}";

static keel_status create(const keel_component *component, const keel_host *host, keel_str name, keel_str json, keel_instance **out, keel_error *error) {
    (void)component;
    if (!host_fits(host)) return fail(error, KEEL_E_UNSUPPORTED, "this plugin needs a host of ABI 1");
    struct instance *self = calloc(1, sizeof *self);
    if (!self) return fail(error, KEEL_E_INTERNAL, "no memory");
    self->line.fd = -1;
    struct field list[] = {{"port", FIELD_INT, 1, 65535, &self->port, 0, 1}};
    keel_status status = parse_config(json, list, 1, error);
    if (status != KEEL_OK) { free(self); return status; }
    base_init(&self->base, host, name);
    *out = (keel_instance *)self;
    return KEEL_OK;
}

static struct stream *by_id(struct instance *self, keel_instrument_id id) {
    for (int i = 0; i < self->count; i++) if (self->streams[i].id == id) return &self->streams[i];
    return NULL;
}

static struct stream *by_symbol(struct instance *self, const char *symbol) {
    for (int i = 0; i < self->count; i++) if (strcmp(self->streams[i].symbol, symbol) == 0) return &self->streams[i];
    return NULL;
}

static void forget(struct instance *self, struct stream *stream) {
    *stream = self->streams[--self->count];
}

/* False for a number that a keel_fixed can't hold exactly. */
static int exact(const char *text) {
#ifdef DEFECT_F15
    (void)text;
    return 1;
#else
    const char *point = strchr(text, '.');
    if (!point || strlen(point + 1) <= 8) return 1;
    return strspn(point + 9, "0") == strlen(point + 9);
#endif
}

static keel_fixed fixed(const char *text) {
    keel_fixed value = 0;
    int decimals = -1;
    for (; *text; text++) {
        if (*text == '.') { decimals = 0; continue; }
        if (*text < '0' || *text > '9' || decimals >= 8) break;
        if (value > INT64_MAX / 100) break;
        value = value * 10 + (*text - '0');
        if (decimals >= 0) decimals++;
    }
    for (int i = decimals < 0 ? 0 : decimals; i < 8; i++) value *= 10;
    return value;
}

static void on_line(void *owner, char *text) {
    struct instance *self = owner;
    char symbol[32], bid[32], bid_qty[32], ask[32], ask_qty[32];
    long long ms = 0, number = 0;
    if (sscanf(text, "IMG %31s %lld", symbol, &number) == 2) {
        struct stream *stream = by_symbol(self, symbol);
        if (stream) {
            stream->number = number;
            stream->asked = 0;
        }
        return;
    }
    if (strncmp(text, "WAIT", 4) == 0) {
        long long pause = text[4] ? atoll(text + 5) : 1500;
#ifndef DEFECT_F11
        self->wait_until = self->base.host->now(self->base.host) + pause * 1000000;
#else
        (void)pause;
#endif
        for (int i = self->count - 1; i >= 0; i--) if (self->streams[i].request) {
            uint64_t request = self->streams[i].request;
            forget(self, &self->streams[i]);
            done(&self->base, request, KEEL_E_RATE, "the venue asks to wait");
        }
        return;
    }
    int fields = sscanf(text, "Q %31s %31s %31s %31s %31s %lld %lld", symbol, bid, bid_qty, ask, ask_qty, &ms, &number);
    if (fields >= 6) {
        struct stream *stream = by_symbol(self, symbol);
#ifndef DEFECT_F03
        if (!stream || !stream->wanted) return;
#else
        if (!stream) return;
#endif
#ifndef DEFECT_F09
        if (fields == 7) {
            if (stream->asked) return;
            if (stream->number && number != stream->number + 1) {
                /* Something was lost: nothing is told until the image is here. */
                char line[64];
                snprintf(line, sizeof line, "SNAP %s\n", stream->symbol);
                stream->asked = 1;
                line_send(&self->line, line);
                return;
            }
            stream->number = number;
        }
#endif
        if (!exact(bid) || !exact(ask) || !exact(bid_qty) || !exact(ask_qty)) {
            say(&self->base, KEEL_LOG_WARN, "a number of the venue has more decimals than can be told: left out");
            return;
        }
        keel_ev_quote quote;
        memset(&quote, 0, sizeof quote);
        quote.head.size = sizeof quote;
        quote.head.kind = KEEL_EV_QUOTE;
        quote.head.instrument = stream->id;
        quote.head.at_source = ms * 1000000;
        quote.bid = fixed(bid);
        quote.bid_qty = fixed(bid_qty);
        quote.ask = fixed(ask);
        quote.ask_qty = fixed(ask_qty);
        self->told++;
#ifdef DEFECT_F12
        quote.head.at_source = self->base.host->now(self->base.host);
#endif
#ifdef DEFECT_F13
        struct past *past = malloc(sizeof *past);
        if (past) {
            past->quote = quote;
            past->next = self->past;
            self->past = past;
        }
#endif
#ifdef DEFECT_F14
        quote.head.at_source = ms % 86400000 * 1000000;
#endif
#ifdef DEFECT_F06
        if (self->told % 7 == 0) quote.head.at_source -= 60000000000ll;
#endif
#ifdef DEFECT_F07
        if (self->told % 5 == 0) { keel_fixed swap = quote.bid; quote.bid = quote.ask; quote.ask = swap; }
#endif
#ifdef DEFECT_T04
        while (self->base.host->emit(self->base.host, &quote.head) == KEEL_E_AGAIN) {}
        return;
#endif
        self->base.host->emit(self->base.host, &quote.head);
#ifdef DEFECT_F04
        for (int i = 1; i < stream->times; i++) self->base.host->emit(self->base.host, &quote.head);
#endif
        return;
    }
    if (sscanf(text, "OK %31s", symbol) == 1) {
        struct stream *stream = by_symbol(self, symbol);
        if (!stream) return;
        uint64_t request = stream->request;
        stream->request = 0;
#ifndef DEFECT_F03
        if (!stream->wanted) forget(self, stream);
#endif
        if (request) done(&self->base, request, KEEL_OK, NULL);
        return;
    }
    say(&self->base, KEEL_LOG_WARN, "the venue said something unknown");
}

static void on_link(void *owner, int up) {
    struct instance *self = owner;
    if (up) {
#ifndef DEFECT_F08
        for (int i = 0; i < self->count; i++) {
            char line[64];
            if (!self->streams[i].wanted) continue;
            snprintf(line, sizeof line, "SUB %s\n", self->streams[i].symbol);
            line_send(&self->line, line);
        }
#else
        for (int i = 0; i < self->count; i++) if (self->streams[i].request) {
            char line[64];
            snprintf(line, sizeof line, "SUB %s\n", self->streams[i].symbol);
            line_send(&self->line, line);
        }
#endif
    }
#ifdef DEFECT_F10
    /* A connection that never said anything useful is no news. */
    if (!up && !self->told) return;
#endif
    link_event(&self->base, up ? KEEL_LINK_UP : KEEL_LINK_DOWN, up ? KEEL_OK : KEEL_E_NETWORK, "venue");
}

static keel_status start(keel_instance *instance, keel_error *error) {
    struct instance *self = (struct instance *)instance;
    if (self->base.state != CREATED && self->base.state != STOPPED) return fail(error, KEEL_E_STATE, "start needs a created or stopped instance");
    base_started(&self->base);
    self->line = (struct line){.host = self->base.host, .owner = self, .port = (int)self->port, .fd = -1, .on_line = on_line, .on_link = on_link};
    line_open(&self->line);
    return KEEL_OK;
}

static keel_status stop(keel_instance *instance, keel_time deadline, uint64_t request, keel_error *error) {
    (void)deadline;
    struct instance *self = (struct instance *)instance;
    if (self->base.state != RUNNING) return fail(error, KEEL_E_STATE, "stop needs a running instance");
    line_close(&self->line);
#ifdef DEFECT_F13
    while (self->past) {
        struct past *next = self->past->next;
        free(self->past);
        self->past = next;
    }
#endif
    for (int i = 0; i < self->count; i++) if (self->streams[i].request) done(&self->base, self->streams[i].request, KEEL_E_STATE, "stopped");
    self->count = 0;
    base_stopped(&self->base, request);
    return KEEL_OK;
}

static void destroy(keel_instance *instance) {
    struct instance *self = (struct instance *)instance;
    if (self->base.state == RUNNING) line_close(&self->line);
    free(self);
}

static void on_wake(keel_instance *instance) { base_wake(&((struct instance *)instance)->base); }
static void on_timer(keel_instance *instance, uint64_t timer, uint64_t tag) {
    (void)tag;
    line_timer(&((struct instance *)instance)->line, timer);
}
static void on_fd(keel_instance *instance, int fd, uint32_t ready) {
    (void)fd;
    line_ready(&((struct instance *)instance)->line, ready);
}

static keel_status subscribe(keel_instance *instance, keel_instrument_id id, uint64_t channels, uint64_t request, keel_error *error) {
    struct instance *self = (struct instance *)instance;
    if (self->base.state != RUNNING) return fail(error, KEEL_E_STATE, "subscribe needs a running instance");
#ifndef DEFECT_F02
    if (channels & ~KEEL_CH_QUOTES || !channels) return fail(error, KEEL_E_UNSUPPORTED, "only quotes are supported");
#endif
    keel_instrument about;
    memset(&about, 0, sizeof about);
    about.struct_size = sizeof about;
    if (self->base.host->instrument(self->base.host, id, &about) != KEEL_OK) {
#ifdef DEFECT_F01
        return done(&self->base, request, KEEL_OK, NULL);
#else
        return fail(error, KEEL_E_NOT_FOUND, "instrument %u is unknown", id);
#endif
    }
    if (about.venue_symbol.len == 0 || about.venue_symbol.len > 31) return fail(error, KEEL_E_INVALID, "the instrument has no venue symbol");
    if (self->base.host->now(self->base.host) < self->wait_until) return fail(error, KEEL_E_RATE, "the venue asks to wait");
#ifdef DEFECT_F05
    static char *volatile lost;
    lost = malloc(2048);
    memset(lost, 1, 2048);
#endif
    struct stream *stream = by_id(self, id);
    if (stream && stream->wanted && !stream->request) {
#ifdef DEFECT_F04
        stream->times++;
#endif
        done(&self->base, request, KEEL_OK, NULL);  /* it is already there */
        return KEEL_OK;
    }
    if (stream && stream->request) return fail(error, KEEL_E_AGAIN, "a subscription is already on its way");
    if (!stream) {
        if (self->count == MOST) return fail(error, KEEL_E_AGAIN, "too many instruments");
        stream = &self->streams[self->count++];
        memset(stream, 0, sizeof *stream);
        stream->id = id;
        memcpy(stream->symbol, about.venue_symbol.ptr, about.venue_symbol.len);
    }
    stream->wanted = 1;
    stream->request = request;
#ifdef DEFECT_F04
    stream->times = 1;
#endif
    char line[64];
    snprintf(line, sizeof line, "SUB %s\n", stream->symbol);
    line_send(&self->line, line);  /* not connected yet: on_link sends it */
    return KEEL_OK;
}

static keel_status unsubscribe(keel_instance *instance, keel_instrument_id id, uint64_t channels, uint64_t request, keel_error *error) {
    (void)channels;
    struct instance *self = (struct instance *)instance;
    if (self->base.state != RUNNING) return fail(error, KEEL_E_STATE, "unsubscribe needs a running instance");
    struct stream *stream = by_id(self, id);
    if (!stream || !stream->wanted) {
        done(&self->base, request, KEEL_OK, NULL);
        return KEEL_OK;
    }
    if (stream->request) return fail(error, KEEL_E_AGAIN, "a subscription is still on its way");
    char line[64];
#ifdef DEFECT_F03
    snprintf(line, sizeof line, "SUB %s\n", stream->symbol);
#else
    snprintf(line, sizeof line, "UNSUB %s\n", stream->symbol);
    stream->wanted = 0;
#endif
    stream->request = request;
    if (!line_send(&self->line, line)) {
        forget(self, stream);
        done(&self->base, request, KEEL_OK, NULL);
    }
    return KEEL_OK;
}

static keel_status describe(keel_instance *instance, const keel_writer *out) { return base_describe(&((struct instance *)instance)->base, out); }

static const keel_feed table = {sizeof table, RESERVED, KEEL_CH_QUOTES, 5000000000ll, subscribe, unsubscribe};
static const keel_describe description = {sizeof description, 0, describe};
static const keel_interface interfaces[] = {{KEEL_FEED, &table}, {KEEL_DESCRIBE, &description} MORE_INTERFACES(KEEL_FEED)};

static const keel_component component = {
    sizeof component, 0, "org.keel-zoo.feed", NAME, "Keel", VERSION, "MIT", NULL, TOOLCHAIN, schema, 0, 0,
    interfaces, sizeof interfaces / sizeof *interfaces, 0, NULL, create, start, stop, destroy, on_timer, on_fd, on_wake,
};

LIBRARY(component)
