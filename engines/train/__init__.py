"""Models made with PyTorch: your own, and how the shipped one came about. The home of torch.

Everything here needs the extra `longtake[train]`; commands import it when they are run, and nothing
else does.
"""

try:
    import torch as _torch  # noqa: F401
except ModuleNotFoundError as exc:
    raise ModuleNotFoundError(
        "engines.train needs PyTorch: pip install 'longtake[train]'", name="torch"
    ) from exc

from engines.train.exporting import export
from engines.train.heads import Head, Recurrent, Transformer, make_head
from engines.train.pictures import IMAGENET_MEAN, IMAGENET_STD, Input

__all__ = [
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "Head",
    "Input",
    "Recurrent",
    "Transformer",
    "export",
    "make_head",
]
