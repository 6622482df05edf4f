"""One labelled video: its frames as a worker would see them, and what each of them shows.

The decoder, the scaling and the thinning are those of serving, so that they cannot differ from it.
"""

import hashlib
import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from engines.model.inputs import Pixels
from pipeline.errors import SourceError, UndecodableFrameError
from pipeline.media.pictures import Fit, fit_frame
from pipeline.media.sources import SourceFrame, open_source
from pipeline.records import Admission, Frame
from pipeline.streams.admission import Rules, admit

UNLABELLED = -1
GAP_RESET_S = 2.0  # the default of serving; after a gap of a video its plan begins anew too
FOREVER_US = 1 << 62

_log = logging.getLogger(__name__)


class WantedShape(Protocol):
    """What the model wants to see. A bundle's `input` is one."""

    @property
    def height(self) -> int:
        """In pixels."""

    @property
    def width(self) -> int:
        """In pixels."""

    @property
    def fit(self) -> Literal["stretch", "letterbox", "crop"]:
        """How another shape is brought to it."""

    @property
    def rate_hz(self) -> float | None:
        """Frames a second that are kept; None keeps all."""


@dataclass(frozen=True, slots=True)
class Span:
    """From `start_us` on and before `end_us` a video shows the label of this number."""

    start_us: int
    end_us: int
    label: int


@dataclass(frozen=True, slots=True)
class Video:
    """A video that can be read. `name` is for people, `digest` tells its content."""

    name: str
    path: Path
    digest: str
    validation: bool
    spans: tuple[Span, ...]  # in the order of time, none overlaps another

    def frames(self, shape: WantedShape, /) -> Iterator[tuple[int, Pixels]]:
        """Give the time in microseconds and the pixels of each frame that serving would step.

        A file that breaks on the way ends there, and the log says so.
        """
        rules = Rules.of(
            rate_hz=shape.rate_hz, gap_reset_s=GAP_RESET_S, stream_ttl_s=86_400.0 * 365
        )
        fit = Fit(shape.height, shape.width, shape.fit)
        last: Admission | None = None
        count = 0
        try:
            for frame in open_source(self.path):
                verdict = admit(last, _as_record(frame), rules)
                last = verdict.admission
                if verdict.fate is None:
                    yield frame.pts_us, fit_frame(frame.picture, fit)
                count = frame.index + 1
        except (SourceError, UndecodableFrameError) as exc:
            _log.warning("%s breaks off, %d frames before that are used: %s", self.name, count, exc)

    def labels_at(self, times_us: NDArray[np.int64]) -> NDArray[np.int64]:
        """Tell the label of each frame, -1 where there is none."""
        labels = np.full(len(times_us), UNLABELLED, np.int64)
        for span in self.spans:
            labels[(times_us >= span.start_us) & (times_us < span.end_us)] = span.label
        return labels


@dataclass(frozen=True, slots=True)
class Footage:
    """All that is to be trained on. `warnings` say what was left out, and what cannot be learnt."""

    name: str
    labels: tuple[str, ...]
    videos: Sequence[Video]
    warnings: tuple[str, ...]

    @property
    def digest(self) -> str:
        """Tell the videos by their content, what they show and which side they are on."""
        told = [
            (video.digest, video.validation, *map(astuple, video.spans)) for video in self.videos
        ]
        return hashlib.sha256(json.dumps([self.labels, told]).encode()).hexdigest()[:16]


def _as_record(frame: SourceFrame) -> Frame:
    """The record that `longtake run` makes of it, as far as admission looks."""
    return Frame(
        stream="video",
        partition=-1,
        offset=frame.index,
        record_ms=frame.pts_us // 1000,
        captured_us=frame.pts_us,
        captured_given=True,
        content=b"",
    )
