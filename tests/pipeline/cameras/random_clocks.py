"""Random cameras with random clocks on random networks, and when their pictures were taken."""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

T0_US = 1_700_000_000_000_000
HOUR_US = 3_600_000_000


@dataclass(frozen=True, slots=True)
class Seen:
    """One picture as the camera process sees it, and the true time by our clock."""

    pts_us: int
    wall_us: int | None
    arrived_us: int
    steady_us: int
    true_us: int


@dataclass(frozen=True, slots=True)
class Habits:
    """What one camera, its network and this machine do. Times in us."""

    seconds: int
    fps: int
    rate: float  # of the time stamps
    zero_us: int  # the first time stamp
    lost: float  # share of pictures
    wild: float  # share of stamps
    delay_us: int
    jitter_us: int
    stalls: dict[int, int]  # from -> until; pictures taken in this time arrive at its end
    jumps: dict[int, int]  # when the time stamps jump, by how much
    sets: dict[int, int]  # when our own clock is set, by how much
    report_us: int | None  # between sender reports
    report_off_us: int  # of the camera's clock
    report_error_us: int
    report_wild: float

    @property
    def hidden_us(self) -> int:
        """How long the silence is that hides a jump of the time stamps; 0: none does."""
        silences = [
            to - at
            for at, to in self.stalls.items()
            if any(at <= jump <= to for jump in self.jumps)
        ]
        return sum(silences)


def honest(random: Random) -> Habits:
    """Return a camera with a good clock, on a network with faults."""
    seconds = random.randint(20, 40)
    return Habits(
        seconds=seconds,
        fps=random.choice((2, 5, 8, 10, 15)),
        rate=1 + random.uniform(-200e-6, 200e-6),
        zero_us=random.choice((0, random.randrange(0, 2**33), random.randrange(-HOUR_US, HOUR_US))),
        lost=random.choice((0, 0, 0.02, 0.2)),
        wild=random.choice((0, 0, 0.05)),
        delay_us=random.randrange(5_000, 150_000),
        jitter_us=random.choice((0, 5_000, 100_000)),
        stalls=_stalls(random, seconds),
        jumps={},
        sets={},
        report_us=random.choice((None, 1_000_000, 5_000_000)),
        report_off_us=0,
        report_error_us=0,
        report_wild=0,
    )


def any_camera(random: Random) -> Habits:
    """Return a camera whose clock may do anything."""
    good = honest(random)
    span_us = good.seconds * 1_000_000
    return Habits(
        seconds=good.seconds,
        fps=good.fps,
        rate=1 + random.choice((0.0, random.uniform(-0.2, 0.2), random.uniform(-0.02, 0.02))),
        zero_us=good.zero_us,
        lost=good.lost,
        wild=random.choice((0, 0.02, 0.05, 0.1)),
        delay_us=good.delay_us,
        jitter_us=good.jitter_us,
        stalls=good.stalls,
        jumps={
            random.randrange(span_us): _step(random) for _ in range(random.choice((0, 0, 1, 3)))
        },
        sets={random.randrange(span_us): _step(random) for _ in range(random.choice((0, 0, 0, 1)))},
        report_us=good.report_us,
        report_off_us=random.choice((0, 0, _step(random))),
        report_error_us=random.choice((0, 50_000, 300_000)),
        report_wild=random.choice((0, 0, 0.1)),
    )


def pictures(habits: Habits, random: Random) -> Iterator[Seen]:
    """Yield the pictures of one connection as they arrive."""
    arrived_us, report = 0, None
    report_due_us = random.randrange(0, habits.report_us or 1)
    for frame in range(habits.seconds * habits.fps):
        true_us = frame * 1_000_000 // habits.fps
        jumped_us = sum(by_us for at_us, by_us in habits.jumps.items() if at_us <= true_us)
        pts_us = habits.zero_us + round(true_us * habits.rate) + jumped_us
        if habits.report_us is not None and true_us >= report_due_us:
            report_due_us += habits.report_us
            report = true_us - pts_us + _report_error_us(habits, random)
        if random.random() < habits.lost:
            continue
        if random.random() < habits.wild:
            pts_us += random.choice((-1, 1)) * random.randrange(2_000_000, 20_000_000_000)
        sent_us = max([true_us, *(to for at, to in habits.stalls.items() if at <= true_us < to)])
        delay_us = habits.delay_us + random.randrange(habits.jitter_us + 1)
        arrived_us = max(arrived_us + 100, sent_us + delay_us)
        ours_us = T0_US + sum(by for at_us, by in habits.sets.items() if at_us <= arrived_us)
        wall_us = None if report is None else ours_us + pts_us + report
        yield Seen(pts_us, wall_us, ours_us + arrived_us, arrived_us, ours_us + true_us)


def _report_error_us(habits: Habits, random: Random) -> int:
    error_us = habits.report_off_us
    error_us += random.randint(-habits.report_error_us, habits.report_error_us)
    if random.random() < habits.report_wild:
        error_us += random.randrange(-10 * HOUR_US, 10 * HOUR_US)
    return error_us


def _stalls(random: Random, seconds: int) -> dict[int, int]:
    stalls = {}
    for _ in range(random.choice((0, 0, 1, 2))):
        begins_us = random.randrange(3_000_000, seconds * 1_000_000)
        stalls[begins_us] = begins_us + random.randrange(200_000, 4_500_000)
    return stalls


def _step(random: Random) -> int:
    size_us = random.choice((1_000_000, 10_000_000, HOUR_US, 24 * HOUR_US))
    return random.choice((-1, 1)) * random.randrange(100_000, size_us)
