/* Preloaded, it puts a process on a machine of its own, called MACHINE, with a clock that is wrong: ahead by
   AHEAD seconds, and by DRIFT more with each second since the machine started. Timers are right, as they are
   where a clock was set wrong.

   libfaketime is not used because time.sleep() fails under its version 0.9.10 from Python 3.11 on. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

static int (*real)(clockid_t, struct timespec *);
static double ahead, drift;

__attribute__((constructor)) static void begin(void) {
    real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    ahead = atof(getenv("AHEAD"));
    drift = atof(getenv("DRIFT"));
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int failed = real(clock, now);
    if (!failed && clock == CLOCK_REALTIME) {
        struct timespec up;
        real(CLOCK_MONOTONIC, &up);
        double wrong = ahead + drift * (up.tv_sec + up.tv_nsec / 1e9);
        long long nanoseconds = now->tv_sec * 1000000000LL + now->tv_nsec + (long long)(wrong * 1e9);
        now->tv_sec = nanoseconds / 1000000000LL;
        now->tv_nsec = nanoseconds % 1000000000LL;
    }
    return failed;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec precise;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &precise);
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *now) {
    struct timespec precise;
    clock_gettime(CLOCK_REALTIME, &precise);
    if (now) *now = precise.tv_sec;
    return precise.tv_sec;
}

int gethostname(char *name, size_t length) {
    strncpy(name, getenv("MACHINE"), length);
    return 0;
}
