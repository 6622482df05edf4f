"""The recipes: what they learn, what they keep, and that a killed run leaves no trace."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the [train] extra is not installed")
pytest.importorskip("timm", reason="the [train] extra is not installed")
pytest.importorskip("onnxscript", reason="the [train] extra is not installed")

from engines.train.checkpoint import CheckpointError  # noqa: E402
from engines.train.clips.footage import FailureError  # noqa: E402
from engines.train.clips.recipes import RECIPES, RecipeName, Trained, train_article, train_clips  # noqa: E402
from engines.train.clips.reels import weights_digest  # noqa: E402
from engines.train.clips.request import Plan, fit_backbone  # noqa: E402
from engines.train.encoders.backbones import BackboneError  # noqa: E402

from .moving_frames import Interrupted, Moving, MovingFootage, Silence, moving  # noqa: E402


def plan(work: Path, **other: Any) -> Plan:
    tiny = Plan(
        backbone="seed",
        weights=None,
        head="gru",
        side=22,
        rate_hz=10.0,
        epochs=2,
        seed=3,
        work=work,
    )
    return replace(tiny, **other)


def digests(trained: Trained) -> tuple[str, str]:
    return weights_digest(trained.encoder), weights_digest(trained.head)


def test_what_no_frame_can_tell_is_learnt_by_memory(tmp_path: Path) -> None:
    trained = train_clips(moving(videos=8), plan(tmp_path, epochs=12, seed=0), Silence())
    found: Any = trained.facts["validation"]
    assert found["most_frequent_class"] < 0.34
    assert found["accuracy"] > 0.7
    assert found["reset_every_frame"]["accuracy"] < 0.5


@pytest.mark.parametrize(
    ("recipe", "ends"),
    [
        ("clips", (5, 10, 11, 13, 20, 21)),
        ("article", (5, 10, 11, 13)),
    ],  # 9 videos are decoded first
)
def test_a_run_that_ends_anywhere_goes_on_to_the_same_weights(
    recipe: RecipeName, ends: tuple[int, ...], tmp_path: Path
) -> None:
    footage = moving(videos=3, validation=1)
    whole = RECIPES[recipe](footage, plan(tmp_path / "whole"), Silence())
    for end in ends:
        with pytest.raises(KeyboardInterrupt):
            RECIPES[recipe](footage, plan(tmp_path / "cut"), Interrupted(end))
    report = Silence()
    resumed = RECIPES[recipe](footage, plan(tmp_path / "cut"), report)
    assert digests(resumed) == digests(whole)
    assert any("goes on after" in line for line in report.lines)


def test_a_second_head_uses_the_features_of_the_first_and_decodes_nothing(tmp_path: Path) -> None:
    footage, report = moving(videos=3), Silence()
    first = train_clips(footage, plan(tmp_path), report)
    assert [len(video.watched) for video in footage.videos] == [1] * 9
    second = train_clips(footage, plan(tmp_path, head="lstm"), report)
    assert [len(video.watched) for video in footage.videos] == [1] * 9
    assert "features of 9 videos: 0 encoded, 9 kept" in report.lines
    assert digests(first)[0] == digests(second)[0]


def test_an_encoder_that_comes_with_weights_is_left_as_it_is(tmp_path: Path) -> None:
    weights = tmp_path / "weights.pt"
    torch.manual_seed(1)
    encoder = fit_backbone(plan(tmp_path, backbone="skeleton", side=None)).encoder
    torch.save(encoder.state_dict(), weights)
    given = plan(tmp_path / "work", backbone="skeleton", side=None, weights=weights)
    trained = train_clips(moving(videos=2, validation=1, length=6), given, Silence())
    assert weights_digest(trained.encoder.encoder) == weights_digest(encoder)
    assert not (tmp_path / "work" / "encoder.pt").exists()


def test_a_work_folder_of_other_settings_is_refused(tmp_path: Path) -> None:
    footage = moving(videos=2, validation=1)
    train_article(footage, plan(tmp_path), Silence())
    with pytest.raises(CheckpointError, match=r"seed 3 \(now 4\)"):
        train_article(footage, plan(tmp_path, seed=4), Silence())


def test_frames_without_labels_are_counted_apart_and_a_gap_begins_a_stream(tmp_path: Path) -> None:
    videos = [Moving(n, n, 9, validation=side) for n in (0, 1) for side in (False, True)]
    videos.append(Moving(2, 5, 9, gap_at=4))
    trained = train_clips(MovingFootage(videos), plan(tmp_path, epochs=1), Silence())
    frames: Any = trained.facts["frames"]
    assert frames["train"] == {"by_class": {"left": 6, "rest": 6, "right": 6}, "unlabelled": 9}
    assert frames["validation"]["unlabelled"] == 6


def test_videos_without_any_label_are_refused(tmp_path: Path) -> None:
    videos = [Moving(0, n, 1, validation=n == 0) for n in range(3)]  # two thirds of 1 are none
    for recipe in RECIPES.values():
        with pytest.raises(FailureError, match=r"no frame of the \w+ videos has a label"):
            recipe(MovingFootage(videos), plan(tmp_path), Silence())


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"side": 16}, "seed takes pictures from 22 x 22 on"),
        ({"backbone": "timm:test_vit", "side": 40}, "test_vit takes no pictures of 40 x 40"),
    ],
)
def test_a_size_that_a_backbone_cannot_take_is_refused(
    other: dict[str, Any], words: str, tmp_path: Path
) -> None:
    with pytest.raises(BackboneError, match=words):
        fit_backbone(plan(tmp_path, **other))


def test_a_convolutional_backbone_takes_another_size(tmp_path: Path) -> None:
    backbone = fit_backbone(plan(tmp_path, backbone="timm:test_resnet", side=40))
    assert (backbone.input.height, backbone.input.rate_hz) == (40, 10.0)
    frames = torch.zeros(3, 40, 40, 3, dtype=torch.uint8)
    assert backbone.encoder(backbone.input.normalise(frames)).shape == (3, backbone.features)


def test_a_seed_is_drawn_from_in_every_epoch_anew(tmp_path: Path) -> None:
    footage = moving(videos=2, validation=1)
    by_seed = [digests(train_article(footage, plan(tmp_path / str(n), seed=n), Silence()))
               for n in (0, 1)]  # fmt: skip
    assert np.unique(by_seed).size == 4
