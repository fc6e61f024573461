/* counts.h - counts what the Swift runtime does on one thread, for figures. Off costs a branch the runtime makes anyway. */
#ifndef KEEL_CSYSTEM_COUNTS_H
#define KEEL_CSYSTEM_COUNTS_H

#include <stdint.h>

struct csystem_counts {
    uint64_t objects;   /* allocations of objects, arrays, boxes, closures */
    uint64_t retains;
    uint64_t releases;
};

/* Until the end this thread is counted; 0: this runtime has no such hooks. What stands between may not touch strings, on any thread:
   on its way to the hooks the runtime (6.3) makes pointers of what a short string holds in their place. */
int csystem_count_begin(void);
struct csystem_counts csystem_count_end(void);

#endif
