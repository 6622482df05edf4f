/* Memory: of the device, which the host cannot touch, and pinned.
 *
 * A device block is mapped twice: where it has its address nobody may read or write, and where
 * the double works on it. Its address is never given out again, so what is used after it was freed
 * is always found.
 */
#define _GNU_SOURCE
#include "double.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE = 4096, UNDEFINED = 0xCD };

struct block {
    char *address, *alias;
    size_t size, mapped;
    enum { ON_DEVICE, PINNED, REGISTERED } kind;
    struct block *next;
};

static struct block *blocks;
static size_t used;

static struct block *find(const void *address, size_t size, int on_device) {
    for (struct block *b = blocks; b; b = b->next)
        if ((b->kind == ON_DEVICE) == on_device && (const char *)address >= b->address &&
            (const char *)address + size <= b->address + b->size)
            return b;
    return NULL;
}

/* Where the host can reach device memory; NULL unless all of it is in one live block. */
EXPORT void *double_alias(Address address, size_t size) {
    lock();
    struct block *b = find((void *)address, size, 1);
    void *alias = b ? b->alias + ((char *)address - b->address) : NULL;
    unlock();
    return alias;
}

int pinned(const void *address, size_t size) {
    lock();
    int found = find(address, size, 0) != NULL;
    unlock();
    return found;
}

static void add(struct block block) {
    struct block *b = malloc(sizeof *b);
    *b = block;
    lock();
    b->next = blocks;
    blocks = b;
    live[b->kind == ON_DEVICE ? DEVICE_MEMORY : PINNED_MEMORY]++;
    unlock();
}

static Result drop(void *address, int on_device) {
    lock();
    struct block **at = &blocks;
    while (*at && !((*at)->address == address && ((*at)->kind == ON_DEVICE) == on_device))
        at = &(*at)->next;
    struct block *b = *at;
    if (b) {
        *at = b->next;
        live[on_device ? DEVICE_MEMORY : PINNED_MEMORY]--;
        if (b->kind == ON_DEVICE) {
            munmap(b->alias, b->mapped);
            used -= b->size;
        }
        if (b->kind == PINNED) free(b->address);
        free(b);
    }
    unlock();
    return b ? SUCCESS : INVALID_VALUE;
}

EXPORT Result cuMemAlloc_v2(Address *address, size_t size) {
    ENTER(1);
    if (!size) return INVALID_VALUE;
    if (capturing_here(0)) return CAPTURE_UNSUPPORTED;
    size_t total = (size_t)setting("DOUBLE_MEMORY_BYTES", 8L << 30);
    if (used + size > total) return OUT_OF_MEMORY;
    size_t mapped = (size + PAGE - 1) / PAGE * PAGE;
    int file = memfd_create("double", 0);
    if (file < 0 || ftruncate(file, (off_t)mapped)) return OUT_OF_MEMORY;
    char *alias = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    char *device = mmap(NULL, mapped, PROT_NONE, MAP_SHARED, file, 0);
    close(file);
    if (alias == MAP_FAILED || device == MAP_FAILED) return OUT_OF_MEMORY;
    memset(alias, UNDEFINED, size);
    used += size;
    add((struct block){.address = device, .alias = alias, .size = size, .mapped = mapped});
    *address = (Address)device;
    return SUCCESS;
}

/* As the real one, it waits for all work first. */
EXPORT Result cuMemFree_v2(Address address) {
    ENTER(1);
    if (capturing_here(0)) return CAPTURE_UNSUPPORTED;
    drain_all();
    return drop((void *)address, 1);
}

EXPORT Result cuMemAllocPitch_v2(Address *address, size_t *pitch, size_t width, size_t height,
                                 unsigned element) {
    (void)element;
    *pitch = (width + 511) / 512 * 512;
    return cuMemAlloc_v2(address, *pitch * height);
}

EXPORT Result cuMemGetInfo_v2(size_t *unused, size_t *total) {
    ENTER(1);
    *total = (size_t)setting("DOUBLE_MEMORY_BYTES", 8L << 30);
    *unused = *total - used;
    return SUCCESS;
}

EXPORT Result cuMemGetAddressRange_v2(Address *base, size_t *size, Address address) {
    lock();
    struct block *b = find((void *)address, 1, 1);
    if (b && base) *base = (Address)b->address;
    if (b && size) *size = b->size;
    unlock();
    return b ? SUCCESS : NOT_FOUND;
}

EXPORT Result cuMemHostAlloc(void **address, size_t size, unsigned flags) {
    (void)flags;
    ENTER(1);
    if (posix_memalign(address, PAGE, size ? size : 1)) return OUT_OF_MEMORY;
    add((struct block){.address = *address, .size = size, .kind = PINNED});
    return SUCCESS;
}

