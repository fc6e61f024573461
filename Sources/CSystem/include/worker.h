/* worker.h - child processes that never outlive their parent, named by descriptor and never by number. */
#ifndef KEEL_WORKER_H
#define KEEL_WORKER_H

#include <stdint.h>

struct csystem_worker_limits {   /* 0: as inherited */
    uint64_t memory;             /* RLIMIT_DATA, bytes */
    uint64_t files;              /* RLIMIT_NOFILE */
};

struct csystem_worker_end {
    int signal;                  /* 0: it exited by itself */
    int code;                    /* its exit code */
    uint64_t peak_memory;        /* bytes */
};

/* Starts `program`. fds[i] becomes descriptor i; every other descriptor is closed. The child leaves the terminal's process
 * group, and gets SIGKILL when the calling thread ends. 0 and a pidfd, or an errno: then nothing runs. */
int csystem_worker_start(const char *program, char *const argv[], char *const envp[], const int *fds, int count,
                         struct csystem_worker_limits limits, int *pidfd, int *pid);
/* A pidfd for a process that is known to live, or -1. */
int csystem_worker_find(int pid);
int csystem_worker_kill(int pidfd, int signal);
/* 1: it ended and `end` is filled (once); 0: it still runs (wait: never returned); -1: no such child. */
int csystem_worker_reap(int pidfd, int wait, struct csystem_worker_end *end);

/* pipe2(O_CLOEXEC). 0 or an errno. */
int csystem_pipe(int ends[2]);
/* socketpair(AF_UNIX, SOCK_SEQPACKET), both ends close-on-exec. 0 or an errno. */
int csystem_packet_pair(int ends[2]);
/* The most bytes a packet may have is given by the caller; both return the bytes, 0 at the end (receive only), or -errno. */
int64_t csystem_packet_send(int fd, const void *head, uint64_t head_size, const void *body, uint64_t body_size, int wait);
/* wait 0: -EAGAIN if nothing is there. A packet larger than the buffer: -EMSGSIZE. */
int64_t csystem_packet_receive(int fd, void *buffer, uint64_t capacity, int wait);
/* Waits until fd can be read (1), written (2) or both; the ready bits, 0 at the time limit, -errno. */
int csystem_wait_ready(int fd, int bits, int64_t nanoseconds);

#endif
