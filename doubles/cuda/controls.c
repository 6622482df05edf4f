/* What tests do to the double: plan failures, break a context, count what was not given back. */
#define _GNU_SOURCE
#include "double.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PLANNED = 16 };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t change = PTHREAD_COND_INITIALIZER;
static long live[KINDS];

static struct plan {
    char function[64];
    long calls_left;
    Result code;
} planned[PLANNED];

void lock(void) { pthread_mutex_lock(&mutex); }

void unlock(void) { pthread_mutex_unlock(&mutex); }

void unlock_and_wait(void) { pthread_cond_wait(&change, &mutex); }

void changed(void) { pthread_cond_broadcast(&change); }

void count(int kind, long change) { __atomic_add_fetch(&live[kind], change, __ATOMIC_SEQ_CST); }

long setting(const char *name, long otherwise) {
    const char *value = getenv(name);
    return value ? strtol(value, NULL, 10) : otherwise;
}

Result planned_failure(const char *function) {
    Result code = SUCCESS;
    lock();
    for (int i = 0; i < PLANNED && !code; i++)
        if (planned[i].calls_left > 0 && !strcmp(planned[i].function, function) &&
            --planned[i].calls_left == 0)
            code = planned[i].code;
    unlock();
    return code;
}

/* The n-th call of a function from now on fails with `code`. 0 if that cannot be planned: there
 * is no such function, or too much is planned. */
EXPORT int double_fail_call(const char *function, long nth, Result code) {
    int free_place = -1;
    if (!dlsym(RTLD_DEFAULT, function) || strlen(function) >= sizeof planned->function) return 0;
    lock();
    for (int i = 0; i < PLANNED && free_place < 0; i++)
        if (planned[i].calls_left <= 0) free_place = i;
    if (free_place >= 0) {
        struct plan *plan = &planned[free_place];
        *plan = (struct plan){.calls_left = nth, .code = code};
        snprintf(plan->function, sizeof plan->function, "%s", function);
    }
    unlock();
    return free_place >= 0;
}

/* How many of a kind have not been given back; -1 if there is no such kind. */
EXPORT long double_live(int kind) {
    if (kind < 0 || kind >= KINDS) return -1;
    return __atomic_load_n(&live[kind], __ATOMIC_SEQ_CST);
}

/* Forget planned failures and the error of the primary context, as a new process would. */
EXPORT void double_reset(void) {
    lock();
    memset(planned, 0, sizeof planned);
    primary.error = SUCCESS;
    unlock();
}

/* An asynchronous error, as of a kernel: all later calls in the stream's context return it. */
EXPORT void double_fail(void *handle, Result code) {
    struct context *context = stream_of(handle)->context;
    if (context) context->error = code;
}
