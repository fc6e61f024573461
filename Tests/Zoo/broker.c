/* broker.c - the zoo's reference broker: one venue that speaks lines (mock/broker.json plays it).
 *
 *   HELLO key                                           WELCOME | DENIED why
 *   NEW id symbol side kind qty limit                   ACK id venue | REJECT id why | FILL id fill qty price fee
 *   CANCEL id                                           CANCELED id | NOCANCEL id why
 *   REPLACE id new-id symbol side kind qty limit        REPLACED id new-id venue
 *   SYNC                                                ORDER id venue side qty state limit | FILL ... | BALANCE asset total | END
 *   (anything)                                          WAIT milliseconds | WAIT | BUDGET used
 */
#include "plugin.h"
#include "line.h"

#define MOST 1024

struct order {
    keel_id id;
    keel_instrument_id instrument;
    uint32_t side, state;
    keel_fixed qty, limit, filled;
    __int128 notional;
    uint64_t request;                /* submit's, until its DONE */
    uint64_t cancel;                 /* cancel's or replace's, until its DONE */
    uint64_t timer;                  /* gives up waiting for the acknowledgement */
    char venue[32];
    char fills[16][24];
    int fill_count;
};

struct instance {
    struct base base;
    int64_t port, patience;
    char secret[64];
    char key[128];
    struct line line;
    int ready;                       /* the venue has let us in */
    uint64_t sync;                   /* the open sync's request */
    int syncing;
    int polling;                     /* what is being told was asked for by ourselves */
    uint64_t sync_started;
    uint64_t poll;                   /* timer */
    keel_time wait_until;            /* the venue said: not before */
    int budget_short;                /* what is left is for orders */
    char denied[64];                 /* why the venue doesn't let us in */
#ifdef DEFECT_B18
    int told;
#endif
    struct order orders[MOST];
    int count;
#ifdef DEFECT_B09
    uint64_t last_cancel;
#endif
};

static const char schema[] =
    "{\"type\":\"object\",\"required\":[\"port\",\"key\"],\"properties\":{"
    "\"port\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":65535,\"description\":\"Port of the venue on this machine.\"},"
    "\"key\":{\"type\":\"object\",\"x-secret\":true,\"description\":\"The API key.\"},"
    "\"patience\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":600,\"default\":5,\"x-unit\":\"s\",\"description\":\"How long to wait for an acknowledgement.\"}"
    "}}";

static void fields(struct instance *self, struct field out[3]) {
    out[0] = (struct field){"port", FIELD_INT, 1, 65535, &self->port, 0, 1};
    out[1] = (struct field){"key", FIELD_SECRET, 0, 0, self->secret, sizeof self->secret, 1};
    out[2] = (struct field){"patience", FIELD_INT, 1, 600, &self->patience, 0, 0};
}

static keel_status create(const keel_component *component, const keel_host *host, keel_str name, keel_str json, keel_instance **out, keel_error *error) {
    (void)component;
    if (!host_fits(host)) return fail(error, KEEL_E_UNSUPPORTED, "this plugin needs a host of ABI 1");
    struct instance *self = calloc(1, sizeof *self);
    if (!self) return fail(error, KEEL_E_INTERNAL, "no memory");
    self->patience = 5;
    self->line.fd = -1;
    struct field list[3];
    fields(self, list);
    keel_status status = parse_config(json, list, 3, error);
    if (status != KEEL_OK) { free(self); return status; }
    base_init(&self->base, host, name);
    self->line.host = host;
    *out = (keel_instance *)self;
    return KEEL_OK;
}

/* ---- ids: two 64-bit words as 32 hexadecimal digits -------------------------------------------------------------- */

static void id_text(keel_id id, char text[33]) { snprintf(text, 33, "%016llx%016llx", (unsigned long long)id.hi, (unsigned long long)id.lo); }

static int id_parse(const char *text, keel_id *id) {
    unsigned long long hi, lo;
    if (strlen(text) != 32 || sscanf(text, "%16llx%16llx", &hi, &lo) != 2) return 0;
    *id = (keel_id){hi, lo};
    return 1;
}

static struct order *find(struct instance *self, keel_id id) {
    for (int i = 0; i < self->count; i++) if (self->orders[i].id.hi == id.hi && self->orders[i].id.lo == id.lo) return &self->orders[i];
    return NULL;
}

static struct order *add(struct instance *self, keel_id id) {
    struct order *order = find(self, id);
    if (order) return order;
    if (self->count == MOST) {
        /* The oldest that has ended makes room. */
        int at = 0;
        while (at < MOST && (self->orders[at].state < KEEL_ORDER_FILLED || self->orders[at].state == KEEL_ORDER_IN_DOUBT)) at++;
        if (at == MOST) return NULL;
        memmove(&self->orders[at], &self->orders[at + 1], sizeof *self->orders * (size_t)(MOST - at - 1));
        self->count--;
    }
    order = &self->orders[self->count++];
    memset(order, 0, sizeof *order);
    order->id = id;
    return order;
}

