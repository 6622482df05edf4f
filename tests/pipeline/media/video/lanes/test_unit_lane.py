"""A lane decodes its stream's units in order, and leaves out those that nothing needs."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from pipeline.errors import CrashingFrameError, UndecodableFrameError
from pipeline.media.video.lanes.decoder_limit import DecoderLimit
from pipeline.media.video.lanes.fitting import FitOutcome, LostDecoderError, OwnFitting
from pipeline.media.video.lanes.unit_chain import ChainRules, UnitChain
from pipeline.media.video.lanes.unit_lane import UnitJob, UnitLane
from pipeline.records import Frame
from tests.pipeline.media.video.encoding import encoded
from tests.pipeline.unit_path import FIT, MOST_PIXELS, brightness, unit, units


def own() -> OwnFitting:
    return OwnFitting(FIT, max_frame_pixels=MOST_PIXELS)


def rules(
    limit: DecoderLimit | None = None, open_fitting: Callable[[], OwnFitting] = own
) -> ChainRules:
    return ChainRules(open_fitting, open_fitting, limit or DecoderLimit(100), 60_000)


class Held:
    """A lane whose decodes run when the test says so."""

    def __init__(self, made: ChainRules) -> None:
        self.calls: list[Callable[[], None]] = []
        self.chain = UnitChain(made)
        self.lane = UnitLane(self.chain, self._post)
        self.sizes: list[int] = []

    def _post(self, frame: Frame, unpacked_bytes: int, call: Callable[[], None]) -> None:
        self.sizes.append(unpacked_bytes)
        self.calls.append(call)

    def submit(self, *frames: Frame, wanted: bool = True) -> list[UnitJob]:
        jobs = [UnitJob(frame, frame.record_ms, wanted) for frame in frames]
        for job in jobs:
            self.lane.submit(job)
        return jobs

    def run(self, count: int = 10_000) -> None:
        while self.calls and count:
            count -= 1
            self.calls.pop(0)()


def states(jobs: list[UnitJob]) -> str:
    """`p` a picture, `n` decoded without one, `x` an error, `o` left out, `.` waiting."""
    return "".join(map(_state, jobs))


def _state(job: UnitJob) -> str:
    if not job.future.done():
        return "."
    result = job.future.result()
    if not result.decoded:
        return "o"
    return "x" if result.error else "n" if result.pixels is None else "p"


@pytest.fixture
def held() -> Held:
    return Held(rules())


def test_one_unit_is_posted_at_a_time(held: Held) -> None:
    jobs = held.submit(*units("cabac", 3))
    posted = len(held.calls)
    held.run(1)
    assert (posted, len(held.calls), states(jobs)) == (1, 1, "p..")
    held.run()
    assert states(jobs) == "ppp"


def test_what_a_unit_costs_is_known_from_its_keyframe(held: Held) -> None:
    held.submit(*units("cabac", 2))
    held.run()
    assert held.sizes == [3 * 96 * 64] * 2


def test_units_of_many_streams_in_many_threads_give_their_own_pictures() -> None:
    made = rules(DecoderLimit(3))
    with ThreadPoolExecutor(4) as pool:
        lanes = [
            UnitLane(UnitChain(made), lambda frame, size, call: pool.submit(call)) for _ in range(8)
        ]
        jobs = [[UnitJob(one, one.record_ms, wanted=True) for one in units("cabac")] for _ in lanes]
        for ready in zip(*jobs, strict=True):
            for lane, job in zip(lanes, ready, strict=True):
                lane.submit(job)
        seen = [[int(job.pixels()[0, 0, 0]) for job in mine] for mine in jobs]
    assert seen == [list(brightness("cabac"))] * 8
    assert made.limit.open <= 4


def test_a_picture_that_is_given_up_in_time_is_not_converted(held: Held) -> None:
    jobs = held.submit(*units("cabac", 3))
    jobs[1].unwant()
    held.run()
    assert states(jobs) == "pnp"


def test_units_before_a_waiting_keyframe_are_left_out_if_nothing_needs_them(held: Held) -> None:
    jobs = held.submit(*units("cabac", 13))
    held.run(2)
    for job in jobs[:12]:
        job.unwant()
    held.lane.leave_out()
    held.run()
    assert states(jobs) == "pp" + "o" * 8 + "nnp"


@pytest.mark.parametrize("needed", [0, 5, 9])
def test_no_unit_before_one_that_is_wanted_is_left_out(held: Held, needed: int) -> None:
    jobs = held.submit(*units("cabac", 11))
    for number, job in enumerate(jobs):
        if number != needed:
            job.unwant()
    held.lane.leave_out()
    held.run()
    assert states(jobs) == "n" * needed + "p" + "n" * (10 - needed)


def test_a_keyframe_that_may_be_a_repeat_does_not_let_others_be_left_out(held: Held) -> None:
    film = units("cabac", 3)
    jobs = held.submit(*film, unit(3, film[0].content, seq=0), wanted=False)
    held.lane.leave_out()
    held.run()
    assert states(jobs) == "nnnx"
    assert jobs[3].future.result().whole


def test_an_abandoned_lane_drops_what_waits_and_frees_its_decoder() -> None:
    made = rules()
    held = Held(made)
    jobs = held.submit(*units("cabac", 4))
    held.run(2)
    held.lane.abandon()
    held.run()
    assert [job.future.cancelled() for job in jobs] == [False, False, True, True]
    assert (held.chain.whole, made.limit.open) == (False, 0)


def test_a_lane_that_has_ended_decodes_what_waits_and_then_frees_its_decoder() -> None:
    made = rules()
    held = Held(made)
    jobs = held.submit(*units("cabac", 4))
    held.lane.end()
    held.run()
    assert (states(jobs), made.limit.open, held.lane.idle) == ("pppp", 0, True)


# ------------------------------------------------------------------------ the limit of decoders


def test_above_the_limit_results_are_the_same_and_units_are_decoded_again() -> None:
    limit = DecoderLimit(1)
    opened: list[OwnFitting] = []

    def counted() -> OwnFitting:
        opened.append(own())
        return opened[-1]

    lanes = [Held(rules(limit, counted)) for _ in range(3)]
    jobs: list[list[UnitJob]] = [[], [], []]
    for one in units("cabac", 5):
        for lane, mine in zip(lanes, jobs, strict=True):
            mine += lane.submit(one)
            lane.run()
            assert limit.open == 1
    seen = [[int(job.pixels()[0, 0, 0]) for job in mine] for mine in jobs]
    assert seen == [list(brightness("cabac")[:5])] * 3
    assert len(opened) == 15  # each unit needs its decoder again
    assert limit.parked == 14


def test_the_chain_that_costs_least_to_decode_again_is_parked() -> None:
    limit = DecoderLimit(2)
    long, short, new = (Held(rules(limit)) for _ in range(3))
    for held, count in ((long, 9), (short, 2), (new, 1)):
        held.submit(*units("cabac", count))
        held.run()
    parked = [held.chain._decoder is None for held in (long, short, new)]  # noqa: SLF001
    assert parked == [False, True, False]


# --------------------------------------------------------------------------- decoders that are lost


class Dying:
    """A decoder in a process that ends at some units, and with it all decoders of that process."""

    lives = 0

    def __init__(self, deadly: set[bytes]) -> None:
        self._deadly = deadly
        self._decoder = own()
        self._life = Dying.lives

    @property
    def lost(self) -> bool:
        return self._life != Dying.lives

    def feed(self, content: bytes, *, seq: int | None, wanted: bool) -> FitOutcome:
        if self.lost or content in self._deadly:
            Dying.lives += 1
            raise LostDecoderError
        return self._decoder.feed(content, seq=seq, wanted=wanted)

    def close(self) -> None: ...


def dying(*deadly: bytes) -> Held:
    made = ChainRules(own, lambda: Dying(set(deadly)), DecoderLimit(9), 60_000)
    return Held(made)


def suspected(held: Held, frames: list[Frame]) -> list[UnitJob]:
    jobs = [UnitJob(one, one.record_ms, wanted=True, suspected=True) for one in frames]
    for job in jobs:
        held.lane.submit(job)
    return jobs


def test_a_unit_that_kills_its_decoder_twice_is_convicted_and_ends_the_chain() -> None:
    held = dying(encoded("cabac")[4])
    jobs = suspected(held, units("cabac", 12))
    held.run()
    assert states(jobs) == "pppp" + "xxxxxx" + "pp"
    error = jobs[4].future.result().error
    assert isinstance(error, CrashingFrameError)
    assert "crashed or hung its decoder in 2 child processes" in str(error)
    assert not isinstance(jobs[5].future.result().error, UndecodableFrameError)


def test_other_streams_in_the_same_process_decode_their_units_again() -> None:
    other, held = dying(), dying(encoded("cabac")[1])
    before = suspected(other, units("cavlc", 4))
    other.run()
    suspected(held, units("cabac", 2))
    held.run()
    after = suspected(other, units("cavlc", 9)[4:])
    other.run()
    pictures = [int(job.pixels()[0, 0, 0]) for job in before + after]
    assert pictures == list(brightness("cavlc")[:9])


def test_a_stream_leaves_the_child_process_at_a_keyframe() -> None:
    held = dying(*encoded("cabac")[10:])
    suspected(held, units("cabac", 3))
    own_process = held.submit(*units("cabac", 12)[3:])
    held.run()
    assert states(own_process) == "p" * 9
