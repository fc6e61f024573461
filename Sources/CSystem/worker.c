#define _GNU_SOURCE
#include "worker.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif
#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC (1u << 2)
#endif

enum { MOST_DESCRIPTORS = 16, PARKED = 32 };

/* To `most`, or to what is allowed already if that is less: raising it is for root only. */
static int lower(int resource, uint64_t most) {
    struct rlimit limit;
    if (getrlimit(resource, &limit) != 0) return -1;
    if (limit.rlim_max == RLIM_INFINITY || limit.rlim_max > most) limit.rlim_max = most;
    limit.rlim_cur = limit.rlim_max;
    return setrlimit(resource, &limit);
}

/* Runs in the child between vfork and exec: plain system calls only, and no return. */
static void become(const char *program, char *const argv[], char *const envp[], const int *fds, int count,
                   const struct csystem_worker_limits *limits, pid_t parent, volatile int *failure) {
    int parked[MOST_DESCRIPTORS];
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0) goto failed;
    if (getppid() != parent) _exit(127); /* the parent died before the line above */
    setsid();
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    /* A core file would hold the instance's secrets. */
    struct rlimit no_core = { 0, 0 };
    setrlimit(RLIMIT_CORE, &no_core);
    for (int i = 0; i < count; i++)
        if ((parked[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, PARKED)) < 0) goto failed;
    for (int i = 0; i < count; i++)
        if (dup2(parked[i], i) < 0) goto failed;
    if (syscall(SYS_close_range, (unsigned)count, ~0u, CLOSE_RANGE_CLOEXEC) != 0)
        for (int fd = count; fd < 65536; fd++) fcntl(fd, F_SETFD, FD_CLOEXEC);
    if (limits->memory && lower(RLIMIT_DATA, limits->memory) != 0) goto failed;
    if (limits->files && lower(RLIMIT_NOFILE, limits->files) != 0) goto failed;
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execve(program, argv, envp);
failed:
    *failure = errno ? errno : EINVAL;
    _exit(127);
}

int csystem_worker_start(const char *program, char *const argv[], char *const envp[], const int *fds, int count,
                         struct csystem_worker_limits limits, int *pidfd, int *pid) {
    if (count < 0 || count > MOST_DESCRIPTORS) return EINVAL;
    volatile int failure = 0;
    sigset_t all, before;
    sigfillset(&all);
    /* A handler must not run in the child while it borrows this memory. */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t parent = getpid();
    pid_t child = vfork();
    if (child == 0) become(program, argv, envp, fds, count, &limits, parent, &failure);
    int error = child < 0 ? errno : failure;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (child < 0) return error;
    if (error == 0) {
        /* The child isn't reaped yet, so its number can't belong to another. */
        int fd = (int)syscall(SYS_pidfd_open, child, 0);
        if (fd >= 0) {
            *pidfd = fd;
            *pid = child;
            return 0;
        }
        error = errno;
        kill(child, SIGKILL);
    }
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR) {}
    return error;
}

int csystem_worker_find(int pid) { return (int)syscall(SYS_pidfd_open, pid, 0); }

int csystem_worker_kill(int pidfd, int signal) {
    return syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0) == 0 ? 0 : errno;
}

int csystem_worker_reap(int pidfd, int wait, struct csystem_worker_end *end) {
    siginfo_t info;
    struct rusage usage;
    memset(&info, 0, sizeof info);
    memset(&usage, 0, sizeof usage);
    long result;
    do result = syscall(SYS_waitid, P_PIDFD, pidfd, &info, WEXITED | (wait ? 0 : WNOHANG), &usage);
    while (result < 0 && errno == EINTR);
    if (result < 0) return -1;
    if (info.si_pid == 0) return 0;
    end->signal = info.si_code == CLD_EXITED ? 0 : info.si_status;
    end->code = info.si_code == CLD_EXITED ? info.si_status : 0;
    end->peak_memory = (uint64_t)usage.ru_maxrss * 1024;
    return 1;
}

int csystem_pipe(int ends[2]) { return pipe2(ends, O_CLOEXEC) == 0 ? 0 : errno; }

int csystem_packet_pair(int ends[2]) {
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0 ? 0 : errno;
}

int64_t csystem_packet_send(int fd, const void *head, uint64_t head_size, const void *body, uint64_t body_size, int wait) {
    struct iovec parts[2] = { { (void *)head, head_size }, { (void *)body, body_size } };
    struct msghdr message;
    memset(&message, 0, sizeof message);
    message.msg_iov = parts;
    message.msg_iovlen = body_size ? 2 : 1;
    ssize_t sent;
    do sent = sendmsg(fd, &message, MSG_NOSIGNAL | (wait ? 0 : MSG_DONTWAIT));
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? -(int64_t)errno : sent;
}

int64_t csystem_packet_receive(int fd, void *buffer, uint64_t capacity, int wait) {
    struct iovec part = { buffer, capacity };
    struct msghdr message;
    memset(&message, 0, sizeof message);
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    ssize_t got;
    do got = recvmsg(fd, &message, MSG_CMSG_CLOEXEC | (wait ? 0 : MSG_DONTWAIT));
    while (got < 0 && errno == EINTR);
    if (got < 0) return -(int64_t)errno;
    return message.msg_flags & MSG_TRUNC ? -(int64_t)EMSGSIZE : got;
}

int csystem_wait_ready(int fd, int bits, int64_t nanoseconds) {
    struct pollfd item = { fd, (short)((bits & 1 ? POLLIN : 0) | (bits & 2 ? POLLOUT : 0)), 0 };
    struct timespec limit = { nanoseconds / 1000000000, nanoseconds % 1000000000 };
    if (nanoseconds < 0) limit.tv_sec = limit.tv_nsec = 0;
    int count = ppoll(&item, 1, &limit, NULL);
    if (count < 0) return errno == EINTR ? 0 : -errno;
    if (count == 0) return 0;
    int ready = 0;
    if (item.revents & (POLLIN | POLLHUP | POLLERR)) ready |= 1;
    if (item.revents & POLLOUT) ready |= 2;
    return item.revents & POLLNVAL ? -EBADF : ready;
}
