/* The device, its contexts, and the errors that stay with them. */
#define _GNU_SOURCE
#include "double.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Deep, because pycuda pushes a primary context to release it and forgets to pop it. */
enum { DEPTH = 1 << 14, PLANNED = 16 };

long live[KINDS];

static pthread_mutex_t mutex = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static int initialized;
static struct context primary;
static __thread struct context *stack[DEPTH];
static __thread int depth;
static __thread int captures;

static struct plan {
    char function[64];
    long calls_left;
    Result code;
} planned[PLANNED];

void lock(void) { pthread_mutex_lock(&mutex); }

void unlock(void) { pthread_mutex_unlock(&mutex); }

long setting(const char *name, long otherwise) {
    const char *value = getenv(name);
    return value ? strtol(value, NULL, 10) : otherwise;
}

struct context *current(void) { return depth ? stack[depth - 1] : NULL; }

/* How many streams this thread records; `change` is added. */
int capturing_here(int change) { return captures += change; }

static Result planned_failure(const char *function) {
    Result code = SUCCESS;
    lock();
    for (int i = 0; i < PLANNED && !code; i++)
        if (planned[i].calls_left > 0 && !strcmp(planned[i].function, function) &&
            --planned[i].calls_left == 0)
            code = planned[i].code;
    unlock();
    return code;
}

Result entered(const char *function, int needs_context) {
    Result code = planned_failure(function);
    if (code) return code;
    if (!initialized) return NOT_INITIALIZED;
    if (!needs_context) return SUCCESS;
    if (!current()) return INVALID_CONTEXT;
    if (!current()->alive) return CONTEXT_IS_DESTROYED;
    return current()->error;
}

/* For tests: the n-th call of a function from now on fails with `code`. */
EXPORT int double_fail_call(const char *function, long nth, Result code) {
    lock();
    for (int i = 0; i < PLANNED; i++)
        if (planned[i].calls_left <= 0) {
            snprintf(planned[i].function, sizeof planned[i].function, "%s", function);
            planned[i].calls_left = nth;
            planned[i].code = code;
            unlock();
            return 1;
        }
    unlock();
    return 0;
}

/* For tests: what has not been given back. */
EXPORT long double_live(int kind) { return live[kind]; }

/* For tests: forget planned failures and the error of the primary context, as a new process would. */
EXPORT void double_reset(void) {
    lock();
    memset(planned, 0, sizeof planned);
    primary.error = SUCCESS;
    unlock();
}

/* For the double of TensorRT: an asynchronous error, as of a kernel. */
EXPORT void double_fail(void *stream, Result code) { stream_of(stream)->context->error = code; }

EXPORT Result cuInit(unsigned flags) {
    (void)flags;
    Result code = planned_failure(__func__);
    if (code) return code;
    if (setting("DOUBLE_DEVICES", 1) == 0) return NO_DEVICE;
    initialized = 1;
    return SUCCESS;
}

EXPORT Result cuDriverGetVersion(int *version) {
    *version = (int)setting("DOUBLE_DRIVER", 13000);
    return SUCCESS;
}

EXPORT Result cuDeviceGetCount(int *count) {
    ENTER(0);
    *count = (int)setting("DOUBLE_DEVICES", 1);
    return SUCCESS;
}

EXPORT Result cuDeviceGet(int *device, int ordinal) {
    ENTER(0);
    if (ordinal < 0 || ordinal >= setting("DOUBLE_DEVICES", 1)) return INVALID_DEVICE;
    *device = ordinal;
    return SUCCESS;
}

EXPORT Result cuDeviceGetName(char *name, int size, int device) {
    (void)device;
    const char *chosen = getenv("DOUBLE_GPU");
    snprintf(name, (size_t)size, "%s", chosen ? chosen : "Double GPU");
    return SUCCESS;
}

EXPORT Result cuDeviceGetPCIBusId(char *id, int size, int device) {
    (void)device;
    snprintf(id, (size_t)size, "0000:00:00.0");
    return SUCCESS;
}

EXPORT Result cuDeviceGetByPCIBusId(int *device, const char *id) {
    (void)id;
    *device = 0;
    return SUCCESS;
}

EXPORT Result cuDeviceComputeCapability(int *major, int *minor, int device) {
    (void)device;
    const char *chosen = getenv("DOUBLE_CAPABILITY");
    if (sscanf(chosen ? chosen : "8.9", "%d.%d", major, minor) != 2) return INVALID_VALUE;
    return SUCCESS;
}

EXPORT Result cuDeviceTotalMem_v2(size_t *bytes, int device) {
    (void)device;
    *bytes = (size_t)setting("DOUBLE_MEMORY_BYTES", 8L << 30);
    return SUCCESS;
}

EXPORT Result cuDeviceCanAccessPeer(int *can, int device, int peer) {
    (void)device, (void)peer;
    *can = 0;
    return SUCCESS;
}

