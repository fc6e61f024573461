/* plugin.h - what the zoo's plugins share: configuration, errors, state, life.
 *
 * Without a DEFECT_ macro these are reference plugins that pass every check. Each macro breaks one rule of keel.h, and
 * Tests/PluginsTests/Check/Zoo.swift says which check must notice. */
#ifndef ZOO_PLUGIN_H
#define ZOO_PLUGIN_H

#define _GNU_SOURCE
#include "keel.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static inline keel_str str(const char *text) { return (keel_str){text, strlen(text)}; }

/* ---- errors --------------------------------------------------------------- */

static inline keel_status fail(keel_error *error, keel_status status, const char *format, ...) {
    if (error) {
#ifdef DEFECT_C10
        /* Fills the whole struct it knows, whatever size the caller gave. */
        uint32_t size = sizeof *error;
#else
        uint32_t size = error->struct_size;
#endif
        if (size >= offsetof(keel_error, status) + sizeof error->status) error->status = status;
        if (size > offsetof(keel_error, message)) {
            size_t room = size - offsetof(keel_error, message);
            if (room > sizeof error->message) room = sizeof error->message;
            va_list values;
            va_start(values, format);
            vsnprintf(error->message, room, format, values);
            va_end(values);
            /* A cut must not split a character. */
            size_t length = strlen(error->message);
            if (length + 1 == room) {
                while (length > 0 && (error->message[length - 1] & 0xC0) == 0x80) length--;
                if (length > 0 && (error->message[length - 1] & 0x80)) length--;
                error->message[length] = 0;
            }
#ifdef DEFECT_M06
            if (room == sizeof error->message) memset(error->message + strlen(error->message), 'x', room - strlen(error->message));
#endif
        }
    }
    return status;
}

/* ---- configuration: a flat JSON object of integers, texts and one secret reference ------------------------------- */

enum { FIELD_INT, FIELD_TEXT, FIELD_SECRET };
struct field { const char *name; int kind; int64_t low, high; void *into; size_t room; int required; };

struct reader { const char *at, *end; };

static inline void skip_space(struct reader *r) {
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\n' || *r->at == '\t' || *r->at == '\r')) r->at++;
}

static inline int take(struct reader *r, char wanted) {
    skip_space(r);
    if (r->at < r->end && *r->at == wanted) { r->at++; return 1; }
    return 0;
}

/* A text without escapes: names and addresses need none. */
static inline int take_text(struct reader *r, char *into, size_t room) {
    if (!take(r, '"')) return 0;
    size_t length = 0;
    while (r->at < r->end && *r->at != '"') {
        unsigned char byte = (unsigned char)*r->at++;
        if (byte < 32 || byte == '\\') return 0;
        if (length + 1 < room) into[length++] = (char)byte;
    }
    /* Cut at a whole character. */
    while (length > 0 && length + 4 > room && ((unsigned char)into[length - 1] & 0xC0) == 0x80) length--;
    if (length > 0 && length + 4 > room && ((unsigned char)into[length - 1] & 0x80)) length--;
    into[length] = 0;
    return take(r, '"');
}

static inline int take_integer(struct reader *r, int64_t *into) {
    skip_space(r);
    int negative = take(r, '-'), any = 0;
    int64_t value = 0;
    while (r->at < r->end && *r->at >= '0' && *r->at <= '9') {
        if (value > 100000000000ll) return 0;
        value = value * 10 + (*r->at++ - '0');
        any = 1;
    }
    if (r->at < r->end && (*r->at == '.' || *r->at == 'e' || *r->at == 'E')) return 0;
    *into = negative ? -value : value;
    return any;
}

static inline int valid_utf8(const char *text) {
    const unsigned char *s = (const unsigned char *)text;
    while (*s) {
        int more = *s < 0x80 ? 0 : (*s & 0xE0) == 0xC0 ? 1 : (*s & 0xF0) == 0xE0 ? 2 : (*s & 0xF8) == 0xF0 ? 3 : -1;
        if (more < 0 || *s == 0xC0 || *s == 0xC1 || *s > 0xF4) return 0;
        unsigned char first = *s++;
        for (int i = 0; i < more; i++, s++) if ((*s & 0xC0) != 0x80 || (i == 0 && ((first == 0xE0 && *s < 0xA0) || (first == 0xED && *s > 0x9F) || (first == 0xF0 && *s < 0x90) || (first == 0xF4 && *s > 0x8F)))) return 0;
    }
    return 1;
}