/* ---- events ------------------------------------------------------------------------------------------------------- */

static void tell_order(struct instance *self, struct order *order, uint32_t flags, const char *message) {
    struct { keel_ev_order event; char text[128]; } out;
    memset(&out, 0, sizeof out);
    size_t venue = strlen(order->venue), words = message ? strlen(message) : 0;
    if (words > 90) words = 90;
    memcpy(out.text, order->venue, venue);
    if (words) memcpy(out.text + venue, message, words);
    out.event.head.size = (uint32_t)(sizeof out.event + venue + words);
    out.event.head.kind = KEEL_EV_ORDER;
    out.event.head.flags = (uint16_t)flags;
    out.event.head.instrument = order->instrument;
    out.event.order = order->id;
    out.event.state = order->state;
    out.event.side = order->side;
    out.event.filled = order->filled;
    out.event.leaves = order->qty - order->filled;
#ifdef DEFECT_B05
    out.event.leaves = order->qty;
#endif
    out.event.average = order->filled ? (keel_fixed)((order->notional * 2 + order->filled) / ((__int128)order->filled * 2)) : 0;
    out.event.limit = order->limit;
    out.event.venue_id = (keel_text){sizeof out.event, (uint32_t)venue};
    out.event.message = (keel_text){(uint32_t)(sizeof out.event + venue), (uint32_t)words};
    self->base.host->emit(self->base.host, &out.event.head);
}

static void tell_fill(struct instance *self, struct order *order, uint32_t flags, const char *fill_id, keel_fixed qty, keel_fixed price, keel_fixed fee) {
    static const char asset[] = "USDT";
    struct { keel_ev_fill event; char text[64]; } out;
    memset(&out, 0, sizeof out);
    size_t length = strlen(fill_id);
    memcpy(out.text, asset, 4);
    memcpy(out.text + 4, fill_id, length);
    out.event.head.size = (uint32_t)(sizeof out.event + 4 + length);
    out.event.head.kind = KEEL_EV_FILL;
    out.event.head.flags = (uint16_t)flags;
    out.event.head.instrument = order->instrument;
    out.event.order = order->id;
    out.event.qty = qty;
    out.event.price = price;
    out.event.fee = (keel_amount){(uint64_t)fee, fee < 0 ? -1 : 0};
    out.event.side = order->side;
    out.event.liquidity = KEEL_LIQUIDITY_TAKER;
#ifndef DEFECT_B06
    out.event.fee_asset = (keel_text){sizeof out.event, 4};
#endif
    out.event.fill_id = (keel_text){sizeof out.event + 4, (uint32_t)length};
    self->base.host->emit(self->base.host, &out.event.head);
}

static int ended(const struct order *order) { return order->state >= KEEL_ORDER_FILLED && order->state <= KEEL_ORDER_EXPIRED; }

static void finish_submit(struct instance *self, struct order *order, keel_status status, const char *why) {
    if (order->timer) self->base.host->timer_stop(self->base.host, order->timer);
    order->timer = 0;
    if (!order->request) return;
    uint64_t request = order->request;
    order->request = 0;
    done(&self->base, request, status, why);
#ifdef DEFECT_B01
    done(&self->base, request, status, why);
#endif
}

static void finish_cancel(struct instance *self, struct order *order, keel_status status, const char *why) {
#ifdef DEFECT_B09
    if (order->cancel) order->cancel = self->last_cancel;
    self->last_cancel = 0;
#endif
    if (!order->cancel) return;
    uint64_t request = order->cancel;
    order->cancel = 0;
    done(&self->base, request, status, why);
}

/* ---- what the venue says ------------------------------------------------------------------------------------------ */

static keel_fixed fixed(const char *text) {
    int negative = *text == '-';
    if (negative) text++;
    __int128 value = 0;
    int decimals = -1;
    for (; *text; text++) {
        if (*text == '.') { decimals = 0; continue; }
        if (*text < '0' || *text > '9' || decimals >= 8) break;
        value = value * 10 + (*text - '0');
        if (decimals >= 0) decimals++;
        if (value > INT64_MAX / 10) break;
    }
    for (int i = decimals < 0 ? 0 : decimals; i < 8; i++) value *= 10;
    return (keel_fixed)(negative ? -value : value);
}

