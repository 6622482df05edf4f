"""A real browser: Debian's Chromium without a window, driven by selenium."""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",  # root has none
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--no-first-run",
)
DESKTOP, PHONE = (1280, 900), (390, 844)
WAIT_S = 30.0
LOOK_S = 0.1


class Page:
    """One window."""

    def __init__(self, driver: Chrome) -> None:
        self.driver = driver

    def text(self, selector: str) -> str:
        """Return the shown text of an element, empty while there is none."""
        found = self.driver.execute_script(
            "return document.querySelector(arguments[0])?.innerText ?? ''", selector
        )
        return str(found)

    def until(self, holds: Callable[[], bool], words: Callable[[], str] = str) -> None:
        """Wait until something holds. `words` say what is so instead."""
        deadline_s = time.monotonic() + WAIT_S
        while not holds():
            assert time.monotonic() < deadline_s, words()
            time.sleep(LOOK_S)

    def says(self, selector: str, words: str) -> None:
        """Wait until an element shows these words."""
        self.until(
            lambda: words in self.text(selector),
            lambda: f"{selector} says {self.text(selector)!r}, not {words!r}",
        )

    def show(self, size: tuple[int, int], theme: str) -> None:
        """Take the size of a screen, and a theme: `light` or `dark`."""
        width, height = size
        self._set(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=size == PHONE,
        )
        feature = {"name": "prefers-color-scheme", "value": theme}
        self._set("Emulation.setEmulatedMedia", features=[feature])

    def _set(self, command: str, **params: object) -> None:
        self.driver.execute_cdp_cmd(command, params)

    def complaints(self) -> list[str]:
        """Return what the browser's log holds: errors, blocked scripts, failed requests."""
        driver: Any = self.driver  # selenium says nothing of this one's types
        return [entry["message"] for entry in driver.get_log("browser")]


def chromium() -> str | None:
    """Return the browser's program, None if it is not here."""
    return shutil.which("chromium") if shutil.which("chromedriver") else None


@contextmanager
def browsing(folder: Path) -> Iterator[Page]:
    """Open a browser that keeps its profile in a folder."""
    options = ChromeOptions()
    options.binary_location = str(chromium())
    for argument in (*ARGUMENTS, f"--user-data-dir={folder / 'profile'}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Chrome(options, Service(shutil.which("chromedriver")))
    try:
        yield Page(driver)
    finally:
        driver.quit()
