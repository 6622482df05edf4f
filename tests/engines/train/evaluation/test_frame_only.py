"""The frame-only head is the best of several, chosen on streams that it did not learn from."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="the [train] extra is not installed")

from engines.train.evaluation.frame_only import HEADS, train_frame_only
from engines.train.evaluation.rolled import Rolled


def stream(name: int, features: np.ndarray, labels: np.ndarray) -> Rolled:
    return Rolled(str(name), labels, features.astype(np.float32), {})


def rings(count: int, seed: int) -> list[Rolled]:
    """Class 1 lies around class 0: no straight line parts them."""
    rng = np.random.default_rng(seed)
    streams = []
    for name in range(count):
        labels, angles = rng.integers(0, 2, 200), rng.uniform(0, 2 * np.pi, 200)
        around = np.stack([np.cos(angles), np.sin(angles)], 1) * (1 + 2 * labels[:, None])
        streams.append(stream(name, around * 40 + 7, labels))
    return streams


def test_the_best_head_is_found_and_parts_what_no_line_can() -> None:
    tried: list[None] = []
    head = train_frame_only(rings(15, 0), classes=2, advance=lambda: tried.append(None))
    assert len(tried) == len(HEADS) == len(head.held_out)
    assert head.name != "linear"
    assert head.held_out[head.name] == max(head.held_out.values()) > 0.99
    assert head.held_out["linear"] < 0.8
    (new,) = rings(1, 9)
    answers = head.answer(new.features).argmax(-1)
    assert (answers == new.labels).mean() > 0.99


def test_an_answer_depends_on_its_frame_alone() -> None:
    head = train_frame_only(rings(4, 0), classes=2, advance=lambda: None)
    (new,) = rings(1, 9)
    backwards = head.answer(new.features[::-1].copy())[::-1]
    np.testing.assert_allclose(backwards, head.answer(new.features), rtol=1e-5, atol=1e-5)


def test_held_out_streams_are_not_learnt_from() -> None:
    """A ring between the two others, of a class that only every fifth stream shows."""
    streams = rings(10, 0)
    for i in range(0, 10, 5):
        between = rings(1, i)[0].features - 7
        between *= 80 / np.linalg.norm(between, axis=1, keepdims=True)
        streams[i] = stream(i, between + 7, np.full(200, 2))
    head = train_frame_only(streams, classes=3, advance=lambda: None)
    assert max(head.held_out.values()) < 0.2


def test_unlabelled_frames_are_not_learnt() -> None:
    streams = rings(6, 0)
    noise = np.full((200, 2), 1e6, np.float32)
    padded = [
        Rolled(s.name, np.append(s.labels, [-1] * 200), np.concatenate([s.features, noise]), {})
        for s in streams
    ]
    first = train_frame_only(streams, classes=2, advance=lambda: None)
    second = train_frame_only(padded, classes=2, advance=lambda: None)
    assert first.held_out == second.held_out


def test_one_stream_is_too_few() -> None:
    with pytest.raises(ValueError, match="two labelled streams, not 1"):
        train_frame_only(rings(1, 0), classes=2, advance=lambda: None)
