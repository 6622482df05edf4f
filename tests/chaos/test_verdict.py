"""The verdict finds every kind of violation, each put in on purpose."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.model import Model
from tests.chaos.oracle import Oracle, Taken
from tests.chaos.verdict import Verdict, judge
from tests.engines.bundles import write_tiny
from tests.pipeline.pictures import jpeg

GAP_RESET_S, STREAM_TTL_S, KEYFRAME_S = 2.0, 60.0, 60.0


@dataclass(frozen=True, slots=True)
class Raw:
    """A record as a reader receives it."""

    partition: int
    offset: int
    timestamp: int
    key: bytes
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


@dataclass(slots=True)
class Outcome:
    """Everything that a run leaves behind."""

    bundle: Path
    taken: list[Taken]
    frames: list[Raw]
    predictions: list[Raw]
    letters: list[Raw]
    manifests: dict[int, dict[str, Any]]
    skipped: dict[str, list[range]] = field(default_factory=dict)

    def judge(self, *, repeats_allowed: bool = False) -> Verdict:
        return judge(
            bundle=self.bundle,
            taken=self.taken,
            frames=self.frames,
            predictions=self.predictions,
            dead_letters=self.letters,
            manifests=self.manifests,
            gap_reset_s=GAP_RESET_S,
            stream_ttl_s=STREAM_TTL_S,
            keyframe_s=KEYFRAME_S,
            skipped=self.skipped,
            repeats_allowed=repeats_allowed,
        )


def film(count: int = 12) -> Iterable[Taken]:
    """Two streams in one partition; the last frame is garbage."""
    for offset in range(count):
        ms = 1_700_000_000_000 + offset * 100
        value = b"garbage" if offset == count - 1 else jpeg(16, 16, seed=offset)
        headers = {"seq": b"%d" % offset, "captured-at": b"%d" % ms}
        yield Taken(f"cam-{offset % 2}", 0, offset, ms, value, headers)


@pytest.fixture
def outcome(tmp_path: Path) -> Outcome:
    """Return what a run without faults leaves behind."""
    bundle, taken = write_tiny(tmp_path / "tiny"), list(film())
    oracle = Oracle(
        Model(bundle),
        gap_reset_s=GAP_RESET_S,
        stream_ttl_s=STREAM_TTL_S,
        keyframe_s=KEYFRAME_S,
    )
    oracle.feed(taken)
    frames = [
        Raw(0, t.offset, t.timestamp_ms, t.stream.encode(), t.value, tuple(t.headers.items()))
        for t in taken
    ]
    predictions = [
        replace(frames[offset], value=value, headers=(("worker", b"one"),))
        for (_, offset), value in oracle.predictions.items()
    ]
    source = (("source-partition", b"0"), ("source-offset", b"11"))
    manifest = {
        "first_offset": 0,
        "next_offset": 12,
        "absent": 0,
        "expired": 0,
        "fates": {"predicted": 11, "dead_lettered": 1, "late": 0},
    }
    letters = [replace(frames[11], headers=source)]
    return Outcome(bundle, taken, frames, predictions, letters, {0: manifest})


def test_a_run_without_faults_is_clean(outcome: Outcome) -> None:
    assert outcome.judge().clean


def lose_a_prediction(outcome: Outcome) -> None:
    del outcome.predictions[4]


def lose_the_last_prediction(outcome: Outcome) -> None:
    outcome.predictions.pop()


def repeat_a_prediction(outcome: Outcome) -> None:
    outcome.predictions.insert(5, outcome.predictions[4])


def skip_a_streams_last_frame(outcome: Outcome) -> None:
    outcome.skipped["cam-0"] = [range(10, 11)]


def alter_a_score(outcome: Outcome) -> None:
    value = outcome.predictions[4].value or b""
    outcome.predictions[4] = replace(
        outcome.predictions[4], value=value.replace(b'"confidence":0', b'"confidence":1')
    )


def swap_two_predictions_of_a_stream(outcome: Outcome) -> None:
    places = outcome.predictions
    places[2], places[4] = places[4], places[2]


def predict_a_frame_that_nobody_sent(outcome: Outcome) -> None:
    value = (outcome.predictions[4].value or b"").replace(b'"offset":4', b'"offset":99')
    outcome.predictions.append(replace(outcome.predictions[4], value=value))


def lose_a_frame_in_the_log(outcome: Outcome) -> None:
    del outcome.frames[3]


def lose_a_dead_letter(outcome: Outcome) -> None:
    outcome.letters.clear()


def miscount_a_fate(outcome: Outcome) -> None:
    outcome.manifests[0]["fates"]["late"] += 1


def swap_two_fates(outcome: Outcome) -> None:
    outcome.manifests[0]["fates"] |= {"predicted": 10, "late": 1}


@pytest.mark.parametrize(
    ("damage", "kind"),
    [
        (lose_a_prediction, "lost"),
        (lose_the_last_prediction, "lost"),
        (repeat_a_prediction, "repeated"),
        (skip_a_streams_last_frame, "lost"),
        (skip_a_streams_last_frame, "invented"),
        (alter_a_score, "differing"),
        (alter_a_score, "chain breaks"),
        (swap_two_predictions_of_a_stream, "chain breaks"),
        (predict_a_frame_that_nobody_sent, "invented"),
        (lose_a_frame_in_the_log, "unlogged"),
        (lose_a_dead_letter, "ledger mismatches"),
        (miscount_a_fate, "ledger mismatches"),
        (swap_two_fates, "ledger mismatches"),
    ],
)
def test_what_is_wrong_is_found(
    outcome: Outcome, damage: Callable[[Outcome], None], kind: str
) -> None:
    damage(outcome)
    assert outcome.judge().violations[kind] > 0


def test_with_low_latency_a_repeat_with_the_same_bytes_is_counted_and_allowed(
    outcome: Outcome,
) -> None:
    repeat_a_prediction(outcome)
    verdict = outcome.judge(repeats_allowed=True)
    assert verdict.clean
    assert verdict.repeats == 1


def alter_a_repeat(outcome: Outcome) -> None:
    repeat_a_prediction(outcome)
    value = outcome.predictions[5].value or b""
    outcome.predictions[5] = replace(
        outcome.predictions[5], value=value.replace(b'"seq":', b'"seq":1')
    )


@pytest.mark.parametrize(
    ("damage", "kind"),
    [
        (alter_a_repeat, "differing"),
        (swap_two_predictions_of_a_stream, "lost"),
        (swap_two_predictions_of_a_stream, "chain breaks"),
        (lose_a_prediction, "lost"),
    ],
)
def test_with_low_latency_what_is_wrong_is_found(
    outcome: Outcome, damage: Callable[[Outcome], None], kind: str
) -> None:
    damage(outcome)
    assert outcome.judge(repeats_allowed=True).violations[kind] > 0
