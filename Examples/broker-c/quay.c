/* quay.c - a broker for the Quay exchange, the whole plugin in one C file.
 *
 * Build it with `make`, check it with `keel plugin check quay.so`. It needs keel.h and libc, nothing else.
 *
 * Quay is an invented exchange with a nuisance that real ones have too: it doesn't take our order ids. It knows orders by
 * a reference number that we choose, at most nine digits. So this plugin keeps a small book, through the host's put() and
 * get(), of which number stands for which of the host's ids, and writes each line of it before the order leaves. That is
 * what makes a crash harmless: after a restart the exchange tells us its numbers, and the book tells us whose they are.
 *
 *   we say                                       Quay says
 *   auth KEY                                     hello | go away
 *   buy|sell REF SYMBOL QTY PRICE|market         taken REF | refused REF REASON | traded REF TRADE QTY PRICE FEE
 *   pull REF                                     pulled REF | kept REF REASON
 *   list                                         have REF buy|sell SYMBOL QTY PRICE working|gone, traded ..., cash ASSET QTY, that's all
 */
#define _GNU_SOURCE
#include "keel.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MOST_ORDERS 4096
#define MOST_TRADES 24
#define SECOND 1000000000ll

/* ==== small things ================================================================================================== */

static keel_str str(const char *text) { return (keel_str){text, strlen(text)}; }

/* Every refusal goes through here. Rule 3: the caller's keel_error may be smaller than ours, or not there at all. */
static keel_status refuse(keel_error *error, keel_status status, const char *format, ...) {
    if (!error) return status;
    if (error->struct_size >= 8) error->status = status;
    if (error->struct_size <= offsetof(keel_error, message)) return status;
    size_t room = error->struct_size - offsetof(keel_error, message);
    if (room > sizeof error->message) room = sizeof error->message;
    va_list values;
    va_start(values, format);
    vsnprintf(error->message, room, format, values);
    va_end(values);
    /* Never half a UTF-8 character at the end. */
    size_t end = strlen(error->message);
    if (end + 1 == room) {
        while (end > 0 && (error->message[end - 1] & 0xC0) == 0x80) end--;
        if (end > 0 && (error->message[end - 1] & 0x80)) end--;
        error->message[end] = 0;
    }
    return status;
}

/* "12.5" to 1250000000. Says no to what it can't hold exactly. */
static int to_fixed(const char *text, keel_fixed *out) {
    int64_t value = 0;
    int places = -1, digits = 0;
    for (; *text; text++) {
        if (*text == '.' && places < 0) { places = 0; continue; }
        if (*text < '0' || *text > '9' || value > (INT64_MAX - 9) / 10) return 0;
        if (places == 8) { if (*text == '0') continue; return 0; }
        value = value * 10 + (*text - '0');
        digits++;
        if (places >= 0) places++;
    }
    for (places = places < 0 ? 0 : places; places < 8; places++) {
        if (value > INT64_MAX / 10) return 0;
        value *= 10;
    }
    *out = value;
    return digits > 0;
}

static void from_fixed(keel_fixed value, char out[32]) { snprintf(out, 32, "%lld.%08lld", (long long)(value / KEEL_ONE), (long long)(value % KEEL_ONE)); }

/* ==== configuration ================================================================================================= */

static const char schema[] =
    "{\"type\":\"object\",\"required\":[\"port\",\"key\"],\"properties\":{"
    "\"port\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":65535,\"description\":\"Port of the Quay gateway on this machine.\"},"
    "\"key\":{\"type\":\"object\",\"x-secret\":true,\"description\":\"The API key.\"},"
    "\"wait\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":300,\"default\":5,\"x-unit\":\"s\",\"description\":\"How long to wait until an order counts as in doubt.\"}}}";

struct settings { long port, wait; char key[64]; };

/* A reader for exactly this configuration: an object of known names. Anything else is refused by name. */
struct scan { const char *at, *end; };

static void skip_space(struct scan *scan) {
    while (scan->at < scan->end && (*scan->at == ' ' || *scan->at == '\t' || *scan->at == '\r' || *scan->at == '\n')) scan->at++;
}

static int sees(struct scan *scan, char wanted) {
    skip_space(scan);
    if (scan->at == scan->end || *scan->at != wanted) return 0;
    scan->at++;
    return 1;
}

