"""`longtake run` on text and sequences, and what refuses them."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.commands import Longtake
from tests.engines.bundles import lettered

WORDS = ["Guten", "Morgen", "", "dear", "all of you who listen"]


@pytest.fixture
def text(tmp_path: Path) -> Path:
    lettered(tmp_path / "text")
    return tmp_path / "text"


def test_each_line_of_a_text_has_a_prediction_with_memory_and_without_time(
    longtake: Longtake, text: Path, tmp_path: Path
) -> None:
    (tmp_path / "talk.txt").write_text("\n".join(WORDS))
    ended = longtake("run", tmp_path / "talk.txt", "--bundle", text)
    assert [line["source"]["offset"] for line in ended.lines] == [0, 1, 2]
    assert [line["memory"]["frames"] for line in ended.lines] == [0, 1, 2]
    assert {line["captured_at"] for line in ended.lines} == {"1970-01-01T00:00:00.000Z"}
    assert {line["memory"]["note"] for line in ended.lines} == {None}
    assert "talk: 3 predictions of 4 frames; record 3: 21 letters of text" in ended.err


def test_the_streams_of_one_file_do_not_disturb_each_other(
    longtake: Longtake, text: Path, tmp_path: Path
) -> None:
    turns = [("a", "one"), ("b", "two"), ("a", "three"), ("b", None), ("b", "four"), ("a", "five")]
    lines = [json.dumps({"stream": stream, "text": said}) for stream, said in turns]
    (tmp_path / "chats.jsonl").write_text("\n".join(lines))
    (tmp_path / "a.txt").write_text("one\nthree\nfive\n")
    both = longtake("run", tmp_path / "chats.jsonl", "--bundle", text).lines
    alone = longtake("run", tmp_path / "a.txt", "--bundle", text).lines
    assert [line["scores"] for line in both if line["stream"] == "a"] == [
        line["scores"] for line in alone
    ]
    resets = [line["memory"]["reset"] for line in both if line["stream"] == "b"]
    assert resets == ["new", "ended"]


def test_sequences_are_cut_and_scored(longtake: Longtake, tmp_path: Path) -> None:
    lettered(tmp_path / "bases", "bases")
    (tmp_path / "genome.fa").write_text(">chr1 x\nACGTACGTACGTA\n>chr2\nCCCC\n")
    (tmp_path / "genome.csv").write_text("frame,label\n0,stand\n1,stand\n2,stand\n")
    asked = ["run", tmp_path / "genome.fa", "--labels", tmp_path / "genome.csv", "--json"]
    found: Any = longtake(*asked, "--bundle", tmp_path / "bases").json
    assert found["streams"]["genome"]["frames"] == 3
    assert found["streams"]["genome"]["fates"] == {"predicted": 3}


def test_typed_lines_are_answered_one_by_one(text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No line waits for the next one: each prediction is there before the next line is read."""
    from engines.model.bundle import load_bundle
    from engines.onnxrt import onnxruntime_engine
    from pipeline.clock import SystemClock
    from pipeline.media.address import Address
    from pipeline.offline.file_run import FileRun

    typed = io.TextIOWrapper(io.BytesIO(b"one\ntwo\nthree\n"))
    monkeypatch.setattr("sys.stdin", typed)
    bundle = load_bundle(text)
    going = FileRun(
        [Address("-", "-")],
        bundle,
        onnxruntime_engine(bundle, 1),
        truths=[None],
        clock=SystemClock(),
    ).run(None)
    left = [(next(going).frame, typed.buffer.tell()) for _ in range(3)]
    assert left == [(0, 4), (1, 8), (2, 14)]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "talk.txt", "--overlay", "seen.mp4"], "an overlay works with bundles that take p"),
        (["engine", "verify", "--clip", "x.mp4"], "engine verify --clip works with bundles that"),
        (["probe", "x.mp4"], "longtake probe works with bundles that take pictures"),
    ],
)
def test_what_needs_pictures_refuses_a_bundle_of_letters(
    longtake: Longtake, text: Path, tmp_path: Path, words: list[str], said: str
) -> None:
    (tmp_path / "talk.txt").write_text("one\n")
    words = [str(tmp_path / word) if "." in word else word for word in words]
    bundle = [str(text)] if words[0] == "engine" else ["--bundle", str(text)]
    at = 2 if words[0] == "engine" else len(words)
    ended = longtake(*words[:at], *bundle, *words[at:])
    assert ended.code == 2
    assert said in ended.err


def test_an_engine_is_verified_on_letters_that_are_drawn(longtake: Longtake, text: Path) -> None:
    found: Any = longtake("engine", "verify", text, "--frames", "20", "--json").json
    assert found["frames"] == 20
    assert found["largest_difference"]["5_streams"] < 1e-6


def test_a_bundle_is_described_by_its_kind(longtake: Longtake, text: Path) -> None:
    found: Any = longtake("bundle", "check", text, "--json").json
    assert found["input"] == "text of 12 bytes"


def test_a_camera_does_not_publish_letters(longtake: Longtake) -> None:
    ended = longtake("camera", "talk.txt", "--stream", "talk")
    assert ended.code == 2
    assert "`longtake publish` takes text and sequences" in " ".join(ended.err.split())


def test_a_file_of_a_bundle_for_pictures_is_not_published(
    longtake: Longtake, tiny: Path, tmp_path: Path
) -> None:
    ended = longtake("publish", tmp_path / "talk.txt", "--bundle", tiny)
    assert ended.code == 2
    assert "longtake publish works with bundles that take text or bases" in ended.err


@pytest.mark.parametrize("more", [(), (".", "--head", "gru"), (".", "--epochs", "3")])
def test_a_recipe_of_letters_takes_its_data_and_a_seed_alone(
    longtake: Longtake, more: tuple[str, ...]
) -> None:
    ended = longtake("train", *more, "--recipe", "strands", "--out", "out")
    assert ended.code == 2
    assert "the recipe `strands` takes DATA, --out and --seed alone" in " ".join(ended.err.split())