/* Money: more than 64 bits hold. */
static keel_amount amount(const char *text) {
    int negative = *text == '-';
    if (negative) text++;
    __int128 value = 0;
    int decimals = -1;
    for (; *text; text++) {
        if (*text == '.') { decimals = 0; continue; }
        if (*text < '0' || *text > '9' || decimals >= 8 || value > (__int128)1 << 120) break;
        value = value * 10 + (*text - '0');
        if (decimals >= 0) decimals++;
    }
    for (int i = decimals < 0 ? 0 : decimals; i < 8; i++) value *= 10;
    if (negative) value = -value;
    return (keel_amount){(uint64_t)value, (int64_t)(value >> 64)};
}

static int known_fill(struct order *order, const char *fill_id) {
    for (int i = 0; i < order->fill_count; i++) if (strcmp(order->fills[i], fill_id) == 0) return 1;
    if (order->fill_count < 16) snprintf(order->fills[order->fill_count++], 24, "%.23s", fill_id);
    return 0;
}

static void fill(struct instance *self, struct order *order, const char *fill_id, keel_fixed qty, keel_fixed price, keel_fixed fee) {
    int known = known_fill(order, fill_id);
    int telling = self->syncing && !self->polling;
    uint32_t flags = telling ? KEEL_EVF_SNAPSHOT : 0;
#ifdef DEFECT_B14
    if (!self->syncing) known = 0;
#endif
    if (known && !telling) return;
    if (!known) {
        order->filled += qty;
        order->notional += (__int128)qty * price;
    }
    tell_fill(self, order, flags, fill_id, qty, price, fee);
    if (known) return;
    order->state = order->filled >= order->qty ? KEEL_ORDER_FILLED : KEEL_ORDER_OPEN;
    tell_order(self, order, flags, NULL);
    if (order->state == KEEL_ORDER_FILLED) {
        finish_submit(self, order, KEEL_OK, NULL);
        if (order->cancel) finish_cancel(self, order, KEEL_E_REJECTED, "the order was filled first");
    }
}

