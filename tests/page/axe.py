"""axe-core finds what keeps people with a screen reader or weak eyes out. Fetched once; MPL-2.0."""

import hashlib
import io
import os
import tarfile
import urllib.request
from typing import Any

from engines.cache import cache_folder
from tests.page.browser import Page

ADDRESS = "https://registry.npmjs.org/axe-core/-/axe-core-4.14.1.tgz"
SHA256 = "e6b0ce02b84d892e2e33e403485e7f3d6c29e2be6df65daf44d89ba564139745"
SCRIPT = "package/axe.min.js"
TIMEOUT_S = 60.0


def script() -> str:
    """Return axe-core's text. Raises `OSError` if it is not at hand and cannot be fetched."""
    kept = cache_folder(os.environ) / ADDRESS.rpartition("/")[2]
    if not kept.exists():
        with urllib.request.urlopen(ADDRESS, timeout=TIMEOUT_S) as answer:
            content = answer.read()
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_bytes(content)
    content = kept.read_bytes()
    assert hashlib.sha256(content).hexdigest() == SHA256, f"{kept} is not {ADDRESS}: delete it"
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        file = archive.extractfile(SCRIPT)
        assert file is not None
        return file.read().decode()


def faults(page: Page, text: str) -> list[str]:
    """Return what axe finds on the page as it is shown now, a line each."""
    driver: Any = page.driver
    driver.execute_script(text)
    found = driver.execute_async_script(
        "const done = arguments[arguments.length - 1]; axe.run().then(done, (e) => done(String(e)))"
    )
    return [
        f"{one['impact']}: {one['help']}: {node['html'][:200]}"
        for one in found["violations"]
        for node in one["nodes"]
    ]
