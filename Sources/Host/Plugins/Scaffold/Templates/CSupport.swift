extension Templates {
    /// keel/plugin.h: helpers for C and C++.
    static let cHelpers = ###"""
/* plugin.h - small helpers for a plugin in C or C++: configuration, errors, the commonest events, and a connection
 * that speaks lines. Written by `keel plugin new`; `keel plugin new --upgrade` replaces it, so keep your own code
 * elsewhere. Nothing here is required: keel.h alone is the contract. */
#ifndef KEEL_PLUGIN_H
#define KEEL_PLUGIN_H

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

#ifdef __GNUC__
#define PLUGIN_MAY_BE_UNUSED __attribute__((unused))
#else
#define PLUGIN_MAY_BE_UNUSED
#endif

PLUGIN_MAY_BE_UNUSED static keel_str plugin_str(const char *text) {
    keel_str out;
    out.ptr = text;
    out.len = strlen(text);
    return out;
}

/* ---- the host ------------------------------------------------------------- */

/* Can this plugin live on that host? Rule 3: look at struct_size before anything behind it. */
PLUGIN_MAY_BE_UNUSED static int plugin_host_fits(const keel_host *host) {
    return host && host->struct_size >= sizeof(keel_host) && host->abi_major == KEEL_ABI_MAJOR;
}

PLUGIN_MAY_BE_UNUSED static void plugin_log(const keel_host *host, uint32_t level, const char *text) { host->log(host, level, plugin_str(text)); }

/* ---- errors --------------------------------------------------------------- */

/* Fills `error` as far as the caller's struct goes and returns `status`, so that `return plugin_fail(...)` reads well. */
PLUGIN_MAY_BE_UNUSED static keel_status plugin_fail(keel_error *error, keel_status status, const char *format, ...) {
    size_t room, length;
    va_list values;
    if (!error) return status;
    if (error->struct_size >= offsetof(keel_error, vendor_code)) error->status = status;
    if (error->struct_size <= offsetof(keel_error, message)) return status;
    room = error->struct_size - offsetof(keel_error, message);
    if (room > sizeof error->message) room = sizeof error->message;
    va_start(values, format);
    vsnprintf(error->message, room, format, values);
    va_end(values);
    /* A cut must not split a UTF-8 character. */
    length = strlen(error->message);
    if (length + 1 == room) {
        while (length > 0 && (error->message[length - 1] & 0xC0) == 0x80) length--;
        if (length > 0 && (error->message[length - 1] & 0x80)) length--;
        error->message[length] = 0;
    }
    return status;
}

/* ---- events --------------------------------------------------------------- */

/* The last event of a request. */
PLUGIN_MAY_BE_UNUSED static void plugin_done(const keel_host *host, uint64_t request, keel_status status, const char *message) {
    struct { keel_ev_done event; char text[200]; } out;
    size_t length = message ? strlen(message) : 0;
    if (length > sizeof out.text) length = sizeof out.text;
    memset(&out, 0, sizeof out);
    if (length) memcpy(out.text, message, length);
    out.event.head.size = (uint32_t)(sizeof out.event + length);
    out.event.head.kind = KEEL_EV_DONE;
    out.event.head.request = request;
    out.event.status = status;
    out.event.message.off = sizeof out.event;
    out.event.message.len = (uint32_t)length;
    host->emit(host, &out.event.head);
}

/* The connection is up or down. */
PLUGIN_MAY_BE_UNUSED static void plugin_link(const keel_host *host, uint32_t state, keel_status why, const char *name) {
    struct { keel_ev_link event; char text[64]; } out;
    size_t length = strlen(name);
    if (length > sizeof out.text) length = sizeof out.text;
    memset(&out, 0, sizeof out);
    memcpy(out.text, name, length);
    out.event.head.size = (uint32_t)(sizeof out.event + length);
    out.event.head.kind = KEEL_EV_LINK;
    out.event.state = state;
    out.event.why = why;
    out.event.name.off = sizeof out.event;
    out.event.name.len = (uint32_t)length;
    host->emit(host, &out.event.head);
}

/* ---- decimals: eight places in 64 bits ------------------------------------ */

PLUGIN_MAY_BE_UNUSED static void plugin_decimal(keel_fixed value, char text[32]) {
    uint64_t size = value < 0 ? 0u - (uint64_t)value : (uint64_t)value;
    snprintf(text, 32, "%s%llu.%08llu", value < 0 ? "-" : "", (unsigned long long)(size / KEEL_ONE), (unsigned long long)(size % KEEL_ONE));
}

/* 0 if the text is no number, has more than eight places or doesn't fit: never a rounded value. */
PLUGIN_MAY_BE_UNUSED static int plugin_parse_decimal(const char *text, keel_fixed *out) {
    int negative = *text == '-', places = -1, digits = 0;
    int64_t value = 0;
    if (negative) text++;
    for (; *text; text++) {
        if (*text == '.' && places < 0) { places = 0; continue; }
        if (*text < '0' || *text > '9') return 0;
        if (places == 8) { if (*text != '0') return 0; continue; }
        if (value > (INT64_MAX - 9) / 10) return 0;
        value = value * 10 + (*text - '0');
        digits++;
        if (places >= 0) places++;
    }
    for (places = places < 0 ? 0 : places; places < 8; places++) {
        if (value > INT64_MAX / 10) return 0;
        value *= 10;
    }
    *out = negative ? -value : value;
    return digits > 0;
}

/* ---- configuration: a flat JSON object ------------------------------------ */

/* The host has already checked the configuration against your config_schema; a plugin checks again all the same, because
 * a mistyped limit must never be ignored. Whole numbers, texts and secret references are enough for most plugins. */
enum { PLUGIN_INTEGER, PLUGIN_TEXT, PLUGIN_SECRET };
typedef struct plugin_field {
    const char *name;
    int kind;
    int64_t low, high;   /* PLUGIN_INTEGER: the range of the schema */
    void *into;          /* int64_t, or a buffer */
    size_t room;         /* of the buffer */
    int required;
} plugin_field;

typedef struct plugin_json { const char *at, *end; } plugin_json;

static int plugin_take(plugin_json *json, char wanted) {
    while (json->at < json->end && (*json->at == ' ' || *json->at == '\n' || *json->at == '\t' || *json->at == '\r')) json->at++;
    if (json->at < json->end && *json->at == wanted) { json->at++; return 1; }
    return 0;
}

static int plugin_is_utf8(const char *text) {
    const unsigned char *s = (const unsigned char *)text;
    while (*s) {
        unsigned char first = *s++;
        int i, more = first < 0x80 ? 0 : first >= 0xC2 && first <= 0xDF ? 1 : (first & 0xF0) == 0xE0 ? 2 : first >= 0xF0 && first <= 0xF4 ? 3 : -1;
        if (more < 0) return 0;
        if ((first == 0xE0 && *s < 0xA0) || (first == 0xED && *s > 0x9F) || (first == 0xF0 && *s < 0x90) || (first == 0xF4 && *s > 0x8F)) return 0;
        for (i = 0; i < more; i++) if ((*s++ & 0xC0) != 0x80) return 0;
    }
    return 1;
}

/* A text without escapes, whole or not at all. */
static int plugin_take_text(plugin_json *json, char *into, size_t room) {
    size_t length = 0;
    if (!plugin_take(json, '"')) return 0;
    while (json->at < json->end && *json->at != '"') {
        unsigned char byte = (unsigned char)*json->at++;
        if (byte < 32 || byte == '\\' || length + 1 >= room) return 0;
        into[length++] = (char)byte;
    }
    into[length] = 0;
    return plugin_take(json, '"') && plugin_is_utf8(into);
}

static int plugin_take_integer(plugin_json *json, int64_t *into) {
    int negative = plugin_take(json, '-'), any = 0;
    int64_t value = 0;
    while (json->at < json->end && *json->at >= '0' && *json->at <= '9') {
        if (value > 100000000000000ll) return 0;
        value = value * 10 + (*json->at++ - '0');
        any = 1;
    }
    if (json->at < json->end && (*json->at == '.' || *json->at == 'e' || *json->at == 'E')) return 0;
    *into = negative ? -value : value;
    return any;
}

PLUGIN_MAY_BE_UNUSED static keel_status plugin_configure(keel_str text, const plugin_field *fields, size_t count, keel_error *error) {
    char name[128], key[32];
    uint64_t seen = 0;
    plugin_json json;
    size_t i;
    if (text.len == 0) return plugin_fail(error, KEEL_E_INVALID, "the configuration must be an object");
    json.at = text.ptr;
    json.end = text.ptr + text.len;
    if (!plugin_take(&json, '{')) return plugin_fail(error, KEEL_E_INVALID, "the configuration must be an object");
    if (!plugin_take(&json, '}')) {
        do {
            const plugin_field *field = NULL;
            if (!plugin_take_text(&json, name, sizeof name) || !plugin_take(&json, ':')) return plugin_fail(error, KEEL_E_INVALID, "the configuration can't be read");
            for (i = 0; i < count; i++) if (strcmp(fields[i].name, name) == 0) { field = &fields[i]; seen |= 1ull << i; }
            if (!field) return plugin_fail(error, KEEL_E_INVALID, "\"%s\" is no property of this plugin", name);
            if (field->kind == PLUGIN_INTEGER) {
                int64_t value;
                if (!plugin_take_integer(&json, &value) || value < field->low || value > field->high)
                    return plugin_fail(error, KEEL_E_INVALID, "\"%s\" must be a whole number from %lld to %lld", name, (long long)field->low, (long long)field->high);
                *(int64_t *)field->into = value;
            } else if (field->kind == PLUGIN_TEXT) {
                if (!plugin_take_text(&json, (char *)field->into, field->room)) return plugin_fail(error, KEEL_E_INVALID, "\"%s\" must be a text of at most %u bytes", name, (unsigned)field->room - 1);
            } else if (!plugin_take(&json, '{') || !plugin_take_text(&json, key, sizeof key) || strcmp(key, "$secret") != 0 || !plugin_take(&json, ':')
                       || !plugin_take_text(&json, (char *)field->into, field->room) || !plugin_take(&json, '}')) {
                return plugin_fail(error, KEEL_E_INVALID, "\"%s\" must be a reference like {\"$secret\": \"name\"}", name);
            }
        } while (plugin_take(&json, ','));
        if (!plugin_take(&json, '}')) return plugin_fail(error, KEEL_E_INVALID, "the configuration can't be read");
    }
    plugin_take(&json, ' ');
    if (json.at != json.end) return plugin_fail(error, KEEL_E_INVALID, "something follows the configuration");
    for (i = 0; i < count; i++)
        if (fields[i].required && !(seen & 1ull << i)) return plugin_fail(error, KEEL_E_INVALID, "\"%s\" is missing", fields[i].name);
    return KEEL_OK;
}

/* ---- a connection that speaks lines --------------------------------------- */

/* Everything happens on the lane, nothing ever blocks (rule 5), and a lost connection comes back with growing pauses. */
typedef struct plugin_line {
    const keel_host *host;
    void *owner;
    void (*on_line)(void *owner, char *line);   /* one line from the venue, without its end */
    void (*on_link)(void *owner, int up);
    int port, fd, up, wanted;
    uint64_t retry;                             /* the reconnect timer, 0 = none */
    keel_span pause;
    size_t in_length, out_length;
    char in[65536], out[65536];
} plugin_line;

static void plugin_line_lost(plugin_line *line) {
    int was_up = line->up;
    if (line->fd >= 0) {
        line->host->watch(line->host, line->fd, 0);   /* before close: the number may be used again */
        close(line->fd);
    }
    line->fd = -1;
    line->up = 0;
    line->in_length = line->out_length = 0;
    if (line->wanted && !line->retry) {
        line->host->timer(line->host, line->pause, 0, 0, &line->retry);
        if (line->pause < 30000000000ll) line->pause *= 2;
    }
    if (was_up) line->on_link(line->owner, 0);
}

static void plugin_line_connect(plugin_line *line) {
    struct sockaddr_in address;
    int yes = 1;
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_port = htons((uint16_t)line->port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    line->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (line->fd < 0) { plugin_line_lost(line); return; }
    fcntl(line->fd, F_SETFL, O_NONBLOCK);
    setsockopt(line->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (connect(line->fd, (struct sockaddr *)&address, sizeof address) != 0 && errno != EINPROGRESS) { plugin_line_lost(line); return; }
    line->host->watch(line->host, line->fd, KEEL_READABLE | KEEL_WRITABLE);
}

/* In start. */
PLUGIN_MAY_BE_UNUSED static void plugin_line_open(plugin_line *line, const keel_host *host, int port, void *owner, void (*on_line)(void *, char *),
                                                  void (*on_link)(void *, int)) {
    memset(line, 0, offsetof(plugin_line, in));
    line->host = host;
    line->owner = owner;
    line->on_line = on_line;
    line->on_link = on_link;
    line->port = port;
    line->fd = -1;
    line->wanted = 1;
    line->pause = 50000000;
    plugin_line_connect(line);
}

/* In stop. */
PLUGIN_MAY_BE_UNUSED static void plugin_line_close(plugin_line *line) {
    line->wanted = 0;
    if (line->retry) line->host->timer_stop(line->host, line->retry);
    line->retry = 0;
    line->up = 0;
    if (line->fd < 0) return;
    line->host->watch(line->host, line->fd, 0);
    close(line->fd);
    line->fd = -1;
}

/* In on_timer: 1 if the timer was the connection's own. */
PLUGIN_MAY_BE_UNUSED static int plugin_line_timer(plugin_line *line, uint64_t timer) {
    if (!timer || timer != line->retry) return 0;
    line->retry = 0;
    if (line->wanted && line->fd < 0) plugin_line_connect(line);
    return 1;
}

static void plugin_line_flush(plugin_line *line) {
    while (line->out_length > 0) {
        ssize_t count = send(line->fd, line->out, line->out_length, MSG_NOSIGNAL);
        if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
        if (count < 0) { plugin_line_lost(line); return; }
        line->out_length -= (size_t)count;
        memmove(line->out, line->out + count, line->out_length);
    }
    line->host->watch(line->host, line->fd, KEEL_READABLE | (line->out_length ? KEEL_WRITABLE : 0u));
}

/* `text` with its line end. 0: nothing was sent, certainly. */
PLUGIN_MAY_BE_UNUSED static int plugin_line_send(plugin_line *line, const char *text) {
    size_t length = strlen(text);
    if (!line->up || line->out_length + length > sizeof line->out) return 0;
    memcpy(line->out + line->out_length, text, length);
    line->out_length += length;
    plugin_line_flush(line);
    return 1;
}

/* In on_fd. */
PLUGIN_MAY_BE_UNUSED static void plugin_line_ready(plugin_line *line, uint32_t ready) {
    if (line->fd < 0) return;
    if (!line->up && (ready & (KEEL_WRITABLE | KEEL_HANGUP))) {
        int problem = 0;
        socklen_t size = sizeof problem;
        getsockopt(line->fd, SOL_SOCKET, SO_ERROR, &problem, &size);
        if (problem || (ready & KEEL_HANGUP)) { plugin_line_lost(line); return; }
        line->up = 1;
        line->pause = 50000000;
        line->host->watch(line->host, line->fd, KEEL_READABLE);
        line->on_link(line->owner, 1);
        if (line->fd < 0) return;
    }
    if (line->up && (ready & KEEL_WRITABLE)) plugin_line_flush(line);
    while (line->fd >= 0 && (ready & (KEEL_READABLE | KEEL_HANGUP))) {
        char *start = line->in, *end;
        ssize_t count = recv(line->fd, line->in + line->in_length, sizeof line->in - line->in_length, 0);
        if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
        if (count <= 0) { plugin_line_lost(line); return; }
        line->in_length += (size_t)count;
        while (line->fd >= 0 && (end = (char *)memchr(start, '\n', line->in_length - (size_t)(start - line->in)))) {
            *end = 0;
            line->on_line(line->owner, start);
            start = end + 1;
        }
        if (line->fd < 0) return;
        line->in_length -= (size_t)(start - line->in);
        memmove(line->in, start, line->in_length);
        if (line->in_length == sizeof line->in) { plugin_line_lost(line); return; }   /* a line that long is no line */
    }
}

#endif

"""###
}
