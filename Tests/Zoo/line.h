/* line.h - a connection that speaks lines of text, on the host's lane: it never blocks, and it comes back by itself. */
#ifndef ZOO_LINE_H
#define ZOO_LINE_H

#include "keel.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct line {
    const keel_host *host;
    void *owner;
    int port;
    int fd;
    int up;
    int wanted;          /* reconnect when it is lost */
    uint64_t retry;      /* timer, 0 = none */
    keel_span back_off;
    char in[65536];
    size_t in_length;
    char out[65536];
    size_t out_length;
    void (*on_line)(void *owner, char *line);
    void (*on_link)(void *owner, int up);
};

#define LINE_TIMER_TAG 0

static inline void line_lost(struct line *line) {
    int was_up = line->up;
    if (line->fd >= 0) {
        line->host->watch(line->host, line->fd, 0);
        close(line->fd);
    }
    line->fd = -1;
    line->up = 0;
    line->in_length = line->out_length = 0;
    if (line->wanted && !line->retry) {
        line->host->timer(line->host, line->back_off, 0, LINE_TIMER_TAG, &line->retry);
        if (line->back_off < 30000000000ll) line->back_off *= 2;
    }
    if (was_up) line->on_link(line->owner, 0);
}

static inline void line_connect(struct line *line) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)line->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int yes = 1;
    line->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (line->fd < 0) { line_lost(line); return; }
    setsockopt(line->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (connect(line->fd, (struct sockaddr *)&address, sizeof address) != 0 && errno != EINPROGRESS) { line_lost(line); return; }
    line->host->watch(line->host, line->fd, KEEL_READABLE | KEEL_WRITABLE);
}

static inline void line_open(struct line *line) {
    line->wanted = 1;
    line->back_off = 50000000;
    line_connect(line);
}

static inline void line_close(struct line *line) {
    line->wanted = 0;
    if (line->retry) line->host->timer_stop(line->host, line->retry);
    line->retry = 0;
    line->up = 0;
    if (line->fd >= 0) {
        line->host->watch(line->host, line->fd, 0);
        close(line->fd);
    }
    line->fd = -1;
}

static inline void line_timer(struct line *line, uint64_t timer) {
    if (timer != line->retry) return;
    line->retry = 0;
    if (line->wanted && line->fd < 0) line_connect(line);
}

static inline void line_flush(struct line *line) {
    while (line->out_length > 0) {
        ssize_t count = send(line->fd, line->out, line->out_length, MSG_NOSIGNAL);
        if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
        if (count < 0) { line_lost(line); return; }
        line->out_length -= (size_t)count;
        memmove(line->out, line->out + count, line->out_length);
    }
    line->host->watch(line->host, line->fd, KEEL_READABLE | (line->out_length ? KEEL_WRITABLE : 0u));
}

/* 0: not connected, or too much is waiting. The caller then knows that nothing was sent. */
static inline int line_send(struct line *line, const char *text) {
    size_t length = strlen(text);
    if (!line->up || line->out_length + length > sizeof line->out) return 0;
    memcpy(line->out + line->out_length, text, length);
    line->out_length += length;
    line_flush(line);
    return 1;
}

static inline void line_ready(struct line *line, uint32_t ready) {
    if (line->fd < 0) return;
    if (!line->up && (ready & KEEL_WRITABLE)) {
        int problem = 0;
        socklen_t size = sizeof problem;
        getsockopt(line->fd, SOL_SOCKET, SO_ERROR, &problem, &size);
        if (problem) { line_lost(line); return; }
        line->up = 1;
        line->back_off = 50000000;
        line->host->watch(line->host, line->fd, KEEL_READABLE);
        line->on_link(line->owner, 1);
        if (line->fd < 0) return;
    }
    if (line->up && (ready & KEEL_WRITABLE)) line_flush(line);
    if (line->fd < 0 || !(ready & (KEEL_READABLE | KEEL_HANGUP))) return;
    for (;;) {
        ssize_t count = recv(line->fd, line->in + line->in_length, sizeof line->in - line->in_length, MSG_DONTWAIT);
        if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
        if (count <= 0) { line_lost(line); return; }
        line->in_length += (size_t)count;
        char *start = line->in, *end;
        while ((end = memchr(start, '\n', line->in_length - (size_t)(start - line->in)))) {
            *end = 0;
            line->on_line(line->owner, start);
            if (line->fd < 0) return;
            start = end + 1;
        }
        line->in_length -= (size_t)(start - line->in);
        memmove(line->in, start, line->in_length);
        if (line->in_length == sizeof line->in) { line_lost(line); return; }
    }
}

#endif