static int sees_text(struct scan *scan, char *out, size_t room) {
    size_t length = 0;
    if (!sees(scan, '"')) return 0;
    while (scan->at < scan->end && *scan->at != '"') {
        unsigned char byte = (unsigned char)*scan->at++;
        if (byte < 0x20 || byte > 0x7e || byte == '\\' || length + 1 == room) return 0;   /* names and keys are plain ASCII */
        out[length++] = (char)byte;
    }
    out[length] = 0;
    return sees(scan, '"');
}

static int sees_number(struct scan *scan, long low, long high, long *out) {
    long value = 0;
    int digits = 0;
    skip_space(scan);
    while (scan->at < scan->end && *scan->at >= '0' && *scan->at <= '9' && digits < 9) { value = value * 10 + (*scan->at++ - '0'); digits++; }
    if (!digits || (scan->at < scan->end && *scan->at && strchr(".eE0123456789", *scan->at)) || value < low || value > high) return 0;
    *out = value;
    return 1;
}

static keel_status read_settings(struct settings *settings, keel_str json, keel_error *error) {
    struct scan scan = {json.ptr, json.len ? json.ptr + json.len : json.ptr};
    char name[64], word[16];
    memset(settings, 0, sizeof *settings);
    settings->wait = 5;
    if (!json.len || !sees(&scan, '{')) return refuse(error, KEEL_E_INVALID, "the configuration must be an object");
    if (!sees(&scan, '}')) {
        do {
            if (!sees_text(&scan, name, sizeof name) || !sees(&scan, ':')) return refuse(error, KEEL_E_INVALID, "the configuration can't be read");
            if (strcmp(name, "port") == 0) {
                if (!sees_number(&scan, 1, 65535, &settings->port)) return refuse(error, KEEL_E_INVALID, "port must be a whole number from 1 to 65535");
            } else if (strcmp(name, "wait") == 0) {
                if (!sees_number(&scan, 1, 300, &settings->wait)) return refuse(error, KEEL_E_INVALID, "wait must be a whole number from 1 to 300");
            } else if (strcmp(name, "key") == 0) {
                if (!sees(&scan, '{') || !sees_text(&scan, word, sizeof word) || strcmp(word, "$secret") != 0 || !sees(&scan, ':')
                    || !sees_text(&scan, settings->key, sizeof settings->key) || !sees(&scan, '}'))
                    return refuse(error, KEEL_E_INVALID, "key must be a reference like {\"$secret\": \"quay.key\"}");
            } else {
                return refuse(error, KEEL_E_INVALID, "%s is not a setting of this plugin", name);
            }
        } while (sees(&scan, ','));
        if (!sees(&scan, '}')) return refuse(error, KEEL_E_INVALID, "the configuration can't be read");
    }
    skip_space(&scan);
    if (scan.at != scan.end) return refuse(error, KEEL_E_INVALID, "something follows the configuration");
    if (!settings->port) return refuse(error, KEEL_E_INVALID, "port is missing");
    if (!settings->key[0]) return refuse(error, KEEL_E_INVALID, "key is missing");
    return KEEL_OK;
}

/* ==== the instance ================================================================================================== */

struct order {
    keel_id id;
    unsigned ref;                     /* Quay's name for it */
    keel_instrument_id instrument;
    uint32_t side, state;
    keel_fixed qty, limit, filled;
    __int128 notional;                /* sum of quantity x price: the average must be exact */
    uint64_t submit, cancel, timer;   /* what is still open, 0 = nothing */
    char trades[MOST_TRADES][20];     /* trade ids already counted */
    int trade_count;
};

struct quay {
    const keel_host *host;
    struct settings settings;
    int running;
    char key[128];
    /* the connection */
    int fd, connected, welcome;
    uint64_t retry;
    keel_span pause;
    char in[32768], out[32768];
    size_t in_length, out_length;
    /* the business */
    unsigned next_ref, reserved_ref;  /* numbers below reserved_ref are ours to use: that much is in the book */
    uint64_t sync;
    int count;
    struct order orders[MOST_ORDERS];
};

static struct quay *quay(keel_instance *instance) { return (struct quay *)instance; }
static int is_over(const struct order *order) { return order->state >= KEEL_ORDER_FILLED && order->state <= KEEL_ORDER_EXPIRED; }

