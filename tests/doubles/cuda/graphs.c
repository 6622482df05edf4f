/* CUDA graphs of one stream: what was put into it while it was recorded, to be put again. */
#define _GNU_SOURCE
#include "double.h"

#include <stdlib.h>
#include <string.h>

/* For the double of TensorRT. */
EXPORT int double_capturing(void *handle) { return stream_of(handle)->capture != NULL; }

EXPORT Result cuStreamBeginCapture_v2(void *handle, int mode) {
    (void)mode;
    ENTER(1);
    struct stream *stream = stream_of(handle);
    if ((size_t)handle <= 2) return CAPTURE_UNSUPPORTED;
    if (stream->capture) return ILLEGAL_STATE;
    stream->capture = calloc(1, sizeof *stream->capture);
    live[GRAPHS]++;
    capturing_here(1);
    return SUCCESS;
}

static void forget(struct graph *graph) {
    discard(&graph->queue);
    free(graph);
    live[GRAPHS]--;
}

EXPORT Result cuStreamEndCapture(void *handle, struct graph **graph) {
    ENTER(1);
    struct stream *stream = stream_of(handle);
    if (!stream->capture) return ILLEGAL_STATE;
    *graph = stream->capture;
    stream->capture = NULL;
    capturing_here(-1);
    if (!(*graph)->invalid) return SUCCESS;
    forget(*graph);
    *graph = NULL;
    return CAPTURE_INVALIDATED;
}

EXPORT Result cuStreamIsCapturing(void *handle, int *status) {
    struct graph *graph = stream_of(handle)->capture;
    *status = !graph ? 0 : graph->invalid ? 2 : 1;
    return SUCCESS;
}

EXPORT Result cuGraphInstantiateWithFlags(struct graph **ready, struct graph *graph,
                                          unsigned long long flags) {
    (void)flags;
    ENTER(1);
    *ready = calloc(1, sizeof **ready);
    live[GRAPHS]++;
    for (struct work *work = graph->queue.first; work; work = work->next)
        append(&(*ready)->queue, *work); /* pinned memory only, so nothing is owned */
    return SUCCESS;
}

EXPORT Result cuGraphLaunch(struct graph *ready, void *handle) {
    ENTER(1);
    struct stream *stream = stream_of(handle);
    if (stream_bad(stream)) return stream_bad(stream);
    for (struct work *work = ready->queue.first; work; work = work->next) {
        struct work again = *work;
        if (again.kind == RECORD) again.turn = ++again.event->recorded;
        Result code = put(stream, again);
        if (code) return code;
    }
    return SUCCESS;
}

EXPORT Result cuGraphDestroy(struct graph *graph) {
    forget(graph);
    return SUCCESS;
}

EXPORT Result cuGraphExecDestroy(struct graph *ready) {
    forget(ready);
    return SUCCESS;
}