static void on_line(void *owner, char *text) {
    struct instance *self = owner;
    char word[5][64], id_word[40], venue[32], why[80];
    keel_id id;
    struct order *order = NULL;
    int words = sscanf(text, "%63s %63s %63s %63s %63s", word[0], word[1], word[2], word[3], word[4]);
    if (words < 1) return;
    if (strcmp(word[0], "WELCOME") == 0) {
        self->ready = 1;
        link_event(&self->base, KEEL_LINK_UP, KEEL_OK, "venue");
        return;
    }
    if (strcmp(word[0], "DENIED") == 0) {
#ifdef DEFECT_B21
        snprintf(self->denied, sizeof self->denied, "no");
#else
        snprintf(self->denied, sizeof self->denied, "%.60s", words > 1 ? word[1] : "no reason given");
#endif
        link_event(&self->base, KEEL_LINK_DOWN, KEEL_E_AUTH, "venue");
        return;
    }
    if (strcmp(word[0], "WAIT") == 0) {
        long long pause = words > 1 ? atoll(word[1]) : 1500;
#ifndef DEFECT_B22
        self->wait_until = self->base.host->now(self->base.host) + pause * 1000000;
#else
        (void)pause;
#endif
        uint64_t request = self->sync;
        self->sync = 0;
        self->syncing = self->polling = 0;
        if (request) done(&self->base, request, KEEL_E_RATE, "the venue asks to wait");
        return;
    }
    if (strcmp(word[0], "BUDGET") == 0 && words == 2) {
        self->budget_short = atoi(word[1]) >= 5900;
        return;
    }
    if (strcmp(word[0], "END") == 0) {
#ifdef DEFECT_B17
        /* "Nobody knows it, so it never was." */
        if (!self->polling) for (int i = self->count - 1; i >= 0; i--) if (self->orders[i].state == KEEL_ORDER_IN_DOUBT) {
            memmove(&self->orders[i], &self->orders[i + 1], sizeof *self->orders * (size_t)(self->count - i - 1));
            self->count--;
        }
#endif
        uint64_t request = self->sync;
        self->sync = 0;
        self->syncing = self->polling = 0;
#ifdef DEFECT_B18
        self->told = 0;
#endif
        if (request) done(&self->base, request, KEEL_OK, NULL);
        return;
    }
    if (strcmp(word[0], "BALANCE") == 0 && words == 3) {
        if (self->polling) return;
        struct { keel_ev_balance event; char text[16]; } out;
        memset(&out, 0, sizeof out);
        size_t length = strlen(word[1]) < 16 ? strlen(word[1]) : 16;
        memcpy(out.text, word[1], length);
        out.event.head.size = (uint32_t)(sizeof out.event + length);
        out.event.head.kind = KEEL_EV_BALANCE;
        out.event.head.flags = self->syncing ? KEEL_EVF_SNAPSHOT : 0;
#ifdef DEFECT_B20
        keel_fixed total = fixed(word[2]);
        out.event.total = out.event.available = (keel_amount){(uint64_t)total, total < 0 ? -1 : 0};
#else
        out.event.total = out.event.available = amount(word[2]);
#endif
        out.event.asset = (keel_text){sizeof out.event, (uint32_t)length};
        self->base.host->emit(self->base.host, &out.event.head);
        return;
    }
    if (words >= 2 && strcmp(word[0], "ORDER") == 0) {
        char side[8], qty[32], state[16], limit[32];
        int complete = sscanf(text, "ORDER %39s %31s %7s %31s %15s %31s", id_word, venue, side, qty, state, limit) == 6;
#ifdef DEFECT_B18
        if (complete && ++self->told > 500) return;  /* the first page is all there is */
#endif
        if (complete && strcmp(id_word, "-") == 0) {
            /* Somebody else's: told, and left alone. */
            struct order other;
            memset(&other, 0, sizeof other);
            snprintf(other.venue, sizeof other.venue, "%s", venue);
            other.instrument = 1;
            other.side = strcmp(side, "buy") == 0 ? KEEL_BUY : KEEL_SELL;
            other.qty = fixed(qty);
            other.limit = fixed(limit);
            other.state = KEEL_ORDER_OPEN;
#ifdef DEFECT_B16
            other.id = (keel_id){9, (uint64_t)atoi(venue + 1) << 24};
#endif
            if (!self->polling) tell_order(self, &other, KEEL_EVF_SNAPSHOT, NULL);
            return;
        }
        if (complete && id_parse(id_word, &id) && self->polling) {
            /* Only what has changed is news, and a filled one follows with its fills. */
            if ((order = find(self, id)) && !ended(order) && strcmp(state, "canceled") == 0) {
                order->state = KEEL_ORDER_CANCELED;
                tell_order(self, order, 0, NULL);
            }
            return;
        }
        if (complete && id_parse(id_word, &id) && (order = add(self, id))) {
            snprintf(order->venue, sizeof order->venue, "%s", venue);
            order->side = strcmp(side, "buy") == 0 ? KEEL_BUY : KEEL_SELL;
            order->qty = fixed(qty);
            order->limit = fixed(limit);
            if (!order->instrument) order->instrument = 1;
            if (!ended(order)) order->state = strcmp(state, "open") == 0 ? KEEL_ORDER_OPEN : strcmp(state, "canceled") == 0 ? KEEL_ORDER_CANCELED : order->state;
            /* A filled one follows with its fills. */
            if (strcmp(state, "filled") != 0) tell_order(self, order, KEEL_EVF_SNAPSHOT, NULL);
            return;
        }
    } else if (words >= 2 && id_parse(word[1], &id) && (order = find(self, id))) {
        if (strcmp(word[0], "ACK") == 0 && words >= 3) {
            snprintf(order->venue, sizeof order->venue, "%.31s", word[2]);
            if (order->state == KEEL_ORDER_PENDING || order->state == KEEL_ORDER_IN_DOUBT) {
                order->state = KEEL_ORDER_OPEN;
                tell_order(self, order, 0, NULL);
            }
            finish_submit(self, order, KEEL_OK, NULL);
            return;
        }
        if (strcmp(word[0], "REJECT") == 0) {
#ifdef DEFECT_B26
            snprintf(why, sizeof why, "rejected");
#else
            snprintf(why, sizeof why, "rejected by the venue: %.40s", words > 2 ? word[2] : "no reason given");
#endif
            if (!ended(order)) {
                order->state = KEEL_ORDER_REJECTED;
                tell_order(self, order, 0, why);
            }
            finish_submit(self, order, KEEL_E_REJECTED, why);
            return;
        }
        if (strcmp(word[0], "FILL") == 0 && words == 5) {
            char fee[32] = "0";
            sscanf(text, "FILL %*s %*s %*s %*s %31s", fee);
            fill(self, order, word[2], fixed(word[3]), fixed(word[4]), fixed(fee));
            return;
        }
        if (strcmp(word[0], "CANCELED") == 0) {
            if (!ended(order)) {
                order->state = KEEL_ORDER_CANCELED;
                tell_order(self, order, 0, NULL);
            }
            finish_submit(self, order, KEEL_OK, NULL);
            finish_cancel(self, order, KEEL_OK, NULL);
            return;
        }
        if (strcmp(word[0], "NOCANCEL") == 0) {
            snprintf(why, sizeof why, "the venue did not cancel: %.40s", words > 2 ? word[2] : "");
            finish_cancel(self, order, KEEL_E_REJECTED, why);
            return;
        }
        if (strcmp(word[0], "REPLACED") == 0 && words >= 4) {
            keel_id second;
            struct order *other = id_parse(word[2], &second) ? find(self, second) : NULL;
            if (!other) return;
            if (!ended(order)) {
                order->state = KEEL_ORDER_CANCELED;
                tell_order(self, order, 0, "replaced");
            }
            finish_submit(self, order, KEEL_OK, NULL);
            snprintf(other->venue, sizeof other->venue, "%.31s", word[3]);
            other->state = KEEL_ORDER_OPEN;
            tell_order(self, other, 0, NULL);
            finish_cancel(self, other, KEEL_OK, NULL);
            return;
        }
    }
    char line[160];
    snprintf(line, sizeof line, "the venue said something unknown: %.100s", text);
    say(&self->base, KEEL_LOG_WARN, line);
}

