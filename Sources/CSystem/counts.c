#define _GNU_SOURCE
#include "counts.h"
#include <dlfcn.h>
#include <stdbool.h>
#include <stddef.h>

/* The runtime calls its own functions through these, once it is told that someone listens. */
typedef void *(*allocate)(const void *, size_t, size_t);
typedef void *(*retain)(void *);
typedef void (*release)(void *);
typedef void *(*retain_n)(void *, uint32_t);
typedef void (*release_n)(void *, uint32_t);

static allocate real_allocate;
static retain real_retain;
static release real_release;
static retain_n real_retain_n;
static release_n real_release_n;
static __thread bool counting;
static __thread struct csystem_counts counts;

static void *count_allocate(const void *type, size_t size, size_t mask) {
    if (counting) counts.objects++;
    return real_allocate(type, size, mask);
}
static void *count_retain(void *object) {
    if (counting) counts.retains++;
    return real_retain(object);
}
static void count_release(void *object) {
    if (counting) counts.releases++;
    real_release(object);
}
static void *count_retain_n(void *object, uint32_t n) {
    if (counting) counts.retains++;
    return real_retain_n(object, n);
}
static void count_release_n(void *object, uint32_t n) {
    if (counting) counts.releases++;
    real_release_n(object, n);
}

static allocate *allocate_place;
static retain *retain_place;
static release *release_place;
static retain_n *retain_n_place;
static release_n *release_n_place;
static bool *listening;

int csystem_count_begin(void) {
    allocate_place = dlsym(RTLD_DEFAULT, "_swift_allocObject");
    retain_place = dlsym(RTLD_DEFAULT, "_swift_retain");
    release_place = dlsym(RTLD_DEFAULT, "_swift_release");
    retain_n_place = dlsym(RTLD_DEFAULT, "_swift_retain_n");
    release_n_place = dlsym(RTLD_DEFAULT, "_swift_release_n");
    listening = dlsym(RTLD_DEFAULT, "_swift_enableSwizzlingOfAllocationAndRefCountingFunctions_forInstrumentsOnly");
    if (!allocate_place || !retain_place || !release_place || !retain_n_place || !release_n_place || !listening) return 0;
    real_allocate = *allocate_place, real_retain = *retain_place, real_release = *release_place;
    real_retain_n = *retain_n_place, real_release_n = *release_n_place;
    counts = (struct csystem_counts){0, 0, 0};
    counting = true;
    *allocate_place = count_allocate, *retain_place = count_retain, *release_place = count_release;
    *retain_n_place = count_retain_n, *release_n_place = count_release_n;
    __atomic_store_n(listening, true, __ATOMIC_SEQ_CST);
    return 1;
}

struct csystem_counts csystem_count_end(void) {
    __atomic_store_n(listening, false, __ATOMIC_SEQ_CST);
    *allocate_place = real_allocate, *retain_place = real_retain, *release_place = real_release;
    *retain_n_place = real_retain_n, *release_n_place = real_release_n;
    counting = false;
    return counts;
}
