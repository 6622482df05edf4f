/* A CUDA driver in host memory: what its files share.
 *
 * It stands for libcuda.so.1 under the genuine pycuda and cuda.bindings. It has no kernels and no
 * speed; it has the rules that host code can break. Work on a stream is done when somebody waits
 * for it and not before, device memory cannot be touched by the host, and an error that came up
 * asynchronously stays with its context. Signatures and codes: NVIDIA's CUDA driver API, 13.
 * Where the real one is lenient at times, this is strict always. So a loop that asks an event
 * whether it was reached, and never waits, never ends.
 *
 * Settings, read from the environment at each call: DOUBLE_EAGER=1 does work at once;
 * DOUBLE_HASTY_FREE=1 frees device memory without doing queued work first;
 * DOUBLE_MEMORY_BYTES, DOUBLE_GPU (a name), DOUBLE_CAPABILITY (8.9), DOUBLE_MULTIPROCESSORS,
 * DOUBLE_DRIVER (13000) and DOUBLE_DEVICES (1) describe the device.
 */
#ifndef DOUBLE_H
#define DOUBLE_H

#include <pthread.h>
#include <stddef.h>

#define EXPORT __attribute__((visibility("default")))

enum {
    SUCCESS = 0,
    INVALID_VALUE = 1,
    OUT_OF_MEMORY = 2,
    NOT_INITIALIZED = 3,
    NO_DEVICE = 100,
    INVALID_DEVICE = 101,
    INVALID_CONTEXT = 201,
    INVALID_HANDLE = 400,
    ILLEGAL_STATE = 401,
    NOT_FOUND = 500,
    NOT_READY = 600,
    ILLEGAL_ADDRESS = 700,
    CONTEXT_IS_DESTROYED = 709,
    LAUNCH_FAILED = 719,
    NOT_SUPPORTED = 801,
    CAPTURE_UNSUPPORTED = 900,
    CAPTURE_INVALIDATED = 901,
    CAPTURE_ISOLATION = 905,
    CAPTURE_IMPLICIT = 906,
    CAPTURED_EVENT = 907,
    CAPTURE_WRONG_THREAD = 908,
};

typedef int Result;
typedef unsigned long long Address; /* of device memory */

struct context {
    int alive;
    int references;
    Result error; /* once set, every call returns it */
};

struct stream;

struct event {
    int alive;
    struct stream *stream; /* NULL until it is recorded */
    unsigned long place;   /* in the stream's queue, of its last record */
    double reached_ms;
    unsigned long capture; /* the number of the graph that it was last recorded in; 0 for none */
};

/* One thing to do on a stream. What a kind does not need is zero. */
struct work {
    enum { COPY, FILL, CALL, RECORD, WAIT } kind;
    void *target;
    const void *source;
    size_t size;
    int to_device, from_device;
    void *owned;     /* a snapshot of pageable memory, freed with the work */
    int to_pageable; /* otherwise the host's side of a copy must be pinned when it runs, too */
    unsigned value, width;
    void (*call)(void *);
    void *argument;
    struct event *event;
    struct stream *stream; /* where the event was recorded when the wait was queued, */
    unsigned long place;   /* and at which place */
    struct work *next;
};

struct queue {
    struct work *first, *last;
    unsigned long added, done; /* how much work, ever */
};

struct graph {
    struct queue queue;
    unsigned long number;
    int invalid;
    int mode;
    pthread_t thread;
};

struct stream {
    struct queue queue;
    struct graph *capture; /* where work goes instead, while it is recorded */
    struct context *context;
    int alive;
    int blocking; /* it and the default stream wait for each other */
    int busy;     /* somebody does its work: others wait, so that the order stays */
    pthread_t runner;
    struct stream *next;
};

enum { DEVICE_MEMORY, PINNED_MEMORY, STREAMS, EVENTS, GRAPHS, CONTEXTS, KINDS };
enum { GLOBAL, THREAD_LOCAL, RELAXED }; /* modes of a capture */

/* What follows is for these files only: the library is loaded for all to link to, and others have
 * functions of such names, too. */
#pragma GCC visibility push(hidden)

/* controls.c */
void lock(void);
void unlock(void);
void unlock_and_wait(void); /* until `changed`; the lock is held again afterwards */
void changed(void);
void count(int kind, long change);
long setting(const char *name, long otherwise);
Result planned_failure(const char *function);

/* A test can make the n-th call of a function fail. A call that needs a context needs one that is
 * in order, too. */
#define ENTER(needs_context)                           \
    do {                                               \
        Result bad_ = planned_failure(__func__);       \
        if (!bad_) bad_ = may_enter(needs_context);    \
        if (bad_) return bad_;                         \
    } while (0)

/* contexts.c */
extern int initialized;
extern struct context primary;
struct context *current(void);
Result may_enter(int needs_context);

/* memory.c */
EXPORT void *double_alias(Address address, size_t size);
int pinned(const void *address, size_t size);

/* work.c */
unsigned long append(struct queue *queue, struct work work);
void discard(struct queue *queue);
Result put(struct stream *stream, struct work work);
void drain(struct stream *stream);
void drain_until(struct stream *stream, unsigned long place);
void drain_idle(struct stream *stream);
void drain_all_idle(void);
void drain_all(int blocking_only);

/* streams.c */
extern struct stream default_stream;
extern struct stream *streams;
struct stream *stream_of(void *handle);
Result stream_bad(struct stream *stream);

/* graphs.c */
Result spoil(struct graph *graph, Result code);
void abandon(struct stream *stream);
Result refuse_in_capture(int even_relaxed);

#pragma GCC visibility pop

#endif