EXPORT Result cuDeviceGetAttribute(int *value, int attribute, int device) {
    enum { WARP_SIZE = 10, MULTIPROCESSORS = 16, UNIFIED = 41, MAJOR = 75, MINOR = 76 };
    int major, minor;
    cuDeviceComputeCapability(&major, &minor, device);
    *value = attribute == WARP_SIZE         ? 32
             : attribute == MULTIPROCESSORS ? (int)setting("DOUBLE_MULTIPROCESSORS", 40)
             : attribute == UNIFIED         ? 1
             : attribute == MAJOR           ? major
             : attribute == MINOR           ? minor
                                            : 0;
    return SUCCESS;
}

EXPORT Result cuDevicePrimaryCtxRetain(void **context, int device) {
    (void)device;
    ENTER(0);
    primary.alive = 1;
    primary.references++;
    live[CONTEXTS]++;
    *context = &primary;
    return SUCCESS;
}

EXPORT Result cuDevicePrimaryCtxRelease_v2(int device) {
    (void)device;
    if (primary.references == 0) return INVALID_CONTEXT;
    live[CONTEXTS]--;
    primary.alive = --primary.references > 0;
    return SUCCESS;
}

EXPORT Result cuCtxCreate_v4(void **context, void *parameters, unsigned flags, int device) {
    (void)parameters, (void)flags, (void)device;
    ENTER(0);
    struct context *made = calloc(1, sizeof *made);
    made->alive = made->references = 1;
    live[CONTEXTS]++;
    stack[depth++] = made;
    *context = made;
    return SUCCESS;
}

EXPORT Result cuCtxPushCurrent_v2(struct context *context) {
    if (!context || !context->alive || depth == DEPTH) return INVALID_CONTEXT;
    stack[depth++] = context;
    return SUCCESS;
}

EXPORT Result cuCtxPopCurrent_v2(struct context **context) {
    if (!depth) return INVALID_CONTEXT;
    depth--;
    if (context) *context = stack[depth];
    return SUCCESS;
}

EXPORT Result cuCtxGetCurrent(struct context **context) {
    *context = current();
    return SUCCESS;
}

EXPORT Result cuCtxSetCurrent(struct context *context) {
    if (depth) depth--;
    if (context) stack[depth++] = context;
    return SUCCESS;
}

EXPORT Result cuCtxGetDevice(int *device) {
    ENTER(1);
    *device = 0;
    return SUCCESS;
}

EXPORT Result cuCtxGetApiVersion(struct context *context, unsigned *version) {
    (void)context;
    *version = 13000;
    return SUCCESS;
}

EXPORT Result cuCtxDestroy_v2(struct context *context) {
    if (!context->alive) return INVALID_CONTEXT;
    context->alive = 0;
    live[CONTEXTS]--;
    if (current() == context) depth--;
    return SUCCESS;
}

EXPORT Result cuCtxDetach(struct context *context) { return cuCtxDestroy_v2(context); }

EXPORT Result cuCtxSynchronize(void) {
    ENTER(1);
    if (captures) return CAPTURE_UNSUPPORTED;
    drain_all();
    return current()->error;
}

EXPORT Result cuGetErrorName(Result code, const char **name) {
    *name = code == SUCCESS               ? "CUDA_SUCCESS"
            : code == INVALID_VALUE       ? "CUDA_ERROR_INVALID_VALUE"
            : code == OUT_OF_MEMORY       ? "CUDA_ERROR_OUT_OF_MEMORY"
            : code == NOT_INITIALIZED     ? "CUDA_ERROR_NOT_INITIALIZED"
            : code == NO_DEVICE           ? "CUDA_ERROR_NO_DEVICE"
            : code == INVALID_CONTEXT     ? "CUDA_ERROR_INVALID_CONTEXT"
            : code == NOT_READY           ? "CUDA_ERROR_NOT_READY"
            : code == ILLEGAL_ADDRESS     ? "CUDA_ERROR_ILLEGAL_ADDRESS"
            : code == LAUNCH_FAILED       ? "CUDA_ERROR_LAUNCH_FAILED"
            : code == CAPTURE_UNSUPPORTED ? "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED"
            : code == CAPTURE_INVALIDATED ? "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED"
                                          : "CUDA_ERROR_OF_THE_DOUBLE";
    return SUCCESS;
}

EXPORT Result cuGetErrorString(Result code, const char **words) {
    return cuGetErrorName(code, words);
}

EXPORT Result cuProfilerStart(void) { return SUCCESS; }

EXPORT Result cuProfilerStop(void) { return SUCCESS; }

/* cuda.bindings asks for every function here, by its name without a version. */
EXPORT Result cuGetProcAddress_v2(const char *name, void **found, int version,
                                  unsigned long long flags, int *status) {
    (void)version, (void)flags;
    static const char *versions[] = {"_v4", "_v3", "_v2", ""};
    Dl_info self;
    dladdr((void *)cuInit, &self);
    void *library = dlopen(self.dli_fname, RTLD_NOW | RTLD_NOLOAD);
    *found = NULL;
    for (size_t i = 0; i < sizeof versions / sizeof *versions && !*found; i++) {
        char full[160];
        snprintf(full, sizeof full, "%s%s", name, versions[i]);
        *found = dlsym(library, full);
    }
    dlclose(library);
    if (status) *status = *found ? 0 : 1;
    return *found ? SUCCESS : NOT_FOUND;
}
