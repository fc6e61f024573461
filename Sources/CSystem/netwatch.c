#define _GNU_SOURCE
#include "netwatch.h"
#include <arpa/inet.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <ucontext.h>
#include <unistd.h>

static int record_fd = -1;

/* One line, written at once. Async-signal-safe means only. */
static void record(const char *word, const char *text, size_t length) {
    char line[320];
    size_t at = 0;
    while (*word) line[at++] = *word++;
    line[at++] = ' ';
    for (size_t i = 0; i < length && at < sizeof line - 1; i++) line[at++] = text[i] > ' ' && text[i] < 127 ? text[i] : '?';
    line[at++] = '\n';
    ssize_t written = write(record_fd, line, at);
    (void)written;
}

static int option(int fd, int name) {
    int value = -1;
    socklen_t size = sizeof value;
    return getsockopt(fd, SOL_SOCKET, name, &value, &size) == 0 ? value : -1;
}

static void record_address(const struct sockaddr *address) {
    char text[INET6_ADDRSTRLEN] = "";
    if (address->sa_family == AF_INET) inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)address)->sin_addr, text, sizeof text);
    if (address->sa_family == AF_INET6) inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr, text, sizeof text);
    record("address", text, strlen(text));
}

static int port_of(const struct sockaddr *address) {
    if (address->sa_family == AF_INET) return ntohs(((const struct sockaddr_in *)(const void *)address)->sin_port);
    if (address->sa_family == AF_INET6) return ntohs(((const struct sockaddr_in6 *)(const void *)address)->sin6_port);
    return -1;
}

/* A connection that is only prepared, so that its question can be read, or one that is refused. */
static long on_connect(int fd, const struct sockaddr *address) {
    if (!address) return -EFAULT;
    if (address->sa_family == AF_UNIX) return -ENOENT;
    if (address->sa_family != AF_INET && address->sa_family != AF_INET6) return -ENETUNREACH;
    int datagrams = option(fd, SO_TYPE) == SOCK_DGRAM;
    if (datagrams && port_of(address) == 53) return 0;
    /* getaddrinfo sorts what it found by connecting datagram sockets: no byte would leave. */
    if (!datagrams) record_address(address);
    return -ENETUNREACH;
}

/* The name a question to a name server is about. */
static int record_question(const unsigned char *bytes, size_t length) {
    if (length < 17 || bytes[4] != 0 || bytes[5] != 1) return 0;
    char name[256];
    size_t at = 12, used = 0;
    while (at < length && bytes[at] != 0) {
        size_t part = bytes[at++];
        if (part > 63 || at + part > length || used + part + 1 >= sizeof name) return 0;
        if (used) name[used++] = '.';
        memcpy(name + used, bytes + at, part);
        used += part;
        at += part;
    }
    if (used == 0) return 0;
    record("name", name, used);
    return 1;
}

static long on_send(int fd, const void *bytes, size_t length, const struct sockaddr *address) {
    int domain = option(fd, SO_DOMAIN);
    if (domain != AF_INET && domain != AF_INET6) return -EPERM;
    if (bytes && record_question(bytes, length)) return -ENETUNREACH;
    if (address) record_address(address);
    return -ENETUNREACH;
}

static void on_call(int number, siginfo_t *info, void *context) {
    (void)number;
    int saved = errno;
    ucontext_t *state = context;
    uintptr_t arguments[6];
#if defined(__x86_64__)
    static const int registers[] = {REG_RDI, REG_RSI, REG_RDX, REG_R10, REG_R8, REG_R9};
    for (int i = 0; i < 6; i++) arguments[i] = (uintptr_t)state->uc_mcontext.gregs[registers[i]];
#else
    for (int i = 0; i < 6; i++) arguments[i] = (uintptr_t)state->uc_mcontext.regs[i];
#endif
    long result = -EPERM;
    int fd = (int)arguments[0];
    switch (info->si_syscall) {
    case __NR_connect: result = on_connect(fd, (const struct sockaddr *)arguments[1]); break;
    case __NR_sendto: result = on_send(fd, (const void *)arguments[1], arguments[2], (const struct sockaddr *)arguments[4]); break;
    case __NR_sendmsg:
    case __NR_sendmmsg: {
        const struct msghdr *first = (const struct msghdr *)arguments[1];
        size_t count = info->si_syscall == __NR_sendmmsg ? arguments[2] : 1;
        for (size_t i = 0; i < count && i < 8; i++) {
            const struct msghdr *message = info->si_syscall == __NR_sendmmsg ? &((const struct mmsghdr *)(const void *)first)[i].msg_hdr : first;
            const struct iovec *part = message->msg_iovlen > 0 ? message->msg_iov : NULL;
            result = on_send(fd, part ? part->iov_base : NULL, part ? part->iov_len : 0, message->msg_name);
        }
        break;
    }
    default: break;
    }
#if defined(__x86_64__)
    state->uc_mcontext.gregs[REG_RAX] = result;
#else
    state->uc_mcontext.regs[0] = (unsigned long long)result;
#endif
    errno = saved;
}

#if defined(__x86_64__)
#define THIS_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define THIS_ARCH AUDIT_ARCH_AARCH64
#endif

int csystem_watch_network(int fd) {
#ifndef THIS_ARCH
    (void)fd;
    return -1;
#else
    record_fd = fd;
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = on_call;
    action.sa_flags = SA_SIGINFO | SA_RESTART | SA_NODEFER;
    if (sigaction(SIGSYS, &action, NULL) != 0) return -1;
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, THIS_ARCH, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_connect, 3, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_sendto, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_sendmsg, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_sendmmsg, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof code / sizeof *code, .filter = code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return -1;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0);
#endif
}
