#define _GNU_SOURCE
#include "csystem_guard.h"
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- crash record --------------------------------------------------------- */

struct range { uintptr_t start, end; const char *label; };

static struct range ranges[4096];
static unsigned range_count;
static int record_fd = -1;

void csystem_guard_range(const void *start, size_t length, const char *label) {
    struct range *range = &ranges[range_count++ % 4096];
    range->start = (uintptr_t)start;
    range->end = range->start + length;
    range->label = label;
}

/* Only async-signal-safe means from here on: no printf. */
struct line { char text[256]; size_t length; };

static void add(struct line *line, const char *text) {
    while (*text && line->length < sizeof line->text - 1) line->text[line->length++] = *text++;
}

static void add_number(struct line *line, uint64_t value, unsigned base) {
    char digits[24];
    int at = 23;
    digits[at] = 0;
    do { digits[--at] = "0123456789abcdef"[value % base]; value /= base; } while (value);
    add(line, &digits[at]);
}

static const char *call_name(int number) {
    switch (number) {
    case __NR_socket: return "socket";
    case __NR_connect: return "connect";
    case __NR_bind: return "bind";
    case __NR_listen: return "listen";
    case __NR_accept4: return "accept4";
    case __NR_socketpair: return "socketpair";
    case __NR_openat: return "openat";
    case __NR_unlinkat: return "unlinkat";
    case __NR_renameat2: return "renameat2";
    case __NR_mkdirat: return "mkdirat";
    case __NR_clone: return "clone";
    case __NR_clone3: return "clone3";
#ifdef __NR_accept
    case __NR_accept: return "accept";
#endif
#ifdef __NR_open
    case __NR_open: return "open";
    case __NR_creat: return "creat";
    case __NR_unlink: return "unlink";
    case __NR_rename: return "rename";
    case __NR_mkdir: return "mkdir";
    case __NR_fork: return "fork";
    case __NR_vfork: return "vfork";
#endif
    default: return "?";
    }
}

static void on_fatal(int number, siginfo_t *info, void *context) {
    (void)context;
    struct line line = {.length = 0};
    if (number == SIGSYS) {
        add(&line, "!call ");
        add_number(&line, (uint64_t)info->si_syscall, 10);
        add(&line, " ");
        add(&line, call_name(info->si_syscall));
    } else {
        uintptr_t address = (uintptr_t)info->si_addr;
        const char *label = "-";
        unsigned kept = range_count < 4096 ? range_count : 4096;
        for (unsigned back = 1; back <= kept; back++) {
            const struct range *range = &ranges[(range_count - back) % 4096];
            if (address >= range->start && address < range->end) { label = range->label; break; }
        }
        add(&line, "!crash ");
        add_number(&line, (uint64_t)number, 10);
        add(&line, " 0x");
        add_number(&line, number == SIGABRT ? 0 : address, 16);
        add(&line, " ");
        add(&line, label);
    }
    add(&line, "\n");
    ssize_t written = write(record_fd, line.text, line.length);
    (void)written;
    if (number == SIGSYS) _exit(120);
    signal(number, SIG_DFL);
    raise(number);
}

int csystem_guard_install(int fd) {
    record_fd = fd;
    size_t size = 64 * 1024;
    void *stack = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (stack == MAP_FAILED) return -1;
    stack_t alternate = {.ss_sp = stack, .ss_size = size, .ss_flags = 0};
    if (sigaltstack(&alternate, NULL) != 0) return -1;
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = on_fatal;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESETHAND | SA_NODEFER;
    const int fatal[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS};
    for (unsigned i = 0; i < sizeof fatal / sizeof *fatal; i++)
        if (sigaction(fatal[i], &action, NULL) != 0) return -1;
    return 0;
}

/* ---- confinement ---------------------------------------------------------- */

#if defined(__x86_64__)
#define THIS_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define THIS_ARCH AUDIT_ARCH_AARCH64
#endif

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offsetof(struct seccomp_data, field))
#define RETURN(what) BPF_STMT(BPF_RET | BPF_K, (what))

int csystem_confine(unsigned rules) {
#ifndef THIS_ARCH
    (void)rules;
    return -1;
#else
    struct sock_filter code[128];
    unsigned n = 0;
    code[n++] = (struct sock_filter)LOAD(arch);
    code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, THIS_ARCH, 1, 0);
    code[n++] = (struct sock_filter)RETURN(SECCOMP_RET_ALLOW);
    code[n++] = (struct sock_filter)LOAD(nr);
#define FORBID(number)                                                                                                             \
    do {                                                                                                                           \
        code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (number), 0, 1);                                        \
        code[n++] = (struct sock_filter)RETURN(SECCOMP_RET_TRAP);                                                                  \
    } while (0)
/* Traps when the flags in the given argument open for writing, then puts the call's number back. */
#define FORBID_WRITING(number, argument)                                                                                           \
    do {                                                                                                                           \
        code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (number), 0, 4);                                        \
        code[n++] = (struct sock_filter)LOAD(args[argument]);                                                                      \
        code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, O_WRONLY | O_RDWR | O_CREAT | O_TRUNC, 0, 1);           \
        code[n++] = (struct sock_filter)RETURN(SECCOMP_RET_TRAP);                                                                  \
        code[n++] = (struct sock_filter)LOAD(nr);                                                                                  \
    } while (0)
    if (rules & CSYSTEM_NO_SOCKETS) {
        FORBID(__NR_socket);
        FORBID(__NR_connect);
        FORBID(__NR_bind);
        FORBID(__NR_listen);
        FORBID(__NR_accept4);
        FORBID(__NR_socketpair);
#ifdef __NR_accept
        FORBID(__NR_accept);
#endif
    }
    if (rules & CSYSTEM_NO_WRITING) {
        FORBID_WRITING(__NR_openat, 2);
        FORBID(__NR_unlinkat);
        FORBID(__NR_renameat2);
        FORBID(__NR_mkdirat);
#ifdef __NR_open
        FORBID_WRITING(__NR_open, 1);
        FORBID(__NR_creat);
        FORBID(__NR_unlink);
        FORBID(__NR_rename);
        FORBID(__NR_mkdir);
#endif
    }
    if (rules & CSYSTEM_NO_OPENING) {
        FORBID(__NR_openat);
#ifdef __NR_open
        FORBID(__NR_open);
#endif
    }
    if (rules & CSYSTEM_NO_THREADS) {
        FORBID(__NR_clone);
        FORBID(__NR_clone3);
#ifdef __NR_fork
        FORBID(__NR_fork);
        FORBID(__NR_vfork);
#endif
    }
    code[n++] = (struct sock_filter)RETURN(SECCOMP_RET_ALLOW);
    struct sock_fprog program = {.len = (unsigned short)n, .filter = code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return -1;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0);
#endif
}

/* ---- the rest ------------------------------------------------------------- */

size_t csystem_heap_in_use(void) {
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}


int csystem_event(void) { return eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC); }

int csystem_memory_file(const char *name) { return memfd_create(name, MFD_CLOEXEC); }

void csystem_unbuffer_output(void) { setvbuf(stdout, NULL, _IONBF, 0); }

int csystem_fork(void) { return fork(); }

int csystem_fixed_addresses(void) { return personality(ADDR_NO_RANDOMIZE) < 0 ? -1 : 0; }
