/* A CUDA driver in host memory: what its files share.
 *
 * It stands for libcuda.so.1 under the genuine pycuda and cuda.bindings. It has no kernels and no
 * speed; it has the rules that host code can break. Work on a stream is done when somebody waits
 * for it and not before, device memory cannot be touched by the host, and an error that came up
 * asynchronously stays with its context. Signatures and codes: NVIDIA's CUDA driver API, 13.
 *
 * Settings, read from the environment at each call: DOUBLE_EAGER=1 does work at once;
 * DOUBLE_MEMORY_BYTES, DOUBLE_GPU (a name), DOUBLE_CAPABILITY (8.9), DOUBLE_MULTIPROCESSORS,
 * DOUBLE_DRIVER (13000) and DOUBLE_DEVICES (1) describe the device.
 */
#ifndef DOUBLE_H
#define DOUBLE_H

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
    unsigned long recorded, done; /* how often it was put into a stream, and reached there */
    double reached_ms;
    struct stream *stream;
};

/* One thing to do on a stream. What a kind does not need is zero. */
struct work {
    enum { COPY, FILL, CALL, RECORD, WAIT } kind;
    void *target;
    const void *source;
    size_t size;
    int to_device, from_device;
    void *owned; /* a snapshot of pageable memory, freed with the work */
    unsigned value, width;
    void (*call)(void *);
    void *argument;
    struct event *event;
    unsigned long turn;
    struct work *next;
};

struct queue {
    struct work *first, *last;
};

struct graph {
    struct queue queue;
    int invalid;
};

struct stream {
    struct queue queue;
    struct graph *capture; /* where work goes instead, while it is recorded */
    struct context *context;
    int alive;
    struct stream *next;
};

enum { DEVICE_MEMORY, PINNED_MEMORY, STREAMS, EVENTS, GRAPHS, CONTEXTS, KINDS };

/* device.c */
extern long live[KINDS];
void lock(void);
void unlock(void);
long setting(const char *name, long otherwise);
struct context *current(void);
Result entered(const char *function, int needs_context);
int capturing_here(int change);

/* ENTER(1): the call needs a context that is in order. A test can make the n-th call fail. */
#define ENTER(needs_context)                                    \
    do {                                                        \
        Result bad_ = entered(__func__, needs_context);         \
        if (bad_) return bad_;                                  \
    } while (0)

/* memory.c */
EXPORT void *double_alias(Address address, size_t size);
int pinned(const void *address, size_t size);

/* streams.c */
struct stream *stream_of(void *handle);
Result stream_bad(struct stream *stream);
Result put(struct stream *stream, struct work work);
void append(struct queue *queue, struct work work);
void discard(struct queue *queue);
void drain(struct stream *stream);
void drain_all(void);
Result forbidden_in_capture(struct stream *stream);

#endif
