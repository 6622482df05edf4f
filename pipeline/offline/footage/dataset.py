"""Makes the training data of listed videos: leaves out unreadable ones, and draws validation."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from pipeline.errors import FootageError, SourceError
from pipeline.media.sources import open_source
from pipeline.offline.footage.listing import ListedVideo, list_videos
from pipeline.offline.footage.video import Footage, Span, Video


def open_footage(path: Path, *, validation: float, seed: int) -> Footage:
    """Open the labelled videos of a folder or a table; `validation` is the share for validation.

    Videos without a split in the table are assigned by the seed, always as a whole. Raises
    `FootageError`.
    """
    listed, warnings = list_videos(path)
    readable = []
    for video in listed:
        reason = _fault(video.path)
        if reason is None:
            readable.append(video)
        else:
            warnings.append(f"left out: {reason}")
    labels = tuple(sorted({label for video in readable for label in video.labels}))
    if len(labels) < 2:
        found = f"{path}: {len(readable)} of {len(listed)} videos can be read, of {len(labels)}"
        raise FootageError("\n".join([f"{found} classes; two are wanted", *warnings[:20]]))
    held_back = draw_validation(readable, share=validation, seed=seed)
    videos = tuple(
        Video(
            name=video.name,
            path=video.path,
            digest=_digest(video.path),
            validation=n in held_back,
            spans=tuple(Span(r.start_us, r.end_us, labels.index(r.label)) for r in video.rows),
        )
        for n, video in enumerate(readable)
    )
    warnings += _one_sided(readable, held_back)
    return Footage(path.name or path.resolve().name, labels, videos, tuple(warnings))


def draw_validation(videos: Sequence[ListedVideo], *, share: float, seed: int) -> frozenset[int]:
    """Choose the videos for validation; returns their indices.

    Every class keeps at least one video for training, and gives about the same share to validation.
    Raises `FootageError` if no choice leaves videos on both sides.
    """
    chosen = {n for n, video in enumerate(videos) if video.split == "validation"}
    free = [n for n, video in enumerate(videos) if video.split is None]
    order = np.random.default_rng(seed).permutation(free).tolist()
    total = Counter(label for video in videos for label in video.labels)
    taken = Counter(label for n in chosen for label in videos[n].labels)
    wanted = max(1, round(share * len(videos)))
    while len(chosen) < wanted:
        spare = [n for n in order if all(total[x] - taken[x] > 1 for x in videos[n].labels)]
        if not spare:
            break
        one = min(spare, key=lambda n: max(taken[x] / total[x] for x in videos[n].labels))
        order.remove(one)
        chosen.add(one)
        taken.update(videos[one].labels)
    if not chosen or len(chosen) == len(videos):
        raise FootageError(
            f"{len(videos)} videos cannot be divided into training and validation: no frames of one"
            " video go to both sides, and each class is to be trained on. Add videos, or cut one"
        )
    return frozenset(chosen)


def _one_sided(videos: Sequence[ListedVideo], held_back: frozenset[int]) -> Iterator[str]:
    """Yield a warning for each class that occurs on one side only."""
    sides: dict[bool, set[str]] = {True: set(), False: set()}
    for n, video in enumerate(videos):
        sides[n in held_back].update(video.labels)
    for label in sorted(sides[True] - sides[False]):
        yield f"class {label!r} occurs in validation only: it cannot be learnt"
    for label in sorted(sides[False] - sides[True]):
        yield f"class {label!r} occurs in training only: nothing tells how well it is learnt"


def _fault(path: Path) -> str | None:
    """Return why the first frame of a video cannot be read; None if it can."""
    try:
        with closing(open_source(path)) as frames:
            next(frames, None)
    except SourceError as exc:
        return str(exc)
    return None


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
