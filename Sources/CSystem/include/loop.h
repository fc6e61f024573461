/* loop.h - epoll, eventfd and timerfd, which Swift's C library module leaves out. */
#ifndef KEEL_LOOP_H
#define KEEL_LOOP_H

#include <stdint.h>

#define CSYSTEM_READABLE 1u
#define CSYSTEM_WRITABLE 2u
#define CSYSTEM_HANGUP   4u

struct csystem_ready {
    uint64_t mark;
    uint32_t bits;
    uint32_t reserved;
};

/* An epoll descriptor, or -1. */
int csystem_loop_create(void);
/* Watches fd for `bits`, reported with `mark`. Works for a known and an unknown fd. 0, or an errno. */
int csystem_loop_watch(int loop, int fd, uint32_t bits, uint64_t mark);
int csystem_loop_forget(int loop, int fd);
/* Waits; the number of `out` filled, or -1 (interrupted: 0). milliseconds < 0: for ever. */
int csystem_loop_wait(int loop, struct csystem_ready *out, int most, int milliseconds);

/* A counter to ring from other threads, or -1. */
int csystem_bell_create(void);
void csystem_bell_ring(int bell);
void csystem_bell_clear(int bell);

/* A monotonic alarm, or -1. at: absolute nanoseconds, 0 disarms. */
int csystem_alarm_create(void);
void csystem_alarm_set(int alarm, int64_t at);

#endif
