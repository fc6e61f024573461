#define _GNU_SOURCE
#include "csystem.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

int csystem_die_with_parent(int signal) { return prctl(PR_SET_PDEATHSIG, signal, 0, 0, 0); }

int csystem_name_thread(const char *name) { return prctl(PR_SET_NAME, name, 0, 0, 0); }

static int change_flag(int fd, int get, int set, int flag, int on) {
    int flags = fcntl(fd, get);
    if (flags < 0) return -1;
    return fcntl(fd, set, on ? flags | flag : flags & ~flag);
}

int csystem_set_nonblocking(int fd, int on) { return change_flag(fd, F_GETFL, F_SETFL, O_NONBLOCK, on); }

int csystem_set_close_on_exec(int fd, int on) { return change_flag(fd, F_GETFD, F_SETFD, FD_CLOEXEC, on); }

int csystem_spawn_in_folder(posix_spawn_file_actions_t *actions, const char *folder) {
    return posix_spawn_file_actions_addchdir_np(actions, folder);
}

int csystem_memory_input(const char *name, const void *bytes, size_t size) {
    int fd = memfd_create(name, MFD_CLOEXEC);
    if (fd < 0) return -1;
    const char *next = bytes;
    while (size > 0) {
        ssize_t count = write(fd, next, size);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) {
            int why = count < 0 ? errno : ENOSPC;
            close(fd);
            errno = why;
            return -1;
        }
        next += count;
        size -= (size_t)count;
    }
    if (lseek(fd, 0, SEEK_SET) == 0) return fd;
    close(fd);
    return -1;
}

int csystem_spawn_detached(posix_spawnattr_t *attributes) {
    sigset_t none, broken_pipe;
    sigemptyset(&none);
    sigemptyset(&broken_pipe);
    sigaddset(&broken_pipe, SIGPIPE);
    int code = posix_spawnattr_setpgroup(attributes, 0);
    if (code == 0) code = posix_spawnattr_setsigmask(attributes, &none);
    if (code == 0) code = posix_spawnattr_setsigdefault(attributes, &broken_pipe);
    if (code == 0) code = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    return code;
}
