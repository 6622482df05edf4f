"""`longtake camera`: a video goes into Kafka, frame by frame."""

import signal
from pathlib import Path

import pytest

from pipeline.media.pictures import Fit, decode_picture
from tests.cli.commands import Group, Longtake, Running, Start, until
from tests.pipeline.media.video.encoding import encoded

pytestmark = pytest.mark.kafka


def command(group: Group, clip: Path, *more: str) -> list[str]:
    where = ["--bootstrap", group.cluster.config.bootstrap, "--topic", group.topics.frames]
    return ["camera", str(clip), "--stream", "gate", *where, *more]


def test_every_frame_arrives_with_its_key_and_headers(
    group: Group, longtake: Longtake, clip: Path
) -> None:
    ended = longtake(*command(group, clip))
    assert (ended.code, ended.err.splitlines()[-1]) == (0, "gate: 20 frames sent, 0 lost")
    records = group.frames(20)
    assert {record.key for record in records} == {b"gate"}
    assert len({record.partition for record in records}) == 1
    headers = [dict(record.headers) for record in records]
    assert [h["seq"] for h in headers] == [str(n).encode() for n in range(20)]
    assert len({h["epoch"] for h in headers}) == 1
    captured = [float(h["captured-at"]) for h in headers]
    assert captured == pytest.approx([captured[0] + 50 * n for n in range(20)], abs=0.01)
    assert decode_picture(records[0].value or b"", Fit(48, 64, "stretch")).shape == (48, 64, 3)


def test_a_file_that_fits_passes_through_unit_by_unit(
    group: Group, longtake: Longtake, tmp_path: Path
) -> None:
    (tmp_path / "clip.h264").write_bytes(b"".join(encoded("cabac")))
    ended = longtake(*command(group, tmp_path / "clip.h264", "--video", "auto"))
    assert (ended.code, ended.err.splitlines()[-1]) == (0, "gate: 40 frames sent, 0 lost")
    records = group.frames(40)
    assert [record.value for record in records] == list(encoded("cabac"))
    headers = [dict(record.headers) for record in records]
    assert {one["content-type"] for one in headers} == {b"video/h264"}
    assert [n for n, one in enumerate(headers) if one.get("keyframe") == b"1"] == [0, 10, 20, 30]


def test_fps_limits_the_rate(group: Group, longtake: Longtake, clip: Path) -> None:
    longtake(*command(group, clip, "--fps", "5"))
    captured = [float(dict(record.headers)["captured-at"]) for record in group.frames(5)]
    assert captured == pytest.approx([captured[0] + 200 * n for n in range(5)], abs=0.01)


def test_a_camera_that_is_told_to_stop_has_lost_nothing(
    group: Group, start: Start, clip: Path
) -> None:
    camera = start(*command(group, clip, "--loop"))
    group.flowing(group.topics.frames, 25)  # the second round
    code, seconds = camera.end(signal.SIGTERM)
    assert (code, seconds < 3) == (0, True)
    sent = int(camera.says(r"gate: (\d+) frames sent, 0 lost\n$")[1])
    assert len(group.frames(sent)) == sent


def write(file: Path, group: Group, clip: Path, *names: str) -> Path:
    """A file of cameras that all play the clip."""
    head = f'bootstrap = "{group.cluster.config.bootstrap}"\nmetrics_port = 0\n'
    head += f'frames_topic = "{group.topics.frames}"\n'
    cameras = [f'[camera.{name}]\nurl = "{clip}"\nloop = true\n' for name in names]
    file.write_text(head + "".join(cameras))
    return file


def published(camera: Running, name: str) -> float:
    return camera.metric(f'longtake_camera_frames_total{{camera="{name}",fate="published"}}')


def test_cameras_come_and_go_with_the_file_and_the_others_do_not_notice(
    group: Group, start: Start, clip: Path, tmp_path: Path
) -> None:
    file = write(tmp_path / "cameras.toml", group, clip, "gate", "yard")
    camera = start("camera", "--config", file)
    until(lambda: published(camera, "gate") > 10 and published(camera, "yard") > 0, "frames")
    write(file, group, clip, "gate", "hall")
    until(lambda: published(camera, "hall") > 0, "frames of hall")
    assert 'camera="yard"' not in camera.get("/metrics")[1]
    code, _ = camera.end(signal.SIGTERM)
    sent = int(camera.says(r"2 cameras, 2 live: (\d+) frames sent, 0 lost\n$")[1])
    assert (code, sent > 10) == (0, True)
    records = [one for one in group.cluster.committed(group.topics.frames) if one.key == b"gate"]
    seqs = [int(dict(record.headers)["seq"]) for record in records]
    assert (seqs, len({dict(one.headers)["epoch"] for one in records})) == (
        list(range(len(seqs))),
        1,
    )


