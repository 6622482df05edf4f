"""A group grows while cameras and workers go on: the command may die at each of its steps."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from engines.model.bundle import Bundle
from pipeline.broker.checkpoint import Checkpoint
from pipeline.broker.memory.memory_growth import MemoryGrowth
from pipeline.broker.partitioner import partition_of
from pipeline.errors import CannotMoveError, ConfigError
from pipeline.judging.audit import Audit, AuditReport
from pipeline.offline.group_growth import GroupGrowth
from pipeline.records import Changelog, Outgoing, Record
from pipeline.wire.predictions import NEW_CHAIN, Prediction
from tests.memory_faults import MovableLog
from tests.pipeline.adder import Adder, adder_bundle
from tests.world import KINDS, TOPICS, CrashError, Faults, World, alone

START_MS = 1_700_000_000_000
BEFORE, AFTER = 2, 6
QUIET_S = 5.0
CAMERAS = tuple(f"cam-{n}" for n in range(8))
MOVING = [name for name in CAMERAS if partition_of(name.encode(), AFTER) >= BEFORE]


class FaultyGrowth(MemoryGrowth):
    """Fails before and after each call."""

    def __init__(self, log: MovableLog, fault: Faults) -> None:
        super().__init__(log)
        self._fault = fault
        self.calls: Counter[str] = Counter()

    def _step(self, name: str) -> None:
        self.calls[name] += 1
        self._fault(name)

    def read(self, partitions: Sequence[int]) -> Mapping[int, Changelog]:
        self._step("read")
        return super().read(partitions)

    def grow(self, topic: str, partitions: int) -> None:
        self._step("grow")
        super().grow(topic, partitions)
        self._step("grow")

    def frames(self, start: Mapping[int, int]) -> Iterator[Sequence[Record]]:
        self._step("frames")
        return super().frames(start)

    def write(self, outgoing: Sequence[Outgoing]) -> None:
        for one in outgoing:
            self._step("write")
            super().write([one])
        self._step("write")

    def commit(self, checkpoint: Checkpoint) -> None:
        self._step("commit")
        super().commit(checkpoint)
        self._step("commit")


@dataclass
class Camera:
    """A producer: it uses the count of partitions that it knows."""

    name: str
    known: int = BEFORE
    sent: list[Record] = field(default_factory=list)


class Site:
    """A world with cameras, workers and the command."""

    def __init__(self, bundle: Bundle) -> None:
        self.world = World(bundle, lambda slot: Adder(), partitions=BEFORE, max_batch=4)
        self.cameras = {name: Camera(name) for name in CAMERAS}
        self.fault = Faults()
        self.log = FaultyGrowth(self.world.log, self.fault)
        self.launches = 0

    def film(self, count: int = 1) -> None:
        """Let every camera publish some frames, by the count of partitions that it knows."""
        for camera in self.cameras.values():
            for _ in range(count):
                self.publish(camera)

    def publish(self, camera: Camera) -> None:
        n = len(camera.sent)
        headers = (("seq", b"%d" % n), ("captured-at", b"%d" % (START_MS + n * 100)))
        number = partition_of(camera.name.encode(), camera.known)
        record = Record(0, n, START_MS, camera.name.encode(), b"%d" % (n % 200), headers)
        self.world.log.publish(number, record.key, record.value, headers)
        camera.sent.append(record)

    def start_workers(self) -> None:
        for slot in ("left", "right"):
            self.world.launch(f"{slot}{self.launches}")
        self.launches += 1

    def kill_workers(self) -> None:
        for slot in list(self.world.processes):
            self.world.crash(slot)
        self.world.bury()

    def work(self, rounds: int = 25) -> None:
        for _ in range(rounds):
            for slot in list(self.world.processes):
                self.world.turn(slot)
                for kind in KINDS:
                    self.world.work_off(slot, kind)

    def command(self) -> GroupGrowth:
        clock = self.world.clock
        return GroupGrowth(self.log, group="group", partitions=AFTER, ttl_ms=10**9, clock=clock)

    def grow(self) -> None:
        """Run the command once, as the command line does; workers are stopped where it asks."""
        growth = self.command()
        plan = growth.check(only_prepare=False)
        if plan.finished:
            return
        growth.prepare(plan)
        self.work(4)
        growth.grow(plan)
        while not growth.watch(plan, quiet_s=QUIET_S).done:
            self.film()
            for camera in self.cameras.values():
                camera.known = self.world.log.partition_count(TOPICS.frames)
            self.work()
            self.world.clock.advance(QUIET_S / 3)
        self.kill_workers()
        growth.move(plan)

    def settle(self) -> None:
        if not self.world.processes:
            self.start_workers()
        self.world.settle()

    def predicted(self, name: str) -> list[Prediction]:
        """The predictions of a camera, those of its old partition first."""
        return [Prediction.read(value) for value in self.world.predictions().get(name, [])]

    def audit(self) -> AuditReport:
        log = self.world.log
        changelogs = {
            n: found
            for n in range(log.partition_count(TOPICS.frames))
            if (found := log.changelog(n)) is not None
        }
        audit = Audit(
            changelogs,
            group=self.world.config.group,
            frames_topic=TOPICS.frames,
            names={},
            predictions_start={},
            dead_letters_start={},
            repeats_allowed=False,
        )
        for n in range(AFTER):
            for record in log.read_committed(TOPICS.predictions):
                if record.partition == n:
                    audit.enter_prediction(record)
        for record in log.read_committed(TOPICS.dead_letters):
            audit.enter_dead_letter(record)
        return audit.report()


def facts(value: bytes) -> dict[str, object]:
    """What a prediction says apart from the place of its frame, and its links."""
    content: dict[str, object] = json.loads(value)
    return {name: content[name] for name in ("stream", "seq", "label", "scores", "memory")}


def assert_as_if_alone(site: Site, bundle: Bundle) -> None:
    """Each camera's predictions are those of its frames in one partition, and form one chain."""
    for name, camera in site.cameras.items():
        found = site.predicted(name)
        wanted, _, _ = alone(camera.sent, bundle, Adder(), site.world.config)
        assert [facts(one.value) for one in found] == [facts(value) for value in wanted]
        links = [NEW_CHAIN, *(one.chain for one in found)]
        assert [one.prev for one in found] == links[:-1]
        assert all(one.intact for one in found)
    report = site.audit()
    assert [finding for life in report.lives for finding in life.findings] == []


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return adder_bundle(tmp_path_factory.mktemp("bundles") / "adder")


