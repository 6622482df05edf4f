"""Over random clocks: a picture's time is near the truth, or the camera's clock is distrusted."""

from collections.abc import Callable, Iterator
from random import Random

import pytest

from pipeline.cameras.capture.timing import MOST_AGE_US, CaptureClock, Captured
from tests.pipeline.cameras.random_clocks import Habits, Seen, any_camera, honest, pictures

# A wrong report is believed up to 0.8 s off (PAST_US). Slow stamps are 0.3 s behind when they are
# examined (OFF_US), and up to 1.6 s more before they are distrusted: a stall of some seconds hides
# what they do. A jump within a silence can be hidden too, up to the length of the silence.
NEAR_US = 2_500_000
HONEST_NEAR_US = 1_000_000
CHUNK = 500

Kind = Callable[[Random], Habits]


@pytest.mark.parametrize(
    "first_seed",
    [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(CHUNK, 10_000, CHUNK))],
)
def test_a_picture_is_dated_near_the_truth_or_the_clock_is_distrusted(first_seed: int) -> None:
    for seed in range(first_seed, first_seed + CHUNK):
        near_us = NEAR_US + any_camera(_random(seed)).hidden_us
        assert _most_off_us(seed, any_camera) <= near_us, f"seed {seed}"


def test_a_good_clock_on_a_bad_network_is_near_the_truth() -> None:
    for seed in range(CHUNK):
        assert _most_off_us(seed, honest) <= HONEST_NEAR_US, f"seed {seed}"


@pytest.mark.parametrize(("kind", "most"), [(honest, 0.01), (any_camera, 0.25)])
def test_few_pictures_come_while_the_clock_is_distrusted(kind: Kind, most: float) -> None:
    found = [captured.distrusted for seed in range(200) for _, captured in _dated(seed, kind)]
    assert 1 - found.count(None) / len(found) < most


@pytest.mark.parametrize("kind", [honest, any_camera])
def test_times_go_forward_within_an_epoch_and_stay_near_the_arrival(kind: Kind) -> None:
    for seed in range(200):
        last_us = 0
        for one, captured in _dated(seed, kind):
            assert captured.jumped or captured.at_us > last_us, f"seed {seed}"
            assert -MOST_AGE_US <= captured.at_us - one.arrived_us <= 300_000, f"seed {seed}"
            last_us = captured.at_us


def _random(seed: int) -> Random:
    return Random(seed)  # noqa: S311


def _dated(seed: int, kind: Kind) -> Iterator[tuple[Seen, Captured]]:
    random, clock = _random(seed), CaptureClock()
    for one in pictures(kind(random), random):
        yield (
            one,
            clock.capture(
                one.pts_us, one.wall_us, arrived_us=one.arrived_us, steady_us=one.steady_us
            ),
        )


def _most_off_us(seed: int, kind: Kind) -> int:
    """Return the largest error of the pictures that their own stamps date."""
    return max(
        abs(captured.at_us - one.true_us)
        for one, captured in _dated(seed, kind)
        if captured.distrusted is None and captured.redated is None
    )
