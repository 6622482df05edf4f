/* CUDA graphs of one stream: what was put into it while it was recorded, to be put again. */
#include "double.h"

#include <stdlib.h>

/* For the double of TensorRT. */
EXPORT int double_capturing(void *handle) { return stream_of(handle)->capture != NULL; }

/* What may not be recorded spoils the whole recording. */
Result spoil(struct graph *graph, Result code) {
    graph->invalid = 1;
    return code;
}

/* What waits or allocates may not be called while this thread records, nor while any thread does
 * so in the global mode. It spoils those recordings. A relaxed one minds only a wait for all. */
Result refuse_in_capture(int even_relaxed) {
    Result code = SUCCESS;
    for (struct stream *s = streams; s; s = s->next) {
        struct graph *graph = s->capture;
        if (!graph) continue;
        int ours = pthread_equal(graph->thread, pthread_self()) && graph->mode != RELAXED;
        if (ours || graph->mode == GLOBAL || even_relaxed) code = spoil(graph, CAPTURE_UNSUPPORTED);
    }
    return code;
}

EXPORT Result cuStreamBeginCapture_v2(void *handle, int mode) {
    static unsigned long captures;
    ENTER(1);
    struct stream *stream = stream_of(handle);
    if (stream_bad(stream)) return stream_bad(stream);
    if (stream == &default_stream) return CAPTURE_UNSUPPORTED;
    if (stream->capture) return ILLEGAL_STATE;
    struct graph *graph = calloc(1, sizeof *graph);
    graph->number = __atomic_add_fetch(&captures, 1, __ATOMIC_SEQ_CST);
    graph->mode = mode;
    graph->thread = pthread_self();
    stream->capture = graph;
    count(GRAPHS, 1);
    return SUCCESS;
}

static Result destroy(struct graph *graph) {
    discard(&graph->queue);
    free(graph);
    count(GRAPHS, -1);
    return SUCCESS;
}

/* A recording goes with its stream. */
void abandon(struct stream *stream) {
    if (stream->capture) destroy(stream->capture);
    stream->capture = NULL;
}

EXPORT Result cuStreamEndCapture(void *handle, struct graph **graph) {
    ENTER(1);
    struct stream *stream = stream_of(handle);
    if (!stream->capture) return ILLEGAL_STATE;
    if (stream->capture->mode != RELAXED && !pthread_equal(stream->capture->thread, pthread_self()))
        return CAPTURE_WRONG_THREAD;
    *graph = stream->capture;
    stream->capture = NULL;
    if (!(*graph)->invalid) return SUCCESS;
    destroy(*graph);
    *graph = NULL;
    return CAPTURE_INVALIDATED;
}

EXPORT Result cuStreamIsCapturing(void *handle, int *status) {
    ENTER(1);
    struct graph *graph = stream_of(handle)->capture;
    *status = !graph ? 0 : graph->invalid ? 2 : 1;
    return SUCCESS;
}

/* Only pinned memory is recorded, so no work in a graph owns any. */
EXPORT Result cuGraphInstantiateWithFlags(struct graph **ready, struct graph *graph,
                                          unsigned long long flags) {
    (void)flags;
    ENTER(1);
    *ready = calloc(1, sizeof **ready);
    count(GRAPHS, 1);
    for (struct work *work = graph->queue.first; work; work = work->next)
        append(&(*ready)->queue, *work);
    return SUCCESS;
}

EXPORT Result cuGraphLaunch(struct graph *ready, void *handle) {
    ENTER(1);
    struct stream *stream = stream_of(handle);
    if (stream_bad(stream)) return stream_bad(stream);
    Result code = SUCCESS;
    for (struct work *work = ready->queue.first; work && !code; work = work->next)
        code = put(stream, *work);
    return code;
}

EXPORT Result cuGraphDestroy(struct graph *graph) {
    ENTER(0);
    return destroy(graph);
}

EXPORT Result cuGraphExecDestroy(struct graph *ready) {
    ENTER(0);
    return destroy(ready);
}
