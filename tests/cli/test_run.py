"""`longtake run`: files in, predictions out, no broker."""

import json
import os
import subprocess
import zlib
from pathlib import Path

import pytest

from tests.cameras.hostile import Page, web
from tests.cameras.mjpeg import MjpegCamera, MjpegServer
from tests.cli.commands import SCRIPT, Longtake, environment
from tests.damaged.seeds import flat_webp
from tests.engines.bundles import LABELS
from tests.pipeline.media.video.encoding import numbered
from tests.pipeline.pictures import write_video

KEYS = ["schema", "stream", "seq", "captured_at", "label", "confidence", "scores", "memory"]
KEYS += ["model", "source", "prev", "chain"]


def labels(path: Path, rows: int) -> Path:
    path.write_text("frame,label\n" + "".join(f"{n},stand\n" for n in range(rows)), "utf-8")
    return path


def test_every_frame_becomes_one_prediction_in_the_form_of_the_topic(
    longtake: Longtake, tiny: Path, clip: Path
) -> None:
    lines = longtake("run", clip, "--bundle", tiny).lines
    assert [list(line) for line in lines] == [KEYS] * 20
    assert [line["source"] for line in lines] == [{"partition": -1, "offset": n} for n in range(20)]
    assert {(line["stream"], line["seq"]) for line in lines} == {("clip", None)}
    assert all(list(line["scores"]) == list(LABELS) for line in lines)
    assert [line["memory"]["frames"] for line in lines] == list(range(20))


def test_frames_are_captured_at_1970_and_their_time_in_the_video(
    longtake: Longtake, tiny: Path, clip: Path
) -> None:
    times = [line["captured_at"] for line in longtake("run", clip, "--bundle", tiny).lines]
    assert times == [f"1970-01-01T00:00:00.{50 * n:03d}Z" for n in range(20)]


def test_the_chain_is_unbroken(longtake: Longtake, tiny: Path, clip: Path) -> None:
    prev = "00000000"
    for line in longtake("run", clip, "--bundle", tiny).out.splitlines():
        body = line[: line.rindex(',"prev":')]
        chain = f"{zlib.crc32(body.encode(), zlib.crc32(prev.encode())):08x}"
        assert line == f'{body},"prev":"{prev}","chain":"{chain}"}}'
        prev = chain


def test_two_sources_answer_each_as_if_it_were_alone(
    longtake: Longtake, tiny: Path, clip: Path
) -> None:
    both = longtake("run", clip, clip, "--bundle", tiny).lines
    streams = {name: [x for x in both if x["stream"] == name] for name in ("clip", "clip-2")}
    assert [len(lines) for lines in streams.values()] == [20, 20]
    facts = [[(x["label"], x["scores"]) for x in lines] for lines in streams.values()]
    assert facts[0] == facts[1]


def test_json_is_one_summary_and_the_predictions_go_to_the_output(
    longtake: Longtake, tiny: Path, clip: Path, tmp_path: Path
) -> None:
    output, truth = tmp_path / "out.jsonl", labels(tmp_path / "clip.csv", 20)
    options = ("--bundle", tiny, "--labels", truth, "--output", output, "--json")
    stream = longtake("run", clip, *options).json["streams"]["clip"]
    predicted = [json.loads(line)["label"] for line in output.read_text("utf-8").splitlines()]
    assert (stream["frames"], stream["predictions"], len(predicted)) == (20, 20, 20)
    assert stream["fates"] == {"predicted": 20}
    assert stream["label"] == predicted[-1]
    assert stream["accuracy"] == predicted.count("stand") / 20


