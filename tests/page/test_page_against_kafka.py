"""The page of `longtake live` in a real browser: cameras, worker and broker fail and come back."""

import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pipeline.broker.kafka.topics import TopicAdmin
from pipeline.config import load_config
from pipeline.local.cluster import LocalKafka
from tests.cli.commands import Running
from tests.page.browser import DESKTOP, Page

SAMPLES = Path(__file__).parents[2] / "pipeline" / "samples"
CAMERAS = {"gate": "jpeg", "harbour": "jpeg", "market": "jpeg", "yard": "auto"}
ALL_LIVE = "4 of 4 streams live"
pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(400)]


class Square:
    """A Kafka of its own with four cameras, one of H.264, a worker and the page's server."""

    def __init__(self, kafka: LocalKafka, folder: Path) -> None:
        self.kafka, self._folder = kafka, folder
        with closing(TopicAdmin(kafka.connection, load_config(None, {}).topics)) as admin:
            admin.create(2)
        self.live = self.run("live", "--port", "0")
        self.worker = self.launch_worker()
        self.cameras = {
            name: self.run(
                *("camera", SAMPLES / f"{name}.mp4", "--stream", name, "--video", video),
                *("--loop", "--realtime", "--metrics-port", "0"),
            )
            for name, video in CAMERAS.items()
        }

    def run(self, *words: str | Path) -> Running:
        log = self._folder / f"{len(list(self._folder.iterdir()))}.log"
        return Running(log, *words, "--bootstrap", self.kafka.bootstrap)

    def launch_worker(self) -> Running:
        return self.run("worker", "--slot", "one", "--metrics-port", "0")

    def close(self) -> None:
        for one in (self.live, self.worker, *self.cameras.values()):
            if one.process.poll() is None:
                one.process.kill()
                one.process.wait()


@pytest.fixture
def square(tmp_path: Path) -> Iterator[Square]:
    with LocalKafka() as kafka, closing(Square(kafka, tmp_path)) as made:
        yield made


def test_the_page_shows_what_fails_and_heals_by_itself(page: Page, square: Square) -> None:
    page.show(DESKTOP, "light")
    page.driver.get(square.live.says(r"live page on (\S+)")[1])
    page.says("#summary", ALL_LIVE)
    for name in CAMERAS:
        page.says(f'[data-stream="{name}"] .facts', "remembers")
    page.says('[data-stream="yard"] .old', "keyframe")

    market = square.cameras["market"].process
    market.send_signal(signal.SIGSTOP)
    page.says('[data-stream="market"] .state', "stalled")
    page.says("#summary", "3 of 4 streams live")
    market.send_signal(signal.SIGCONT)
    page.says("#summary", ALL_LIVE)

    square.worker.end(signal.SIGKILL)
    page.says('[data-stream="gate"] .state', "no predictions")
    square.worker = square.launch_worker()
    page.says("#summary", ALL_LIVE)

    page.driver.execute_script("location.hash = '#/stream/gate'")
    page.says("#facts", "partition")
    page.says("#marks-words", " 0 breaks of the chain")

    square.kafka.kill(1)
    page.says("#trouble", "Topics ")
    page.says("#now-state", "not known")
    square.kafka.restart(1)
    page.says("#now-state", "live")
    assert page.text("#trouble") == ""
    assert page.complaints() == []
    assert square.live.end(signal.SIGINT)[0] == 130
    assert "Traceback" not in square.live.log
