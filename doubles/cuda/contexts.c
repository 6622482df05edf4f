/* Contexts: each thread has a stack of them, and the one on top is what calls work in. */
#include "double.h"

#include <stdlib.h>

/* Deep, because pycuda pushes a primary context to release it and forgets to pop it. */
enum { DEPTH = 1 << 14 };

int initialized;
struct context primary;

static __thread struct context *stack[DEPTH];
static __thread int depth;

struct context *current(void) { return depth ? stack[depth - 1] : NULL; }

Result may_enter(int needs_context) {
    if (!initialized) return NOT_INITIALIZED;
    if (!needs_context) return SUCCESS;
    if (!current()) return INVALID_CONTEXT;
    if (!current()->alive) return CONTEXT_IS_DESTROYED;
    return current()->error;
}

EXPORT Result cuInit(unsigned flags) {
    (void)flags;
    Result code = planned_failure(__func__);
    if (code) return code;
    if (setting("DOUBLE_DEVICES", 1) == 0) return NO_DEVICE;
    initialized = 1;
    return SUCCESS;
}

EXPORT Result cuDevicePrimaryCtxRetain(void **context, int device) {
    (void)device;
    ENTER(0);
    primary.alive = 1;
    primary.references++;
    count(CONTEXTS, 1);
    *context = &primary;
    return SUCCESS;
}

EXPORT Result cuDevicePrimaryCtxRelease_v2(int device) {
    (void)device;
    ENTER(0);
    if (primary.references == 0) return INVALID_CONTEXT;
    count(CONTEXTS, -1);
    primary.alive = --primary.references > 0;
    return SUCCESS;
}

EXPORT Result cuCtxCreate_v4(void **context, void *parameters, unsigned flags, int device) {
    (void)parameters, (void)flags, (void)device;
    ENTER(0);
    if (depth == DEPTH) return OUT_OF_MEMORY;
    struct context *made = calloc(1, sizeof *made);
    made->alive = made->references = 1;
    count(CONTEXTS, 1);
    stack[depth++] = made;
    *context = made;
    return SUCCESS;
}

/* The memory stays, so that a dead context is known as one. */
static Result destroy(struct context *context) {
    if (!context || !context->alive) return INVALID_CONTEXT;
    context->alive = 0;
    count(CONTEXTS, -1);
    if (current() == context) depth--;
    return SUCCESS;
}

EXPORT Result cuCtxDestroy_v2(struct context *context) {
    ENTER(0);
    return destroy(context);
}

EXPORT Result cuCtxDetach(struct context *context) {
    ENTER(0);
    return destroy(context);
}

EXPORT Result cuCtxPushCurrent_v2(struct context *context) {
    ENTER(0);
    if (!context || !context->alive || depth == DEPTH) return INVALID_CONTEXT;
    stack[depth++] = context;
    return SUCCESS;
}

EXPORT Result cuCtxPopCurrent_v2(struct context **context) {
    ENTER(0);
    if (!depth) return INVALID_CONTEXT;
    depth--;
    if (context) *context = stack[depth];
    return SUCCESS;
}

EXPORT Result cuCtxGetCurrent(struct context **context) {
    ENTER(0);
    *context = current();
    return SUCCESS;
}

EXPORT Result cuCtxSetCurrent(struct context *context) {
    ENTER(0);
    if (depth && context)
        stack[depth - 1] = context;
    else if (depth)
        depth--;
    else if (context)
        stack[depth++] = context;
    return SUCCESS;
}

EXPORT Result cuCtxGetDevice(int *device) {
    ENTER(1);
    *device = 0;
    return SUCCESS;
}

EXPORT Result cuCtxGetApiVersion(struct context *context, unsigned *version) {
    (void)context;
    ENTER(0);
    *version = 13000;
    return SUCCESS;
}

EXPORT Result cuCtxSynchronize(void) {
    ENTER(1);
    Result code = refuse_in_capture(1);
    if (code) return code;
    drain_all(0);
    return current()->error;
}