def test_a_reader_that_has_enough_ends_it_quietly(tiny: Path, clip: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    command = [str(SCRIPT), "run", str(clip), "--bundle", str(tiny)]
    with os.fdopen(write, "wb") as pipe:
        ended = subprocess.run(
            command, stdout=pipe, stderr=subprocess.PIPE, env=environment(), check=False
        )
    assert (ended.returncode, ended.stderr) == (141, b"")


def test_what_a_film_lacks_is_in_its_summary(
    longtake: Longtake, tiny: Path, tmp_path: Path
) -> None:
    film = tmp_path / "film.h264"
    film.write_bytes(b"".join(unit for n, unit in numbered("cabac") if n != 5))
    counted = longtake("run", film, "--bundle", tiny, "--json").json["streams"]["film"]
    assert (counted["frames"], counted["left_out"]) == (35, {"damaged": 1, "unkeyed": 3})
    shown = longtake("run", film, "--bundle", tiny, "--output", tmp_path / "out.jsonl")
    assert "35 predictions of 35 frames; frames left out: 1 damaged, 3 unkeyed" in shown.err


def test_a_film_that_is_cut_off_says_what_it_declares(
    longtake: Longtake, tiny: Path, tmp_path: Path
) -> None:
    film = write_video(tmp_path / "film.mkv", [40 * n for n in range(100)], keyframe_every=5)
    film.write_bytes(film.read_bytes()[: film.stat().st_size // 2])
    ended = longtake("run", film, "--bundle", tiny, "--json")
    cut_off = ended.json["streams"]["film"]["cut_off"]
    assert cut_off["declared_s"] == pytest.approx(4, abs=0.05)
    assert cut_off["read_s"] < 3
    assert "declares 4.0 s" in ended.err


@pytest.mark.parametrize("rows", [19, 21])
def test_labels_of_another_video_are_refused(
    longtake: Longtake, tiny: Path, clip: Path, tmp_path: Path, rows: int
) -> None:
    ended = longtake("run", clip, "--bundle", tiny, "--labels", labels(tmp_path / "l.csv", rows))
    assert ended.code == 18
    assert f"{clip} has 20 frames, its label file {rows} rows" in ended.complaint


def test_a_label_row_out_of_order_is_named_by_its_line(
    longtake: Longtake, tiny: Path, clip: Path, tmp_path: Path
) -> None:
    (tmp_path / "l.csv").write_text("frame,label\n0,stand\n2,stand\n", "utf-8")
    ended = longtake("run", clip, "--bundle", tiny, "--labels", "l.csv")
    assert ended.code == 18
    assert "l.csv line 3: expected 1,<label>, not '2,stand'" in ended.complaint


def test_each_source_wants_labels_or_none_does(longtake: Longtake, tiny: Path, clip: Path) -> None:
    ended = longtake("run", clip, clip, "--bundle", tiny, "--labels", "l.csv")
    assert ended.code == 2
    assert "2 sources but 1 label files" in ended.err


@pytest.mark.parametrize("login", ["admin:Hunt@er2@", "admin:Hunt/?#er2@"])
def test_a_camera_that_refuses_is_named_without_login_and_token(
    longtake: Longtake, tiny: Path, login: str
) -> None:
    ended = longtake("run", f"rtsp://{login}127.0.0.1:1/x?token=T0ken", "--bundle", tiny)
    assert (ended.code, ended.out) == (18, "")
    assert ended.complaint.startswith("rtsp://")
    assert [part for part in ("admin", "Hunt", "er2", "T0ken") if part in ended.err] == []


@pytest.mark.parametrize(("login", "query"), [("me:hun@ter2", ""), ("", "?user=me&pwd=hunter2")])
def test_the_id_of_a_cameras_stream_has_no_login_and_no_token(
    longtake: Longtake, tiny: Path, login: str, query: str
) -> None:
    camera = MjpegCamera(f"mjpg{query}", fps=50)
    camera.login, camera.closes_after = login, 50
    with MjpegServer(camera) as server:
        ended = longtake("run", server.url(camera.name, login=login), "--bundle", tiny)
    assert {line["stream"] for line in ended.lines} == {"mjpg"}
    assert "ter2" not in ended.out + ended.err


def test_a_login_comes_from_the_environment(longtake: Longtake, tiny: Path) -> None:
    camera = MjpegCamera("mjpg", fps=50)
    camera.login, camera.closes_after = "me:hunter2", 50
    with MjpegServer(camera) as server:
        url = server.url("mjpg", login="${GATE}")
        lines = longtake("run", url, "--bundle", tiny, GATE="me:hunter2").lines
    assert {line["stream"] for line in lines} == {"mjpg"}


def test_labels_of_another_video_are_refused_without_the_token_of_the_source(
    longtake: Longtake, tiny: Path, clip: Path, tmp_path: Path
) -> None:
    truth = labels(tmp_path / "truth.csv", 99)
    with web({"/clip.mp4": Page(clip.read_bytes())}) as server:
        url = f"http://{server.at}/clip.mp4?token=T0ken"
        ended = longtake("run", url, "--bundle", tiny, "--labels", truth, "--json")
    assert ended.complaint.endswith("Are these labels of another video?")
    assert "T0ken" not in ended.err


def test_a_picture_that_workers_refuse_for_its_size_is_refused(
    longtake: Longtake, tiny: Path, tmp_path: Path
) -> None:
    path = tmp_path / "huge.webp"
    path.write_bytes(flat_webp(4097, 2176))
    ended = longtake("run", path, "--bundle", tiny)
    assert ended.code == 18
    assert "4097 x 2176 pixels; at most 8912896 are decoded (max_frame_pixels)" in ended.err
