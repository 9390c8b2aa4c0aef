/* A node whose clock is wrong, for tests/cluster/clocks.rs. Loaded with LD_PRELOAD into every node; CLOCK_NODE is the number of
 * the one that is meant, CLOCK_AHEAD the seconds by which its time of day is ahead. Other clocks stay as they are. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *now) {
    int failed = (int)syscall(SYS_clock_gettime, clock, now);
    const char *node = getenv("CARILLON_SERVER__NODE_ID"), *wrong = getenv("CLOCK_NODE"), *ahead = getenv("CLOCK_AHEAD");
    if (!failed && clock == CLOCK_REALTIME && node && wrong && ahead && strcmp(node, wrong) == 0) now->tv_sec += atol(ahead);
    return failed;
}
