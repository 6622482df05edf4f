"""A worker's metrics, in the simulated world."""

import pytest

from engines.model.bundle import Bundle
from engines.onnxrt import onnxruntime_engine
from pipeline.delivery.stall import LOOK_S
from pipeline.errors import BrokerUnavailableError
from pipeline.wire.frames import frame_headers
from tests.engines.bundles import LABELS, tiny
from tests.pipeline.media.video.encoding import encoded
from tests.world import POISON, WHITE, Process, World

START_MS = 1_700_000_000_000  # the start of the world's clock


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return tiny(tmp_path_factory.mktemp("bundles") / "tiny", explodes=True)


class Watched:
    """A world of one partition with one worker, and its metrics."""

    def __init__(self, bundle: Bundle, **settings: object) -> None:
        self.world = World(
            bundle,
            lambda _: onnxruntime_engine(bundle, 1),
            partitions=1,
            max_batch=4,
            expected_streams=("a", "never"),
            **settings,
        )
        self.world.launch("one")

    @property
    def process(self) -> Process:
        return self.world.processes["one"]

    def publish(self, n: int, content: bytes, stream: bytes = b"a") -> None:
        captured = b"%d" % (START_MS + n * 100)
        self.world.log.publish(0, stream, content, (("captured-at", captured),))

    def film(self, count: int) -> None:
        for n in range(count):
            self.publish(n, b"%d" % n)

    def value(self, name: str, **labels: str) -> float | None:
        return self.process.metrics.registry.get_sample_value(name, labels)


@pytest.fixture
def watched(bundle: Bundle) -> Watched:
    return Watched(bundle)


def test_a_frames_age_is_told_at_each_stage(watched: Watched) -> None:
    watched.film(5)
    watched.world.clock.advance(2)
    watched.world.settle()
    ages = [
        watched.value("longtake_frame_age_seconds_sum", stage=stage)
        for stage in ("polled", "batched", "published")
    ]
    assert all(age is not None and age > 5 * 1.6 for age in ages)
    assert ages == sorted(ages, key=lambda age: age or 0)
    assert watched.value("longtake_frame_age_seconds_count", stage="published") == 5


def test_low_latency_tells_ages_and_bytes_too(bundle: Bundle) -> None:
    watched = Watched(bundle, delivery="low_latency")
    watched.film(5)
    watched.world.settle()
    assert watched.value("longtake_frame_age_seconds_count", stage="published") == 5
    assert (watched.value("longtake_written_bytes_total", destination="predictions") or 0) > 1000


def test_predictions_are_counted_by_label_with_how_sure_they_are(watched: Watched) -> None:
    watched.film(12)
    watched.world.settle()
    counts = [watched.value("longtake_predictions_total", label=label) for label in LABELS]
    assert sum(count or 0 for count in counts) == 12
    assert watched.value("longtake_confidence_ratio_count") == 12
    assert watched.value("longtake_confidence_ratio_bucket", le="0.3") == 0  # of three labels


def test_dead_letters_are_counted_by_reason(watched: Watched) -> None:
    watched.publish(0, POISON)
    watched.publish(1, WHITE)
    watched.publish(2, b"1", stream=b"no stream")
    watched.world.settle()
    reasons = ("undecodable", "nonfinite", "malformed", "crash")
    counts = [watched.value("longtake_dead_letters_total", reason=reason) for reason in reasons]
    assert counts == [1, 1, 1, 0]
    assert watched.value("longtake_records_total", fate="dead_lettered") == 3


def test_every_picture_is_timed_those_that_do_not_decode_too(watched: Watched) -> None:
    watched.film(3)
    watched.publish(3, POISON)
    watched.world.settle()
    assert watched.value("longtake_decode_seconds_count") == 4


def test_lag_is_what_the_log_has_and_we_have_not_finished(watched: Watched) -> None:
    watched.world.settle()
    watched.film(30)
    watched.world.clock.advance(LOOK_S)
    watched.world.turn("one")  # polls, and looks up the log's end
    watched.world.work_off("one", "reads")
    watched.world.turn("one")
    assert watched.value("longtake_lag_records") == 30  # none is decoded
    watched.world.settle()
    watched.world.clock.advance(LOOK_S)
    watched.world.settle()
    assert watched.value("longtake_lag_records") == 0


def test_a_partition_has_been_away_from_its_assignment_to_its_first_record(
    watched: Watched,
) -> None:
    watched.world.turn("one")
    watched.world.clock.advance(20)
    watched.world.settle()
    assert watched.value("longtake_restore_seconds_count") == 1
    assert 20 <= (watched.value("longtake_restore_seconds_sum") or 0) < 22


