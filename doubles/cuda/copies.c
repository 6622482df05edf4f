/* Copies and fills. A range that is not in one live block is refused when it is queued. */
#include "double.h"

#include <stdlib.h>
#include <string.h>

static int on_device(Address address, size_t size) { return double_alias(address, size) != NULL; }

static Result refuse_pageable(struct stream *stream) {
    return spoil(stream->capture, CAPTURE_UNSUPPORTED);
}

/* Pageable memory is copied at once, so it may be changed afterwards; pinned memory is not. */
static Result to_device(Address target, const void *source, size_t size, void *handle) {
    struct stream *stream = stream_of(handle);
    if (stream_bad(stream)) return stream_bad(stream);
    if (!on_device(target, size)) return INVALID_VALUE;
    struct work work = {.kind = COPY, .target = (void *)target, .size = size, .to_device = 1};
    work.source = source;
    if (!pinned(source, size)) {
        if (stream->capture) return refuse_pageable(stream);
        work.source = work.owned = memcpy(malloc(size ? size : 1), source, size);
    }
    return put(stream, work);
}

/* Into pageable memory it is done when the call returns, as with the real one. */
static Result to_host(void *target, Address source, size_t size, void *handle) {
    struct stream *stream = stream_of(handle);
    if (stream_bad(stream)) return stream_bad(stream);
    if (!on_device(source, size)) return INVALID_VALUE;
    struct work work = {.kind = COPY, .target = target, .size = size, .from_device = 1};
    work.source = (void *)source;
    work.to_pageable = !pinned(target, size);
    if (work.to_pageable && stream->capture) return refuse_pageable(stream);
    Result code = put(stream, work);
    if (work.to_pageable) drain(stream);
    return code ? code : stream->context->error;
}

static Result within_device(Address target, Address source, size_t size, void *handle) {
    struct stream *stream = stream_of(handle);
    if (stream_bad(stream)) return stream_bad(stream);
    if (!on_device(source, size) || !on_device(target, size)) return INVALID_VALUE;
    struct work work = {.kind = COPY, .size = size, .to_device = 1, .from_device = 1};
    work.target = (void *)target, work.source = (void *)source;
    return put(stream, work);
}

static Result fill(Address target, unsigned value, size_t items, unsigned width, void *handle) {
    struct stream *stream = stream_of(handle);
    if (stream_bad(stream)) return stream_bad(stream);
    if (items > (size_t)-1 / width || !on_device(target, items * width)) return INVALID_VALUE;
    struct work work = {.kind = FILL, .size = items * width, .value = value, .width = width};
    work.target = (void *)target;
    return put(stream, work);
}

/* The calls without a stream are on the default one, which they wait for. */
static Result wait(Result code) {
    if (code) return code;
    drain(&default_stream);
    return current()->error;
}

EXPORT Result cuMemcpyHtoDAsync_v2(Address target, const void *source, size_t size, void *handle) {
    ENTER(1);
    return to_device(target, source, size, handle);
}

EXPORT Result cuMemcpyDtoHAsync_v2(void *target, Address source, size_t size, void *handle) {
    ENTER(1);
    return to_host(target, source, size, handle);
}

EXPORT Result cuMemcpyDtoDAsync_v2(Address target, Address source, size_t size, void *handle) {
    ENTER(1);
    return within_device(target, source, size, handle);
}

EXPORT Result cuMemcpyHtoD_v2(Address target, const void *source, size_t size) {
    ENTER(1);
    Result code = refuse_in_capture(0);
    return code ? code : wait(to_device(target, source, size, NULL));
}

EXPORT Result cuMemcpyDtoH_v2(void *target, Address source, size_t size) {
    ENTER(1);
    Result code = refuse_in_capture(0);
    return code ? code : wait(to_host(target, source, size, NULL));
}

EXPORT Result cuMemcpyDtoD_v2(Address target, Address source, size_t size) {
    ENTER(1);
    Result code = refuse_in_capture(0);
    return code ? code : wait(within_device(target, source, size, NULL));
}

EXPORT Result cuMemsetD8Async(Address target, unsigned char value, size_t items, void *handle) {
    ENTER(1);
    return fill(target, value, items, 1, handle);
}

EXPORT Result cuMemsetD16Async(Address target, unsigned short value, size_t items, void *handle) {
    ENTER(1);
    return fill(target, value, items, 2, handle);
}

EXPORT Result cuMemsetD32Async(Address target, unsigned value, size_t items, void *handle) {
    ENTER(1);
    return fill(target, value, items, 4, handle);
}

EXPORT Result cuMemsetD8_v2(Address target, unsigned char value, size_t items) {
    ENTER(1);
    Result code = refuse_in_capture(0);
    return code ? code : wait(fill(target, value, items, 1, NULL));
}

EXPORT Result cuMemsetD16_v2(Address target, unsigned short value, size_t items) {
    ENTER(1);
    Result code = refuse_in_capture(0);
    return code ? code : wait(fill(target, value, items, 2, NULL));
}

EXPORT Result cuMemsetD32_v2(Address target, unsigned value, size_t items) {
    ENTER(1);
    Result code = refuse_in_capture(0);
    return code ? code : wait(fill(target, value, items, 4, NULL));
}
