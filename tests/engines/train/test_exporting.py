"""What is exported is a bundle that answers like PyTorch; anything else is refused aloud."""

from dataclasses import replace
from functools import cache

import numpy as np
import onnx
import pytest

pytest.importorskip("torch", reason="exporting needs the extra longtake[train]")
pytest.importorskip("onnxscript", reason="exporting needs the extra longtake[train]")
pytest.importorskip("numba", reason="rendering needs the extra longtake[train]")

import torch

from engines.errors import VerificationError
from engines.model.bundle import Bundle
from engines.onnxrt import onnxruntime_engine
from engines.train.actions.recipe import to_model
from engines.train.actions.steady import Steady
from engines.train.encoders.joint_networks import FEATURES, Encoder, pictures
from engines.train.exporting import Model, prove, to_bundle
from engines.train.heads import make_head
from engines.train.people.streams import ACTIONS
from engines.train.rolling import NEVER, roll

from .rendered import actors, take

SIDE = 32


@cache
def model() -> Model:
    torch.manual_seed(0)
    head = make_head("lstm", len(ACTIONS), features=FEATURES)
    return replace(to_model(Encoder(SIDE, SIDE), head), input=pictures(SIDE))


@cache
def exported() -> Bundle:
    return to_bundle(model())


def frames(length: int) -> np.ndarray:
    return take(0, length=length).pixels(actors(), size=SIDE)


def test_the_bundle_answers_like_pytorch() -> None:
    assert prove(exported(), model(), frames(60)) < 1e-4


def test_a_steady_head_answers_in_a_bundle_as_in_pytorch_and_alike_in_any_batch() -> None:
    steady = replace(model(), head=Steady(model().head, len(ACTIONS), margin=0.1, sharpness=0.9))
    assert prove(to_bundle(steady), steady, frames(60)) < 1e-4


def test_a_bundle_of_other_weights_is_refused() -> None:
    torch.manual_seed(1)
    other = replace(model(), head=make_head("lstm", len(ACTIONS), features=FEATURES))
    with pytest.raises(VerificationError, match=r"deviate from PyTorch by .* no bundle is written"):
        prove(exported(), other, frames(10))


def test_only_the_batch_is_dynamic() -> None:
    for graph in (exported().encoder, exported().head):
        model = onnx.load_from_string(graph).graph
        for value in [*model.input, *model.output]:
            first, *others = value.type.tensor_type.shape.dim
            assert first.dim_param == "N"
            assert all(dimension.dim_value > 0 for dimension in others)


def test_graphs_do_not_tell_whose_machine_made_them() -> None:
    for graph in (exported().encoder, exported().head):
        model = onnx.load_from_string(graph)
        model.graph.ClearField("initializer")  # three bytes of weights can be anything
        assert b".py" not in model.SerializeToString()
        assert b"stack_trace" not in model.SerializeToString()


def test_a_row_has_the_same_bits_in_a_batch_of_one_and_of_seven() -> None:
    engine = onnxruntime_engine(exported(), threads=2)
    seven = frames(7)[:, None]  # seven streams of one frame
    together = roll(engine, seven)[NEVER][0]
    alone = [roll(engine, one[None])[NEVER][0, 0] for one in seven]
    assert together.tobytes() == np.stack(alone).tobytes()


def test_a_reset_forgets_everything_before_it() -> None:
    engine = onnxruntime_engine(exported(), threads=2)
    film = frames(12)[None]
    answers = roll(engine, film, resets=(NEVER, 5))
    np.testing.assert_array_equal(answers[5][5:10], roll(engine, film[:, 5:10])[NEVER])
    np.testing.assert_array_equal(answers[5][:5], answers[NEVER][:5])
    assert (answers[5][5:] != answers[NEVER][5:]).any()