static void on_link(void *owner, int up) {
    struct instance *self = owner;
    if (up) {
        char text[160];
        snprintf(text, sizeof text, "HELLO %s\n", self->key);
        line_send(&self->line, text);
        return;
    }
    self->ready = 0;
    self->syncing = self->polling = 0;
    self->denied[0] = 0;
    link_event(&self->base, KEEL_LINK_DOWN, KEEL_E_NETWORK, "venue");
    if (self->sync) {
        uint64_t request = self->sync;
        self->sync = 0;
        done(&self->base, request, KEEL_E_NETWORK, "the connection was lost");
    }
    for (int i = 0; i < self->count; i++) {
        struct order *order = &self->orders[i];
        if (order->cancel) finish_cancel(self, order, KEEL_E_IN_DOUBT, "the connection was lost");
        if (order->state != KEEL_ORDER_PENDING) continue;
#ifdef DEFECT_B12
        order->state = KEEL_ORDER_REJECTED;
#else
        order->state = KEEL_ORDER_IN_DOUBT;
#endif
        tell_order(self, order, 0, "the connection was lost");
        finish_submit(self, order, KEEL_E_IN_DOUBT, "the connection was lost");
    }
}

/* ---- life --------------------------------------------------------------------------------------------------------- */

static keel_status keep_key(const keel_writer *writer, const void *bytes, size_t length) {
    struct instance *self = writer->ctx;
    size_t have = strlen(self->key);
    if (have + length >= sizeof self->key) return KEEL_E_RANGE;
    memcpy(self->key + have, bytes, length);
    self->key[have + length] = 0;
    return KEEL_OK;
}

#ifdef DEFECT_B15
static keel_status ignore_bytes(const keel_writer *writer, const void *bytes, size_t length) {
    memcpy((char *)writer->ctx, bytes, length < 200 ? length : 200);
    return KEEL_OK;
}
#endif

static keel_status start(keel_instance *instance, keel_error *error) {
    struct instance *self = (struct instance *)instance;
    if (self->base.state != CREATED && self->base.state != STOPPED) return fail(error, KEEL_E_STATE, "start needs a created or stopped instance");
    self->key[0] = 0;
    keel_writer writer = {self, keep_key};
    keel_status status = self->base.host->secret(self->base.host, str(self->secret), &writer);
    if (status != KEEL_OK) {
#ifdef DEFECT_C04
        return fail(error, KEEL_E_AUTH, "there is no key");
#else
        return fail(error, KEEL_E_AUTH, "the secret %s is missing", self->secret);
#endif
    }
    base_started(&self->base);
    self->wait_until = 0;
    self->budget_short = 0;
    self->denied[0] = 0;
#ifdef DEFECT_B23
    self->base.host->put(self->base.host, str("session"), self->key, strlen(self->key));
#endif
#ifdef DEFECT_B25
    {
        /* The live venue, "only to see whether it is up". */
        struct sockaddr_in live = {.sin_family = AF_INET, .sin_port = htons(1), .sin_addr.s_addr = htonl(0x7f000002)};
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd >= 0) {
            (void)!connect(fd, (struct sockaddr *)&live, sizeof live);
            close(fd);
        }
    }
#endif
#ifndef DEFECT_B19
    /* A stream may fall silent without ending: what is open is asked for now and then. */
    self->base.host->timer(self->base.host, 10000000000ll, 10000000000ll, 2, &self->poll);
#endif
    self->line = (struct line){.host = self->base.host, .owner = self, .port = (int)self->port, .fd = -1, .on_line = on_line, .on_link = on_link};
    line_open(&self->line);
    return KEEL_OK;
}

