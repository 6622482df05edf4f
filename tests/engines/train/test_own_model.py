"""docs/own-model.md does what it says: its code blocks are run, up to live predictions."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the tutorial needs the extra longtake[train]")
pytest.importorskip("timm", reason="the tutorial needs the extra longtake[train]")
pytest.importorskip("onnxscript", reason="the tutorial needs the extra longtake[train]")

import torch

import pipeline
from engines.model.bundle import load_bundle

ROOT = Path(__file__).parents[3]
TUTORIAL = ROOT / "docs" / "own-model.md"
CLIP = next(iter(sorted((Path(pipeline.__file__).parent / "samples").glob("*.mp4"))))


def blocks() -> dict[str, str]:
    """The tutorial's files by their names."""
    found = re.findall(r"```python\n# (\S+)\n(.*?)```", TUTORIAL.read_text(), re.S)
    return dict(found)


def python(folder: Path, *arguments: str) -> str:
    ended = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    return ended.stdout


def prepare(folder: Path, *changes: tuple[str, str]) -> None:
    """Write the tutorial's files, and weights that nobody has trained."""
    for name, text in blocks().items():
        for before, after in changes:
            text = text.replace(before, after)
        (folder / name).write_text(text)
    save = "torch.manual_seed(0); torch.save(doors.Doors().state_dict(), 'doors.pt')"
    python(folder, "-c", f"import torch, doors; {save}")


def test_the_tutorial_leads_to_predictions(tmp_path: Path) -> None:
    assert set(blocks()) == {"doors.py", "export.py"}
    prepare(tmp_path)
    python(tmp_path, "export.py")
    bundle = load_bundle(tmp_path / "doors-bundle")
    assert [spec.shape for spec in bundle.state] == [(2, 64), (2, 64)]
    python(tmp_path, "-m", "pipeline", "bundle", "check", "./doors-bundle")
    told = python(tmp_path, "-m", "pipeline", "run", "--bundle", "./doors-bundle", str(CLIP))
    predictions = [json.loads(line) for line in told.splitlines()]
    assert len(predictions) > 50
    assert set(predictions[0]["scores"]) <= {"nobody", "comes in", "goes out"}
    assert predictions[50]["memory"]["frames"] == 50


def test_the_same_with_a_sigmoid(tmp_path: Path) -> None:
    prepare(tmp_path, ('name="doors",', 'name="doors", activation="sigmoid",'))
    python(tmp_path, "export.py")
    assert load_bundle(tmp_path / "doors-bundle").activation == "sigmoid"
    python(tmp_path, "-m", "pipeline", "bundle", "check", "./doors-bundle")


def test_the_exported_model_is_the_users_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not only the parts that were handed over: the user's own `forward` over a whole video."""
    from engines.onnxrt import onnxruntime_engine
    from engines.train import IMAGENET_MEAN, IMAGENET_STD, Input
    from engines.train.rolling import NEVER, roll

    prepare(tmp_path)
    python(tmp_path, "export.py")
    monkeypatch.syspath_prepend(tmp_path)
    from doors import Doors

    model = Doors().eval()
    model.load_state_dict(torch.load(tmp_path / "doors.pt", weights_only=True))
    pictures = Input(112, 112, mean=IMAGENET_MEAN, std=IMAGENET_STD)
    frames = pictures.samples(40)
    with torch.inference_mode():
        wanted = model(pictures.normalise(torch.from_numpy(frames))[None])[0].numpy()
    engine = onnxruntime_engine(load_bundle(tmp_path / "doors-bundle"), threads=1)
    found = roll(engine, frames[None])[NEVER][:, 0]
    assert abs(found - wanted).max() < 1e-4 * max(1, abs(wanted).max())
