"""The sample clips are what a camera would send, and every frame of them has a label."""

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from engines.model.bundle import SHIPPED, load_bundle

SAMPLES = Path(__file__).parents[4] / "pipeline" / "samples"
NAMES = ("gate", "harbour", "market", "yard")
FRAMES, RATE_HZ, GOP = 450, 15, 30

each_clip = pytest.mark.parametrize("name", NAMES)


def labels(name: str) -> list[str]:
    header, *rows = (SAMPLES / f"{name}.csv").read_text().splitlines()
    assert header == "frame,label"
    assert [int(row.split(",")[0]) for row in rows] == list(range(len(rows)))
    return [row.split(",")[1] for row in rows]


def decoded(name: str) -> list[av.VideoFrame]:
    with av.open(str(SAMPLES / f"{name}.mp4")) as container:
        return list(container.decode(video=0))


@each_clip
def test_every_frame_has_a_label_that_the_model_knows(name: str) -> None:
    known = load_bundle(SHIPPED / "actions").labels
    assert len(decoded(name)) == len(labels(name)) == FRAMES
    assert set(labels(name)) <= set(known)


@each_clip
def test_a_clip_shows_all_ten_actions(name: str) -> None:
    assert len(set(labels(name))) == 10


@each_clip
def test_a_clip_can_be_joined_every_two_seconds_and_never_looks_ahead(name: str) -> None:
    keys = [i for i, frame in enumerate(decoded(name)) if frame.key_frame]
    assert keys == list(range(0, FRAMES, GOP))
    with av.open(str(SAMPLES / f"{name}.mp4")) as container:
        packets = [packet for packet in container.demux(video=0) if packet.pts is not None]
        assert container.streams.video[0].average_rate == RATE_HZ
    assert all(packet.pts == packet.dts for packet in packets)


@each_clip
def test_a_player_finds_the_index_before_the_pictures(name: str) -> None:
    content = (SAMPLES / f"{name}.mp4").read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")


def test_the_clips_are_small() -> None:
    sizes = [(SAMPLES / f"{name}.mp4").stat().st_size for name in NAMES]
    assert max(sizes) < 600_000
    assert sum(sizes) < 2_000_000


def test_a_clip_filmed_again_has_the_labels_of_the_shipped_one(film: Callable[[str], Path]) -> None:
    assert film("gate").read_text() == (SAMPLES / "gate.csv").read_text()


@pytest.fixture
def film(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    pytest.importorskip("numba", reason="filming needs the extra longtake[train]")
    pytest.importorskip("PIL", reason="filming needs the extra longtake[train]")
    from engines.train.people import sample_clips

    def film_small(name: str) -> Path:
        monkeypatch.setattr(sample_clips, "SIZE", 32)
        monkeypatch.setattr(
            sample_clips, "SCENES", [s for s in sample_clips.SCENES if s.name == name]
        )
        (path,) = sample_clips.write_clips(tmp_path)
        with av.open(str(path)) as container:
            assert np.mean([f.width for f in container.decode(video=0)]) == 32
        return path.with_suffix(".csv")

    return film_small
