"""The report on a camera, and when the camera does not suit."""

from dataclasses import replace

import pytest

from engines.model.inputs import PictureInput
from pipeline.cameras.probing.fitness import judge
from pipeline.cameras.probing.probe import Probed
from pipeline.cameras.values import ClockFault

WANTED = PictureInput(
    height=72,
    width=96,
    fit="stretch",
    colour="rgb",
    mean=(0.0, 0.0, 0.0),
    std=(1.0, 1.0, 1.0),
    rate_hz=15.0,
)
GOOD = Probed(
    live=True,
    format_name="rtsp",
    codec_name="h264",
    profile="Main",
    pix_fmt="yuv420p",
    width=640,
    height=360,
    avg_frame_rate=15.0,
    fps=15.0,
    bit_rate=500_000,
    gop_frames=30,
    gop_s=2.0,
    b_frames=False,
    first_picture_s=0.5,
    frames=75,
    frames_damaged=0,
    packets_lost=0,
    wall_clock=True,
    clock_offset_s=0.01,
    arrival_jitter_s=0.01,
)


def test_a_good_camera_suits_and_nothing_is_said() -> None:
    fitness = judge(GOOD, WANTED, bundle="actions@1")
    assert (fitness.suits, fitness.against, fitness.remarks) == (True, (), ())


@pytest.mark.parametrize(
    ("probed", "words"),
    [
        (replace(GOOD, clock_fault=ClockFault.STILL), "its time stamps stand still: pictures are"),
        (replace(GOOD, clock_fault=ClockFault.SLOW), "its time stamps run slower than real time"),
        (replace(GOOD, wild_stamps=3), "3 time stamps do not continue those before"),
    ],
)
def test_time_stamps_that_are_not_used_are_remarked(probed: Probed, words: str) -> None:
    fitness = judge(probed, WANTED, bundle="actions@1")
    assert fitness.suits
    assert fitness.remarks[0].startswith(words)


@pytest.mark.parametrize(
    ("probed", "words"),
    [
        (replace(GOOD, fps=10.0), "10.0 fps is slower than the model's 15 Hz: actions@1 was"),
        (replace(GOOD, fps=None), "too few pictures"),
        (replace(GOOD, width=90), "90 x 360 is smaller than the model's 96 x 72"),
        (replace(GOOD, height=70), "640 x 70 is smaller than the model's 96 x 72"),
    ],
)
def test_what_makes_predictions_worse_speaks_against_it(probed: Probed, words: str) -> None:
    fitness = judge(probed, WANTED, bundle="actions@1")
    assert not fitness.suits
    assert words in "".join(fitness.against)


@pytest.mark.parametrize(
    ("probed", "words"),
    [
        (replace(GOOD, fps=30.0), "longtake camera --fps 15"),
        (replace(GOOD, width=1920, height=1080), "a sub-stream"),
        (replace(GOOD, b_frames=True), "B-frames delay"),
        (replace(GOOD, gop_s=8.0), "8.0 s from keyframe to keyframe"),
        (replace(GOOD, packets_lost=3), "3 packets lost, 0 frames damaged"),
        (replace(GOOD, frames_damaged=2), "0 packets lost, 2 frames damaged"),
        (replace(GOOD, clock_offset_s=-40.0), "40.0 s behind ours"),
        (replace(GOOD, clock_offset_s=3.5), "3.5 s ahead of ours"),
    ],
)
def test_what_is_worth_knowing_is_said_and_suits_all_the_same(probed: Probed, words: str) -> None:
    fitness = judge(probed, WANTED, bundle="actions@1")
    assert fitness.suits
    assert [words in remark for remark in fitness.remarks] == [True]


def test_a_file_is_not_told_to_change_its_encoder() -> None:
    assert judge(replace(GOOD, live=False, b_frames=True), WANTED, bundle="actions@1").remarks == ()


def test_a_model_of_any_rate_suits_a_camera_of_any_rate() -> None:
    any_rate = WANTED.model_copy(update={"rate_hz": None})
    assert judge(replace(GOOD, fps=0.5), any_rate, bundle="actions@1").suits
