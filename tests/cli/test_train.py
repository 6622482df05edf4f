"""`longtake train`: real videos in, a bundle out that `longtake run` predicts with."""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from engines.load import load_engine
from engines.model.bundle import find_bundle, load_bundle
from pipeline.media.sources import open_source
from pipeline.offline.run import SourceReport, predict_sources, serve_files
from tests.cli.commands import Ended, Longtake, environment
from tests.engines.bundles import write_tiny
from tests.moving import LABELS, write_folder, write_moving, write_table

TRAIN = [sys.executable, "-m", "pipeline", "train"]
TINY = ("--backbone", "seed", "--size", "22", "--rate-hz", "10", "--head", "gru")
PATIENCE_S = 500.0  # beside other work a run takes ten times as long
needs_torch = pytest.mark.skipif(
    not all(find_spec(name) for name in ("torch", "timm", "onnxscript")),
    reason="the [train] extra is not installed",
)


def train(*arguments: str | Path) -> Ended:
    ended = subprocess.run(
        [*TRAIN, *arguments],
        capture_output=True,
        env=environment(OMP_NUM_THREADS="1"),
        timeout=PATIENCE_S,
        encoding="utf-8",
        check=False,
    )
    return Ended(ended.returncode, ended.stdout, ended.stderr)


def killed_when(appears: Path, *arguments: str | Path) -> bool:
    """Start a training, SIGKILL it as soon as the file is there; tell whether it was in time."""
    before = appears.stat().st_mtime_ns if appears.exists() else None
    with subprocess.Popen(
        [*TRAIN, *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment(OMP_NUM_THREADS="1"),
    ) as process:
        while process.poll() is None:
            if appears.exists() and appears.stat().st_mtime_ns != before:
                process.kill()
            time.sleep(0.005)
    return process.returncode == -9


def accuracy(bundle: Path, videos: Sequence[tuple[Path, str]]) -> float:
    """How often `longtake run`'s code path is right, over all frames but the first three."""
    loaded = load_bundle(bundle)
    engine = load_engine("onnxruntime", loaded, threads=1)
    reports = [SourceReport(str(n)) for n in range(len(videos))]
    sources = [open_source(path) for path, _ in videos]
    right = [
        loaded.labels[outcome.answer.label] == videos[outcome.source][1]
        for outcome in predict_sources(sources, model=serve_files(loaded, engine), reports=reports)
        if outcome.answer is not None and outcome.frame > 6
    ]
    return sum(right) / len(right)


def test_what_is_wrong_in_a_table_ends_it_before_anything_is_trained(
    longtake: Longtake, tmp_path: Path
) -> None:
    pytest.importorskip("torch", reason="the [train] extra is not installed")
    pytest.importorskip("timm", reason="the [train] extra is not installed")
    (tmp_path / "t.csv").write_text("video,start_s,end_s,label\nno.mp4,1,0,\n", "utf-8")
    ended = train(tmp_path / "t.csv", "--out", tmp_path / "out")
    assert ended.code == 25
    assert ended.err.count(f"{tmp_path / 't.csv'}:2: ") == 3
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(find_spec("torch") is not None, reason="PyTorch is installed")
def test_without_pytorch_it_says_what_to_install(longtake: Longtake, tmp_path: Path) -> None:
    ended = longtake("train", tmp_path, "--out", "out")
    assert ended.code == 20
    assert ended.complaint.endswith("torch: in longtake's repository, pip install -e '.[train]'")


@needs_torch
def test_an_encoder_that_does_not_exist_is_answered_with_what_there_is(tmp_path: Path) -> None:
    data = write_folder(tmp_path / "clips", videos=2, frames=3)
    ended = train(data, "--out", tmp_path / "out", "--backbone", "resnet18")
    assert ended.code == 26
    assert "no encoder named 'resnet18'; there are: seed" in ended.complaint


@needs_torch
def test_the_recipe_of_the_article_takes_no_other_network(tmp_path: Path) -> None:
    ended = train(tmp_path, "--out", tmp_path / "out", "--recipe", "article", "--head", "gru")
    assert ended.code == 2
    assert "an encoder and a head of its own" in ended.err


@needs_torch
def test_the_recipe_of_the_demo_takes_no_videos(tmp_path: Path) -> None:
    ended = train(tmp_path, "--out", tmp_path / "out", "--recipe", "actions")
    assert ended.code == 2
    assert "takes --out, --work and --seed alone" in ended.err


@needs_torch
def test_the_recipe_of_the_demo_never_replaces_another_bundle(tmp_path: Path) -> None:
    write_tiny(tmp_path / "mine")
    ended = train("--recipe", "actions", "--out", tmp_path / "mine")
    assert ended.code == 26
    assert "name another --out" in ended.complaint
    assert load_bundle(tmp_path / "mine").name != "actions"


@needs_torch
def test_the_demo_s_bundle_is_not_trained_twice(tmp_path: Path) -> None:
    shutil.copytree(find_bundle("actions"), tmp_path / "actions")
    ended = train("--recipe", "actions", "--out", tmp_path / "actions", "--json")
    assert ended.json["bundle"] == load_bundle(find_bundle("actions")).id
    assert not (tmp_path / "actions" / ".work").exists()


@needs_torch
def test_without_videos_it_says_which_it_wants(tmp_path: Path) -> None:
    ended = train("--out", tmp_path / "out")
    assert ended.code == 2
    assert "name your videos" in ended.err


@needs_torch
@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_a_folder_becomes_a_bundle_that_run_predicts_with(tmp_path: Path) -> None:
    data, out = write_folder(tmp_path / "clips", videos=12, frames=60), tmp_path / "mine"
    (data / "left" / "broken.mp4").write_bytes(b"no video at all")
    ended = train(data, "--out", out, *TINY, "--json")
    assert ended.code == 0, ended.err
    assert f"left out: {data / 'left' / 'broken.mp4'}: no video that can be read" in ended.err
    card: Any = ended.json["training"]
    assert card["validation"]["accuracy"] > 0.8
    assert card["validation"]["reset_every_frame"]["accuracy"] < 0.6
    assert str(tmp_path) not in (out / "model.json").read_text()
    fresh = [
        (write_moving(tmp_path / f"{label}{n}.mp4", [(label, 60)], seed=n), label)
        for label in LABELS
        for n in (100, 101)
    ]
    assert accuracy(out, fresh) > 0.6
    again = train(data, "--out", out, *TINY)
    assert (again.code, "nothing is left to do" in again.err) == (0, True)
    other = train(data, "--out", out, *TINY, "--epochs", "2")
    assert "trained with epochs 40 (now 2); name another --out" in other.complaint


@needs_torch
@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize(
    ("options", "checkpoints"),
    [
        ((*TINY, "--epochs", "3"), ("encoder.pt", "encoder.pt", "head-gru.pt", "head-gru.pt")),
        (("--recipe", "article", "--size", "22", "--epochs", "2"), ("article.pt",)),
    ],
    ids=["clips", "article"],
)
def test_a_run_killed_at_its_checkpoints_ends_with_the_same_bytes(
    tmp_path: Path, options: tuple[str, ...], checkpoints: tuple[str, ...]
) -> None:
    table = write_table(tmp_path / "data", videos=4, frames=24)
    assert train(table, "--out", tmp_path / "whole", *options).code == 0
    cut = tmp_path / "cut"
    killed = [
        killed_when(cut / ".work" / name, table, "--out", cut, *options) for name in checkpoints
    ]
    assert all(killed)
    resumed = train(table, "--out", cut, *options, "--json")
    assert "goes on after" in resumed.err
    for name in ("encoder.onnx", "head.onnx"):
        assert (cut / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert json.loads(resumed.out)["bundle"].startswith("cut@")
