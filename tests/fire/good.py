"""Sixteen cameras that behave: `python -m tests.fire.good BOOTSTRAP TOPIC`, until killed."""

import sys
import time

from pipeline.broker.kafka.publisher import KafkaPublisher
from pipeline.connection import Connection
from tests.chaos.clips import cut_pictures

CAMERAS = 16
FPS = 5.0


def main(bootstrap: str, topic: str) -> None:
    """Publish each camera's pictures at its rate, with capture times; cameras take turns."""
    films = cut_pictures()
    publisher = KafkaPublisher(Connection(bootstrap), topic=topic)
    step_s, began_s, shown = 1 / FPS / CAMERAS, time.monotonic(), 0
    while True:
        seq, camera = divmod(shown, CAMERAS)
        film = films[camera % len(films)]
        headers = (("captured-at", b"%.3f" % (time.time() * 1000)), ("seq", b"%d" % seq))
        publisher.publish(f"good-{camera}", film[seq % len(film)], headers)
        shown += 1
        time.sleep(max(0.0, began_s + shown * step_s - time.monotonic()))


if __name__ == "__main__":
    main(*sys.argv[1:])
