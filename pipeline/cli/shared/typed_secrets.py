"""Hides the secrets of URLs that a user gave where a file or a name is wanted.

Sources are an `Address`, which is shown without them. But any other argument can be a URL by
mistake (a bundle, labels, a file of settings), and the message about it repeats what was given.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from pipeline.media.address import without_secrets
from pipeline.settings import PREFIX


def without_typed_secrets(message: str) -> str:
    """Return the message with each URL of the command line and our variables as it may be shown."""
    for url in sorted(_urls(), key=len, reverse=True):
        for written in (url, str(Path(url))):  # a path has one slash where the URL has two
            message = message.replace(written, without_secrets(url))
    return message


def _urls() -> Iterator[str]:
    for word in sys.argv[1:]:
        value = word.partition("=")[2] if word.startswith("--") else word
        if "://" in value:
            yield value
    for name, value in os.environ.items():
        if name.startswith(PREFIX) and "://" in value:
            yield value
