"""Removes libav's mark of an interlaced frame, so that every frame is scaled as one picture.

libav scales the two fields of a marked frame apart. That is wrong for an interlaced PNG (Adam7 is
an order of storage, and its decoder sets the same mark), and a JPEG cannot carry the mark: the
worker would see other pixels than `longtake run`. The rows of both fields stay where they are.
"""

from fractions import Fraction

import av
from av.filter import Graph


def progressive(frame: av.VideoFrame) -> av.VideoFrame:
    """Return the frame without the mark: the same pixels, not copied. Raises libav's errors."""
    if not frame.interlaced_frame:
        return frame
    graph = Graph()
    source = graph.add_buffer(
        width=frame.width,
        height=frame.height,
        format=frame.format,
        time_base=frame.time_base or Fraction(1),
    )
    sink = graph.add("buffersink")
    graph.link_nodes(source, graph.add("setfield", "prog"), sink).configure()
    source.push(frame)
    result = sink.pull()
    if not isinstance(result, av.VideoFrame):
        raise AssertionError(f"a filter of pictures returned {type(result).__name__}")
    return result
