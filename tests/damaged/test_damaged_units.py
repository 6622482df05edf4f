"""A worker reads damaged units of H.264: each has a fate, and no wrong picture is stepped.

What cannot be known (docs/cameras.md): single wrong bits, the last bytes of a unit, a part out of
its middle. A chain of units is judged up to such damage.
"""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

from engines.model.bundle import load_bundle
from engines.model.inputs import PictureInput
from pipeline.config import Start, WorkerConfig
from pipeline.media.crash_child import ChildDecoder
from pipeline.media.headers.picture_headers import FRAME_PIXELS
from pipeline.media.kinds import fit_for
from pipeline.media.video.lanes.fitting import OpenFitting
from pipeline.media.video.strict_chains import StrictH264
from pipeline.records import Fate, Record
from pipeline.wire.units import H264_TYPE
from tests.damaged.corpus import PARTITIONS
from tests.damaged.publishing import cluster_on, publish_all
from tests.damaged.unit_corpus import (
    FILMS,
    GROUP,
    KINDS,
    MISPLACED,
    NOT_KNOWN,
    REFUSED,
    SIZE,
    UNDAMAGED,
    SentUnit,
    pictures,
    records,
)
from tests.damaged.unit_damage import WHOLE
from tests.damaged.watched import MeasuredWorker
from tests.damaged.witness import Witness
from tests.engines.bundles import write_tiny

CONFIG = WorkerConfig(start=Start.EARLIEST)
MOST_S = 2.0
PATIENCE_S = 500.0

Place = tuple[int, int]  # partition and offset


@dataclass(frozen=True)
class WorkedUnits:
    """What was sent, and the outputs of a worker that read it."""

    sent: list[SentUnit]
    watched: MeasuredWorker
    predictions: list[Record]
    letters: list[Record]

    @cached_property
    def fates(self) -> dict[Place, Fate | None]:
        """The fate of each record; None: one that leaves no record of its own, as `unkeyed`."""
        sources = [json.loads(one.value or b"")["source"] for one in self.predictions]
        headers = [dict(one.headers) for one in self.letters]
        return (
            dict.fromkeys(self.places)
            | {(s["partition"], s["offset"]): Fate.PREDICTED for s in sources}
            | {_source(h): Fate.DEAD_LETTERED for h in headers}
        )

    @property
    def answers(self) -> tuple[set[bytes | None], dict[Place, bytes]]:
        """The predictions, and the error of each dead letter."""
        headers = [dict(one.headers) for one in self.letters]
        values = {one.value for one in self.predictions}
        return values, {_source(one): one["error"] for one in headers}

    @cached_property
    def places(self) -> list[Place]:
        """Where each record was sent."""
        ends, places = Counter[int](), list[Place]()
        for one in self.sent:
            places.append((one.record.partition, ends[one.record.partition]))
            ends[one.record.partition] += 1
        return places

    def by_kind(self, *, later: bool) -> dict[str, Counter[Fate | None]]:
        """Count the fates of damaged records; `later`: with those up to the next damage."""
        table, newest = {kind: Counter[Fate | None]() for kind in (WHOLE, *KINDS)}, dict[str, str]()
        for one, place in zip(self.sent, self.places, strict=True):
            kind = one.unit.kind
            if later and kind == WHOLE:
                kind = newest.get(one.stream, WHOLE)
            newest[one.stream] = kind
            table[kind][self.fates[place]] += 1
        return table

    def whole(self) -> Iterator[Place]:
        """Yield the places of whole units that continue a whole keyframe unit by unit."""
        due: dict[str, tuple[int, int]] = {}  # the number and the least `seq` of the next unit
        for one, place in zip(self.sent, self.places, strict=True):
            unit, (number, seq) = one.unit, due.get(one.stream, (0, 0))
            film = FILMS[UNDAMAGED.get(one.stream, one.stream)]
            fits = unit.number is not None and unit.content_type == H264_TYPE
            news = not film.numbered or unit.seq >= seq
            begins = fits and news and (unit.number or 0) % GROUP == 0
            if begins or (fits and news and number == unit.number):
                yield place
                number = ((unit.number or 0) + 1) % len(film.units)
            else:
                number = -1
            due[one.stream] = number, max(seq, unit.seq + 1)


def _source(headers: dict[str, bytes]) -> Place:
    return int(headers["source-partition"]), int(headers["source-offset"])


def worked(sent: list[SentUnit], bundle: Path, open_fitting: OpenFitting) -> WorkedUnits:
    cluster = cluster_on(None, PARTITIONS)
    publish_all(cluster, [one.record for one in sent])
    with MeasuredWorker(cluster, bundle, CONFIG, open_fitting=open_fitting) as watched:
        watched.turn_until(len(sent), patience_s=PATIENCE_S)
    predictions = cluster.committed(cluster.topics.predictions)
    letters = cluster.committed(cluster.topics.dead_letters)
    return WorkedUnits(sent, watched, list(predictions), list(letters))


