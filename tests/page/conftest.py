"""One browser for all tests of the page."""

import os
from collections.abc import Iterator

import pytest

from tests.page.browser import Page, browsing, chromium


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    if chromium() is None:
        words = "no chromium with chromedriver; tests/setup-system.sh installs them"
        if os.environ.get("CI"):
            pytest.fail(words)
        pytest.skip(words)
    with browsing(tmp_path_factory.mktemp("browser")) as page:
        yield page


@pytest.fixture
def page(browser: Page) -> Iterator[Page]:
    """The browser's window, empty before and after, and without complaints of others."""
    browser.complaints()
    yield browser
    browser.driver.get("about:blank")
