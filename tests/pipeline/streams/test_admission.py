"""The rules of time, from the design: tables for each rule, and long streams of cameras."""

import random
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.records import Admission, EndOfStream, Fate, Frame, Reset
from pipeline.streams.admission import Rules, Verdict, admit, end, expired

T = 1_795_443_960_000_000
S = 1_000_000  # a second
RULES = Rules.of(rate_hz=15, gap_reset_s=2, stream_ttl_s=600)
UNPACED = Rules.of(rate_hz=None, gap_reset_s=2, stream_ttl_s=600)
P = 66_666
LAST = Admission(record_ms=T // 1000, seen_us=T, planned_us=T, due_us=T + P)


def frame(t: int, **changes: Any) -> Frame:
    given_time = changes.pop("captured_given", True)
    plain = Frame("cam-1", 0, 0, 5_000, t, captured_given=given_time, content=b"x")
    return replace(plain, **changes)


def verdicts(frames: Iterable[Frame], rules: Rules = RULES) -> list[Verdict]:
    last, all_of_them = None, []
    for one in frames:
        all_of_them.append(admit(last, one, rules))
        last = all_of_them[-1].admission
    return all_of_them


def let_through(times: Iterable[int], rules: Rules = RULES) -> int:
    return sum(verdict.fate is None for verdict in verdicts(map(frame, times), rules))


# --------------------------------------------------------------------------------- before any rule


@pytest.mark.parametrize(
    ("last", "reset"), [(None, Reset.NEW), (Admission(record_ms=1), Reset.ENDED)]
)
def test_a_first_frame_starts_afresh(last: Admission | None, reset: Reset) -> None:
    verdict = admit(last, frame(T, seq=9, epoch=2), RULES)
    assert (verdict.fate, verdict.reset, verdict.note) == (None, reset, None)
    assert verdict.admission == Admission(5_000, T, T, T + P, 9, 2)


def test_the_end_of_a_stream_forgets_all_of_it() -> None:
    verdict = end(EndOfStream("cam-1", 0, 7, 5_000))
    assert (verdict.fate, verdict.admission) == (Fate.ENDED, Admission(record_ms=5_000))


# ------------------------------------------------------------------------------------ 1 and 2: who


@pytest.mark.parametrize(
    ("before", "now", "step", "fate", "reset"),
    [
        (5, 4, P, Fate.LATE, None),
        (5, 4, -300 * S, Fate.LATE, None),
        (5, 4, 300 * S, Fate.LATE, None),
        (5, 4, 300 * S + 1, None, Reset.EPOCH),  # not recent: a camera that restarted its counter
        (5, 4, -300 * S - 1, None, Reset.EPOCH),
        (5, 0, P, Fate.LATE, None),
        (5, 6, P, None, Reset.EPOCH),
        (5, 6, -P, None, Reset.EPOCH),
        (5, 6, 1, None, Reset.EPOCH),  # never sampled
        (5, 5, P, None, None),
        (5, None, P, None, None),
    ],
)
def test_the_epoch_header_tells_a_cameras_lives_apart(
    before: int, now: int | None, step: int, fate: Fate | None, reset: Reset | None
) -> None:
    verdict = admit(replace(LAST, epoch=before), frame(T + step, epoch=now), RULES)
    assert (verdict.fate, verdict.reset) == (fate, reset)
    assert verdict.admission.epoch == (now if reset else before)


RULE_2 = [
    # last seq, seq, step of t, captured-at given, an epoch was seen -> fate, reset
    (100, 101, P, True, False, None, None),
    (100, 100, 0, True, False, Fate.DUPLICATE, None),
    (100, 99, -P, True, False, Fate.DUPLICATE, None),
    (100, 99, -300 * S, True, False, Fate.DUPLICATE, None),
    (100, 99, -300 * S - 1, True, False, None, Reset.EPOCH),
    (100, 99, P, True, False, None, Reset.EPOCH),
    (100, 0, P, True, False, None, Reset.EPOCH),
    (100, 100, P, True, False, None, None),  # neither repeated nor lower
    (100, 99, P, True, True, None, None),  # the epoch header would show a restart
    (100, 99, -P, True, True, Fate.DUPLICATE, None),
    (100, 99, P, False, False, Fate.DUPLICATE, None),
    (100, 37, P, False, False, Fate.DUPLICATE, None),
    (100, 36, P, False, False, None, Reset.EPOCH),
    (100, 36, P, False, True, None, None),
    (100, 36, -P, False, False, Fate.DUPLICATE, None),
]


@pytest.mark.parametrize(("before", "seq", "step", "given_time", "epoch", "fate", "reset"), RULE_2)
def test_a_number_that_does_not_grow_is_a_repeat_or_a_restart(
    *,
    before: int,
    seq: int,
    step: int,
    given_time: bool,
    epoch: bool,
    fate: Fate | None,
    reset: Reset | None,
) -> None:
    last = replace(LAST, seq=before, epoch=1 if epoch else None)
    verdict = admit(last, frame(T + step, seq=seq, captured_given=given_time), RULES)
    assert (verdict.fate, verdict.reset) == (fate, reset)
    assert verdict.admission.seq == (before if fate else seq)


@pytest.mark.parametrize(("before", "now"), [(None, None), (None, 3), (3, None)])
@pytest.mark.parametrize("step", [-P, 0, P])
def test_without_numbers_nothing_is_a_repeat(
    before: int | None, now: int | None, step: int
) -> None:
    verdict = admit(replace(LAST, seq=before), frame(T + step, seq=now), RULES)
    assert (verdict.fate, verdict.reset) == (None, None)
    assert verdict.admission.seq == (before if now is None else now)


def test_a_new_epoch_forgets_the_old_numbers() -> None:
    last = replace(LAST, seq=812, epoch=1)
    restarted = admit(last, frame(T - S, seq=0, epoch=2), RULES)
    assert (restarted.fate, restarted.reset, restarted.admission.seq) == (None, Reset.EPOCH, 0)
    unnumbered = admit(last, frame(T + S, epoch=2), RULES)
    assert unnumbered.admission.seq is None


@pytest.mark.parametrize("step", [1, P, S])
def test_the_plan_starts_anew_with_an_epoch(step: int) -> None:
    verdict = admit(replace(LAST, epoch=1), frame(T + step, epoch=2), RULES)
    assert (verdict.admission.planned_us, verdict.admission.due_us) == (T + step, T + step + P)


# ----------------------------------------------------------------------------------- 3 and 4: when


@pytest.mark.parametrize("step", [0, -1, -S, -(10**15)])
def test_time_that_does_not_go_forward_is_noted_and_let_through(step: int) -> None:
    verdict = admit(LAST, frame(T + step), RULES)
    assert (verdict.fate, verdict.reset, verdict.note) == (None, None, "clock")
    assert verdict.admission.seen_us == verdict.admission.planned_us == T + step
    assert verdict.admission.due_us == T + step + P


def test_time_is_compared_with_the_last_frame_and_never_with_the_maximum() -> None:
    notes = [v.note for v in verdicts(map(frame, [T, T + 9 * S, T + S, T + S + P]))]
    assert notes == [None, None, "clock", None]


@pytest.mark.parametrize(
    ("step", "fate", "due"),
    [
        (1, Fate.SAMPLED, P),
        (P // 2 - 1, Fate.SAMPLED, P),
        (P // 2, None, 2 * P),
        (P, None, 2 * P),
        (P + P // 2, None, 2 * P),
        (2 * P, None, 2 * P + P // 2),
        (2 * S, None, 2 * S + P // 2),
        (2 * S + 1, None, 2 * S + 1 + P),  # after a gap the plan starts again
    ],
)
def test_a_frame_that_is_too_soon_is_sampled_out(step: int, fate: Fate | None, due: int) -> None:
    verdict = admit(LAST, frame(T + step), RULES)
    assert verdict.fate is fate
    assert verdict.admission.seen_us == T + step
    assert verdict.admission.planned_us == (T if fate else T + step)
    assert verdict.admission.due_us == T + due


def test_a_bundle_without_a_rate_thins_nothing() -> None:
    assert let_through(range(T, T + 1000), UNPACED) == 1000
    assert UNPACED.long_step_us == 1.5 * 330_000


def test_the_period_is_rounded_down_to_whole_microseconds() -> None:
    assert RULES.period_us == P
    assert RULES.long_step_us == 1.5 * P


# -------------------------------------------------------------------------------------- long lives


def exact(fps: float, count: int) -> list[int]:
    return [T + int(n * 1e6 / fps) for n in range(count)]


def rounded(fps: float, count: int) -> list[int]:
    return [T + round(n * 1e6 / fps) for n in range(count)]


def in_milliseconds(fps: float, count: int) -> list[int]:
    return [T + round(n * 1e3 / fps) * 1000 for n in range(count)]


def jittered(fps: float, count: int) -> list[int]:
    chance = random.Random(15)  # noqa: S311
    return [t + chance.randint(-5_000, 5_000) for t in exact(fps, count)]


CLOCKS = pytest.mark.parametrize("times", [exact, rounded, in_milliseconds, jittered])


@CLOCKS
def test_fifteen_into_fifteen_gives_all(times: Any) -> None:
    assert let_through(times(15, 100_000)) == 100_000


@CLOCKS
@pytest.mark.parametrize("fps", [1, 5, 10, 12.5, 14.985])
def test_a_slower_camera_loses_nothing(fps: float, times: Any) -> None:
    assert let_through(times(fps, 2_000)) == 2_000


@CLOCKS
@pytest.mark.parametrize("fps", [20, 24, 25, 29.97, 30, 50, 60])
def test_a_faster_camera_gives_fifteen_a_second(fps: float, times: Any) -> None:
    seconds = 120
    given = let_through(times(fps, int(fps * seconds)))
    assert given / seconds == pytest.approx(15, rel=0.005)


@CLOCKS
def test_thirty_into_fifteen_gives_half(times: Any) -> None:
    assert let_through(times(30, 5_000)) == pytest.approx(2_500, abs=1)


def test_a_camera_at_another_bundles_rate_loses_nothing_either() -> None:
    for rate in (7, 23.976, 29.97, 30):
        rules = Rules.of(rate_hz=rate, gap_reset_s=2, stream_ttl_s=600)
        assert let_through(jittered(rate, 5_000), rules) == 5_000


YEAR = 365 * 86_400 * S


@pytest.mark.parametrize("fps", [15, 25])
@pytest.mark.parametrize("numbered", [True, False])
@pytest.mark.parametrize(
    "wrong", [T + 75 * YEAR, T - 55 * YEAR, T + S, T - S, T + 299 * S, T - 299 * S, 0]
)
def test_one_wrong_clock_value_never_silences_a_camera(
    *, wrong: int, numbered: bool, fps: int
) -> None:
    times = exact(fps, 200)
    times[100] = wrong
    frames = [frame(t, seq=n if numbered else None) for n, t in enumerate(times)]
    fates = [verdict.fate for verdict in verdicts(frames)]
    assert all(None in fates[n : n + 3] for n in range(198))
    assert sum(fate is None for fate in fates) == pytest.approx(200 * 15 / fps, abs=3)


@pytest.mark.parametrize("numbered", [True, False])
def test_a_clock_that_is_set_back_for_good_does_not_silence_a_camera(*, numbered: bool) -> None:
    times = exact(15, 100) + [t - 3600 * S for t in exact(15, 100)]
    frames = [frame(t, seq=n if numbered else None) for n, t in enumerate(times)]
    judged = verdicts(frames)
    assert [v.fate for v in judged] == [None] * 200
    assert [n for n, v in enumerate(judged) if v.note] == [100]


@pytest.mark.parametrize("epoch", [None, 1])
@pytest.mark.parametrize("pause", [P, 20 * S, 400 * S])
def test_a_restart_is_one_reset_and_loses_nothing(epoch: int | None, pause: int) -> None:
    first = [frame(t, seq=n, epoch=epoch) for n, t in enumerate(exact(15, 100))]
    again = None if epoch is None else epoch + 1
    second = [
        replace(one, captured_us=one.captured_us + 99 * P + pause, epoch=again) for one in first
    ]
    judged = verdicts(first + second)
    assert [v.fate for v in judged] == [None] * 200
    assert {n: v.reset for n, v in enumerate(judged) if v.reset} == {0: Reset.NEW, 100: Reset.EPOCH}


def test_a_restart_without_capture_times_is_seen_once_it_cannot_be_a_repeat() -> None:
    numbers = [*range(1000), *range(100)]
    frames = [
        frame(t, seq=n, captured_given=False) for n, t in zip(numbers, exact(15, 1100), strict=True)
    ]
    judged = verdicts(frames)
    assert [v.fate for v in judged] == [None] * 1100
    assert judged[1000].reset is Reset.EPOCH


def test_a_retrying_producers_repeats_are_dropped_and_nothing_else() -> None:
    frames = [frame(t, seq=n) for n, t in enumerate(exact(15, 50))]
    sent = [*frames[:20], *frames[10:20], *frames[18:], frames[-1]]
    judged = verdicts(sent)
    assert [v.fate for v in judged].count(Fate.DUPLICATE) == 10 + 2 + 1
    assert [one.seq for one, v in zip(sent, judged, strict=True) if v.fate is None] == [*range(50)]
    assert [v.reset for v in judged if v.reset] == [Reset.NEW]


def test_a_numbered_frame_that_was_overtaken_is_dropped() -> None:
    frames = [frame(t, seq=n) for n, t in enumerate(exact(15, 6))]
    frames[2], frames[3] = frames[3], frames[2]
    assert [v.fate for v in verdicts(frames)] == [None, None, None, Fate.DUPLICATE, None, None]


def test_an_old_lifes_late_frames_do_not_disturb_the_new_one() -> None:
    old = [frame(t, seq=n + 500, epoch=1) for n, t in enumerate(exact(15, 10))]
    new = [frame(t + 10 * P, seq=n, epoch=2) for n, t in enumerate(exact(15, 10))]
    judged = verdicts([*old[:8], *new[:5], *old[8:], *new[5:]])
    assert [n for n, v in enumerate(judged) if v.fate is Fate.LATE] == [13, 14]
    assert [n for n, v in enumerate(judged) if v.reset is Reset.EPOCH] == [8]
    assert sum(v.fate is None for v in judged) == 18


# ------------------------------------------------------------------------------------- time to live


@pytest.mark.parametrize(("silence_ms", "gone"), [(0, False), (600_000, False), (600_001, True)])
def test_a_stream_expires_when_it_is_silent_for_longer_than_its_ttl(
    *, silence_ms: int, gone: bool
) -> None:
    assert expired(Admission(record_ms=7_000), 7_000 + silence_ms, RULES) is gone


def test_a_dropped_frame_still_is_a_sign_of_life() -> None:
    verdict = admit(replace(LAST, seq=5), frame(T, seq=5, record_ms=T // 1000 + 60), RULES)
    assert (verdict.fate, verdict.admission.record_ms) == (Fate.DUPLICATE, T // 1000 + 60)


# -------------------------------------------------------------------------------------- properties

TIMES = st.one_of(
    st.integers(T - 400 * S, T + 400 * S),
    st.integers(T - 3 * P, T + 3 * P),
    st.integers(0, 253_402_300_799_999_999),
)
COUNTERS = st.none() | st.integers(0, 5) | st.integers(0, 10**18 - 1)
FRAMES = st.builds(frame, TIMES, seq=COUNTERS, epoch=COUNTERS, captured_given=st.booleans())
RULE_SETS = st.builds(
    Rules.of,
    rate_hz=st.none() | st.floats(0.01, 1000),
    gap_reset_s=st.floats(0.01, 1e7),
    stream_ttl_s=st.floats(1, 1e7),
)


@given(st.lists(FRAMES, max_size=30), RULE_SETS)
def test_admission_never_raises_and_a_refused_frame_is_not_seen(
    frames: list[Frame], rules: Rules
) -> None:
    last: Admission | None = None
    for one in frames:
        verdict = admit(last, one, rules)
        if verdict.fate in (Fate.LATE, Fate.DUPLICATE):
            assert last is not None
            assert verdict.admission == replace(last, record_ms=one.record_ms)
            assert verdict.reset is None
        else:
            assert verdict.admission.seen_us == one.captured_us
        last = verdict.admission


@given(st.lists(FRAMES, max_size=30), RULE_SETS)
def test_only_repeats_late_and_sampled_frames_are_held_back(
    frames: list[Frame], rules: Rules
) -> None:
    for verdict in verdicts(frames, rules):
        assert verdict.fate in (None, Fate.LATE, Fate.DUPLICATE, Fate.SAMPLED)
        assert verdict.note in (None, "clock")
        if verdict.fate is not None:
            assert verdict.reset is None


@given(st.lists(FRAMES, max_size=20), st.integers(0, 20), RULE_SETS)
def test_a_life_cut_in_two_is_judged_as_one(frames: list[Frame], cut: int, rules: Rules) -> None:
    whole = verdicts(frames, rules)
    last = whole[cut - 1].admission if 0 < cut <= len(whole) else None
    start = cut if last is not None else 0
    resumed = None if last is None else replace(last)
    for one, wanted in zip(frames[start:], whole[start:], strict=True):
        verdict = admit(resumed, one, rules)
        assert verdict == wanted
        resumed = verdict.admission
