"""Where this machine keeps what can be made or fetched again."""

import sys
from collections.abc import Mapping
from pathlib import Path


def cache_folder(environ: Mapping[str, str]) -> Path:
    """LONGTAKE_CACHE, or the place that this platform has for it."""
    if own := environ.get("LONGTAKE_CACHE"):
        return Path(own).expanduser().absolute()
    if sys.platform == "darwin":
        return Path("~/Library/Caches/longtake").expanduser()
    return Path(environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "longtake"