/* Reads one field's value; says what is wrong in `why` and skips nothing: the caller stops at the first fault. */
static inline int take_field(struct reader *r, const struct field *field, char *why, size_t room) {
    if (field->kind == FIELD_INT) {
        int64_t value;
        if (!take_integer(r, &value)) { snprintf(why, room, "%s must be a whole number", field->name); return 0; }
        if (value < field->low || value > field->high) {
            snprintf(why, room, "%s must lie between %lld and %lld", field->name, (long long)field->low, (long long)field->high);
            return 0;
        }
        *(int64_t *)field->into = value;
    } else if (field->kind == FIELD_TEXT) {
        if (!take_text(r, field->into, field->room)) { snprintf(why, room, "%s must be a text", field->name); return 0; }
    } else {
        char key[32];
#ifdef DEFECT_G05
        struct reader before = *r;
        if (take_text(r, field->into, field->room)) return 1;
        *r = before;
#endif
        if (!take(r, '{') || !take_text(r, key, sizeof key) || strcmp(key, "$secret") != 0 || !take(r, ':')
            || !take_text(r, field->into, field->room) || !take(r, '}')) {
            snprintf(why, room, "%s must be a reference like {\"$secret\": \"name\"}", field->name);
            return 0;
        }
    }
    return 1;
}

static inline keel_status parse_config(keel_str json, const struct field *fields, size_t count, keel_error *error) {
    char why[200] = "", name[100];
    uint32_t seen = 0;
#ifdef DEFECT_M03
    /* Looks at the first byte before the length. */
    if (json.ptr[0] == '[') return fail(error, KEEL_E_INVALID, "the configuration must be an object");
#endif
    struct reader r = {json.ptr, json.ptr ? json.ptr + json.len : json.ptr};
#ifdef DEFECT_M02
    r.end = r.at ? r.at + strlen(r.at) : r.at;  /* json isn't terminated */
#endif
#ifdef DEFECT_M04
    if (json.len > 0) {  /* cuts the caller's text in place, and mends it */
        char last = json.ptr[json.len - 1];
        ((volatile char *)json.ptr)[json.len - 1] = 0;
        ((volatile char *)json.ptr)[json.len - 1] = last;
    }
#endif
    if (!take(&r, '{')) return fail(error, KEEL_E_INVALID, "the configuration must be an object");
    if (!take(&r, '}')) {
        do {
            if (!take_text(&r, name, sizeof name) || !take(&r, ':')) return fail(error, KEEL_E_INVALID, "the configuration is not JSON");
            if (!valid_utf8(name)) return fail(error, KEEL_E_INVALID, "a property's name is not UTF-8");
            size_t index = 0;
            while (index < count && strcmp(name, fields[index].name) != 0) index++;
            if (index == count) return fail(error, KEEL_E_INVALID, "%s is not a property", name);
            if (!take_field(&r, &fields[index], why, sizeof why)) {
#ifdef DEFECT_G04
                return fail(error, KEEL_E_INVALID, "a value is wrong");
#else
                return fail(error, KEEL_E_INVALID, "%s", why);
#endif
            }
            if (fields[index].kind != FIELD_INT && !valid_utf8(fields[index].into)) return fail(error, KEEL_E_INVALID, "%s is not UTF-8", name);
            seen |= 1u << index;
        } while (take(&r, ','));
        if (!take(&r, '}')) return fail(error, KEEL_E_INVALID, "the configuration is not JSON");
    }
    skip_space(&r);
    if (r.at != r.end) return fail(error, KEEL_E_INVALID, "something follows the configuration");
    for (size_t index = 0; index < count; index++)
        if (fields[index].required && !(seen & 1u << index)) return fail(error, KEEL_E_INVALID, "%s is missing", fields[index].name);
    return KEEL_OK;
}

/* Skips one JSON value of whatever kind. */
static inline int skip_value(struct reader *r) {
    skip_space(r);
    int depth = 0, quoted = 0;
    const char *start = r->at;
    while (r->at < r->end) {
        char c = *r->at;
        if (quoted) {
            if (c == '\\') r->at++;
            else if (c == '"') quoted = 0;
        } else if (c == '"') quoted = 1;
        else if (c == '{' || c == '[') depth++;
        else if (c == '}' || c == ']') { if (depth == 0) break; depth--; }
        else if (c == ',' && depth == 0) break;
        r->at++;
    }
    return r->at > start;
}

