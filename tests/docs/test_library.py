"""The programs of docs/library.md, run as they are."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from engines.model.bundle import find_bundle, load_bundle
from tests.cli.commands import Group, Start, environment
from tests.docs.pages import Page
from tests.pipeline.media.video.encoding import encoded
from tests.pipeline.pictures import jpeg

PAGE = Page.read("docs/library.md")
FILE, AUDIT, REPLAY, PICTURES, STATES = (b.text for b in PAGE.blocks if b.kind == "python")


def said(program: str, folder: Path) -> list[str]:
    """What a program prints, run in a folder with the files that it names."""
    command = [sys.executable, "-c", program]
    ended = subprocess.run(
        command, cwd=folder, env=environment(), capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout.splitlines()


def test_a_file_is_predicted(clip: Path, tmp_path: Path) -> None:
    shutil.copy(clip, tmp_path / "clip.mp4")
    frames, labels, _ = zip(*(line.split() for line in said(FILE, tmp_path)), strict=True)
    assert (frames[0], len(frames)) == ("0", 15)  # one second of 20 frames, at the bundle's rate
    assert set(labels) <= set(load_bundle(find_bundle("actions")).labels)


@pytest.mark.kafka
def test_a_group_is_audited_and_replayed(group: Group, start: Start, tmp_path: Path) -> None:
    start("worker", "--config", group.file).ready()
    for n in range(6):
        group.cluster.publish(n % 2, f"cam-{n % 2}".encode(), jpeg(16, 16, seed=n))
    group.predictions(6)
    shutil.copy(group.file, tmp_path / "longtake.toml")
    audited = [f"partition {number}: 3 predictions, 0 breaks" for number in (0, 1)]
    assert said(AUDIT, tmp_path) == audited
    assert said(REPLAY, tmp_path) == ["[]", "6 True"]


def test_records_become_pictures_or_reasons(tmp_path: Path) -> None:
    (tmp_path / "picture.jpg").write_bytes(jpeg(48, 64, seed=1))
    (tmp_path / "unit.h264").write_bytes(encoded("cabac")[0])
    assert said(PICTURES, tmp_path) == [
        "17 (48, 64, 3)",
        "18 (64, 96, 3)",
        "19 undecodable 7 bytes that do not begin with a start code",
    ]


def test_states_become_changes(tmp_path: Path) -> None:
    assert said(STATES, tmp_path) == [
        "('gate', 'live')",
        "None",
        "gate unknown no process has repeated its state for 95 s; the last was live",
    ]