static keel_status stop(keel_instance *instance, keel_time deadline, uint64_t request, keel_error *error) {
    (void)deadline;
    struct instance *self = (struct instance *)instance;
    if (self->base.state != RUNNING) return fail(error, KEEL_E_STATE, "stop needs a running instance");
    int open = 0;
    for (int i = 0; i < self->count; i++) if (self->orders[i].state == KEEL_ORDER_OPEN) {
        open++;
#ifdef DEFECT_B24
        char line[64] = "CANCEL ";
        id_text(self->orders[i].id, line + 7);
        strcat(line, "\n");
        line_send(&self->line, line);
#endif
    }
    if (open) {
        char text[80];
        snprintf(text, sizeof text, "stopped with %d open orders: they stay at the venue", open);
        say(&self->base, KEEL_LOG_WARN, text);
    }
    if (self->poll) self->base.host->timer_stop(self->base.host, self->poll);
    self->poll = 0;
    line_close(&self->line);
    self->ready = 0;
    self->syncing = self->polling = 0;
    if (self->sync) done(&self->base, self->sync, KEEL_E_STATE, "stopped");
    self->sync = 0;
    for (int i = 0; i < self->count; i++) {
        struct order *order = &self->orders[i];
        if (order->cancel) finish_cancel(self, order, KEEL_E_IN_DOUBT, "stopped");
        if (order->state == KEEL_ORDER_PENDING) {
            order->state = KEEL_ORDER_IN_DOUBT;
            tell_order(self, order, 0, "stopped before the venue answered");
        }
        finish_submit(self, order, KEEL_E_IN_DOUBT, "stopped");
    }
    base_stopped(&self->base, request);
    return KEEL_OK;
}

static void destroy(keel_instance *instance) {
    struct instance *self = (struct instance *)instance;
    if (self->base.state == RUNNING) line_close(&self->line);
    memset(self->key, 0, sizeof self->key);
    free(self);
}

static void on_wake(keel_instance *instance) { base_wake(&((struct instance *)instance)->base); }

static void on_timer(keel_instance *instance, uint64_t timer, uint64_t tag) {
    struct instance *self = (struct instance *)instance;
    if (tag == LINE_TIMER_TAG) { line_timer(&self->line, timer); return; }
    if (tag == 2) {
        int open = 0;
        for (int i = 0; i < self->count; i++) open += self->orders[i].state == KEEL_ORDER_OPEN;
        if (!open || !self->ready || self->syncing || self->budget_short || self->base.host->now(self->base.host) < self->wait_until) return;
        self->syncing = self->polling = 1;
        line_send(&self->line, "SYNC\n");
        return;
    }
    for (int i = 0; i < self->count; i++) {
        struct order *order = &self->orders[i];
        if (order->timer != timer) continue;
        order->timer = 0;
        if (order->state != KEEL_ORDER_PENDING) return;
        order->state = KEEL_ORDER_IN_DOUBT;
        tell_order(self, order, 0, "no acknowledgement yet");
        finish_submit(self, order, KEEL_E_IN_DOUBT, "no acknowledgement yet");
#ifdef DEFECT_B13
        memmove(order, order + 1, sizeof *order * (size_t)(self->count - i - 1));
        self->count--;
#endif
        return;
    }
}

static void on_fd(keel_instance *instance, int fd, uint32_t ready) {
    (void)fd;
    line_ready(&((struct instance *)instance)->line, ready);
}

/* ---- orders ------------------------------------------------------------------------------------------------------- */

#define FEATURES (KEEL_ORD_MARKET | KEEL_ORD_LIMIT)

static void amount_text(keel_fixed value, char text[32]) {
    snprintf(text, 32, "%s%lld.%08lld", value < 0 ? "-" : "", (long long)llabs(value / KEEL_ONE), (long long)llabs(value % KEEL_ONE));
}

