#define _GNU_SOURCE
#include "loop.h"
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

int csystem_loop_create(void) { return epoll_create1(EPOLL_CLOEXEC); }

int csystem_loop_watch(int loop, int fd, uint32_t bits, uint64_t mark) {
    struct epoll_event event;
    memset(&event, 0, sizeof event);
    if (bits & CSYSTEM_READABLE) event.events |= EPOLLIN | EPOLLRDHUP;
    if (bits & CSYSTEM_WRITABLE) event.events |= EPOLLOUT;
    event.data.u64 = mark;
    if (epoll_ctl(loop, EPOLL_CTL_MOD, fd, &event) == 0) return 0;
    if (errno == ENOENT && epoll_ctl(loop, EPOLL_CTL_ADD, fd, &event) == 0) return 0;
    return errno;
}

int csystem_loop_forget(int loop, int fd) { return epoll_ctl(loop, EPOLL_CTL_DEL, fd, NULL) == 0 ? 0 : errno; }

int csystem_loop_wait(int loop, struct csystem_ready *out, int most, int milliseconds) {
    struct epoll_event events[64];
    if (most > 64) most = 64;
    int count = epoll_wait(loop, events, most, milliseconds);
    if (count < 0) return errno == EINTR ? 0 : -1;
    for (int i = 0; i < count; i++) {
        uint32_t bits = 0;
        if (events[i].events & EPOLLIN) bits |= CSYSTEM_READABLE;
        if (events[i].events & EPOLLOUT) bits |= CSYSTEM_WRITABLE;
        if (events[i].events & (EPOLLHUP | EPOLLERR | EPOLLRDHUP)) bits |= CSYSTEM_HANGUP;
        out[i] = (struct csystem_ready){ events[i].data.u64, bits, 0 };
    }
    return count;
}

int csystem_bell_create(void) { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }

void csystem_bell_ring(int bell) {
    uint64_t one = 1;
    while (write(bell, &one, sizeof one) < 0 && errno == EINTR) {}
}

void csystem_bell_clear(int bell) {
    uint64_t count;
    while (read(bell, &count, sizeof count) < 0 && errno == EINTR) {}
}

int csystem_alarm_create(void) { return timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK); }

void csystem_alarm_set(int alarm, int64_t at) {
    struct itimerspec when;
    memset(&when, 0, sizeof when);
    when.it_value.tv_sec = at / 1000000000;
    when.it_value.tv_nsec = at % 1000000000;
    timerfd_settime(alarm, TFD_TIMER_ABSTIME, &when, NULL);
}
