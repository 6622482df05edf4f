"""One labelled video: its frames as a worker would get them, and their labels.

Decoding, scaling and thinning call the code of serving, so that training cannot differ from it.
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
GAP_RESET_S = 2.0  # the default of serving: a longer gap in a video restarts the thinning as well
FOREVER_US = 1 << 62

_log = logging.getLogger(__name__)


class WantedShape(Protocol):
    """The shape and rate of the model's input. A bundle's `input` is one."""

    @property
    def height(self) -> int:
        """In pixels."""

    @property
    def width(self) -> int:
        """In pixels."""

    @property
    def fit(self) -> Literal["stretch", "letterbox", "crop"]:
        """How pictures of another shape are fitted."""

    @property
    def rate_hz(self) -> float | None:
        """How many frames a second are kept; None: all."""


@dataclass(frozen=True, slots=True)
class Span:
    """A range of a video with one label: `start_us` <= time < `end_us`; `label` is an index."""

    start_us: int
    end_us: int
    label: int


@dataclass(frozen=True, slots=True)
class Video:
    """A readable video. `name` is for people, `digest` is the SHA-256 of the file."""

    name: str
    path: Path
    digest: str
    validation: bool
    spans: tuple[Span, ...]  # ascending, without overlaps

    def frames(self, shape: WantedShape, /) -> Iterator[tuple[int, Pixels]]:
        """Yield the time (us) and the pixels of each frame that serving would step.

        If the file breaks on the way, the iteration ends there, and logs a warning.
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
        """Return the label of each frame, -1 for frames without one."""
        labels = np.full(len(times_us), UNLABELLED, np.int64)
        for span in self.spans:
            labels[(times_us >= span.start_us) & (times_us < span.end_us)] = span.label
        return labels


@dataclass(frozen=True, slots=True)
class Footage:
    """The videos to train on. `warnings` name what was left out, and what cannot be learnt."""

    name: str
    labels: tuple[str, ...]
    videos: Sequence[Video]
    warnings: tuple[str, ...]

    @property
    def digest(self) -> str:
        """A hash of the videos: their content, their labels, and their sides."""
        hashed = [
            (video.digest, video.validation, *map(astuple, video.spans)) for video in self.videos
        ]
        return hashlib.sha256(json.dumps([self.labels, hashed]).encode()).hexdigest()[:16]


def _as_record(frame: SourceFrame) -> Frame:
    """Return the fields that admission reads of the record that `longtake run` would make."""
    return Frame(
        stream="video",
        partition=-1,
        offset=frame.index,
        record_ms=frame.pts_us // 1000,
        captured_us=frame.pts_us,
        captured_given=True,
        content=b"",
    )
