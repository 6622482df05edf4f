"""A bundle's input is a union by kind: pictures without the key, and room for other kinds."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engines.base import Engine
from engines.checks.trial import hold
from engines.checks.verify import FLOAT32_GPU, verify
from engines.errors import BundleError
from engines.model.bundle import find_bundle, load_bundle
from engines.model.inputs import LettersInput, PictureInput, read_input, write_input
from engines.model.lint import complaints
from engines.model.ports import Port
from engines.model.seed import write_seed
from engines.onnxrt import onnxruntime_engine
from engines.reference import reference_engine
from tests.engines.bundles import lettered, letters, write_tiny
from tests.gpu import gpu_engine

SHIPPED = {
    "actions": "ecd528034b406b9bb936db716eefa02e79d4a88a8b8d2ec8c379e748888c16b1",
    "seed": "854a789973e3bfae3fdb4868e6f142048ff01f74ef11d845fc4815207b2d43bb",
}


def edited(folder: Path, **keys: Any) -> Path:
    words = json.loads((folder / "model.json").read_text())
    words["input"] |= keys
    (folder / "model.json").write_text(json.dumps(words))
    return folder


def refused(folder: Path) -> str:
    with pytest.raises(BundleError) as caught:
        load_bundle(folder)
    return str(caught.value)


def test_the_bundles_that_we_make_keep_their_digests(tmp_path: Path) -> None:
    found = {"actions": find_bundle("actions"), "seed": write_seed(tmp_path)}
    assert {name: load_bundle(path).digest for name, path in found.items()} == SHIPPED
    assert not any(
        "kind" in json.loads((p / "model.json").read_text())["input"] for p in found.values()
    )


def test_an_input_without_a_kind_is_a_picture_as_one_that_says_so(tmp_path: Path) -> None:
    folder = write_tiny(tmp_path)
    without = load_bundle(folder).input
    assert without == load_bundle(edited(folder, kind="picture")).input
    assert without.array == Port("frames", np.dtype(np.uint8), (16, 16, 3))


@pytest.mark.parametrize("kind", ["sound", 3, ["picture"], None])
def test_a_kind_that_is_not_known_is_refused_by_name(tmp_path: Path, kind: object) -> None:
    message = refused(edited(write_tiny(tmp_path), kind=kind))
    assert "input: the kind of input is unknown, wanted is 'picture', 'text' or 'bases'" in message
    assert f"it is {kind!r}" in message


def test_a_wrong_key_of_an_input_is_named_without_its_kind(tmp_path: Path) -> None:
    assert "input.heigth: unknown key" in refused(edited(write_tiny(tmp_path), heigth=3))
    assert "input.fit: " in refused(edited(write_tiny(tmp_path), fit="squeeze"))


def test_an_input_is_read_as_it_was_written() -> None:
    spec = PictureInput(
        height=3, width=5, fit="crop", colour="rgb", mean=(0.1, 2, 3), std=(1, 0.3, 1), rate_hz=None
    )
    assert read_input(write_input(spec)) == spec


def test_a_picture_without_a_gap_of_its_own_has_that_of_the_setting(tmp_path: Path) -> None:
    folder = write_tiny(tmp_path)
    assert load_bundle(folder).input.gap_after_s(2.0) == 2.0
    assert load_bundle(edited(folder, gap_reset_s=0.5)).input.gap_after_s(2.0) == 0.5
    never = load_bundle(edited(folder, gap_reset_s=None)).input
    assert never.gap_after_s(2.0) is None
    assert read_input(write_input(never)).gap_after_s(2.0) is None  # in a child process too


@pytest.mark.parametrize("kind", ["text", "bases"])
def test_letters_are_read_from_a_bundle_with_their_gap_alone(tmp_path: Path, kind: Any) -> None:
    spec = lettered(tmp_path / "never", kind, length=7, fit="cut").input
    assert spec == LettersInput(kind=kind, length=7, fit="cut")
    assert spec.array == Port("frames", np.dtype(np.uint8), (7,))
    assert (spec.timed, spec.rate_hz, spec.gap_after_s(2.0)) == (False, None, None)
    assert lettered(tmp_path / "60", kind, gap_reset_s=60.0).input.gap_after_s(2.0) == 60.0


@pytest.mark.parametrize(
    ("keys", "complaint"),
    [
        ({"length": 0}, "input.length: "),
        ({"length": 65_537}, "input.length: "),
        ({"fit": "stretch"}, "input.fit: "),
        ({"gap_reset_s": 0.0}, "input.gap_reset_s: "),
        ({"rate_hz": 15.0}, "input.rate_hz: unknown key"),
    ],
)
def test_a_wrong_key_of_letters_is_named(
    tmp_path: Path, keys: dict[str, Any], complaint: str
) -> None:
    lettered(tmp_path)
    assert complaint in refused(edited(tmp_path, **keys))


@pytest.mark.parametrize("kind", ["text", "bases"])
def test_letters_pass_verification_on_cpu_and_gpu(tmp_path: Path, kind: Any, doubles: None) -> None:
    del doubles
    bundle = lettered(tmp_path, kind)
    assert verify(onnxruntime_engine(bundle, 1), bundle).scores < 1e-6
    assert complaints(bundle) == []
    engine = gpu_engine(bundle, half=False)
    assert verify(engine, bundle, precision=FLOAT32_GPU).scores < 1e-4
    engine.close()


def test_text_is_never_cut_inside_a_character() -> None:
    spec = LettersInput(kind="text", length=4, fit="cut")
    assert spec.fitted("abcé".encode()).tobytes() == b"abc\0"
    with pytest.raises(ValueError, match="not even its first character fits into 2 bytes"):
        LettersInput(kind="text", length=2, fit="cut").fitted("日".encode())
    with pytest.raises(ValueError, match="6 letters of bases; the model takes 4 at a time"):
        LettersInput(kind="bases", length=4, fit="refuse").fitted(b"ACGTAC")


def test_another_kind_of_input_passes_verification(tmp_path: Path) -> None:
    bundle = letters(tmp_path)
    assert verify(onnxruntime_engine(bundle, 1), bundle).scores < 1e-6
    assert complaints(bundle) == []


def test_another_kind_of_input_passes_verification_on_a_gpu(tmp_path: Path, doubles: None) -> None:
    del doubles
    bundle = letters(tmp_path)
    engine = gpu_engine(bundle, half=False)
    assert verify(engine, bundle, precision=FLOAT32_GPU).scores < 1e-4
    engine.close()


def test_another_kind_of_input_can_be_tried_over_a_stream(tmp_path: Path) -> None:
    bundle = letters(tmp_path)
    words = bundle.input.samples(20, np.random.default_rng(1))
    done: list[int] = []
    trial = hold(reference_engine(bundle), bundle, words, went=done.append)
    assert (trial.inputs, sum(done)) == (20, 20 * 11)
    assert trial.together < 1e-6


@pytest.mark.parametrize("make", [reference_engine, lambda bundle: onnxruntime_engine(bundle, 1)])
def test_an_engine_says_what_inputs_it_wants(tmp_path: Path, make: Any) -> None:
    engine: Engine = make(letters(tmp_path))
    wanted = r"wants uint8 inputs \(N, 12\), N >= 1, not uint8 \(2, 16, 16, 3\)"
    with pytest.raises(ValueError, match=wanted):
        engine.encode(np.zeros((2, 16, 16, 3), np.uint8))
