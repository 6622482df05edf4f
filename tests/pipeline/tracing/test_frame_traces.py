"""The worker's spans of a frame, in the simulated world."""

from itertools import pairwise

import pytest

from engines.model.bundle import Bundle
from engines.onnxrt import onnxruntime_engine
from pipeline.records import TRACEPARENT
from pipeline.wire.frames import frame_headers
from tests.engines.bundles import tiny
from tests.pipeline.media.video.encoding import encoded
from tests.pipeline.tracing.recorded import Recorded, parent_of
from tests.world import POISON, TOPICS, WHITE, World

FILM = encoded("cabac")
STEPS = ["poll", "decode", "engine", "commit"]
START_MS = 1_700_000_000_000  # the start of the world's clock
TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return tiny(tmp_path_factory.mktemp("bundles") / "tiny")


@pytest.fixture
def world(bundle: Bundle) -> World:
    return World(bundle, lambda _: onnxruntime_engine(bundle, 1), partitions=1, max_batch=4)


@pytest.fixture
def recorded(world: World) -> Recorded:
    recorded = Recorded()
    world.tracing = recorded.tracing
    world.launch("one")
    return recorded


def header(n: int, *, flags: str = "01") -> str:
    return f"00-{TRACE}-{n + 1:016x}-{flags}"


def publish(world: World, n: int, traceparent: str | None, content: bytes = WHITE) -> None:
    headers = [("captured-at", b"%d" % (START_MS + n * 100))]
    if traceparent is not None:
        headers.append((TRACEPARENT, traceparent.encode()))
    world.log.publish(0, b"gate", content, tuple(headers))


def film(world: World, count: int) -> None:
    for n in range(count):
        publish(world, n, header(n))


def go(world: World, *kinds: str, rounds: int = 12) -> None:
    for _ in range(rounds):
        world.turn("one")
        for kind in kinds:
            world.work_off("one", kind)


def test_a_frame_has_four_spans_in_the_trace_of_its_header(
    world: World, recorded: Recorded
) -> None:
    publish(world, 0, header(0))
    world.clock.advance(1)
    world.settle()
    assert [span.name for span in recorded.spans] == STEPS
    assert {parent_of(span) for span in recorded.spans} == {header(0)}
    times = [(span.start_time or 0, span.end_time or 0) for span in recorded.spans]
    assert all(START_MS * 1_000_000 <= began <= ended for began, ended in times)
    assert all(before[0] <= after[0] for before, after in pairwise(times))
    assert (recorded.spans[-1].attributes or {})["longtake.fate"] == "predicted"


@pytest.mark.parametrize(
    "traceparent",
    [
        None,
        header(0, flags="00"),  # the trace is not sampled
        header(0)[:-1],
        f"ff-{TRACE}-{1:016x}-01",
        f"00-{'0' * 32}-{1:016x}-01",
        "00-" + "g" * 32 + f"-{1:016x}-01",
        header(0) + "-" + "x" * 300,
        "ä" * 20,
    ],
)
def test_a_frame_without_a_sampled_trace_has_no_spans(
    world: World, recorded: Recorded, traceparent: str | None
) -> None:
    publish(world, 0, traceparent)
    publish(world, 1, header(1))
    world.settle()
    assert recorded.steps == [(1, step) for step in STEPS]
    assert len(world.predictions()["gate"]) == 2


def test_a_frame_that_does_not_decode_was_never_in_the_engine(
    world: World, recorded: Recorded
) -> None:
    film(world, 1)
    publish(world, 1, header(1), POISON)
    world.settle()
    assert recorded.steps[4:] == [(1, "poll"), (1, "decode"), (1, "commit")]
    assert (recorded.spans[-1].attributes or {})["longtake.fate"] == "dead_lettered"


def test_frames_that_another_worker_reads_again_have_their_spans_once(
    world: World, recorded: Recorded
) -> None:
    world.settle()
    film(world, 6)
    go(world, "decodes", "reads")  # predicted, and never committed
    assert recorded.steps == []
    world.crash("one")
    world.bury()
    world.launch("one")
    world.settle()
    assert sorted(recorded.steps) == sorted((n, step) for n in range(6) for step in STEPS)


def test_frames_of_a_partition_that_is_restored_in_the_same_worker_have_their_spans_once(
    world: World, recorded: Recorded
) -> None:
    world.settle()
    film(world, 3)
    go(world, "decodes", "reads")
    process = world.processes["one"]
    world.log.group.leave(process.member_id)  # its commit will be refused
    world.settle()
    assert sorted(recorded.steps) == sorted((n, step) for n in range(3) for step in STEPS)


def test_units_that_are_only_decoded_again_after_a_restart_have_no_second_spans(
    world: World, recorded: Recorded
) -> None:
    def units(first: int, last: int) -> None:
        for n in range(first, last):
            headers = frame_headers(
                captured_us=(START_MS + n * 100) * 1000, seq=n, epoch=1, content_type="video/h264"
            )
            world.log.publish(0, b"gate", FILM[n], (*headers, (TRACEPARENT, header(n).encode())))

    units(0, 6)
    world.settle()
    world.crash("one")
    world.launch("one")
    units(6, 8)
    world.settle()
    assert sorted(recorded.steps) == sorted((n, step) for n in range(8) for step in STEPS)


def test_what_is_published_does_not_depend_on_tracing(bundle: Bundle, world: World) -> None:
    def published(*, traced: bool) -> list[tuple[bytes | None, bytes | None]]:
        one = World(bundle, lambda _: onnxruntime_engine(bundle, 1), partitions=1, max_batch=4)
        one.tracing = Recorded().tracing if traced else None
        one.launch("one")
        film(one, 3)
        publish(one, 3, None)
        one.settle()
        records = one.log.read_committed(TOPICS.predictions)
        return [(record.value, dict(record.headers).get(TRACEPARENT)) for record in records]

    traced = published(traced=True)
    assert traced == published(traced=False)
    assert [parent for _, parent in traced] == [*(header(n).encode() for n in range(3)), None]