static struct order *by_id(struct quay *self, keel_id id) {
    for (int i = 0; i < self->count; i++) if (self->orders[i].id.hi == id.hi && self->orders[i].id.lo == id.lo) return &self->orders[i];
    return NULL;
}

static struct order *by_ref(struct quay *self, unsigned ref) {
    for (int i = 0; i < self->count; i++) if (self->orders[i].ref == ref) return &self->orders[i];
    return NULL;
}

static struct order *new_order(struct quay *self) {
    if (self->count == MOST_ORDERS) {
        int oldest = 0;
        while (oldest < MOST_ORDERS && !is_over(&self->orders[oldest])) oldest++;
        if (oldest == MOST_ORDERS) return NULL;
        memmove(&self->orders[oldest], &self->orders[oldest + 1], sizeof *self->orders * (size_t)(MOST_ORDERS - oldest - 1));
        self->count--;
    }
    memset(&self->orders[self->count], 0, sizeof *self->orders);
    return &self->orders[self->count++];
}

/* ==== the book: which reference number is whose ===================================================================== */

struct page { uint64_t hi, lo; uint32_t instrument, side; };

static keel_status copy_out(const keel_writer *writer, const void *bytes, size_t length) {
    struct { char *at; size_t room; } *into = writer->ctx;
    if (length > into->room) return KEEL_E_RANGE;
    memcpy(into->at, bytes, length);
    into->at += length;
    into->room -= length;
    return KEEL_OK;
}

static int book_read(struct quay *self, const char *key, void *out, size_t size) {
    struct { char *at; size_t room; } into = {out, size};
    keel_writer writer = {&into, copy_out};
    return self->host->get(self->host, str(key), &writer) == KEEL_OK && into.room == 0;
}

/* A number nobody has used, this run or before. put() returns when the line is safe on disk; reserving a hundred at a time
 * keeps that off most orders. */
static unsigned fresh_ref(struct quay *self) {
    if (self->next_ref == self->reserved_ref) {
        uint32_t stored = 1;
        book_read(self, "next", &stored, sizeof stored);
        uint32_t after = stored + 100;
        if (after > 999999999u || self->host->put(self->host, str("next"), &after, sizeof after) != KEEL_OK) return 0;
        self->next_ref = stored;
        self->reserved_ref = after;
    }
    return self->next_ref++;
}

/* ==== events ======================================================================================================== */

static void done(struct quay *self, uint64_t request, keel_status status, const char *why) {
    struct { keel_ev_done event; char text[120]; } out;
    memset(&out, 0, sizeof out);
    size_t length = strlen(why) < sizeof out.text ? strlen(why) : sizeof out.text;
    memcpy(out.text, why, length);
    out.event.head.size = (uint32_t)(sizeof out.event + length);
    out.event.head.kind = KEEL_EV_DONE;
    out.event.head.request = request;
    out.event.status = status;
    out.event.message = (keel_text){sizeof out.event, (uint32_t)length};
    self->host->emit(self->host, &out.event.head);
}

static void tell_link(struct quay *self, uint32_t state, keel_status why) {
    struct { keel_ev_link event; char text[4]; } out;
    memset(&out, 0, sizeof out);
    memcpy(out.text, "quay", 4);
    out.event.head.size = sizeof out.event + 4;
    out.event.head.kind = KEEL_EV_LINK;
    out.event.state = state;
    out.event.why = why;
    out.event.name = (keel_text){sizeof out.event, 4};
    self->host->emit(self->host, &out.event.head);
}

static void tell_order(struct quay *self, struct order *order, uint32_t state) {
    order->state = state;
    struct { keel_ev_order event; char text[16]; } out;
    memset(&out, 0, sizeof out);
    int length = snprintf(out.text, sizeof out.text, "%u", order->ref);
    out.event.head.size = (uint32_t)sizeof out.event + (uint32_t)length;
    out.event.head.kind = KEEL_EV_ORDER;
    out.event.head.flags = self->sync ? KEEL_EVF_SNAPSHOT : 0;
    out.event.head.instrument = order->instrument;
    out.event.order = order->id;
    out.event.state = state;
    out.event.side = order->side;
    out.event.filled = order->filled;
    out.event.leaves = order->qty - order->filled;
    if (order->filled) out.event.average = (keel_fixed)((2 * order->notional + order->filled) / (2 * (__int128)order->filled));
    out.event.limit = order->limit;
    out.event.venue_id = (keel_text){sizeof out.event, (uint32_t)length};
    self->host->emit(self->host, &out.event.head);
}