/* Every fault of a configuration, as the JSON list that check_config writes. */
static inline keel_status report_config(keel_str json, const struct field *fields, size_t count, const keel_writer *report) {
    char name[100], why[200], entry[500];
    int found = 0;
    struct reader r = {json.ptr, json.ptr ? json.ptr + json.len : json.ptr};
    report->write(report, "[", 1);
    if (take(&r, '{') && !take(&r, '}')) {
        do {
            if (!take_text(&r, name, sizeof name) || !take(&r, ':')) break;
            struct reader value = r;
            size_t index = 0;
            while (index < count && strcmp(name, fields[index].name) != 0) index++;
            why[0] = 0;
            if (index == count) snprintf(why, sizeof why, "not a property");
            else if (!take_field(&value, &fields[index], why, sizeof why)) {
                for (char *c = why; *c; c++) if (*c == '"') *c = '\'';
            }
            if (why[0]) {
                int length = snprintf(entry, sizeof entry, "%s{\"path\":\"$.%s\",\"code\":\"invalid\",\"message\":\"%s\"}", found ? "," : "", name, why);
                report->write(report, entry, (size_t)length);
                found = 1;
#ifdef DEFECT_G06
                break;
#endif
            }
            if (!skip_value(&r)) break;
        } while (take(&r, ','));
    }
    return report->write(report, "]", 1);
}

/* ---- every instance starts with this -------------------------------------- */

enum { CREATED = 1, RUNNING, STOPPED };

struct base {
    const keel_host *host;
    int state;
    char name[64];
#ifdef DEFECT_M01
    const char *borrowed;  /* kept past the call */
#endif
#ifdef DEFECT_C07
    pthread_t thread;
#endif
    uint64_t decisions;    /* what keel.state/1 keeps */
    uint64_t seen;
    uint64_t saves;
};

static inline keel_status done(const struct base *base, uint64_t request, keel_status status, const char *message) {
    struct { keel_ev_done event; char text[200]; } out;
    memset(&out, 0, sizeof out);
    size_t length = message ? strlen(message) : 0;
    if (length > sizeof out.text) length = sizeof out.text;
    if (length) memcpy(out.text, message, length);
    out.event.head.size = (uint32_t)(sizeof out.event + length);
    out.event.head.kind = KEEL_EV_DONE;
    out.event.head.request = request;
    out.event.status = status;
    out.event.message.off = sizeof out.event;
    out.event.message.len = (uint32_t)length;
    return base->host->emit(base->host, &out.event.head);
}

static inline void link_event(const struct base *base, uint32_t state, keel_status why, const char *name) {
    struct { keel_ev_link event; char text[64]; } out;
    memset(&out, 0, sizeof out);
    size_t length = strlen(name);
    memcpy(out.text, name, length);
    out.event.head.size = (uint32_t)(sizeof out.event + length);
    out.event.head.kind = KEEL_EV_LINK;
    out.event.state = state;
    out.event.why = why;
    out.event.name.off = sizeof out.event;
    out.event.name.len = (uint32_t)length;
    base->host->emit(base->host, &out.event.head);
}

static inline void say(const struct base *base, uint32_t level, const char *text) { base->host->log(base->host, level, str(text)); }

/* A host this plugin can live on: major 1, and every function of 1.0. */
static inline int host_fits(const keel_host *host) {
#ifdef DEFECT_E09
    return host != NULL;
#elif defined DEFECT_E08
    return host->abi_major == KEEL_ABI_MAJOR && host->struct_size == sizeof(keel_host);
#else
    return host && host->struct_size >= sizeof(keel_host) && host->abi_major == KEEL_ABI_MAJOR;
#endif
}

/* What all four creates begin with. */
static inline keel_status base_init(struct base *base, const keel_host *host, keel_str name) {
    base->host = host;
    base->state = CREATED;
    size_t length = name.len < sizeof base->name - 1 ? name.len : sizeof base->name - 1;
    if (length) memcpy(base->name, name.ptr, length);
#ifdef DEFECT_M01
    base->borrowed = name.ptr;
#endif
#ifdef DEFECT_C01
    static char *volatile lost;
    lost = malloc(64);
    memset(lost, 1, 64);
#endif
#ifdef DEFECT_C02
    close(socket(AF_INET, SOCK_STREAM, 0));
#endif
#ifdef DEFECT_M05
    char *small = malloc(20);
    memset(small, 7, 20);
    ((volatile char *)small)[20] = 7;
    free(small);
#endif
    return KEEL_OK;
}

