"""Predicts whole sources, scores them against labels, and draws what it says: `longtake run`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines.base import Engine
from engines.model.bundle import Bundle
from pipeline.clock import Clock
from pipeline.errors import SourceError
from pipeline.media.address import Address
from pipeline.media.completeness import Completeness
from pipeline.media.headers.picture_headers import FRAME_PIXELS
from pipeline.media.kinds import open_source_for
from pipeline.media.letters.unpacking import STDIN
from pipeline.media.opening.access import STRICT, Access
from pipeline.media.sources import FrameSource
from pipeline.offline.overlay.film import Film
from pipeline.offline.run import (
    FrameOutcome,
    SourceRecord,
    SourceReport,
    predict_sources,
    serve_files,
    stream_names,
)
from pipeline.offline.scoring import Score
from pipeline.wire.predictions import Prediction


@dataclass(frozen=True, slots=True)
class FileRunReport:
    """What came of each source, in the order of the sources."""

    bundle: str
    seconds: float
    streams: tuple[tuple[SourceReport, Score], ...]
    missing: tuple[Completeness, ...]

    def json(self) -> dict[str, Any]:
        """The report as scripts read it."""
        return {
            "bundle": self.bundle,
            "seconds": round(self.seconds, 3),
            "streams": {
                source.stream: {"frames": source.frames, "fates": dict(source.fates)}
                | missing.json()
                | score.summary()
                for (source, score), missing in zip(self.streams, self.missing, strict=True)
            },
        }


class FileRun:
    """One run over some sources, each a stream of its own. One owner thread.

    `truths` are the labels of each source's frames, None where there are none. The engine's rows
    are overwritten. Pictures may be as large as a worker's by default (`max_frame_pixels`). Raises
    what `open_source` raises.
    """

    def __init__(
        self,
        sources: Sequence[Address],
        bundle: Bundle,
        engine: Engine,
        *,
        truths: Sequence[Sequence[str] | None],
        access: Access = STRICT,
        clock: Clock,
    ) -> None:
        self._addresses = sources
        self._bundle = bundle
        self._engine = engine
        self._truths = truths
        self._clock = clock
        names = stream_names(sources)
        self._reports = [SourceReport(name) for name in names]
        self._scores = [Score(truth) for truth in truths]
        threads = not any(address.is_rtsp for address in sources)
        self._opened = [
            open_source_for(
                bundle.input,
                address,
                stream=name,
                access=access,
                max_frame_pixels=FRAME_PIXELS,
                frame_threads=threads,
            )
            for address, name in zip(sources, names, strict=True)
        ]
        # a batch would wait for more lines than a person has typed
        self._share = 1 if any(address.url == STDIN for address in sources) else None
        self._began_s = clock.monotonic()

    def film(self, path: Path) -> Film:
        """Open a film of the first source, for `run`. A context manager; its owner is the caller.

        Raises `OutputError`.
        """
        return Film(path, bundle=self._bundle, truth=self._truths[0])

    def run(self, film: Film | None) -> Iterator[FrameOutcome]:
        """Predict and score each frame, and draw it into the film. Raises what a source raises."""
        opened: list[Iterator[SourceRecord]] = list(self._opened)
        if film is not None and isinstance(self._opened[0], FrameSource):
            opened[0] = film.watch(self._opened[0])
        model = serve_files(self._bundle, self._engine)
        for outcome in predict_sources(
            opened, model=model, reports=self._reports, share=self._share
        ):
            answer = outcome.answer
            if answer is not None:
                label = self._bundle.labels[answer.label]
                self._scores[outcome.source].enter(outcome.frame, label)
            if film is not None:
                said = None if answer is None else Prediction.read(answer.value)
                film.show(outcome.frame, said, outcome.features())
            yield outcome

    def report(self) -> FileRunReport:
        """What was done, once `run` has ended.

        Raises `SourceError` when a source has more or fewer frames than labels.
        """
        missing = tuple(source.completeness for source in self._opened)
        for address, source, truth, gone in zip(
            self._addresses, self._reports, self._truths, missing, strict=True
        ):
            if truth is not None and len(truth) != source.frames:
                words = str(gone) or "Are these labels of another video?"
                raise SourceError(
                    f"{address.shown} has {source.frames} frames, its label file {len(truth)} rows;"
                    f" every frame has one row. {words}"
                )
        return FileRunReport(
            bundle=self._bundle.id,
            seconds=self._clock.monotonic() - self._began_s,
            streams=tuple(zip(self._reports, self._scores, strict=True)),
            missing=missing,
        )
