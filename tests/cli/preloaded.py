"""Imports what the commands import, for the server that forks them."""

import pkgutil
from importlib import import_module

import engines.onnxrt  # noqa: F401
import pipeline

for module in pkgutil.walk_packages(pipeline.__path__, "pipeline."):
    if not module.name.endswith("__main__"):
        import_module(module.name)
