"""Draws the predictions on the frames of one source, and writes the frames to a video file."""

import math
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from engines.model.bundle import Bundle
from engines.model.description import Skeleton
from pipeline.media.kinds import fit_for, picture_input
from pipeline.media.pictures import Fit, Points, fit_frame, fit_points, unfit_points
from pipeline.media.sources import SourceFrame
from pipeline.offline.overlay.canvas import Canvas
from pipeline.offline.overlay.panel import Alarm, Caption, Panel, draw_skeleton
from pipeline.offline.overlay.reel import FilmReel
from pipeline.wire.predictions import Prediction

READABLE_ROWS = 360  # a smaller picture is enlarged, because its text would be too small
WIDEST_ENLARGED = 1920  # pixels
ALARM_US = 600_000  # how long a reset stays marked


class Film:
    """Draws the newest prediction on every frame, and writes the frames to a video file.

    When the context ends normally, the file is complete; after Ctrl-C it has the frames so far.
    After any other exception there is no file. All pictures have the size of the first frame,
    enlarged by a whole factor if it is small, with even sides. Frames of another shape get black
    bars.
    """

    def __init__(self, path: Path, *, bundle: Bundle, truth: Sequence[str] | None) -> None:
        self._bundle = bundle
        self._truth = truth or ()
        self._waiting: deque[SourceFrame] = deque()  # read, and waiting for their outcomes
        self._caption: Caption | None = None
        self._features: NDArray[np.float32] | None = None
        self._reset: tuple[str, int] | None = None  # reason and time (us) of the newest reset
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
        """Pass frames on, and keep each until `show` gets its outcome."""
        for frame in frames:
            self._waiting.append(frame)
            yield frame

    def show(
        self, number: int, prediction: Prediction | None, features: NDArray[np.float32] | None
    ) -> None:
        """Draw and write the next frame, which is `number`; None: it has no prediction."""
        frame = self._waiting.popleft()
        if frame.index != number:
            raise AssertionError(f"the outcome of frame {number} is told before {frame.index}")
        self.draw(frame, prediction, features)

    def draw(
        self,
        frame: SourceFrame,
        prediction: Prediction | None,
        features: NDArray[np.float32] | None,
    ) -> None:
        """Draw and write a frame; None: it has no prediction, and shows the last one."""
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
        """Return the positions (J, 2) of the joints in the drawn picture, in pixels."""
        height, width = frame.picture.height, frame.picture.width
        # (J, 2), measured from the centre of the model's input in halves of its width and height
        places = features[: 3 * len(skeleton.joints)].reshape(-1, 3)[:, :2]
        seen = (places + 1) / 2 * (self._sight.width, self._sight.height)
        return fit_points(unfit_points(seen, height, width, self._sight), height, width, shape)


def _film_shape(first: SourceFrame) -> Fit:
    height, width = first.picture.height, first.picture.width
    factor = max(1, min(math.ceil(READABLE_ROWS / height), WIDEST_ENLARGED // width))
    height, width = (factor * side + factor * side % 2 for side in (height, width))  # even
    return Fit(height, width, "letterbox")