/* What must hold before anything is sent. */
static keel_status check_order(struct instance *self, const keel_order *order, keel_instrument *about, keel_error *error) {
    const keel_host *host = self->base.host;
    uint64_t known = FEATURES;
#ifdef DEFECT_B02
    known |= 1ull << 40;
#endif
    if (order->features & ~known) return fail(error, KEEL_E_UNSUPPORTED, "an order feature is not supported");
    const unsigned char *tail = (const unsigned char *)order;
    for (uint32_t i = sizeof *order; i < order->struct_size; i++) if (tail[i]) return fail(error, KEEL_E_UNSUPPORTED, "the order has a part this plugin doesn't know");
    uint64_t kind = order->features & FEATURES;
    if (kind != KEEL_ORD_MARKET && kind != KEEL_ORD_LIMIT) return fail(error, KEEL_E_UNSUPPORTED, "the order must be a market or a limit order");
    if (order->side != KEEL_BUY && order->side != KEEL_SELL) return fail(error, KEEL_E_INVALID, "side must be buy or sell");
    about->struct_size = sizeof *about;
    if (host->instrument(host, order->instrument, about) != KEEL_OK) return fail(error, KEEL_E_NOT_FOUND, "instrument %u is unknown", order->instrument);
    if (about->venue_symbol.len == 0 || about->venue_symbol.len > 31) return fail(error, KEEL_E_INVALID, "the instrument has no venue symbol");
    if (order->qty <= 0) return fail(error, KEEL_E_RANGE, "qty must be above 0");
#ifndef DEFECT_B03
    if (about->lot > 0 && order->qty % about->lot) return fail(error, KEEL_E_RANGE, "qty is no multiple of the lot");
#endif
    if (about->min_qty > 0 && order->qty < about->min_qty) return fail(error, KEEL_E_RANGE, "qty is below min_qty");
    if (about->max_qty > 0 && order->qty > about->max_qty) return fail(error, KEEL_E_RANGE, "qty is above max_qty");
    if (kind == KEEL_ORD_LIMIT) {
        if (order->limit <= 0) return fail(error, KEEL_E_RANGE, "limit must be above 0");
        if (about->tick > 0 && order->limit % about->tick) return fail(error, KEEL_E_RANGE, "limit is no multiple of the tick");
    }
#ifndef DEFECT_B04
    if (order->not_after && host->now(host) > order->not_after) return fail(error, KEEL_E_TIMEOUT, "not_after has passed");
#endif
    return KEEL_OK;
}

static void new_line(const keel_order *order, const keel_instrument *about, char text[256]) {
    char id[33], qty[32], limit[32], symbol[32];
    id_text(order->id, id);
    amount_text(order->qty, qty);
    amount_text(order->limit, limit);
    snprintf(symbol, sizeof symbol, "%.*s", (int)about->venue_symbol.len, about->venue_symbol.ptr);
    snprintf(text, 256, "%s %s %s %s %s %s\n", id, symbol, order->side == KEEL_BUY ? "buy" : "sell", order->features & KEEL_ORD_MARKET ? "market" : "limit", qty, limit);
}

static struct order *remember(struct instance *self, const keel_order *from) {
    struct order *order = add(self, from->id);
    if (!order) return NULL;
    order->instrument = from->instrument;
    order->side = from->side;
    order->qty = from->qty;
    order->limit = from->limit;
    order->state = KEEL_ORDER_PENDING;
    return order;
}

static keel_status submit(keel_instance *instance, const keel_order *wanted, uint64_t request, keel_error *error) {
    struct instance *self = (struct instance *)instance;
    const keel_host *host = self->base.host;
    if (self->base.state != RUNNING) return fail(error, KEEL_E_STATE, "submit needs a running instance");
    keel_instrument about;
    memset(&about, 0, sizeof about);
    keel_status status = check_order(self, wanted, &about, error);
    if (status != KEEL_OK) return status;
#ifndef DEFECT_B11
    if (find(self, wanted->id)) return fail(error, KEEL_E_DUPLICATE, "this order id was used before");
#endif
    if (self->denied[0]) return fail(error, KEEL_E_AUTH, "the venue refuses us: %s", self->denied);
    if (!self->ready) return fail(error, KEEL_E_NETWORK, "not connected");
    if (self->base.host->now(self->base.host) < self->wait_until) return fail(error, KEEL_E_RATE, "the venue asks to wait");
    char line[300] = "NEW ", key[40] = "o.";
    new_line(wanted, &about, line + 4);
    id_text(wanted->id, key + 2);
    /* The venue takes the host's own id, so nothing has to be kept; a venue with ids of its own would need put() here, before the bytes leave. */
#ifdef DEFECT_B15
    host->put(host, str("last"), line, strlen(line) + 1);
#endif
    struct order *order = remember(self, wanted);
    if (!order) return fail(error, KEEL_E_AGAIN, "too many open orders");
    order->request = request;
    tell_order(self, order, 0, NULL);
    if (!line_send(&self->line, line)) {
        self->count--;
        return fail(error, KEEL_E_NETWORK, "not connected");
    }
    host->timer(host, self->patience * 1000000000, 0, 1, &order->timer);
    return KEEL_OK;
}

static keel_status cancel(keel_instance *instance, keel_id id, uint64_t request, keel_error *error) {
    struct instance *self = (struct instance *)instance;
    if (self->base.state != RUNNING) return fail(error, KEEL_E_STATE, "cancel needs a running instance");
    struct order *order = find(self, id);
    if (!order) {
#ifdef DEFECT_B07
        return done(&self->base, request, KEEL_OK, NULL);
#else
        return fail(error, KEEL_E_NOT_FOUND, "no such order");
#endif
    }
    if (ended(order)) {
        done(&self->base, request, KEEL_E_REJECTED, "the order has ended");
        return KEEL_OK;
    }
    if (order->cancel) return fail(error, KEEL_E_DUPLICATE, "a cancel is already on its way");
    char line[64] = "CANCEL ";
    id_text(id, line + 7);
    strcat(line, "\n");
    order->cancel = request;
#ifdef DEFECT_B09
    self->last_cancel = request;
#endif
    if (!self->ready || !line_send(&self->line, line)) {
        order->cancel = 0;
        return fail(error, KEEL_E_NETWORK, "not connected");
    }
#ifdef DEFECT_B08
    order->state = KEEL_ORDER_CANCELED;  /* before the venue has said so */
    tell_order(self, order, 0, NULL);
    order->state = KEEL_ORDER_OPEN;
#endif
    return KEEL_OK;
}

