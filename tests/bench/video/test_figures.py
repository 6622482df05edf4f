"""The arithmetic of the benchmark: ratios, promises, schedules and waits. No times are asserted."""

from fractions import Fraction
from itertools import islice
from pathlib import Path

import pytest

from engines.model.bundle import find_bundle, load_bundle
from pipeline.broker.shots import Shot, ShotKind
from tests.bench.served import BenchError
from tests.bench.video.costs import AS_UNITS, CostPair, Costs, SideCost, records, shoot
from tests.bench.video.failover import first_waits
from tests.bench.video.material import plaza, write_films
from tests.bench.video.streaming import begins
from tests.bench.video.table import FilmCosts, figures, promises, table
from tests.bench.video.whole_worker import of_streams
from tests.chaos.logs import Arrival


def _pair(fewer: float, more: float) -> CostPair:
    """Costs of a film with so many times fewer bytes, at so many times the CPU."""
    return CostPair(SideCost(80.0, 10.0, 2.0), SideCost(80.0 / fewer, 5.0, 2.0 * more, 20.0, 40.0))


def test_a_ratio_is_the_median_of_those_of_each_pass() -> None:
    film = FilmCosts("720p", 2, [_pair(8, 1.0), _pair(10, 1.5), _pair(9, 1.2)])

    assert film.ratio(lambda side: side.kb) == pytest.approx(1 / 9)
    assert film.ratio(lambda side: side.worker_ms) == pytest.approx(1.2)


@pytest.mark.parametrize(
    ("fewer", "more", "reached"),
    [(9, 1.5, [True, True]), (7, 1.5, [False, True]), (9, 1.7, [True, False])],
)
def test_promises_are_reached_or_not(fewer: float, more: float, reached: list[bool]) -> None:
    checked = promises([FilmCosts("720p", 2, [_pair(fewer, more)])])

    assert [promise.reached for promise in checked] == reached
    assert [str(promise).startswith("reached") for promise in checked] == reached


def test_a_whole_worker_is_checked_as_well_if_it_was_run() -> None:
    film = FilmCosts("720p", 2, [_pair(9, 1.5)], [(2.0, 4.0), (2.0, 3.4), (2.0, 3.0)])

    assert film.whole_ratio == pytest.approx(1.7)
    assert [promise.reached for promise in promises([film])] == [True, True, False]


def test_only_720p_is_promised() -> None:
    assert (
        promises([FilmCosts("1080p", 2, [_pair(3, 3)]), FilmCosts("360p", 2, [_pair(3, 3)])]) == []
    )


def test_the_table_has_three_lines_for_each_film() -> None:
    measured = [
        FilmCosts("720p", 1, [_pair(9, 1.5)]),
        FilmCosts("720p", 2, [_pair(9, 1.5)], [(2, 3)]),
    ]

    assert table(measured, "caption").row_count == 6
    assert len(figures(measured, {"cpus": 2})["films"]) == 2


def test_each_unit_of_a_film_has_a_restore_and_a_lost_one_ends_the_measurement(
    tmp_path: Path,
) -> None:
    pictures = islice(plaza(1.0).pictures((192, 108)), 6)
    film = write_films(tmp_path, pictures, rate_hz=Fraction(15), groups={"three": 3})["three"]
    units, costs = records(shoot(film, AS_UNITS)[0]), Costs(load_bundle(find_bundle("actions")))

    assert len(costs.restores(units)) == 6
    with pytest.raises(BenchError, match="unit 2"):
        costs.restores([units[0], units[2]])


def test_streams_have_the_same_shots_by_turns_at_the_models_rate() -> None:
    shots = [Shot("", n, 1, 0, b"%d" % n, ShotKind(1 + n)) for n in range(2)]
    made = list(of_streams(shots, ["a", "b"], began_us=1_000_000))

    assert [(stream, content) for stream, content, _ in made] == [
        ("a", b"0"),
        ("b", b"0"),
        ("a", b"1"),
        ("b", b"1"),
    ]
    assert dict(made[3][2])["captured-at"] == b"1066.667"
    assert dict(made[3][2])["content-type"] == b"video/h264"


def test_streams_begin_evenly_within_a_group() -> None:
    schedule = begins(["a", "b", "c", "d"], fps=1, group_s=2)

    assert [(one.stream, one.frames, one.after_s) for one in schedule] == [
        ("a", 0, 0.0),
        ("c", 1, 0.0),
        ("b", 0, 0.5),
        ("d", 1, 0.5),
    ]


def test_a_stream_waits_for_its_first_prediction_that_was_made_after_the_kill() -> None:
    arrivals = [
        Arrival(seen_s, frozen_s, "worker", stream, (0, 0), b"")
        for seen_s, frozen_s, stream in (
            (10.1, 9.9, "a"),
            (17.0, 16.5, "other"),
            (18.0, 17.0, "a"),
            (19.0, 18.0, "a"),
        )
    ]

    assert first_waits(arrivals, {"a", "b"}, 10.0) == {"a": 8.0}