def test_a_stream_is_cold_for_its_first_second(watched: Watched) -> None:
    watched.film(5)
    watched.world.settle()
    watched.world.clock.advance(1)
    watched.world.turn("one")
    streams = ("longtake_streams", "longtake_cold_streams")
    assert [watched.value(name) for name in streams] == [1, 1]
    for n in range(5, 12):
        watched.publish(n, b"%d" % n)
    watched.world.settle()
    watched.world.clock.advance(1)
    watched.world.turn("one")
    assert [watched.value(name) for name in streams] == [1, 0]


def test_streams_that_came_back_are_counted_once_the_worker_is_ready(watched: Watched) -> None:
    watched.film(3)
    watched.world.settle()
    watched.world.crash("one")
    watched.world.launch("one")
    watched.world.bury()
    while not watched.process.worker.ready:
        watched.world.turn("one")
        for kind in ("reads", "writes"):
            watched.world.work_off("one", kind)
    assert watched.value("longtake_streams") == 1


def test_only_expected_streams_have_series_and_those_that_never_came_are_zero(
    watched: Watched,
) -> None:
    watched.film(3)
    watched.publish(0, b"1", stream=b"unexpected")
    watched.world.settle()
    last = "longtake_stream_last_frame_timestamp_seconds"
    assert (watched.value(last, stream="a") or 0) >= START_MS / 1000
    assert watched.value(last, stream="never") == 0
    assert watched.value(last, stream="unexpected") is None
    assert (watched.value("longtake_stream_confidence_ratio", stream="a") or 0) > 0.3
    assert watched.value("longtake_stream_remembered_seconds", stream="a") == pytest.approx(0.2)


def test_a_stream_that_another_worker_has_seen_is_not_absent(watched: Watched) -> None:
    watched.film(3)
    watched.world.settle()
    watched.world.crash("one")
    watched.world.launch("one")
    watched.world.settle()
    name = "longtake_stream_last_frame_timestamp_seconds"
    assert (watched.value(name, stream="a") or 0) >= START_MS / 1000


def test_failed_commits_are_counted_by_their_error(watched: Watched) -> None:
    watched.film(3)
    watched.process.faults.arm("commit", 0, BrokerUnavailableError)
    for _ in range(20):
        watched.world.turn("one")
        for kind in ("decodes", "reads", "writes"):
            watched.world.work_off("one", kind)
    name = "longtake_commit_failures_total"
    assert watched.value(name, error="BrokerUnavailableError") == 1
    assert watched.value(name, error="FencedError") == 0


def test_what_retention_deleted_before_it_was_read_is_counted(watched: Watched) -> None:
    watched.film(3)
    watched.world.settle()
    watched.world.crash("one")
    watched.film(5)
    watched.world.log.expire(0, 6)
    watched.world.launch("one")
    watched.world.settle()
    assert watched.value("longtake_expired_records_total") == 3


# -------------------------------------------------------------------------------- units of H.264


def publish_units(watched: Watched, numbers: list[int]) -> None:
    for n in numbers:
        headers = frame_headers(
            captured_us=START_MS * 1000 + n * 100_000,
            seq=n,
            epoch=1,
            content_type="video/h264",
        )
        watched.world.log.publish(0, b"a", encoded("cabac")[n], headers)
    watched.world.settle()


def test_units_without_a_keyframe_are_counted_by_expected_stream(watched: Watched) -> None:
    publish_units(watched, [0, 1, 3, 4, 5, 10, 12, 13])
    name = "longtake_stream_unkeyed_records_total"
    assert (watched.value(name, stream="a"), watched.value(name, stream="never")) == (3, 0)
    assert watched.value("longtake_records_total", fate="unkeyed") == 3


def test_each_break_of_a_stream_is_logged_once(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    publish_units(watched, [0, 1, 3, 4, 5, 10, 12, 13, 14, 20])
    said = [message for message in caplog.messages if "keyframe" in message]
    assert len(said) == 2
    assert "stream a: no whole chain of units from a keyframe on is before offset 3 of" in said[0]


def test_decoders_and_how_often_one_was_closed_for_another_are_counted(bundle: Bundle) -> None:
    watched = Watched(bundle, max_decoders=1)
    publish_units(watched, [0, 1])
    headers = (("content-type", b"video/h264"),)
    watched.world.log.publish(0, b"b", encoded("cabac")[0], headers)
    watched.world.settle()
    publish_units(watched, [2])
    assert watched.value("longtake_video_decoders") == 1
    assert watched.value("longtake_video_decoders_parked_total") == 2
