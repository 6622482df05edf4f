"""The page in a real browser: it moves, tells, heals, and shuts nobody out."""

import os
from collections.abc import Iterator

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from pipeline.clock import SystemClock
from tests.page import axe
from tests.page.browser import DESKTOP, PHONE, Page
from tests.page.filming import LABELS, Filming, Running
from tests.page.served_wall import ServedWall

STREAMS = ["gate", "harbour", "market", "yard"]
pytestmark = pytest.mark.timeout(120)


class Shown:
    """A served wall of four streams that are filmed."""

    def __init__(self) -> None:
        clock = SystemClock()
        self.site = ServedWall(clock)
        self.filming = Filming(self.site.wall, STREAMS, clock)
        self.filming.step()
        self._running = Running(self.filming, every_s=0.1)

    def close(self) -> None:
        self._running.close()
        self.site.stop()


@pytest.fixture
def shown(page: Page) -> Iterator[Shown]:
    made = Shown()
    try:
        page.show(DESKTOP, "light")
        page.driver.get(made.site.address)
        page.says("#summary", "4 of 4 streams live")
        yield made
    finally:
        made.close()


def axe_script() -> str:
    try:
        return axe.script()
    except OSError as exc:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"axe-core cannot be fetched: {exc}")


def tile(stream: str) -> str:
    return f'[data-stream="{stream}"]'


@pytest.mark.usefixtures("shown")
def test_a_tile_moves_with_its_stream(page: Page) -> None:
    page.says(f"{tile('gate')} .facts", "fps")

    def looks() -> tuple[str, str | None]:
        image = page.driver.find_element(By.CSS_SELECTOR, f"{tile('gate')} img")
        return page.text(f"{tile('gate')} .label"), image.get_attribute("src")

    label, picture = looks()
    assert label in LABELS
    page.until(lambda: looks()[0] not in {label, ""} and looks()[1] != picture)
    assert page.complaints() == []


def test_a_frozen_camera_shows_on_its_tile_alone_and_heals(page: Page, shown: Shown) -> None:
    shown.filming.frozen = {"market"}
    page.says(f"{tile('market')} .state", "stalled")
    page.says("#summary", "3 of 4 streams live")
    assert page.text(f"{tile('gate')} .state") == "live"
    shown.filming.frozen = ()
    page.says("#summary", "4 of 4 streams live")


def test_a_page_whose_server_ends_says_so_and_goes_on_with_the_next(
    page: Page, shown: Shown
) -> None:
    shown.site.stop()
    page.says("#trouble", "does not answer")
    page.says("#summary", "not connected")
    shown.site.start()
    page.says("#summary", "4 of 4 streams live")
    assert page.text("#trouble") == ""


def test_a_topic_that_cannot_be_read_is_named(page: Page, shown: Shown) -> None:
    shown.site.wall.in_trouble("frames", "no Kafka answers", vital=True)
    page.says("#trouble", "Topic frames: no Kafka answers.")
    page.says(f"{tile('gate')} .state", "not known")
    shown.site.wall.in_trouble("frames", "", vital=True)
    page.says("#summary", "4 of 4 streams live")


@pytest.mark.usefixtures("shown")
def test_the_keyboard_finds_opens_and_leaves_a_stream(page: Page) -> None:
    body = page.driver.find_element(By.TAG_NAME, "body")
    body.send_keys("/")
    page.driver.switch_to.active_element.send_keys("gat")
    page.says("#count", "1 of 4 shown")
    page.driver.switch_to.active_element.send_keys(Keys.TAB, Keys.TAB, Keys.TAB, Keys.ENTER)
    page.says("#name", "gate")
    page.says("#facts", "partition 0 offset")
    page.says("#legend", "walking")
    page.driver.switch_to.active_element.send_keys(Keys.ESCAPE)
    page.says("#count", "1 of 4 shown")
    assert "gate" in page.driver.switch_to.active_element.text


@pytest.mark.usefixtures("shown")
def test_a_label_is_text_and_never_markup(page: Page) -> None:
    page.says("#tiles", "<b>waving</b>")
    assert page.driver.find_elements(By.CSS_SELECTOR, "#tiles b:not(.label)") == []


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.usefixtures("shown")
def test_nobody_is_shut_out_and_nothing_is_cut_off(
    page: Page, size: tuple[int, int], theme: str
) -> None:
    script = axe_script()
    page.show(size, theme)
    for view, ready in (("#", f"{tile('gate')} .facts"), ("#/stream/gate", "#facts")):
        page.driver.execute_script("location.hash = arguments[0]", view)
        page.says(ready, "remembers")
        assert axe.faults(page, script) == []
        wide = page.driver.execute_script("return document.documentElement.scrollWidth")
        assert wide <= size[0]