@pytest.fixture
def site(bundle: Bundle) -> Site:
    made = Site(bundle)
    made.start_workers()
    made.film(3)
    made.work()
    return made


def test_memory_chains_and_ledgers_go_on_across_a_growth(site: Site, bundle: Bundle) -> None:
    assert len(MOVING) >= 3
    site.grow()
    site.start_workers()
    site.film(3)
    site.settle()
    assert_as_if_alone(site, bundle)
    for name in MOVING:
        last = site.predicted(name)[-1]
        assert last.partition == partition_of(name.encode(), AFTER)
        assert last.frames == len(site.cameras[name].sent) - 1


def calls_of_a_growth(bundle: Bundle) -> list[tuple[str, int]]:
    """Every passage of every step of a growth without a fault."""
    site = Site(bundle)
    site.start_workers()
    site.film(3)
    site.work()
    site.grow()
    return [(step, n) for step, count in site.log.calls.items() for n in range(count)]


def test_the_command_may_die_at_any_of_its_steps_and_be_run_again(bundle: Bundle) -> None:
    calls = calls_of_a_growth(bundle)
    assert {step for step, _ in calls} == {"read", "grow", "frames", "write", "commit"}
    for step, passage in calls:
        site = Site(bundle)
        site.start_workers()
        site.film(3)
        site.work()
        site.fault.arm(step, passage, CrashError)
        with pytest.raises(CrashError):
            site.grow()
        site.film()
        if not site.world.processes:
            site.start_workers()  # a supervisor does, whatever the command has done
        site.work()
        site.fault.arm("", 0, CrashError)
        site.grow()
        site.film()
        site.settle()
        assert_as_if_alone(site, bundle)


def test_workers_die_at_any_time_of_a_growth(bundle: Bundle) -> None:
    for step in ("begin", "send", "offsets", "commit", "committed", "restore"):
        site = Site(bundle)
        site.start_workers()
        site.film(3)
        site.work(3)
        growth = site.command()
        plan = growth.check(only_prepare=False)
        growth.prepare(plan)
        site.kill_workers()
        site.start_workers()  # between changelog and frames
        growth.grow(plan)
        next(iter(site.world.processes.values())).faults.arm(step, 1, CrashError)
        site.film()
        site.work()
        site.kill_workers()
        site.start_workers()  # they know the new partitions from the start
        site.grow()
        site.film()
        site.settle()
        assert_as_if_alone(site, bundle)


def test_new_partitions_wait_and_the_worker_is_ready_and_says_so(site: Site) -> None:
    growth = site.command()
    plan = growth.check(only_prepare=False)
    growth.prepare(plan)
    growth.grow(plan)
    for camera in site.cameras.values():
        camera.known = AFTER
    site.film()
    site.work()
    workers = [process.worker for process in site.world.processes.values()]
    assert all(worker.ready for worker in workers)
    assert all("wait until `longtake topics grow`" in w.readiness.note for w in workers)
    assert {one.partition for one in map(_last, site.world.predictions().values())} <= {0, 1}


def _last(values: list[bytes]) -> Prediction:
    return Prediction.read(values[-1])


def test_workers_that_were_not_stopped_for_it_begin_a_partition_that_was_filled_meanwhile(
    site: Site, bundle: Bundle
) -> None:
    site.fault.arm("commit", 2, CrashError)
    with pytest.raises(CrashError):
        site.grow()
    site.start_workers()
    site.work()
    held = [n for process in site.world.processes.values() for n in _held(process.worker)]
    assert held
    site.fault.arm("", 0, CrashError)
    members = list(site.world.processes)
    growth = site.command()
    plan = growth.check(only_prepare=False)
    with pytest.raises(CannotMoveError, match="at work"):
        growth.move(plan)
    assert list(site.world.processes) == members
    site.grow()
    site.film()
    site.settle()
    assert_as_if_alone(site, bundle)


