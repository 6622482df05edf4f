"""Training and export with PyTorch. The home of torch.

Three systems train: `clips`, on labelled videos, `actions`, the demo's model on rendered people,
and `letters`, on text and genomes. They share what is beside them: `encoders`, `heads`,
`evaluation`, `exporting`, the checkpoint.
Everything here needs the extra `train`; only commands that train import it.

The only place that turns off the telemetry of huggingface_hub, which timm imports.
"""

import os

os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"

try:
    import torch as _torch  # noqa: F401
except ModuleNotFoundError as exc:
    raise ModuleNotFoundError(
        "engines.train needs PyTorch: in longtake's repository, pip install -e '.[train]'",
        name="torch",
    ) from exc

from engines.train.exporting import export
from engines.train.heads import Head, Recurrent, Transformer, make_head
from engines.train.letters_input import Letters
from engines.train.pictures import IMAGENET_MEAN, IMAGENET_STD, Input

__all__ = [
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "Head",
    "Input",
    "Letters",
    "Recurrent",
    "Transformer",
    "export",
    "make_head",
]
