/* csystem_guard.h - what the conformance checks need from the kernel and from libc: a crash record written by a
 * signal handler, a seccomp filter that names the forbidden call, and the size of the heap. */
#ifndef KEEL_CSYSTEM_GUARD_H
#define KEEL_CSYSTEM_GUARD_H

#include <stddef.h>
#include <stdint.h>

/* From now on a fatal signal of this process writes one line to `record_fd` and then kills it as usual:
 *     !crash SIGNAL ADDRESS LABEL       LABEL: of the range the address lies in, or "-"
 *     !call NUMBER NAME                 a call the filter below forbids */
int csystem_guard_install(int record_fd);

/* Names an address range for the crash record. The newest ranges win; the oldest are forgotten.  */
void csystem_guard_range(const void *start, size_t length, const char *label);

#define CSYSTEM_NO_SOCKETS 1u /* socket, connect, bind, listen, accept, socketpair */
#define CSYSTEM_NO_WRITING 2u /* open for writing, creat, unlink, rename, mkdir */
#define CSYSTEM_NO_THREADS 4u /* clone, clone3, fork, vfork */
#define CSYSTEM_NO_OPENING 8u /* open for reading too */

/* Installs a seccomp filter on this thread and all it starts later; there is no way back. 0 when it is in force,
 * -1 where the kernel doesn't allow filters. The forbidden call never happens: the process ends with a record. */
int csystem_confine(unsigned rules);

/* Bytes the heap has handed out, over all arenas, mapped blocks included. */
size_t csystem_heap_in_use(void);

/* eventfd with CLOEXEC, not blocking; a file in memory; standard output without a buffer. */
int csystem_event(void);
int csystem_memory_file(const char *name);
void csystem_unbuffer_output(void);

/* fork() for a process that has one thread. */
int csystem_fork(void);

/* personality(ADDR_NO_RANDOMIZE) for the next exec, so that a seed gives the same addresses again. */
int csystem_fixed_addresses(void);

#endif
