/* Queues of work, and who does it: whoever waits for it. One thread at a time works on a stream. */
#define _GNU_SOURCE
#include "double.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Returns its place: the first one's is 1. */
unsigned long append(struct queue *queue, struct work work) {
    struct work *added = malloc(sizeof *added);
    *added = work;
    added->next = NULL;
    lock();
    if (queue->last)
        queue->last->next = added;
    else
        queue->first = added;
    queue->last = added;
    unsigned long place = ++queue->added;
    unlock();
    return place;
}

static struct work *take(struct queue *queue) {
    struct work *work = queue->first;
    if (work && !(queue->first = work->next)) queue->last = NULL;
    return work;
}

static void forget(struct work *work) {
    free(work->owned);
    free(work);
}

void discard(struct queue *queue) {
    for (struct work *work; (work = take(queue));) forget(work);
}

static double now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec * 1e-6;
}

/* A graph may come to memory that was there when it was recorded, and is not any more. */
static Result copy(const struct work *work) {
    void *target = work->target;
    const void *source = work->source;
    if (work->to_device)
        target = double_alias((Address)target, work->size);
    else if (!work->to_pageable && !pinned(target, work->size))
        target = NULL;
    if (work->from_device)
        source = double_alias((Address)source, work->size);
    else if (!work->owned && !pinned(source, work->size))
        source = NULL;
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
            work->event->reached_ms = now_ms();
            return SUCCESS;
        case WAIT:
            drain_until(work->stream, work->place);
            return SUCCESS;
    }
    return NOT_SUPPORTED;
}

/* Do one thing, or wait until another thread has done one. 0 if there is none, and for who is not
 * patient if another thread is at it. After an error only events are reached. */
static int advance(struct stream *stream, int patient) {
    lock();
    if (stream->busy) {
        int wait = patient && !pthread_equal(stream->runner, pthread_self());
        if (wait) unlock_and_wait();
        unlock();
        return wait;
    }
    struct work *work = take(&stream->queue);
    stream->busy = work != NULL;
    stream->runner = pthread_self();
    unlock();
    if (!work) return 0;
    if (!stream->context->error || work->kind == RECORD) {
        Result code = run(work);
        if (code) stream->context->error = code;
    }
    forget(work);
    lock();
    stream->busy = 0;
    stream->queue.done++;
    changed();
    unlock();
    return 1;
}

void drain(struct stream *stream) {
    while (advance(stream, 1)) {
    }
}

void drain_until(struct stream *stream, unsigned long place) {
    while (stream->queue.done < place && advance(stream, 1)) {
    }
}

/* What frees something does not wait for another thread: pycuda holds Python's lock there, which
 * the host function that the other thread is in may want. */
void drain_idle(struct stream *stream) {
    while (advance(stream, 0)) {
    }
}

void drain_all_idle(void) {
    drain_idle(&default_stream);
    for (struct stream *s = streams; s; s = s->next)
        if (s->alive) drain_idle(s);
}

void drain_all(int blocking_only) {
    drain(&default_stream);
    for (struct stream *s = streams; s; s = s->next)
        if (s->alive && (s->blocking || !blocking_only)) drain(s);
}

/* The default stream comes after all that is on blocking streams, and before what comes later. */
static Result keep_order(struct stream *stream) {
    if (stream != &default_stream) {
        if (stream->blocking) drain(&default_stream);
        return SUCCESS;
    }
    for (struct stream *s = streams; s; s = s->next)
        if (s->alive && s->blocking && s->capture) return spoil(s->capture, CAPTURE_IMPLICIT);
    drain_all(1);
    return SUCCESS;
}

Result put(struct stream *stream, struct work work) {
    Result code = stream->capture && stream->capture->invalid ? CAPTURE_INVALIDATED : SUCCESS;
    if (!code && !stream->capture) code = keep_order(stream);
    if (code) {
        free(work.owned);
        return code;
    }
    if (stream->capture) {
        append(&stream->capture->queue, work);
        return SUCCESS;
    }
    unsigned long place = append(&stream->queue, work);
    if (work.kind == RECORD) {
        work.event->stream = stream;
        work.event->place = place;
    }
    if (setting("DOUBLE_EAGER", 0)) drain(stream);
    return stream->context->error;
}
