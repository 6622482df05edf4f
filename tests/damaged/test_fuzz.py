"""What the fuzz target reports as harm; and no decompression bomb does any."""

import sys
from itertools import islice
from pathlib import Path

import pytest

from tests.damaged import fuzz
from tests.damaged.costly import costly
from tests.damaged.seeds import bombs, whole

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="memory is counted as Linux does"
)


def test_no_bomb_takes_two_seconds_or_300_megabytes(tmp_path: Path) -> None:
    assert fuzz.judge(list(bombs().values()), tmp_path) == {}


def test_no_picture_takes_more_than_300_megabytes_whatever_it_has_most_of(tmp_path: Path) -> None:
    looks = fuzz.decode_in_child(list(costly().values()), tmp_path, "1")
    assert len(looks) == len(costly())
    assert max(look.peak_bytes for look in looks) <= fuzz.MOST_BYTES
    assert [look.digest for look in looks if look.digest.startswith("raised")] == []


@pytest.mark.parametrize(("limit", "harm"), [("MOST_S", "long"), ("MOST_BYTES", "much memory")])
def test_a_picture_that_takes_more_than_it_may_is_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, limit: str, harm: str
) -> None:
    monkeypatch.setattr(fuzz, limit, -1)
    assert fuzz.judge([whole()["jpeg"]], tmp_path) == {0: f"takes too {harm}"}


def test_a_picture_that_ends_its_process_is_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    holes = tmp_path / "sitecustomize.py"
    holes.write_text("import av, os\nav.Packet = lambda content: os.abort()\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert fuzz.judge([b"no picture", whole()["png"]], tmp_path) == {
        1: "kills or hangs its process"
    }


def test_a_seed_gives_the_same_damaged_pictures_again_and_another_seed_gives_others() -> None:
    ours, again, others = (list(islice(fuzz.batches(seed), 2)) for seed in (5, 5, 6))
    assert ours == again
    assert [len(batch) for batch in ours] == [fuzz.BATCH, fuzz.BATCH]
    undamaged = {*whole().values(), *bombs().values()}
    for batch, other in zip(ours, others, strict=True):
        assert len(set(batch) - undamaged - set(other)) > 0.9 * fuzz.BATCH
