"""Streams side by side: every frame once, in order, each stream from an empty memory."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the [train] extra is not installed")
pytest.importorskip("timm", reason="the [train] extra is not installed")

from engines.train.chunks import Chunk, carried  # noqa: E402
from engines.train.clips.lanes import CHUNK, LANES, LONGEST, lane_chunks  # noqa: E402
from engines.train.clips.reels import FeatureStream, stretches  # noqa: E402
from engines.train.heads import make_head  # noqa: E402


def streams(*lengths: int) -> list[FeatureStream]:
    """Features that tell the stream and the frame; the label is the stream."""
    return [
        FeatureStream(
            torch.stack([torch.full((n,), float(i)), torch.arange(n).float()], 1),
            torch.full((n,), i),
            validation=False,
        )
        for i, n in enumerate(lengths)
    ]


def shown(lengths: tuple[int, ...], seed: int = 0) -> list[tuple[int, int, int, bool]]:
    """Lane, stream, frame and whether memory is empty before it, of every frame with a label."""
    found = []
    for chunk in lane_chunks(streams(*lengths), np.random.default_rng(seed)):
        lanes = min(LANES, chunk.features.shape[1])
        assert chunk.features.shape == (CHUNK, lanes, 2)
        for lane in range(lanes):
            known = chunk.labels[:, lane] >= 0
            for at, (stream, frame) in enumerate(chunk.features[known, lane].int().tolist()):
                found.append((lane, stream, frame, at == 0 and bool(chunk.fresh[lane])))
    return found


LENGTHS = tuple(int(n) for n in np.random.default_rng(1).integers(1, 200, 40))


def test_every_frame_is_shown_once() -> None:
    frames = sorted((stream, frame) for _, stream, frame, _ in shown(LENGTHS))
    assert frames == [(i, t) for i, n in enumerate(LENGTHS) for t in range(n)]


def test_memory_is_empty_at_the_first_frame_of_a_stream_and_at_no_other() -> None:
    assert all(fresh == (frame == 0) for _, _, frame, fresh in shown(LENGTHS))


def test_a_stream_stays_in_its_lane_and_in_its_order() -> None:
    places: dict[int, list[tuple[int, int]]] = {}
    for lane, stream, frame, _ in shown(LENGTHS):
        places.setdefault(stream, []).append((lane, frame))
    for some in places.values():
        assert len({lane for lane, _ in some}) == 1
        assert [frame for _, frame in some] == sorted(frame for _, frame in some)


def test_a_long_stream_is_cut_into_lanes_elsewhere_in_every_epoch() -> None:
    cuts = [
        [frame for _, _, frame, fresh in shown((3 * LONGEST,), seed) if fresh] for seed in (0, 1)
    ]
    assert sorted(cuts[0])[0] == 0
    assert 3 <= len(cuts[0]) <= 4
    assert sorted(cuts[0]) != sorted(cuts[1])


def test_a_gap_of_more_than_two_seconds_cuts_a_video() -> None:
    times_us = np.array([0, 1, 2, 2.5, 5, 6]) * 1e6
    assert list(stretches(times_us.astype(np.int64))) == [slice(0, 4), slice(4, 6)]


def test_a_lane_keeps_its_memory_but_where_a_stream_begins() -> None:
    head = make_head("transformer", 3, features=2)
    memory = tuple(part + 1 for part in head.start(3))
    none = torch.zeros(0)
    kept = carried(head, memory, Chunk(none, none, torch.tensor([False, True, False])))
    for part, before in zip(kept, memory, strict=True):
        torch.testing.assert_close(part[[0, 2]], before[[0, 2]])
        assert (part[1] == 0).all()
    for part in carried(head, (), Chunk(none, none, torch.tensor([True] * 5))):
        assert part.shape[0] == 5
        assert (part == 0).all()