def _held(worker: object) -> list[int]:
    return sorted(worker._membership.held)  # type: ignore[attr-defined]  # noqa: SLF001


def test_a_producer_that_never_learns_holds_the_growth_up_and_loses_nothing(
    site: Site, bundle: Bundle
) -> None:
    growth = site.command()
    plan = growth.check(only_prepare=False)
    growth.prepare(plan)
    growth.grow(plan)
    for _ in range(20):
        site.film()
        site.work(4)
        seen = growth.watch(plan, quiet_s=QUIET_S)
        assert not seen.done
        assert {one.stream for one in seen.stale.values()} <= set(MOVING)
        site.world.clock.advance(QUIET_S / 2)
    site.kill_workers()
    site.film()
    with pytest.raises(CannotMoveError, match="start the workers again"):
        growth.move(plan)
    site.start_workers()
    site.grow()
    site.film()
    site.settle()
    assert_as_if_alone(site, bundle)


def test_a_record_that_comes_even_later_is_a_dead_letter_and_forks_no_memory(site: Site) -> None:
    site.grow()
    late = site.cameras[MOVING[0]]
    site.start_workers()
    site.film()
    site.work()
    n = partition_of(late.name.encode(), BEFORE)
    site.world.log.publish(n, late.name.encode(), b"1", (("seq", b"999"),))
    site.world.log.publish(n, late.name.encode(), None)
    site.film()
    site.settle()
    letters = site.world.log.read_committed(TOPICS.dead_letters)
    assert [dict(letter.headers)["reason"] for letter in letters] == [b"moved", b"moved"]
    assert site.predicted(late.name)[-1].frames == len(late.sent) - 1
    assert site.audit().breaks == 0


def test_an_audit_says_how_a_group_has_grown(site: Site) -> None:
    site.grow()
    site.settle()
    origins = [life.origin for life in site.audit().lives if life.origin is not None]
    assert [(one.source, one.before, one.after) for one in origins] == [
        (number % BEFORE, BEFORE, AFTER) for number in range(BEFORE, AFTER)
    ]
    assert sum(one.streams for one in origins) == len(MOVING)


def test_a_group_grows_more_than_once(site: Site, bundle: Bundle) -> None:
    for partitions in (4, 8):
        growth = GroupGrowth(
            site.log, group="group", partitions=partitions, ttl_ms=10**9, clock=site.world.clock
        )
        plan = growth.check(only_prepare=False)
        growth.prepare(plan)
        growth.grow(plan)
        for camera in site.cameras.values():
            camera.known = partitions
        while not growth.watch(plan, quiet_s=QUIET_S).done:
            site.film()
            site.work()
            site.world.clock.advance(QUIET_S)
        site.kill_workers()
        growth.move(plan)
        site.start_workers()
        site.film()
        site.settle()
    assert_chains(site)


def assert_chains(site: Site) -> None:
    for name, camera in site.cameras.items():
        found = {one.seq: one for one in site.predicted(name)}
        ordered = [found[n] for n in range(len(camera.sent))]
        assert [one.prev for one in ordered] == [NEW_CHAIN, *(o.chain for o in ordered)][:-1]
        assert [one.frames for one in ordered] == list(range(len(ordered)))


@pytest.mark.parametrize(
    ("partitions", "why"), [(2, "there are 2 already"), (1, "already"), (5, "multiple .*4 or 6")]
)
def test_a_count_that_is_no_growth_is_refused(site: Site, partitions: int, why: str) -> None:
    growth = GroupGrowth(
        site.log, group="group", partitions=partitions, ttl_ms=10**9, clock=site.world.clock
    )
    with pytest.raises(ConfigError, match=why):
        growth.check(only_prepare=False)


def test_a_stream_of_another_partitioner_is_refused_by_name(site: Site) -> None:
    name = next(f"odd-{n}" for n in range(9) if partition_of(b"odd-%d" % n, BEFORE) == 1)
    site.world.log.publish(0, name.encode(), b"1")
    site.work()
    with pytest.raises(CannotMoveError, match=rf"{name} \(in 0, not 1\).*murmur2_random"):
        site.command().check(only_prepare=False)


def test_a_group_that_has_begun_nothing_is_refused(bundle: Bundle) -> None:
    with pytest.raises(CannotMoveError, match=r"has begun partitions \[0, 1\]"):
        Site(bundle).command().check(only_prepare=False)


def test_another_growth_than_the_one_that_has_begun_is_refused(site: Site) -> None:
    growth = site.command()
    growth.prepare(growth.check(only_prepare=False))
    other = GroupGrowth(site.log, group="group", partitions=4, ttl_ms=10**9, clock=site.world.clock)
    with pytest.raises(CannotMoveError, match="--partitions 6` continues it"):
        other.check(only_prepare=False)