static void end_submit(struct quay *self, struct order *order, keel_status status, const char *why) {
    uint64_t request = order->submit;
    if (order->timer) self->host->timer_stop(self->host, order->timer);
    order->timer = order->submit = 0;
    if (request) done(self, request, status, why);
}

static void end_cancel(struct quay *self, struct order *order, keel_status status, const char *why) {
    uint64_t request = order->cancel;
    order->cancel = 0;
    if (request) done(self, request, status, why);
}

static void traded(struct quay *self, struct order *order, const char *trade, keel_fixed qty, keel_fixed price, keel_fixed fee) {
    int known = 0;
    for (int i = 0; i < order->trade_count; i++) known |= strcmp(order->trades[i], trade) == 0;
    if (known && !self->sync) return;   /* Quay stutters; in a sync, telling it again is what is asked for */
    if (!known) {
        if (order->trade_count < MOST_TRADES) strcpy(order->trades[order->trade_count++], trade);
        order->filled += qty;
        order->notional += (__int128)qty * price;
    }
    struct { keel_ev_fill event; char text[24]; } out;
    memset(&out, 0, sizeof out);
    size_t length = strlen(trade);
    memcpy(out.text, "USDT", 4);
    memcpy(out.text + 4, trade, length);
    out.event.head.size = (uint32_t)(sizeof out.event + 4 + length);
    out.event.head.kind = KEEL_EV_FILL;
    out.event.head.flags = self->sync ? KEEL_EVF_SNAPSHOT : 0;
    out.event.head.instrument = order->instrument;
    out.event.order = order->id;
    out.event.side = order->side;
    out.event.qty = qty;
    out.event.price = price;
    out.event.fee.lo = (uint64_t)fee;
    out.event.liquidity = KEEL_LIQUIDITY_UNKNOWN;
    out.event.fee_asset = (keel_text){sizeof out.event, 4};
    out.event.fill_id = (keel_text){sizeof out.event + 4, (uint32_t)length};
    self->host->emit(self->host, &out.event.head);
    if (known) return;
    int full = order->filled >= order->qty;
    tell_order(self, order, full ? KEEL_ORDER_FILLED : KEEL_ORDER_OPEN);
    if (full) {
        end_submit(self, order, KEEL_OK, "");
        end_cancel(self, order, KEEL_E_REJECTED, "it was filled first");
    }
}

/* ==== the connection ================================================================================================ */

static void reconnect_later(struct quay *self) {
    if (!self->running || self->retry) return;
    self->host->timer(self->host, self->pause, 0, 0, &self->retry);
    if (self->pause < 30 * SECOND) self->pause *= 2;
}

static void drop(struct quay *self) {
    if (self->fd >= 0) {
        self->host->watch(self->host, self->fd, 0);
        close(self->fd);
    }
    self->fd = -1;
    self->connected = self->welcome = 0;
    self->in_length = self->out_length = 0;
}

static void give_up(struct quay *self, const char *why) {
    for (int i = 0; i < self->count; i++) {
        struct order *order = &self->orders[i];
        end_cancel(self, order, KEEL_E_IN_DOUBT, why);
        /* Sent and not answered: perhaps Quay has it, perhaps not. Only Quay can say; the host will ask with sync. */
        if (order->state == KEEL_ORDER_PENDING) tell_order(self, order, KEEL_ORDER_IN_DOUBT);
        end_submit(self, order, KEEL_E_IN_DOUBT, why);
    }
}

static void lost(struct quay *self) {
    int told = self->connected;
    uint64_t request = self->sync;
    drop(self);
    reconnect_later(self);
    if (!told) return;
    self->sync = 0;
    tell_link(self, KEEL_LINK_DOWN, KEEL_E_NETWORK);
    if (request) done(self, request, KEEL_E_NETWORK, "the connection was lost");
    give_up(self, "the connection was lost");
}

