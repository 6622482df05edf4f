"""Publishes a folder of pictures as the frames of one stream, with kafka-python.

A real camera program would take its pictures from somewhere else; key and headers stay the same.
"""

import argparse
import time
from pathlib import Path

from kafka import KafkaProducer

KINDS = {".jpg", ".jpeg", ".png", ".webp"}


def main() -> None:
    """Publish each picture once, at the wanted rate."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--stream", required=True, help="1 to 200 of A-Z a-z 0-9 . _ : -")
    parser.add_argument("--bootstrap", default="127.0.0.1:9092")
    parser.add_argument("--topic", default="frames")
    parser.add_argument("--fps", type=float, default=15.0)
    options = parser.parse_args()
    producer = KafkaProducer(
        bootstrap_servers=options.bootstrap,
        enable_idempotence=True,  # a retry inside the client is no second frame
        max_request_size=9_000_000,  # as the topic allows; the client's default is 1 MB
    )
    epoch = str(time.time_ns() // 1_000_000).encode()  # grows whenever this camera starts again
    for seq, picture in enumerate(sorted(p for p in options.folder.iterdir() if p.suffix in KINDS)):
        headers = [
            ("captured-at", f"{time.time() * 1000:.3f}".encode()),
            ("seq", str(seq).encode()),
            ("epoch", epoch),
        ]
        # the key decides the partition, as in Java: one stream stays in one partition
        sent = producer.send(
            options.topic, key=options.stream.encode(), value=picture.read_bytes(), headers=headers
        )
        sent.get(timeout=30)  # raises if the frame is not in the log
        time.sleep(1 / options.fps)
    producer.close()


if __name__ == "__main__":
    main()
