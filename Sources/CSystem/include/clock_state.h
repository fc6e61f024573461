/* clock_state.h - whether the kernel takes the machine's clock to be synchronised. */
#ifndef KEEL_CSYSTEM_CLOCK_H
#define KEEL_CSYSTEM_CLOCK_H

#include <stdint.h>

/* 1: synchronised, 0: not, -1: unknown. The kernel's own bound of the error, in nanoseconds, in *most. */
int csystem_clock_state(int64_t *most);

#endif