#ifdef DEFECT_C07
static void *linger(void *nothing) {
    (void)nothing;
    struct timespec time = {0, 700000000};
    nanosleep(&time, NULL);
    return NULL;
}
#endif

#ifdef DEFECT_T01
static void *sets_timer(void *of) {
    struct base *base = of;
    uint64_t timer;
    base->host->timer(base->host, 3600000000000ll, 0, 0, &timer);
    return NULL;
}
#endif

static inline void base_started(struct base *base) {
    base->state = RUNNING;
#ifdef DEFECT_T01
    pthread_t thread;
    pthread_create(&thread, NULL, sets_timer, base);
    pthread_join(thread, NULL);
#endif
#ifdef DEFECT_C07
    pthread_create(&base->thread, NULL, linger, NULL);
    pthread_detach(base->thread);
#endif
#ifdef DEFECT_C09
    static char *volatile lost;
    lost = malloc(8192);
    memset(lost, 1, 8192);
#endif
}

/* The end of every stop. */
static inline void base_stopped(struct base *base, uint64_t request) {
    base->state = STOPPED;
    done(base, request, KEEL_OK, NULL);
#ifdef DEFECT_C06
    link_event(base, KEEL_LINK_DOWN, KEEL_OK, "afterwards");
#endif
}

static inline void base_wake(struct base *base) {
#ifdef DEFECT_P03
    struct timespec time = {2, 500000000};
    nanosleep(&time, NULL);
#endif
#ifdef DEFECT_T05
    if (base->state == STOPPED) link_event(base, KEEL_LINK_DOWN, KEEL_OK, "still here");
#endif
    (void)base;
}

/* ---- state: magic, counters, and a text of varying length with its length before it ------------------------------ */

#define STATE_VERSION 2u
struct saved { char magic[8]; uint64_t decisions, seen, check; };

static inline uint64_t state_check(const struct saved *saved) {
    uint64_t sum = 0x9e3779b97f4a7c15ull;
    const unsigned char *bytes = (const unsigned char *)saved;
    for (size_t i = 0; i < offsetof(struct saved, check); i++) sum = (sum ^ bytes[i]) * 0x100000001b3ull;
    return sum;
}

static inline keel_status base_save(struct base *base, const keel_writer *out, keel_error *error) {
    if (base->state == RUNNING) return fail(error, KEEL_E_STATE, "running");
    struct saved saved = {.magic = "zoo\0\0\0\0", .decisions = base->decisions, .seen = base->seen};
#ifdef DEFECT_S02
    saved.seen += ++base->saves << 32;
#endif
    saved.check = state_check(&saved);
    /* In two writes, as a plugin with parts would. */
    keel_status status = out->write(out, &saved, 16);
#ifdef DEFECT_S06
    status = KEEL_OK;
#endif
    if (status == KEEL_OK) status = out->write(out, (const char *)&saved + 16, sizeof saved - 16);
#ifdef DEFECT_S06
    return KEEL_OK;
#else
    return status == KEEL_OK ? KEEL_OK : fail(error, status, "the writer failed");
#endif
}

static inline keel_status base_load(struct base *base, uint32_t version, const keel_reader *in, keel_error *error) {
    if (base->state != CREATED) return fail(error, KEEL_E_STATE, "load needs a created instance");
#ifndef DEFECT_S05
    if (version != STATE_VERSION) return fail(error, KEEL_E_UNSUPPORTED, "state version %u is not known, %u is", version, STATE_VERSION);
#endif
    struct saved saved;
    char more;
    size_t have = 0;
    while (have < sizeof saved) {
        int64_t count = in->read(in, (char *)&saved + have, sizeof saved - have);
        if (count < 0) return fail(error, (keel_status)count, "the reader failed");
        if (count == 0) break;
        have += (size_t)count;
#ifdef DEFECT_S03
        break;  /* takes a short read for the end */
#endif
    }
    if (have != sizeof saved || memcmp(saved.magic, "zoo\0\0\0\0", 8) != 0 || saved.check != state_check(&saved) || in->read(in, &more, 1) != 0) {
#ifdef DEFECT_S04
        base->state = STOPPED + 1;  /* a refused load spoils the instance */
#endif
        return fail(error, KEEL_E_INVALID, "the state is damaged");
    }
    base->decisions = saved.decisions;
#ifndef DEFECT_S01
    base->seen = saved.seen & 0xffffffffull;
#endif
    return KEEL_OK;
}

