/* csystem.h - the few system calls Swift can't import: variadic functions and macros with casts. */
#ifndef KEEL_CSYSTEM_H
#define KEEL_CSYSTEM_H

#include <spawn.h>
#include <stddef.h>
#include <stdint.h>
#include "loop.h"
#include "worker.h"

/* prctl(PR_SET_PDEATHSIG, signal): this process gets `signal` when its parent thread ends. */
int csystem_die_with_parent(int signal);
/* prctl(PR_SET_NAME): names the calling thread, 15 bytes at most. */
int csystem_name_thread(const char *name);
/* fcntl(F_SETFL / F_SETFD) with one flag added or removed. */
int csystem_set_nonblocking(int fd, int on);
int csystem_set_close_on_exec(int fd, int on);
/* posix_spawn_file_actions_addchdir_np: the child starts in this folder. */
int csystem_spawn_in_folder(posix_spawn_file_actions_t *actions, const char *folder);
/* A file in memory that holds these bytes and is read from its start: a program's standard input that nobody has to
 * feed, so that no pipe can break. -1 and errno when there is no room. */
int csystem_memory_input(const char *name, const void *bytes, size_t size);
/* The program gets a process group of its own, no blocked signals, and the usual answer to a broken pipe, whatever the
 * host and its threads have set for themselves. 0 or an error number. */
int csystem_spawn_detached(posix_spawnattr_t *attributes);

#endif