EXPORT Result cuMemFreeHost(void *address) {
    ENTER(1);
    drain_all();
    return drop(address, 0);
}

EXPORT Result cuMemHostRegister_v2(void *address, size_t size, unsigned flags) {
    (void)flags;
    ENTER(1);
    add((struct block){.address = address, .size = size, .kind = REGISTERED});
    return SUCCESS;
}

EXPORT Result cuMemHostUnregister(void *address) {
    ENTER(1);
    drain_all();
    return drop(address, 0);
}

static int on_device(Address address, size_t size) { return double_alias(address, size) != NULL; }

/* Pageable memory is copied at once, so it may be changed afterwards; pinned memory is not. */
EXPORT Result cuMemcpyHtoDAsync_v2(Address target, const void *source, size_t size, void *handle) {
    ENTER(1);
    struct stream *stream = stream_of(handle);
    if (stream_bad(stream)) return stream_bad(stream);
    if (!on_device(target, size)) return INVALID_VALUE;
    struct work work = {.kind = COPY, .target = (void *)target, .size = size, .to_device = 1};
    work.source = source;
    if (!pinned(source, size)) {
        if (stream->capture) return forbidden_in_capture(stream);
        work.source = work.owned = memcpy(malloc(size), source, size);
    }
    return put(stream, work);
}

/* Into pageable memory it is done when the call returns, as with the real one. */
EXPORT Result cuMemcpyDtoHAsync_v2(void *target, Address source, size_t size, void *handle) {
    ENTER(1);
    struct stream *stream = stream_of(handle);
    if (stream_bad(stream)) return stream_bad(stream);
    if (!on_device(source, size)) return INVALID_VALUE;
    int pageable = !pinned(target, size);
    if (pageable && stream->capture) return forbidden_in_capture(stream);
    struct work work = {.kind = COPY, .target = target, .size = size, .from_device = 1};
    work.source = (void *)source;
    Result code = put(stream, work);
    if (pageable) drain(stream);
    return code ? code : stream->context->error;
}

EXPORT Result cuMemcpyDtoDAsync_v2(Address target, Address source, size_t size, void *handle) {
    ENTER(1);
    struct stream *stream = stream_of(handle);
    if (stream_bad(stream)) return stream_bad(stream);
    if (!on_device(source, size) || !on_device(target, size)) return INVALID_VALUE;
    struct work work = {.kind = COPY, .size = size, .to_device = 1, .from_device = 1};
    work.target = (void *)target, work.source = (void *)source;
    return put(stream, work);
}

static Result at_once(Result code) {
    drain_all();
    return code ? code : current()->error;
}

EXPORT Result cuMemcpyHtoD_v2(Address target, const void *source, size_t size) {
    return at_once(cuMemcpyHtoDAsync_v2(target, source, size, NULL));
}

EXPORT Result cuMemcpyDtoH_v2(void *target, Address source, size_t size) {
    drain_all();
    return at_once(cuMemcpyDtoHAsync_v2(target, source, size, NULL));
}

EXPORT Result cuMemcpyDtoD_v2(Address target, Address source, size_t size) {
    return at_once(cuMemcpyDtoDAsync_v2(target, source, size, NULL));
}

static Result fill(Address target, unsigned value, size_t size, unsigned width, void *handle) {
    struct stream *stream = stream_of(handle);
    if (stream_bad(stream)) return stream_bad(stream);
    if (!on_device(target, size)) return INVALID_VALUE;
    struct work work = {.kind = FILL, .size = size, .value = value, .width = width};
    work.target = (void *)target;
    return put(stream, work);
}

EXPORT Result cuMemsetD8Async(Address target, unsigned char value, size_t count, void *handle) {
    ENTER(1);
    return fill(target, value, count, 1, handle);
}

EXPORT Result cuMemsetD16Async(Address target, unsigned short value, size_t count, void *handle) {
    ENTER(1);
    return fill(target, value, 2 * count, 2, handle);
}

EXPORT Result cuMemsetD32Async(Address target, unsigned value, size_t count, void *handle) {
    ENTER(1);
    return fill(target, value, 4 * count, 4, handle);
}

EXPORT Result cuMemsetD8_v2(Address target, unsigned char value, size_t count) {
    return at_once(cuMemsetD8Async(target, value, count, NULL));
}

EXPORT Result cuMemsetD16_v2(Address target, unsigned short value, size_t count) {
    return at_once(cuMemsetD16Async(target, value, count, NULL));
}

EXPORT Result cuMemsetD32_v2(Address target, unsigned value, size_t count) {
    return at_once(cuMemsetD32Async(target, value, count, NULL));
}
