"""The two recipes that train an encoder and a head on labelled videos. Each reads top to bottom.

`clips`: an encoder with weights is not changed, one without is trained on single frames. Its
features are computed once, and the head is trained on them as streams.
`article`: the article's network with the article's numbers, end to end.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from pydantic import JsonValue
from torch import nn

from engines.train.checkpoint import TrainingCheckpoint
from engines.train.clips.clip_head import train_clip_head
from engines.train.clips.end_to_end import train_end_to_end
from engines.train.clips.footage import UNLABELLED, StageReport, TrainingFootage
from engines.train.clips.head_scores import score_head
from engines.train.clips.reels import FeatureStream, encode_videos, unreel
from engines.train.clips.request import Plan, fit_backbone, settings_of
from engines.train.clips.standard import standardise
from engines.train.clips.stills import train_on_stills
from engines.train.encoders.article import article_head
from engines.train.heads import Head, make_head
from engines.train.pictures import Input

RecipeName = Literal["clips", "article"]


@dataclass(frozen=True, slots=True)
class Trained:
    """The trained networks and the pictures that they take. `facts` are for the training card."""

    encoder: nn.Module
    head: Head
    input: Input
    facts: Mapping[str, JsonValue]


def train_clips(footage: TrainingFootage, plan: Plan, report: StageReport) -> Trained:
    """Train a head on the features that an encoder computes from the videos."""
    settings, took = settings_of(footage, plan), _Durations()
    backbone = fit_backbone(plan)
    encoder, shape, videos = backbone.encoder, backbone.input, footage.videos
    if not plan.pretrained:
        videos = reels = unreel(footage.videos, shape, plan.work / "frames", report)
        took.record("decoding")
        train_on_stills(
            encoder,
            reels,
            shape,
            features=backbone.features,
            classes=len(footage.labels),
            epochs=plan.epochs,
            seed=plan.seed,
            checkpoint=TrainingCheckpoint(plan.work / "encoder.pt", settings),
            report=report,
        )
        took.record("encoder")
    streams = encode_videos(videos, encoder, shape, plan.work / "features", report)  # (T, F) each
    encoder, streams = standardise(encoder, streams)
    took.record("features")
    torch.manual_seed(plan.seed)  # the head's first weights must not depend on resumed stages
    head = make_head(plan.head, len(footage.labels), features=backbone.features)
    train_clip_head(
        head,
        streams,
        epochs=plan.epochs,
        seed=plan.seed,
        checkpoint=TrainingCheckpoint(plan.work / f"head-{plan.head}.pt", settings),
        report=report,
    )
    took.record("head")
    return Trained(encoder, head, shape, _facts(footage, streams, head, took))


def train_article(footage: TrainingFootage, plan: Plan, report: StageReport) -> Trained:
    """Train the article's own encoder and head together."""
    settings, took = settings_of(footage, plan), _Durations()
    backbone = fit_backbone(replace(plan, backbone="seed"))
    encoder, shape = backbone.encoder, backbone.input
    head = article_head(len(footage.labels))
    reels = unreel(footage.videos, shape, plan.work / "frames", report)
    took.record("decoding")
    train_end_to_end(
        encoder,
        head,
        reels,
        shape,
        epochs=plan.epochs,
        seed=plan.seed,
        checkpoint=TrainingCheckpoint(plan.work / "article.pt", settings),
        report=report,
    )
    took.record("training")
    streams = encode_videos(reels, encoder, shape, plan.work / "features", report)
    took.record("features")
    return Trained(encoder, head, shape, _facts(footage, streams, head, took))


Recipe = Callable[[TrainingFootage, Plan, StageReport], Trained]
RECIPES: dict[RecipeName, Recipe] = {"clips": train_clips, "article": train_article}


class _Durations:
    """How long each stage took in this process: next to none if an earlier run had finished."""

    def __init__(self) -> None:
        self.seconds: dict[str, JsonValue] = {}
        self._at = time.monotonic()

    def record(self, stage: str) -> None:
        self.seconds[stage] = round(time.monotonic() - self._at, 1)
        self._at = time.monotonic()


def _facts(
    footage: TrainingFootage, streams: Sequence[FeatureStream], head: Head, took: _Durations
) -> dict[str, JsonValue]:
    training, validation = (
        [stream for stream in streams if stream.validation == side] for side in (False, True)
    )
    return {
        "videos": {
            "train": sum(not video.validation for video in footage.videos),
            "validation": sum(video.validation for video in footage.videos),
        },
        "frames": {
            "train": _count_frames(training, footage),
            "validation": _count_frames(validation, footage),
        },
        "validation": score_head(head, validation, footage.labels),
        "seconds": took.seconds,
    }


def _count_frames(
    streams: Sequence[FeatureStream], footage: TrainingFootage
) -> dict[str, JsonValue]:
    labels = torch.cat([stream.labels for stream in streams])
    by_class = {name: int((labels == n).sum()) for n, name in enumerate(footage.labels)}
    return {"by_class": dict(by_class), "unlabelled": int((labels == UNLABELLED).sum())}
