"""The oracle and the worker's rules agree on every sequence of frames that cameras can send."""

import random
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

from engines.model.bundle import load_bundle
from engines.onnxrt import onnxruntime_engine
from pipeline.config import WorkerConfig
from pipeline.media.pictures import Fit, decode_picture
from pipeline.records import Record
from tests import world
from tests.chaos.cameras import TROUBLES, Camera
from tests.chaos.clips import cut_film
from tests.chaos.model import Model
from tests.chaos.oracle import Oracle, Taken
from tests.chaos.unit_cameras import UNIT_TROUBLES, UnitCamera
from tests.engines.bundles import SIDE, write_tiny
from tests.pipeline.pictures import jpeg

TTL_S, KEYFRAME_S = 20.0, 12.0
RECORDS = 300


def film(seed: int, records: int = RECORDS, *, units: bool = False) -> list[Taken]:
    """Six cameras in one partition, with occasional pauses of all of them.

    With `units`, three of them publish H.264.
    """
    rng = random.Random(seed)  # noqa: S311 - a schedule, not a secret
    pictures = [jpeg(SIDE, SIDE, seed=number) for number in range(20)]
    cameras = [
        UnitCamera(n, cut_film(n, (6, 12)[n % 4 // 2]), pictures, seed=seed, troubles=UNIT_TROUBLES)
        if units and n % 2
        else Camera(n, pictures, seed=seed, troubles=TROUBLES)
        for n in range(6)
    ]
    taken: list[Taken] = []
    now_ms = 1_700_000_000_000
    while len(taken) < records:
        camera = cameras[rng.randrange(len(cameras) - (len(taken) % 200 > 100))]  # the last pauses
        now_ms += rng.choice([0, 5, 30, 70, 300, 300, 2500, 15_000 if rng.random() < 0.1 else 1])
        for shot in camera.shoot():
            taken.append(
                Taken(camera.stream, 0, len(taken), now_ms, shot.value, dict(shot.headers))
            )
    return taken


def oracle_of(path: Path, taken: list[Taken], skipped: Sequence[range] = ()) -> Oracle:
    oracle = Oracle(
        Model(path),
        gap_reset_s=2.0,
        stream_ttl_s=TTL_S,
        keyframe_s=KEYFRAME_S,
        skipped={one.stream: skipped for one in taken},
    )
    oracle.feed(taken)
    return oracle


def assert_the_worker_agrees(
    path: Path, taken: list[Taken], skipped: Sequence[range] = ()
) -> Oracle:
    oracle = oracle_of(path, taken, skipped)
    decode = partial(decode_picture, fit=Fit(SIDE, SIDE, "stretch"))
    records = [
        Record(0, t.offset, t.timestamp_ms, t.stream.encode(), t.value, tuple(t.headers.items()))
        for t in taken
    ]
    bundle = load_bundle(path)
    config = WorkerConfig(stream_ttl_s=TTL_S, keyframe_s=KEYFRAME_S, max_decoders=2)
    engine = onnxruntime_engine(bundle, 1)
    values, fates, _ = world.alone(records, bundle, engine, config, skipped, decoder=decode)
    assert list(oracle.predictions.values()) == values
    assert Counter(oracle.fates.values()) == Counter({str(fate): n for fate, n in fates.items()})
    return oracle


@pytest.mark.parametrize("rate_hz", [15.0, None])
@pytest.mark.parametrize("seed", range(4))
def test_the_oracle_predicts_what_the_worker_would(
    seed: int, rate_hz: float | None, tmp_path: Path
) -> None:
    assert_the_worker_agrees(write_tiny(tmp_path / "tiny", rate_hz=rate_hz), film(seed))


@pytest.mark.parametrize("seed", range(6))
def test_the_oracle_predicts_what_the_worker_would_of_units(seed: int, tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "tiny", rate_hz=15.0)
    assert_the_worker_agrees(path, film(seed, 600, units=True))


@pytest.mark.parametrize("seed", range(2))
def test_the_oracle_skips_what_the_worker_skipped_for_newer_frames(
    seed: int, tmp_path: Path
) -> None:
    path = write_tiny(tmp_path / "tiny", rate_hz=15.0)
    taken = film(seed, 600, units=True)
    whole = oracle_of(path, taken).predictions.items()
    going = [offset for (_, offset), value in whole if b'"reset":"new"' not in value]
    skipped = [range(offset, offset + 1) for offset in going[::3]]
    oracle = assert_the_worker_agrees(path, taken, skipped)
    assert Counter(oracle.fates.values())["skipped"] == len(skipped)


def test_those_cameras_lead_to_every_fate_and_reset_of_admission(tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "tiny", rate_hz=15.0)
    oracles = [oracle_of(path, film(seed)) for seed in range(4)]
    fates = {fate for oracle in oracles for fate in oracle.fates.values()}
    values = b"".join(text for oracle in oracles for text in oracle.predictions.values())
    assert fates == {"predicted", "dead_lettered", "duplicate", "late", "sampled", "ended"}
    for reset in ("new", "epoch", "gap", "ended"):
        assert b'"reset":"%s"' % reset.encode() in values
    assert b'"note":"clock"' in values


def test_those_cameras_lead_to_every_fate_of_units(tmp_path: Path) -> None:
    path, taken = write_tiny(tmp_path / "tiny", rate_hz=15.0), film(1, 600, units=True)
    fates = oracle_of(path, taken).fates
    of_units = Counter(fates[t.partition, t.offset] for t in taken if t.unit)
    assert set(of_units) == {
        *("predicted", "dead_lettered", "unkeyed", "duplicate", "late", "sampled")
    }
    assert of_units["predicted"] > of_units["unkeyed"]
