"""The demo's data set `human-actions-10`: new takes of people that training never used."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from engines.errors import BundleError
from engines.model.bundle import Bundle
from engines.model.inputs import PictureInput
from engines.train.evaluation.labelled import DataSet, LabelledStream, StreamSet
from engines.train.people.actors import Actors, Split, load_actors
from engines.train.people.streams import ACTIONS, RATE_HZ, Take, random_take

NAME = "human-actions-10"
SEED = 7001
LEAST_SEED = 2000  # smaller seeds are for training data and first measurements
STREAMS = 120
LENGTH, TRAINING_LENGTH = 300, 160  # frames: 20 s; and the length in the head's training
TRAINING_SHARE = 5  # streams to train the frame-only head on, for each test stream
RENDERERS = 2  # threads
PICTURES_BYTES = (
    100 << 20
)  # of streams side by side; twice as much is in memory, while they are stepped


@dataclass(frozen=True, slots=True)
class _Script:
    """Which takes to draw. `seed` must not be shared with another script."""

    seed: tuple[int, int]
    people: Split
    clips: Split
    count: int
    length: int


def demo_data(bundle: Bundle, *, seed: int, streams: int) -> DataSet:
    """Draw the data set for a bundle of the ten actions. Pictures are rendered when they are read.

    `streams` is how many each of the two tests has. Raises `BundleError` for any other bundle.
    """
    size = _side_of(bundle)
    if seed < LEAST_SEED:
        raise ValueError(f"seed must be {LEAST_SEED} or more, {seed} may have drawn training data")
    actors = load_actors()
    test_a = _Script((seed, 1), people="test", clips="train", count=streams, length=LENGTH)
    test_b = _Script((seed, 2), people="test", clips="test", count=streams, length=LENGTH)
    training = _Script(
        (seed, 3),
        people="train",
        clips="train",
        count=streams * TRAINING_SHARE,
        length=TRAINING_LENGTH,
    )
    return DataSet(
        name=NAME,
        about={"seed": seed},
        rate_hz=RATE_HZ,
        tests={
            "a": _film(test_a, "people never seen, in motions of the training", actors, size),
            "b": _film(test_b, "people never seen, in motions never seen", actors, size),
        },
        training=_film(training, "people and motions of the training", actors, size),
    )


def _film(script: _Script, about: str, actors: Actors, size: int) -> StreamSet:
    together = max(1, min(12, PICTURES_BYTES // (script.length * size * size * 3)))
    return StreamSet(
        about=about,
        streams=_streams(script, actors, size, together),
        frames=script.count * script.length,
        side_by_side=together,
    )


def _streams(script: _Script, actors: Actors, size: int, together: int) -> Iterator[LabelledStream]:
    """Render takes in two threads, `together` at a time."""
    with ThreadPoolExecutor(RENDERERS, "render") as pool:
        for first in range(0, script.count, together):
            numbers = range(first, min(first + together, script.count))
            takes = [_take(script, actors, number) for number in numbers]
            pictures = pool.map(lambda take: take.pixels(actors, size=size), takes)
            for number, take, pixels in zip(numbers, takes, pictures, strict=True):
                frames = zip(pixels, take.labels.tolist(), strict=True)
                yield LabelledStream(f"{script.people} {script.clips} {number}", frames)


def _take(script: _Script, actors: Actors, number: int) -> Take:
    rng = np.random.default_rng([*script.seed, number])
    return random_take(actors, rng, people=script.people, clips=script.clips, length=script.length)


def _side_of(bundle: Bundle) -> int:
    """Return the side of a bundle's pictures.

    Refuse bundles without the ten labels, square pictures and 15 frames/s of the takes.
    """
    spec = bundle.input
    if bundle.labels != ACTIONS:
        what = f"its labels are {', '.join(bundle.labels)}, those of the takes {', '.join(ACTIONS)}"
    elif not isinstance(spec, PictureInput):
        what = f"it takes {spec.kind}, the takes are pictures"
    elif spec.height != spec.width:
        what = f"its pictures are {spec.height} x {spec.width}, those of the takes square"
    elif spec.rate_hz not in (None, RATE_HZ):
        what = f"it wants {spec.rate_hz:g} frames/s, the takes have {RATE_HZ:g}"
    else:
        return spec.height
    raise BundleError(
        f"bundle {bundle.id} cannot be measured on {NAME}: {what}. "
        "Measure it on labelled streams of your own: docs/evaluation.md"
    )