def wrong_pictures(sent: list[SentUnit], witness: Witness) -> list[str]:
    """Return the damage before each wrong picture; those of damage that cannot be known, too."""
    spoiled = {one.unit.content: one.unit for one in sent if one.unit.number is None}
    full, small = pictures(SIZE), pictures(witness.fit)
    wrong = list[str]()
    for chain in witness.chains:
        kind = "misplaced"
        for seen in chain:
            unit = spoiled.get(seen.unit)
            kind = kind if unit is None else unit.kind
            origin = (seen.unit if unit is None else unit.origin) or b""
            same = full.get(origin) == seen.pixels
            if not same or seen.model_input not in (None, small[origin]):
                wrong.append(kind)
    return wrong


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("damaged") / "tiny")


@pytest.fixture(scope="module")
def spec(bundle: Path) -> PictureInput:
    found = load_bundle(bundle).input
    assert isinstance(found, PictureInput)
    return found


@pytest.fixture(scope="module", params=[4, pytest.param(35, marks=pytest.mark.slow)])
def run(
    request: pytest.FixtureRequest, bundle: Path, spec: PictureInput
) -> tuple[WorkedUnits, Witness]:
    witness = Witness(fit_for(spec), SIZE)
    return worked(records(1, request.param), bundle, witness), witness


@pytest.fixture
def outcome(run: tuple[WorkedUnits, Witness]) -> WorkedUnits:
    return run[0]


@pytest.fixture
def witness(run: tuple[WorkedUnits, Witness]) -> Witness:
    return run[1]


def test_a_seed_gives_the_same_damaged_units_again() -> None:
    assert records(3, 2) == records(3, 2) != records(4, 2)


def test_the_slow_run_has_a_thousand_damaged_units() -> None:
    assert 35 * len(KINDS) >= 1000


def test_every_damaged_unit_ends_in_one_fate_and_one_place(outcome: WorkedUnits) -> None:
    counted, found = outcome.watched.fates, Counter(outcome.fates.values())
    assert sum(counted.values()) == len(outcome.sent) == len(outcome.fates)
    assert found[Fate.PREDICTED] == counted[Fate.PREDICTED] == len(outcome.predictions)
    assert found[Fate.DEAD_LETTERED] == counted[Fate.DEAD_LETTERED] == len(outcome.letters)
    assert counted[Fate.UNKEYED] > 0


def test_a_unit_whose_damage_shows_is_dead_lettered(outcome: WorkedUnits) -> None:
    table = outcome.by_kind(later=False)
    predicted = {kind: table[kind] for kind in REFUSED if table[kind][Fate.PREDICTED]}
    assert predicted == {}
    assert all(table[kind].keys() == {Fate.DEAD_LETTERED} for kind in REFUSED), table


def test_every_kind_of_damage_that_can_be_known_costs_pictures(outcome: WorkedUnits) -> None:
    table = outcome.by_kind(later=True)
    harmless = [kind for kind in MISPLACED | REFUSED if table[kind].keys() <= {Fate.PREDICTED}]
    assert harmless == []


def test_of_damage_that_cannot_be_known_a_third_is_noticed(outcome: WorkedUnits) -> None:
    table = outcome.by_kind(later=False)
    fates = sum((table[kind] for kind in NOT_KNOWN), Counter[Fate | None]())
    assert fates.total() / 3 < fates[Fate.DEAD_LETTERED] < fates.total()


def test_no_picture_is_wrong_where_damage_can_be_known(
    outcome: WorkedUnits, witness: Witness
) -> None:
    wrong = Counter(wrong_pictures(outcome.sent, witness))
    assert {kind: count for kind, count in wrong.items() if kind not in NOT_KNOWN} == {}
    stepped = [one for chain in witness.chains for one in chain if one.model_input is not None]
    assert len(stepped) == len(outcome.predictions) > len(outcome.sent) / 3


def test_every_stream_goes_on_with_its_next_whole_keyframe(outcome: WorkedUnits) -> None:
    whole = set(outcome.whole())
    assert {place for place in whole if outcome.fates[place] is not Fate.PREDICTED} == set()
    assert len(whole) > len(outcome.sent) / 3


def test_no_turn_and_no_unit_takes_two_seconds(outcome: WorkedUnits, witness: Witness) -> None:
    assert outcome.watched.slowest_turn_cpu_s < MOST_S
    assert witness.slowest_unit_s < MOST_S


def test_the_crash_child_gives_damaged_units_the_same_fates(
    bundle: Path, spec: PictureInput
) -> None:
    sent = records(2, 1)
    own = worked(sent, bundle, Witness(fit_for(spec), SIZE))
    with closing(ChildDecoder(spec, max_frame_pixels=FRAME_PIXELS)) as child:
        other = worked(sent, bundle, child.open_fitting)
        assert child.lives == 1
    assert own.answers == other.answers


def test_a_decoder_that_accepts_missing_units_is_found(
    monkeypatch: pytest.MonkeyPatch, bundle: Path, spec: PictureInput
) -> None:
    monkeypatch.setattr(StrictH264, "_refuse_gap", lambda self, first: None)
    sent, witness = records(1, 2, kinds=MISPLACED), Witness(fit_for(spec), SIZE)
    worked(sent, bundle, witness)
    assert set(wrong_pictures(sent, witness)) == {"misplaced"}
