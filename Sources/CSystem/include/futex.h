/* futex.h - sleeping until a word changes; the system call is variadic and so beyond Swift's reach. */
#ifndef KEEL_CSYSTEM_FUTEX_H
#define KEEL_CSYSTEM_FUTEX_H

#include <stdint.h>

/* Sleeps while *word is `expected`, at most `nanoseconds` (below zero: no limit). May return early for no reason. */
void csystem_futex_wait(uint32_t *word, uint32_t expected, int64_t nanoseconds);
/* Wakes one sleeper of `word`. */
void csystem_futex_wake(uint32_t *word);

#endif
