/* What can be asked about the device and about the driver itself. */
#define _GNU_SOURCE
#include "double.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

EXPORT Result cuDriverGetVersion(int *version) { /* the real one, too, tells it before cuInit */
    *version = (int)setting("DOUBLE_DRIVER", 13000);
    return planned_failure(__func__);
}

EXPORT Result cuDeviceGetCount(int *devices) {
    ENTER(0);
    *devices = (int)setting("DOUBLE_DEVICES", 1);
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
    ENTER(0);
    const char *chosen = getenv("DOUBLE_GPU");
    snprintf(name, (size_t)size, "%s", chosen ? chosen : "Double GPU");
    return SUCCESS;
}

EXPORT Result cuDeviceGetPCIBusId(char *id, int size, int device) {
    (void)device;
    ENTER(0);
    snprintf(id, (size_t)size, "0000:00:00.0");
    return SUCCESS;
}

EXPORT Result cuDeviceGetByPCIBusId(int *device, const char *id) {
    (void)id;
    ENTER(0);
    *device = 0;
    return SUCCESS;
}

static Result capability(int *major, int *minor) {
    const char *chosen = getenv("DOUBLE_CAPABILITY");
    int read = sscanf(chosen ? chosen : "8.9", "%d.%d", major, minor);
    return read == 2 ? SUCCESS : INVALID_VALUE;
}

EXPORT Result cuDeviceComputeCapability(int *major, int *minor, int device) {
    (void)device;
    ENTER(0);
    return capability(major, minor);
}

EXPORT Result cuDeviceTotalMem_v2(size_t *bytes, int device) {
    (void)device;
    ENTER(0);
    *bytes = (size_t)setting("DOUBLE_MEMORY_BYTES", 8L << 30);
    return SUCCESS;
}

EXPORT Result cuDeviceCanAccessPeer(int *can, int device, int peer) {
    (void)device, (void)peer;
    ENTER(0);
    *can = 0;
    return SUCCESS;
}

EXPORT Result cuDeviceGetAttribute(int *value, int attribute, int device) {
    enum { WARP_SIZE = 10, MULTIPROCESSORS = 16, UNIFIED = 41, MAJOR = 75, MINOR = 76 };
    (void)device;
    ENTER(0);
    int major = 0, minor = 0;
    Result code = capability(&major, &minor);
    *value = attribute == WARP_SIZE         ? 32
             : attribute == MULTIPROCESSORS ? (int)setting("DOUBLE_MULTIPROCESSORS", 40)
             : attribute == UNIFIED         ? 1
             : attribute == MAJOR           ? major
             : attribute == MINOR           ? minor
                                            : 0;
    return code;
}

static const struct {
    Result code;
    const char *name;
} names[] = {
    {SUCCESS, "CUDA_SUCCESS"},
    {INVALID_VALUE, "CUDA_ERROR_INVALID_VALUE"},
    {OUT_OF_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY"},
    {NOT_INITIALIZED, "CUDA_ERROR_NOT_INITIALIZED"},
    {NO_DEVICE, "CUDA_ERROR_NO_DEVICE"},
    {INVALID_DEVICE, "CUDA_ERROR_INVALID_DEVICE"},
    {INVALID_CONTEXT, "CUDA_ERROR_INVALID_CONTEXT"},
    {INVALID_HANDLE, "CUDA_ERROR_INVALID_HANDLE"},
    {ILLEGAL_STATE, "CUDA_ERROR_ILLEGAL_STATE"},
    {NOT_FOUND, "CUDA_ERROR_NOT_FOUND"},
    {NOT_READY, "CUDA_ERROR_NOT_READY"},
    {ILLEGAL_ADDRESS, "CUDA_ERROR_ILLEGAL_ADDRESS"},
    {CONTEXT_IS_DESTROYED, "CUDA_ERROR_CONTEXT_IS_DESTROYED"},
    {LAUNCH_FAILED, "CUDA_ERROR_LAUNCH_FAILED"},
    {NOT_SUPPORTED, "CUDA_ERROR_NOT_SUPPORTED"},
    {CAPTURE_UNSUPPORTED, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED"},
    {CAPTURE_INVALIDATED, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED"},
    {CAPTURE_ISOLATION, "CUDA_ERROR_STREAM_CAPTURE_ISOLATION"},
    {CAPTURE_IMPLICIT, "CUDA_ERROR_STREAM_CAPTURE_IMPLICIT"},
    {CAPTURED_EVENT, "CUDA_ERROR_CAPTURED_EVENT"},
    {CAPTURE_WRONG_THREAD, "CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD"},
};

EXPORT Result cuGetErrorName(Result code, const char **name) {
    *name = NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].code == code) *name = names[i].name;
    return *name ? SUCCESS : INVALID_VALUE;
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
    dladdr((void *)cuDriverGetVersion, &self);
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