static keel_status replace(keel_instance *instance, keel_id id, const keel_order *with, uint64_t request, keel_error *error) {
    struct instance *self = (struct instance *)instance;
    if (self->base.state != RUNNING) return fail(error, KEEL_E_STATE, "replace needs a running instance");
    keel_instrument about;
    memset(&about, 0, sizeof about);
    keel_status status = check_order(self, with, &about, error);
    if (status != KEEL_OK) return status;
    struct order *old = find(self, id);
    if (!old) return fail(error, KEEL_E_NOT_FOUND, "no such order");
    if (ended(old)) return fail(error, KEEL_E_REJECTED, "the order has ended");
    if (find(self, with->id)) return fail(error, KEEL_E_DUPLICATE, "this order id was used before");
    if (!self->ready) return fail(error, KEEL_E_NETWORK, "not connected");
    char line[400] = "REPLACE ";
    id_text(id, line + 8);
    line[40] = ' ';
    new_line(with, &about, line + 41);
#ifdef DEFECT_B10
    memcpy(line, "NEW ", 4);  /* sends the new one and forgets the old */
    memmove(line + 4, line + 41, strlen(line + 41) + 1);
#endif
    struct order *order = remember(self, with);
    if (!order) return fail(error, KEEL_E_AGAIN, "too many open orders");
    order->cancel = request;
#ifdef DEFECT_B09
    self->last_cancel = request;
#endif
    tell_order(self, order, 0, NULL);
    line_send(&self->line, line);
#ifdef DEFECT_B10
    finish_cancel(self, order, KEEL_OK, NULL);
#endif
    return KEEL_OK;
}

static keel_status sync_(keel_instance *instance, keel_time since, uint64_t request, keel_error *error) {
    (void)since;
    struct instance *self = (struct instance *)instance;
    if (self->base.state != RUNNING) return fail(error, KEEL_E_STATE, "sync needs a running instance");
    if (self->denied[0]) return fail(error, KEEL_E_AUTH, "the venue refuses us: %s", self->denied);
    if (!self->ready) return fail(error, KEEL_E_NETWORK, "not connected");
    if (self->base.host->now(self->base.host) < self->wait_until) return fail(error, KEEL_E_RATE, "the venue asks to wait");
#ifndef DEFECT_B22
    if (self->budget_short) return fail(error, KEEL_E_RATE, "the budget is nearly used up: what is left is for orders");
#endif
    if (self->polling) return fail(error, KEEL_E_AGAIN, "a question of our own is still open");
    if (self->sync) return fail(error, KEEL_E_AGAIN, "a sync is already running");
#ifdef DEFECT_B15
    /* "Makes sure" that what was kept is sent: once after a start. */
    if (!self->sync_started) {
        char line[200] = "";
        keel_writer writer = {line, ignore_bytes};
        keel_id id;
        char word[40];
        if (self->base.host->get(self->base.host, str("last"), &writer) == KEEL_OK && sscanf(line, "NEW %39s", word) == 1 && id_parse(word, &id) && !find(self, id)) line_send(&self->line, line);
    }
#endif
    self->sync_started = 1;
    self->sync = request;
    self->syncing = 1;
    line_send(&self->line, "SYNC\n");
    return KEEL_OK;
}

static keel_status describe(keel_instance *instance, const keel_writer *out) { return base_describe(&((struct instance *)instance)->base, out); }

static const keel_broker table = {sizeof table, RESERVED, FEATURES, submit, cancel, replace, sync_};
static const keel_describe description = {sizeof description, 0, describe};
static const keel_interface interfaces[] = {{KEEL_BROKER, &table}, {KEEL_DESCRIBE, &description} MORE_INTERFACES(KEEL_BROKER)};

static const keel_component component = {
    sizeof component, 0, "org.keel-zoo.broker", NAME, "Keel", VERSION, "MIT", NULL, TOOLCHAIN, schema, 0, 0,
    interfaces, sizeof interfaces / sizeof *interfaces, 0, NULL, create, start, stop, destroy, on_timer, on_fd, on_wake,
};

LIBRARY(component)
