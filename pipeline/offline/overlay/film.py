"""One source's frames and what became of them: each is drawn on, and written."""

import math
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from engines.model.bundle import Bundle, Skeleton
from pipeline.media.kinds import fit_for, picture_input
from pipeline.media.pictures import Fit, Points, fit_frame, fit_points, unfit_points
from pipeline.media.sources import SourceFrame
from pipeline.offline.overlay.canvas import Canvas
from pipeline.offline.overlay.panel import Alarm, Caption, Panel, draw_skeleton
from pipeline.offline.overlay.reel import FilmReel
from pipeline.wire.predictions import Prediction

READABLE_ROWS = 360  # a smaller picture is enlarged, or its letters would be too small
WIDEST_ENLARGED = 1920
ALARM_US = 600_000  # how long the mark of a reset is seen


class Film:
    """Draws on every frame what the newest prediction says; owns the file that comes of it.

    The file is complete when the context ends: at the end, and at Ctrl-C with what there is by
    then. After any other exception there is none. All pictures have the size of the first frame, by
    a whole factor where that is small, and made even; frames of another shape get black bars.
    """

    def __init__(self, path: Path, *, bundle: Bundle, truth: Sequence[str] | None) -> None:
        self._bundle = bundle
        self._truth = truth or ()
        self._waiting: deque[SourceFrame] = deque()  # read, but their outcome is not told yet
        self._caption: Caption | None = None
        self._features: NDArray[np.float32] | None = None
        self._reset: tuple[str, int] | None = None  # why memory started afresh, and when (us)
        self._panel: Panel | None = None
        self._sight = fit_for(picture_input(bundle, what="an overlay"))
        self._reel = FilmReel(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, _: TracebackType | None
    ) -> None:
        if kind is None or issubclass(kind, KeyboardInterrupt):
            self._reel.finish()
        else:
            self._reel.abandon()

    def watch(self, frames: Iterator[SourceFrame]) -> Generator[SourceFrame, None, None]:
        """Pass frames on, and keep each until its outcome is told."""
        for frame in frames:
            self._waiting.append(frame)
            yield frame

    def show(
        self, number: int, prediction: Prediction | None, features: NDArray[np.float32] | None
    ) -> None:
        """Draw and write frame `number`, the next one; None: it has no prediction."""
        frame = self._waiting.popleft()
        if frame.index != number:
            raise AssertionError(f"the outcome of frame {number} is told before {frame.index}")
        if prediction is not None:
            self._caption, self._features = Caption.of(prediction), features
            if self._caption.reset is not None:
                self._reset = self._caption.reset, frame.pts_us
        if self._panel is None:
            self._panel = Panel(self._bundle.labels, _film_shape(frame))
        self._reel.write(self._drawn(frame, self._panel), frame.pts_us)

    def _drawn(self, frame: SourceFrame, panel: Panel) -> NDArray[np.uint8]:
        canvas = Canvas(fit_frame(frame.picture, panel.shape))
        if self._caption is not None:
            if self._bundle.skeleton is not None and self._features is not None:
                joints = self._joints(frame, self._features, self._bundle.skeleton, panel.shape)
                draw_skeleton(canvas, self._bundle.skeleton, joints)
            truth = self._truth[frame.index] if frame.index < len(self._truth) else None
            panel.draw(canvas, self._caption, alarm=self._alarm(frame.pts_us), truth=truth)
        return canvas.pixels

    def _alarm(self, now_us: int) -> Alarm | None:
        if self._reset is None or now_us - self._reset[1] >= ALARM_US:
            return None
        reason, since_us = self._reset
        return Alarm(reason, 1 - (now_us - since_us) / ALARM_US)

    def _joints(
        self, frame: SourceFrame, features: NDArray[np.float32], skeleton: Skeleton, shape: Fit
    ) -> Points:
        """Where the joints (J, 2) are in the drawn picture."""
        height, width = frame.picture.height, frame.picture.width
        places = features[: 3 * len(skeleton.joints)].reshape(-1, 3)[:, :2]  # half pictures
        seen = (places + 1) / 2 * (self._sight.width, self._sight.height)
        return fit_points(unfit_points(seen, height, width, self._sight), height, width, shape)


def _film_shape(first: SourceFrame) -> Fit:
    height, width = first.picture.height, first.picture.width
    factor = max(1, min(math.ceil(READABLE_ROWS / height), WIDEST_ENLARGED // width))
    height, width = (factor * side + factor * side % 2 for side in (height, width))  # even
    return Fit(height, width, "letterbox")
