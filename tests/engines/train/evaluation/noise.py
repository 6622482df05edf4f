"""A data set that is made in a moment: noise whose brightness is its label."""

from collections.abc import Iterator

import numpy as np

from engines.train.evaluation.labelled import DataSet, LabelledStream, StreamSet
from tests.engines.bundles import SIDE

LENGTHS = (40, 25, 33)


def film(seed: int, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Noise, darker or brighter by its label; the first frames are not labelled."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(rng.permutation(3), -(-length // 3))[:length]
    shape = (length, SIDE, SIDE, 3)
    pixels = rng.integers(0, 80, shape) + 80 * labels[:, None, None, None]
    labels[:3] = -1
    return pixels.astype(np.uint8), labels


def stream_set(first: int, lengths: tuple[int, ...] = LENGTHS) -> StreamSet:
    def streams() -> Iterator[LabelledStream]:
        for i, length in enumerate(lengths):
            pixels, labels = film(first + i, length)
            yield LabelledStream(f"noise {i}", zip(pixels, labels.tolist(), strict=True))

    return StreamSet("noise", streams(), sum(lengths), side_by_side=2)


def data() -> DataSet:
    return DataSet(
        name="noise",
        about={"folder": "nowhere"},
        rate_hz=10.0,
        tests={"own": stream_set(0), "other": stream_set(10)},
        training=stream_set(20, (30,) * 6),
    )
