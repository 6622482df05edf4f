/* Streams, and events in them. */
#include "double.h"

#include <stdio.h>
#include <stdlib.h>

enum { NON_BLOCKING = 1 };

struct stream default_stream = {.alive = 1, .blocking = 1};
struct stream *streams;

struct stream *stream_of(void *handle) {
    if ((size_t)handle > 2) return handle; /* 0, 1 and 2 are names of the default stream */
    default_stream.context = current();
    return &default_stream;
}

Result stream_bad(struct stream *stream) { return stream->alive ? SUCCESS : INVALID_HANDLE; }

static Result create(void **handle, unsigned flags) {
    struct stream *made = calloc(1, sizeof *made);
    made->alive = 1;
    made->blocking = !(flags & NON_BLOCKING);
    made->context = current();
    lock();
    made->next = streams;
    streams = made; /* kept for ever, so that a dead handle is known as one */
    unlock();
    count(STREAMS, 1);
    *handle = made;
    return SUCCESS;
}

EXPORT Result cuStreamCreate(void **handle, unsigned flags) {
    ENTER(1);
    return create(handle, flags);
}

EXPORT Result cuStreamCreateWithPriority(void **handle, unsigned flags, int priority) {
    (void)priority;
    ENTER(1);
    return create(handle, flags);
}

/* What is queued is still done. */
EXPORT Result cuStreamDestroy_v2(void *handle) {
    ENTER(0);
    struct stream *stream = stream_of(handle);
    if (stream_bad(stream) || stream == &default_stream) return INVALID_HANDLE;
    drain_idle(stream);
    abandon(stream);
    stream->alive = 0;
    count(STREAMS, -1);
    return SUCCESS;
}

/* A stream may not be waited for, nor asked, while something is captured. */
static Result may_ask(struct stream *stream) {
    if (stream_bad(stream)) return stream_bad(stream);
    if (stream->capture) return spoil(stream->capture, CAPTURE_UNSUPPORTED);
    return refuse_in_capture(0);
}

EXPORT Result cuStreamSynchronize(void *handle) {
    ENTER(1);
    struct stream *stream = stream_of(handle);
    Result code = may_ask(stream);
    if (code) return code;
    if (stream == &default_stream) drain_all(1);
    drain(stream);
    return stream->context->error;
}

EXPORT Result cuStreamQuery(void *handle) {
    ENTER(1);
    struct stream *stream = stream_of(handle);
    Result code = may_ask(stream);
    if (code) return code;
    return stream->queue.first || stream->busy ? NOT_READY : stream->context->error;
}

EXPORT Result cuLaunchHostFunc(void *handle, void (*call)(void *), void *argument) {
    ENTER(1);
    struct stream *stream = stream_of(handle);
    if (stream_bad(stream)) return stream_bad(stream);
    return put(stream, (struct work){.kind = CALL, .call = call, .argument = argument});
}

/* In a capture a wait says what comes after what. In one stream that is clear already. */
static Result wait_in_capture(struct stream *stream, struct event *event) {
    if (stream->capture && event->capture == stream->capture->number) return SUCCESS;
    if (stream->capture) return spoil(stream->capture, CAPTURE_ISOLATION);
    fprintf(stderr, "double: no graphs of more than one stream\n");
    return NOT_SUPPORTED;
}

EXPORT Result cuStreamWaitEvent(void *handle, struct event *event, unsigned flags) {
    (void)flags;
    ENTER(1);
    struct stream *stream = stream_of(handle);
    if (stream_bad(stream)) return stream_bad(stream);
    if (!event->alive) return INVALID_HANDLE;
    if (stream->capture || event->capture) return wait_in_capture(stream, event);
    if (!event->stream) return SUCCESS; /* never recorded */
    return put(stream, (struct work){.kind = WAIT, .stream = event->stream, .place = event->place});
}

EXPORT Result cuEventCreate(struct event **event, unsigned flags) {
    (void)flags;
    ENTER(1);
    *event = calloc(1, sizeof **event);
    (*event)->alive = 1;
    count(EVENTS, 1);
    return SUCCESS;
}

/* The memory stays: work that is queued may still name it. */
EXPORT Result cuEventDestroy_v2(struct event *event) {
    ENTER(0);
    if (!event->alive) return INVALID_HANDLE;
    event->alive = 0;
    count(EVENTS, -1);
    return SUCCESS;
}

/* In a capture it only marks a place for waits: launching the graph does not reach it. */
EXPORT Result cuEventRecord(struct event *event, void *handle) {
    ENTER(1);
    struct stream *stream = stream_of(handle);
    if (stream_bad(stream)) return stream_bad(stream);
    if (!event->alive) return INVALID_HANDLE;
    event->capture = stream->capture ? stream->capture->number : 0;
    if (stream->capture) return SUCCESS;
    return put(stream, (struct work){.kind = RECORD, .event = event});
}

static int reached(struct event *event) {
    return !event->stream || event->stream->queue.done >= event->place;
}

static Result may_ask_event(struct event *event) {
    if (!event->alive) return INVALID_HANDLE;
    Result code = refuse_in_capture(0);
    return !code && event->capture ? CAPTURED_EVENT : code;
}

EXPORT Result cuEventSynchronize(struct event *event) {
    ENTER(1);
    Result code = may_ask_event(event);
    if (code) return code;
    if (event->stream) drain_until(event->stream, event->place);
    return current()->error;
}

EXPORT Result cuEventQuery(struct event *event) {
    ENTER(1);
    Result code = may_ask_event(event);
    if (code) return code;
    return reached(event) ? SUCCESS : NOT_READY;
}

EXPORT Result cuEventElapsedTime_v2(float *elapsed_ms, struct event *start, struct event *end) {
    ENTER(1);
    if (!start->alive || !end->alive || !start->stream || !end->stream) return INVALID_HANDLE;
    if (!reached(start) || !reached(end)) return NOT_READY;
    *elapsed_ms = (float)(end->reached_ms - start->reached_ms);
    return SUCCESS;
}