def test_a_file_that_is_wrong_is_told_and_changes_nothing(
    group: Group, start: Start, clip: Path, tmp_path: Path
) -> None:
    file = write(tmp_path / "cameras.toml", group, clip, "gate")
    camera = start("camera", "--config", file)
    until(lambda: published(camera, "gate") > 0, "frames of gate")
    file.write_text(file.read_text() + "fps = 'many'\n")
    camera.says(r"camera\.gate\.fps = 'many'.*; going on with the settings of before")
    before = published(camera, "gate")
    until(lambda: published(camera, "gate") > before + 10, "more frames of gate")


def test_sighup_reads_the_file_again(
    group: Group, start: Start, clip: Path, tmp_path: Path
) -> None:
    file = write(tmp_path / "cameras.toml", group, clip, "gate")
    camera = start("camera", "--config", file)
    until(lambda: published(camera, "gate") > 0, "frames of gate")
    camera.process.send_signal(signal.SIGHUP)
    camera.says(r"cameras\.toml was read again: 1 cameras")


def test_only_a_change_of_another_setting_wants_a_restart(
    group: Group, start: Start, clip: Path, tmp_path: Path
) -> None:
    file = write(tmp_path / "cameras.toml", group, clip, "gate")
    camera = start("camera", "--config", file)
    until(lambda: published(camera, "gate") > 0, "frames of gate")
    write(file, group, clip, "gate", "yard")
    camera.says(r"cameras\.toml was read again: 2 cameras")
    assert "wants a restart" not in camera.log
    file.write_text("spool_s = 7\n" + file.read_text())
    camera.says(r"only cameras change while running; the rest wants a restart")


def test_frames_outlive_the_process_in_a_spool_that_has_a_name(
    group: Group, longtake: Longtake, clip: Path, tmp_path: Path
) -> None:
    spool = tmp_path / "spool.db"
    words = [str(clip), "--stream", "gate", "--topic", group.topics.frames, "--spool", str(spool)]
    ended = longtake("camera", *words, "--bootstrap", "127.0.0.1:1")
    assert (ended.code, ended.err.splitlines()[-1]) == (
        0,
        f"gate: 0 frames sent, 0 lost, 20 wait in {spool}",
    )
    ended = longtake("camera", *words, "--bootstrap", group.cluster.config.bootstrap)
    assert ended.err.splitlines()[-1] == "gate: 40 frames sent, 0 lost"
    records = group.frames(40)
    assert [int(dict(one.headers)["seq"]) for one in records] == [*range(20), *range(20)]
    epochs = [int(dict(one.headers)["epoch"]) for one in records]
    assert (epochs[:20], epochs[20:]) == ([epochs[0]] * 20, [epochs[-1]] * 20)
    assert epochs[0] < epochs[-1]
    assert not spool.exists()


def test_not_in_real_time_a_clip_goes_as_fast_as_the_log_takes_it(
    group: Group, longtake: Longtake, clip: Path
) -> None:
    ended = longtake(*command(group, clip, "--no-realtime"))
    assert ended.err.splitlines()[-1] == "gate: 20 frames sent, 0 lost"
    captured = [float(dict(one.headers)["captured-at"]) for one in group.frames(20)]
    assert captured == pytest.approx([captured[0] + 50 * n for n in range(20)], abs=0.01)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ([], "wanted SOURCE and --stream, or --config"),
        (["gate.mp4"], "wanted SOURCE and --stream, or --config"),
        (["--config", "c.toml", "--fps", "5"], "says what the file says"),
        (["gate.mp4", "--stream", "my gate"], "1 to 200 characters"),
    ],
)
def test_words_that_do_not_go_together_are_told(
    longtake: Longtake, words: list[str], complaint: str
) -> None:
    ended = longtake("camera", *words)
    assert (ended.code, complaint in ended.err) == (2, True)