static void dial(struct quay *self) {
    struct sockaddr_in there = {.sin_family = AF_INET, .sin_port = htons((uint16_t)self->settings.port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int on = 1;
    self->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (self->fd < 0) { reconnect_later(self); return; }
    setsockopt(self->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(self->fd, (struct sockaddr *)&there, sizeof there) != 0 && errno != EINPROGRESS) { lost(self); return; }
    self->host->watch(self->host, self->fd, KEEL_READABLE | KEEL_WRITABLE);   /* writable: the connect has ended, well or not */
}

static void push(struct quay *self) {
    while (self->out_length) {
        ssize_t sent = send(self->fd, self->out, self->out_length, MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN) break;
        if (sent < 0) { lost(self); return; }
        self->out_length -= (size_t)sent;
        memmove(self->out, self->out + sent, self->out_length);
    }
    self->host->watch(self->host, self->fd, self->out_length ? KEEL_READABLE | KEEL_WRITABLE : KEEL_READABLE);
}

/* 1: it is on its way, or may be. 0: certainly not. */
static int say(struct quay *self, const char *line) {
    size_t length = strlen(line);
    if (!self->connected || self->out_length + length > sizeof self->out) return 0;
    memcpy(self->out + self->out_length, line, length);
    self->out_length += length;
    push(self);
    return 1;
}

static void hear(struct quay *self, const char *line);

static void on_fd(keel_instance *instance, int fd, uint32_t ready) {
    struct quay *self = quay(instance);
    if (fd != self->fd) return;
    if (!self->connected && ready & (KEEL_WRITABLE | KEEL_HANGUP)) {
        int problem = 0;
        socklen_t size = sizeof problem;
        char line[160];
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &problem, &size);
        if (problem || ready & KEEL_HANGUP) { lost(self); return; }
        self->connected = 1;
        self->pause = SECOND / 20;
        snprintf(line, sizeof line, "auth %s\n", self->key);
        say(self, line);
    } else if (ready & KEEL_WRITABLE) {
        push(self);
    }
    while (self->fd == fd && ready & (KEEL_READABLE | KEEL_HANGUP)) {
        ssize_t got = recv(fd, self->in + self->in_length, sizeof self->in - self->in_length, 0);
        if (got < 0 && errno == EAGAIN) return;
        if (got <= 0) { lost(self); return; }
        self->in_length += (size_t)got;
        char *start = self->in, *end;
        while (self->fd == fd && (end = memchr(start, '\n', self->in_length - (size_t)(start - self->in)))) {
            *end = 0;
            hear(self, start);
            start = end + 1;
        }
        if (self->fd != fd) return;
        self->in_length -= (size_t)(start - self->in);
        memmove(self->in, start, self->in_length);
        if (self->in_length == sizeof self->in) { lost(self); return; }
    }
}

/* ==== what Quay says ================================================================================================ */

static void hear(struct quay *self, const char *line) {
    char word[16] = "", side[8], symbol[32], qty_word[32], price_word[32], last[32];
    unsigned ref = 0;
    keel_fixed qty, price, fee;
    struct order *order;
    sscanf(line, "%15s %u", word, &ref);
    if (strcmp(line, "hello") == 0) {
        self->welcome = 1;
        tell_link(self, KEEL_LINK_UP, KEEL_OK);
        return;
    }
    if (strcmp(line, "go away") == 0) { tell_link(self, KEEL_LINK_DOWN, KEEL_E_AUTH); return; }
    if (strcmp(line, "that's all") == 0) {
        uint64_t request = self->sync;
        self->sync = 0;
        if (request) done(self, request, KEEL_OK, "");
        return;
    }
    if (sscanf(line, "cash %31s %31s", symbol, qty_word) == 2 && to_fixed(qty_word, &qty)) {
        struct { keel_ev_balance event; char text[32]; } out;
        memset(&out, 0, sizeof out);
        size_t length = strlen(symbol);
        memcpy(out.text, symbol, length);
        out.event.head.size = (uint32_t)(sizeof out.event + length);
        out.event.head.kind = KEEL_EV_BALANCE;
        out.event.head.flags = self->sync ? KEEL_EVF_SNAPSHOT : 0;
        out.event.total.lo = out.event.available.lo = (uint64_t)qty;
        out.event.asset = (keel_text){sizeof out.event, (uint32_t)length};
        self->host->emit(self->host, &out.event.head);
        return;
    }
    order = ref ? by_ref(self, ref) : NULL;
    if (sscanf(line, "have %u %7s %31s %31s %31s %31s", &ref, side, symbol, qty_word, price_word, last) == 6 && to_fixed(qty_word, &qty) && to_fixed(price_word, &price)) {
        char key[24];
        struct page page;
        snprintf(key, sizeof key, "ref.%u", ref);
        if (!order) {
            /* From a run before this one, or placed by hand. The book knows. */
            order = new_order(self);
            if (!order) return;
            order->ref = ref;
            if (book_read(self, key, &page, sizeof page)) {
                order->id = (keel_id){page.hi, page.lo};
                order->instrument = page.instrument;
            }
        }
        order->side = strcmp(side, "buy") == 0 ? KEEL_BUY : KEEL_SELL;
        order->qty = qty;
        order->limit = price;
        if (strcmp(last, "working") == 0) tell_order(self, order, is_over(order) ? order->state : KEEL_ORDER_OPEN);
        return;
    }
    if (order && strcmp(word, "taken") == 0) {
        if (order->state == KEEL_ORDER_PENDING || order->state == KEEL_ORDER_IN_DOUBT) tell_order(self, order, KEEL_ORDER_OPEN);
        end_submit(self, order, KEEL_OK, "");
        return;
    }
    if (order && strcmp(word, "refused") == 0) {
        if (!is_over(order)) tell_order(self, order, KEEL_ORDER_REJECTED);
        end_submit(self, order, KEEL_E_REJECTED, line);
        return;
    }
    if (order && sscanf(line, "traded %u %19s %31s %31s %31s", &ref, symbol, qty_word, price_word, last) == 5 && to_fixed(qty_word, &qty) && to_fixed(price_word, &price)
        && to_fixed(last, &fee)) {
        traded(self, order, symbol, qty, price, fee);
        return;
    }
    if (order && strcmp(word, "pulled") == 0) {
        if (!is_over(order)) tell_order(self, order, KEEL_ORDER_CANCELED);
        end_submit(self, order, KEEL_OK, "");
        end_cancel(self, order, KEEL_OK, "");
        return;
    }
    if (order && strcmp(word, "kept") == 0) {
        end_cancel(self, order, KEEL_E_REJECTED, line);
        return;
    }
    char text[160];
    snprintf(text, sizeof text, "Quay says something we don't know: %.100s", line);
    self->host->log(self->host, KEEL_LOG_WARN, str(text));
}

/* ==== life ========================================================================================================== */

static keel_status create(const keel_component *component, const keel_host *host, keel_str name, keel_str json, keel_instance **out, keel_error *error) {
    (void)component, (void)name;
    if (!host || host->struct_size < sizeof *host || host->abi_major != KEEL_ABI_MAJOR) return refuse(error, KEEL_E_UNSUPPORTED, "quay needs a host of ABI %u", KEEL_ABI_MAJOR);
    struct settings settings;
    keel_status status = read_settings(&settings, json, error);
    if (status != KEEL_OK) return status;
    struct quay *self = calloc(1, sizeof *self);
    if (!self) return refuse(error, KEEL_E_INTERNAL, "no memory");
    self->host = host;
    self->settings = settings;
    self->fd = -1;
    *out = (keel_instance *)self;
    return KEEL_OK;
}

static keel_status start(keel_instance *instance, keel_error *error) {
    struct quay *self = quay(instance);
    if (self->running) return refuse(error, KEEL_E_STATE, "quay is running already");
    memset(self->key, 0, sizeof self->key);
    struct { char *at; size_t room; } into = {self->key, sizeof self->key - 1};
    keel_writer writer = {&into, copy_out};
    if (self->host->secret(self->host, str(self->settings.key), &writer) != KEEL_OK) return refuse(error, KEEL_E_AUTH, "the secret %s is missing", self->settings.key);
    self->running = 1;
    self->pause = SECOND / 20;
    dial(self);
    return KEEL_OK;
}

static keel_status stop(keel_instance *instance, keel_time deadline, uint64_t request, keel_error *error) {
    struct quay *self = quay(instance);
    (void)deadline;
    if (!self->running) return refuse(error, KEEL_E_STATE, "quay is not running");
    self->running = 0;
    if (self->retry) self->host->timer_stop(self->host, self->retry);
    self->retry = 0;
    drop(self);
    uint64_t sync = self->sync;
    self->sync = 0;
    if (sync) done(self, sync, KEEL_E_STATE, "stopped");
    give_up(self, "stopped");
    done(self, request, KEEL_OK, "");   /* nothing after this */
    return KEEL_OK;
}

static void destroy(keel_instance *instance) {
    memset(quay(instance)->key, 0, sizeof quay(instance)->key);
    free(instance);
}

static void on_timer(keel_instance *instance, uint64_t timer, uint64_t tag) {
    struct quay *self = quay(instance);
    (void)tag;
    if (timer == self->retry) {
        self->retry = 0;
        if (self->fd < 0) dial(self);
        return;
    }
    for (int i = 0; i < self->count; i++) {
        struct order *order = &self->orders[i];
        if (order->timer != timer) continue;
        order->timer = 0;
        if (order->state == KEEL_ORDER_PENDING) tell_order(self, order, KEEL_ORDER_IN_DOUBT);   /* should it answer yet, we'll say so */
        end_submit(self, order, KEEL_E_IN_DOUBT, "no answer yet");
        return;
    }
}

/* ==== the broker's functions ======================================================================================== */

#define FEATURES (KEEL_ORD_MARKET | KEEL_ORD_LIMIT)

static keel_status submit(keel_instance *instance, const keel_order *wanted, uint64_t request, keel_error *error) {
    struct quay *self = quay(instance);
    const keel_host *host = self->host;
    if (!self->running) return refuse(error, KEEL_E_STATE, "quay is not running");
    /* Strict, all of it before anything leaves: what we don't understand, and what Quay would refuse anyway. */
    uint64_t kind = wanted->features;
    if (kind != KEEL_ORD_MARKET && kind != KEEL_ORD_LIMIT) return refuse(error, KEEL_E_UNSUPPORTED, "Quay takes plain market and limit orders");
    for (uint32_t i = sizeof *wanted; i < wanted->struct_size; i++)
        if (((const char *)wanted)[i]) return refuse(error, KEEL_E_UNSUPPORTED, "the order has a part this plugin doesn't know");
    if (wanted->side != KEEL_BUY && wanted->side != KEEL_SELL) return refuse(error, KEEL_E_INVALID, "an order buys or sells");
    keel_instrument about = {.struct_size = sizeof about};
    if (host->instrument(host, wanted->instrument, &about) != KEEL_OK) return refuse(error, KEEL_E_NOT_FOUND, "instrument %u is unknown", wanted->instrument);
    if (!about.venue_symbol.len || about.venue_symbol.len > 31) return refuse(error, KEEL_E_INVALID, "the instrument has no symbol at Quay");
    if (wanted->qty <= 0) return refuse(error, KEEL_E_RANGE, "the quantity must be above 0");
    if (about.lot > 0 && wanted->qty % about.lot) return refuse(error, KEEL_E_RANGE, "the quantity is no multiple of the lot");
    if (about.min_qty > 0 && wanted->qty < about.min_qty) return refuse(error, KEEL_E_RANGE, "the quantity is below the minimum");
    if (about.max_qty > 0 && wanted->qty > about.max_qty) return refuse(error, KEEL_E_RANGE, "the quantity is above the maximum");
    if (kind == KEEL_ORD_LIMIT && wanted->limit <= 0) return refuse(error, KEEL_E_RANGE, "the limit must be above 0");
    if (kind == KEEL_ORD_LIMIT && about.tick > 0 && wanted->limit % about.tick) return refuse(error, KEEL_E_RANGE, "the limit is no multiple of the tick");
    if (wanted->not_after && host->now(host) > wanted->not_after) return refuse(error, KEEL_E_TIMEOUT, "it is too late for this order");
    if (by_id(self, wanted->id)) return refuse(error, KEEL_E_DUPLICATE, "this order was sent before");
    if (!self->welcome) return refuse(error, KEEL_E_NETWORK, "Quay is not connected");

    /* The book first, the wire second. */
    unsigned ref = fresh_ref(self);
    char key[24];
    struct page page = {wanted->id.hi, wanted->id.lo, wanted->instrument, wanted->side};
    snprintf(key, sizeof key, "ref.%u", ref);
    if (!ref || host->put(host, str(key), &page, sizeof page) != KEEL_OK) return refuse(error, KEEL_E_INTERNAL, "the order can't be noted, so it isn't sent");
    struct order *order = new_order(self);
    if (!order) return refuse(error, KEEL_E_AGAIN, "too many open orders");
    order->id = wanted->id;
    order->ref = ref;
    order->instrument = wanted->instrument;
    order->side = wanted->side;
    order->qty = wanted->qty;
    order->limit = wanted->limit;
    order->submit = request;
    tell_order(self, order, KEEL_ORDER_PENDING);
    char line[200], qty[32], price[32] = "market";
    from_fixed(wanted->qty, qty);
    if (kind == KEEL_ORD_LIMIT) from_fixed(wanted->limit, price);
    snprintf(line, sizeof line, "%s %u %.*s %s %s\n", wanted->side == KEEL_BUY ? "buy" : "sell", ref, (int)about.venue_symbol.len, about.venue_symbol.ptr, qty, price);
    if (!say(self, line)) {
        self->count--;
        return refuse(error, KEEL_E_NETWORK, "Quay is not connected");
    }
    if (order->state == KEEL_ORDER_PENDING) host->timer(host, self->settings.wait * SECOND, 0, 1, &order->timer);
    return KEEL_OK;
}

static keel_status cancel(keel_instance *instance, keel_id id, uint64_t request, keel_error *error) {
    struct quay *self = quay(instance);
    struct order *order = by_id(self, id);
    char line[32];
    if (!self->running) return refuse(error, KEEL_E_STATE, "quay is not running");
    if (!order) return refuse(error, KEEL_E_NOT_FOUND, "there is no such order");
    if (is_over(order)) return refuse(error, KEEL_E_REJECTED, "the order has ended");
    if (order->cancel) return refuse(error, KEEL_E_DUPLICATE, "it is being cancelled already");
    snprintf(line, sizeof line, "pull %u\n", order->ref);
    order->cancel = request;
    if (self->welcome && say(self, line)) return KEEL_OK;
    order->cancel = 0;
    return refuse(error, KEEL_E_NETWORK, "Quay is not connected");
}

static keel_status sync_(keel_instance *instance, keel_time since, uint64_t request, keel_error *error) {
    struct quay *self = quay(instance);
    (void)since;   /* Quay lists everything of the day */
    if (!self->running) return refuse(error, KEEL_E_STATE, "quay is not running");
    if (!self->welcome) return refuse(error, KEEL_E_NETWORK, "Quay is not connected");
    if (self->sync) return refuse(error, KEEL_E_AGAIN, "it is listing already");
    self->sync = request;
    say(self, "list\n");
    return KEEL_OK;
}

static keel_status describe(keel_instance *instance, const keel_writer *out) {
    char text[120];
    int length = snprintf(text, sizeof text, "{\"environment\":\"paper\",\"connected\":%s,\"orders\":%d}", quay(instance)->welcome ? "true" : "false", quay(instance)->count);
    return out->write(out, text, (size_t)length);
}

/* ==== what the host sees ============================================================================================ */

static const keel_broker broker = {sizeof broker, 0, FEATURES, submit, cancel, NULL, sync_};   /* no replace: the host cancels and submits */
static const keel_describe description = {sizeof description, 0, describe};
static const keel_interface interfaces[] = {{KEEL_BROKER, &broker}, {KEEL_DESCRIBE, &description}};

static const keel_component component = {
    .struct_size = sizeof component, .id = "org.example.quay", .name = "Quay", .vendor = "A stranger", .version = "1.0.0", .license = "MIT",
    .toolchain = "c", .config_schema = schema, .interfaces = interfaces, .interface_count = 2,
    .create = create, .start = start, .stop = stop, .destroy = destroy, .on_timer = on_timer, .on_fd = on_fd,
};
static const keel_component *const components[] = {&component};
static const keel_library library = {sizeof library, KEEL_ABI_MAJOR, KEEL_ABI_MINOR, components, 1, 0};

const keel_library *keel_plugin_entry(uint32_t abi_major) { return abi_major == KEEL_ABI_MAJOR ? &library : NULL; }
