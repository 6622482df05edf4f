/* Streams and events. A stream is a queue; whoever waits for it does its work. */
#define _GNU_SOURCE
#include "double.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct stream default_stream = {.alive = 1};
static struct stream *streams;

struct stream *stream_of(void *handle) {
    if ((size_t)handle > 2) return handle; /* 0, 1 and 2 are names of the default stream */
    default_stream.context = current();
    return &default_stream;
}

Result stream_bad(struct stream *stream) { return stream->alive ? SUCCESS : INVALID_HANDLE; }

void append(struct queue *queue, struct work work) {
    struct work *added = malloc(sizeof *added);
    *added = work;
    added->next = NULL;
    lock();
    if (queue->last)
        queue->last->next = added;
    else
        queue->first = added;
    queue->last = added;
    unlock();
}

static struct work *take(struct queue *queue) {
    lock();
    struct work *work = queue->first;
    if (work && !(queue->first = work->next)) queue->last = NULL;
    unlock();
    return work;
}

void discard(struct queue *queue) {
    for (struct work *work; (work = take(queue));) {
        free(work->owned);
        free(work);
    }
}

Result put(struct stream *stream, struct work work) {
    if (stream->capture) {
        append(&stream->capture->queue, work);
        return SUCCESS;
    }
    append(&stream->queue, work);
    if (setting("DOUBLE_EAGER", 0)) drain(stream);
    return stream->context->error;
}

/* What may not be recorded spoils the recording. */
Result forbidden_in_capture(struct stream *stream) {
    stream->capture->invalid = 1;
    return CAPTURE_UNSUPPORTED;
}

static double now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec * 1e-6;
}

/* Do what is before an event in its stream, and no more. */
static void drain_until(struct event *event, unsigned long turn);

static Result copy(const struct work *work) {
    void *target = work->target;
    const void *source = work->source;
    if (work->to_device) target = double_alias((Address)target, work->size);
    if (work->from_device) source = double_alias((Address)source, work->size);
    if (!target || !source) return ILLEGAL_ADDRESS;
    memmove(target, source, work->size);
    return SUCCESS;
}

static Result fill(const struct work *work) {
    char *target = double_alias((Address)work->target, work->size);
    if (!target) return ILLEGAL_ADDRESS;
    for (size_t i = 0; i < work->size; i += work->width)
        memcpy(target + i, &work->value, work->width); /* little-endian */
    return SUCCESS;
}

static Result run(const struct work *work) {
    switch (work->kind) {
        case COPY:
            return copy(work);
        case FILL:
            return fill(work);
        case CALL:
            work->call(work->argument);
            return SUCCESS;
        case RECORD:
            work->event->done = work->turn;
            work->event->reached_ms = now_ms();
            return SUCCESS;
        case WAIT:
            drain_until(work->event, work->turn);
            return SUCCESS;
    }
    return NOT_SUPPORTED;
}

/* One thing; 0 if there is none. After an error only events are reached. */
static int advance(struct stream *stream) {
    struct work *work = take(&stream->queue);
    if (!work) return 0;
    if (!stream->context->error || work->kind == RECORD) {
        Result code = run(work);
        if (code) stream->context->error = code;
    }
    free(work->owned);
    free(work);
    return 1;
}

void drain(struct stream *stream) {
    while (advance(stream)) {
    }
}

void drain_all(void) {
    drain(&default_stream);
    for (struct stream *s = streams; s; s = s->next)
        if (s->alive) drain(s);
}

static void drain_until(struct event *event, unsigned long turn) {
    while (event->done < turn && event->stream && advance(event->stream)) {
    }
}

EXPORT Result cuStreamCreate(void **handle, unsigned flags) {
    (void)flags;
    ENTER(1);
    struct stream *made = calloc(1, sizeof *made);
    made->alive = 1;
    made->context = current();
    lock();
    made->next = streams;
    streams = made; /* kept for ever, so that a dead handle is known as one */
    live[STREAMS]++;
    unlock();
    *handle = made;
    return SUCCESS;
}

EXPORT Result cuStreamCreateWithPriority(void **handle, unsigned flags, int priority) {
    (void)priority;
    return cuStreamCreate(handle, flags);
}

EXPORT Result cuStreamDestroy_v2(void *handle) {
    struct stream *stream = stream_of(handle);
    if (stream_bad(stream)) return stream_bad(stream);
    drain(stream);
    stream->alive = 0;
    live[STREAMS]--;
    return SUCCESS;
}

EXPORT Result cuStreamSynchronize(void *handle) {
    ENTER(1);
    struct stream *stream = stream_of(handle);
    if (stream_bad(stream)) return stream_bad(stream);
    if (stream->capture) return forbidden_in_capture(stream);
    drain(stream);
    return stream->context->error;
}

EXPORT Result cuStreamQuery(void *handle) {
    ENTER(1);
    struct stream *stream = stream_of(handle);
    if (stream_bad(stream)) return stream_bad(stream);
    if (stream->capture) return forbidden_in_capture(stream);
    return stream->queue.first ? NOT_READY : stream->context->error;
}

EXPORT Result cuStreamWaitEvent(void *handle, struct event *event, unsigned flags) {
    (void)flags;
    ENTER(1);
    struct stream *stream = stream_of(handle);
    if (stream_bad(stream)) return stream_bad(stream);
    if (!event->recorded) return SUCCESS;
    return put(stream, (struct work){.kind = WAIT, .event = event, .turn = event->recorded});
}

EXPORT Result cuLaunchHostFunc(void *handle, void (*call)(void *), void *argument) {
    ENTER(1);
    struct stream *stream = stream_of(handle);
    if (stream_bad(stream)) return stream_bad(stream);
    return put(stream, (struct work){.kind = CALL, .call = call, .argument = argument});
}

EXPORT Result cuEventCreate(struct event **event, unsigned flags) {
    (void)flags;
    ENTER(1);
    *event = calloc(1, sizeof **event);
    live[EVENTS]++;
    return SUCCESS;
}

/* The memory stays: work that is queued may still name it. */
EXPORT Result cuEventDestroy_v2(struct event *event) {
    (void)event;
    live[EVENTS]--;
    return SUCCESS;
}

EXPORT Result cuEventRecord(struct event *event, void *handle) {
    ENTER(1);
    struct stream *stream = stream_of(handle);
    if (stream_bad(stream)) return stream_bad(stream);
    event->stream = stream;
    event->recorded++;
    return put(stream, (struct work){.kind = RECORD, .event = event, .turn = event->recorded});
}

EXPORT Result cuEventSynchronize(struct event *event) {
    ENTER(1);
    if (capturing_here(0)) return CAPTURE_UNSUPPORTED;
    drain_until(event, event->recorded);
    return current()->error;
}

EXPORT Result cuEventQuery(struct event *event) {
    ENTER(1);
    return event->done < event->recorded ? NOT_READY : SUCCESS;
}

EXPORT Result cuEventElapsedTime_v2(float *elapsed_ms, struct event *start, struct event *end) {
    ENTER(1);
    if (!start->recorded || !end->recorded) return INVALID_HANDLE;
    if (start->done < start->recorded || end->done < end->recorded) return NOT_READY;
    *elapsed_ms = (float)(end->reached_ms - start->reached_ms);
    return SUCCESS;
}