static inline keel_status base_describe(struct base *base, const keel_writer *out) {
    char text[200];
    int length = snprintf(text, sizeof text, "{\"decisions\":%llu,\"seen\":%llu}", (unsigned long long)base->decisions, (unsigned long long)base->seen);
    return out->write(out, text, (size_t)length);
}

/* ---- the tables' common parts ---------------------------------------------- */

#if defined DEFECT_E03
#define RESERVED 7
#else
#define RESERVED 0
#endif

#if defined DEFECT_E04
#define VERSION "one"
#else
#define VERSION "1.0.0"
#endif

#if defined DEFECT_L07
#define TOOLCHAIN "swift 5.1"
#else
#define TOOLCHAIN "cc"
#endif

#if defined DEFECT_E05
static char changing_name[] = "Zoo a";
#define NAME changing_name
#define TOUCH_NAME() (changing_name[4] = (char)('a' + (changing_name[4] - 'a' + 1) % 26))
#else
#define NAME "Zoo"
#define TOUCH_NAME() ((void)0)
#endif

#if defined DEFECT_E06
#define MORE_INTERFACES(role) , {role, &table}
#elif defined DEFECT_E07
static const struct { uint32_t struct_size, reserved; } teleport = {8, 0};
#define MORE_INTERFACES(role) , {"keel.teleport/1", &teleport}
#else
/* An extension of its own, which no host knows. */
static const struct { uint32_t struct_size, reserved; } own = {8, 0};
#define MORE_INTERFACES(role) , {"org.keel-zoo.own/1", &own}
#endif

#if defined DEFECT_L09
__attribute__((constructor)) static void loud(void) { printf("zoo plugin loaded\n"); }
#endif

#if defined DEFECT_L10
#include <link.h>
static int count_zoo(struct dl_phdr_info *info, size_t size, void *count) {
    (void)size;
    /* Its own image and another with the same entry: a plugin that thinks it must be alone. */
    if (info->dlpi_name && (strstr(info->dlpi_name, "zoo-") || strstr(info->dlpi_name, "second.so"))) ++*(int *)count;
    return 0;
}
static int alone(void) { int count = 0; dl_iterate_phdr(count_zoo, &count); return count <= 1; }
#else
static inline int alone(void) { return 1; }
#endif

#if defined DEFECT_L02
KEEL_EXPORT int zoo_helper(void);
KEEL_EXPORT int zoo_helper(void) { return 42; }
#endif

#if defined DEFECT_L03
__asm__(".data\n.globl zoo_unique\n.type zoo_unique, @gnu_unique_object\n.size zoo_unique, 4\nzoo_unique: .long 0\n.text\n");
#endif

#if defined DEFECT_L04
extern int zoo_function_nobody_has(void);
static int (*volatile missing)(void) = zoo_function_nobody_has;
#endif

#if defined DEFECT_L08
static int (*volatile changes_folder)(const char *) = chdir;
#endif

#define LIBRARY(component)                                                                                                        \
    static const keel_component *const components[] = {&component};                                                               \
    static const keel_library library = {sizeof library, KEEL_ABI_MAJOR, KEEL_ABI_MINOR, components, 1, 0};                       \
    ENTRY

#if defined DEFECT_E01
#define ENTRY const keel_library *keel_plugin_entry(uint32_t major) { (void)major; return &library; }
#elif defined DEFECT_E02
#define ENTRY                                                                                                                     \
    static keel_library twin;                                                                                                     \
    static int calls;                                                                                                             \
    const keel_library *keel_plugin_entry(uint32_t major) {                                                                       \
        twin = library;                                                                                                           \
        return major != KEEL_ABI_MAJOR ? NULL : calls++ % 2 ? &twin : &library;                                                   \
    }
#elif defined DEFECT_L08 || defined DEFECT_L04
#ifdef DEFECT_L08
#define BAD changes_folder
#else
#define BAD missing
#endif
#define ENTRY const keel_library *keel_plugin_entry(uint32_t major) { return major == KEEL_ABI_MAJOR && BAD ? &library : NULL; }
#else
#define ENTRY const keel_library *keel_plugin_entry(uint32_t major) { return major == KEEL_ABI_MAJOR && alone() ? &library : NULL; }
#endif

#endif
