/* Memory: of the device, which the host cannot touch, and pinned.
 *
 * A device block is mapped twice: where it has its address nobody may read or write, and where
 * the double works on it. No address is ever given out again, so what is used after it was freed
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

static size_t total(void) { return (size_t)setting("DOUBLE_MEMORY_BYTES", 8L << 30); }

static size_t pages(size_t size) { return (size + PAGE - 1) / PAGE * PAGE; }

static struct block *find(const void *address, size_t size, int on_device) {
    for (struct block *b = blocks; b; b = b->next) {
        size_t offset = (size_t)address - (size_t)b->address; /* huge if it is before */
        if ((b->kind == ON_DEVICE) == on_device && offset <= b->size && size <= b->size - offset)
            return b;
    }
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
    if (b->kind == ON_DEVICE) used += b->size;
    unlock();
    count(b->kind == ON_DEVICE ? DEVICE_MEMORY : PINNED_MEMORY, 1);
}

static struct block *take(void *address, int kind) {
    lock();
    struct block **at = &blocks;
    while (*at && !((*at)->address == address && (int)(*at)->kind == kind)) at = &(*at)->next;
    struct block *b = *at;
    if (b) *at = b->next;
    if (b && b->kind == ON_DEVICE) used -= b->size;
    unlock();
    return b;
}

/* Give the memory back and keep its address from being given out again. */
static void retire(void *address, size_t size) {
    mmap(address, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
}

static Result drop(void *address, int kind) {
    struct block *b = take(address, kind);
    if (!b) return INVALID_VALUE;
    count(kind == ON_DEVICE ? DEVICE_MEMORY : PINNED_MEMORY, -1);
    if (kind == ON_DEVICE) munmap(b->alias, b->mapped);
    if (kind != REGISTERED) retire(b->address, b->mapped);
    free(b);
    return SUCCESS;
}

static Result allocate(Address *address, size_t size) {
    Result code = refuse_in_capture(0);
    if (code) return code;
    if (!size) return INVALID_VALUE;
    if (size > total() || used > total() - size) return OUT_OF_MEMORY;
    size_t mapped = pages(size);
    int file = memfd_create("double", 0);
    if (file < 0 || ftruncate(file, (off_t)mapped)) return OUT_OF_MEMORY;
    char *alias = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    char *device = mmap(NULL, mapped, PROT_NONE, MAP_SHARED, file, 0);
    close(file);
    if (alias == MAP_FAILED || device == MAP_FAILED) return OUT_OF_MEMORY;
    memset(alias, UNDEFINED, size);
    add((struct block){.address = device, .alias = alias, .size = size, .mapped = mapped});
    *address = (Address)device;
    return SUCCESS;
}

EXPORT Result cuMemAlloc_v2(Address *address, size_t size) {
    ENTER(1);
    return allocate(address, size);
}

EXPORT Result cuMemAllocPitch_v2(Address *address, size_t *pitch, size_t width, size_t height,
                                 unsigned element) {
    (void)element;
    ENTER(1);
    *pitch = (width + 511) / 512 * 512;
    return allocate(address, *pitch * height);
}

/* Before memory goes, all work is done. For device memory that is what drivers mostly do, and nobody
 * promises it: with DOUBLE_HASTY_FREE=1 whoever relies on it finds an illegal address.
 */
static Result release(void *address, int kind) {
    Result code = refuse_in_capture(0);
    if (code) return code;
    if (kind != ON_DEVICE || !setting("DOUBLE_HASTY_FREE", 0)) drain_all_idle();
    return drop(address, kind);
}

EXPORT Result cuMemFree_v2(Address address) {
    ENTER(1);
    return release((void *)address, ON_DEVICE);
}

EXPORT Result cuMemGetInfo_v2(size_t *unused, size_t *all) {
    ENTER(1);
    *all = total();
    *unused = used < *all ? *all - used : 0; /* a test may have made the device smaller */
    return SUCCESS;
}

EXPORT Result cuMemGetAddressRange_v2(Address *base, size_t *size, Address address) {
    ENTER(1);
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
    Result code = refuse_in_capture(0);
    if (code) return code;
    if (!size) return INVALID_VALUE;
    size_t mapped = pages(size);
    *address = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (*address == MAP_FAILED) return OUT_OF_MEMORY;
    memset(*address, UNDEFINED, size);
    add((struct block){.address = *address, .size = size, .mapped = mapped, .kind = PINNED});
    return SUCCESS;
}

EXPORT Result cuMemFreeHost(void *address) {
    ENTER(1);
    return release(address, PINNED);
}

EXPORT Result cuMemHostRegister_v2(void *address, size_t size, unsigned flags) {
    (void)flags;
    ENTER(1);
    add((struct block){.address = address, .size = size, .kind = REGISTERED});
    return SUCCESS;
}

EXPORT Result cuMemHostUnregister(void *address) {
    ENTER(1);
    return release(address, REGISTERED);
}
