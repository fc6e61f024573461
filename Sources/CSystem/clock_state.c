#define _GNU_SOURCE
#include "clock_state.h"
#include <sys/timex.h>

int csystem_clock_state(int64_t *most) {
    struct timex state = {.modes = 0};
    int result = adjtimex(&state);
    if (result < 0) return -1;
    *most = (int64_t)state.maxerror * 1000;
    return result != TIME_ERROR && !(state.status & STA_UNSYNC);
}
