"""Runs the demo: cameras in threads, a worker on a stage, predictions on the screen."""

import json
import logging
import signal
import threading
import time
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np

from pipeline.broker.shots import Shot
from pipeline.cameras.capture.clip import ClipSource
from pipeline.cameras.capture.shutter import Exposure, Shutter
from pipeline.cameras.values import Picture
from pipeline.clock import SystemClock
from pipeline.demo.stage import KafkaStage, MemoryStage, Stage
from pipeline.demo.view import StreamView, View
from pipeline.errors import LocalKafkaError, LongtakeError
from pipeline.media.sources import read_labels
from pipeline.offline.scoring import Score
from pipeline.records import Fate
from pipeline.text.terminal import Terminal
from pipeline.wire.json_text import UnreadableError
from pipeline.wire.predictions import Prediction

log = logging.getLogger(__name__)

CLIPS = ("gate", "yard", "market", "harbour")
PASSED_THROUGH = "yard"  # its own H.264 is published; pictures of the others are encoded
READ_S = 0.05
LAST_READ_S = 5.0


def demo(*, seconds: float | None, memory: bool, report: Path | None, console: Terminal) -> None:
    """Show four cameras until `seconds` are over or Ctrl-C; write a JSON `report` at the end."""
    # SIGTERM stops everything in order, as Ctrl-C does
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with as_file(files("pipeline") / "samples") as samples:
        stage = _open_stage(console, memory=memory)
        try:
            began_s = time.monotonic()
            summary = _play(stage, samples, console, seconds=seconds)
        finally:
            with console.status("stopping"):
                stage.close()
    if report is not None:
        report.write_text(json.dumps(summary, indent=2) + "\n")
    console.print(
        f"{summary['predictions']} predictions in {time.monotonic() - began_s:.0f} s,"
        f" {summary['dead_letters']} dead letters;"
        f" age {summary['age_p50_ms']} ms (p50), {summary['age_p99_ms']} ms (p99)"
    )


def _open_stage(console: Terminal, *, memory: bool) -> Stage:
    stage: Stage
    if not memory:
        stage = KafkaStage("actions")
        try:
            with console.status("starting Apache Kafka and one worker"):
                stage.start()
        except LocalKafkaError as exc:
            stage.close()
            console.complain(str(exc))
            console.print("Going on with the in-memory broker.")
        except BaseException:
            stage.close()
            raise
        else:
            return stage
    stage = MemoryStage("actions")
    stage.start()
    return stage


def _play(
    stage: Stage, samples: Path, console: Terminal, *, seconds: float | None
) -> dict[str, object]:
    stop = threading.Event()
    failures: list[LongtakeError] = []
    streams = {
        name: StreamView(name, Score(read_labels(samples / f"{name}.csv"))) for name in CLIPS
    }
    cameras = [
        threading.Thread(
            target=_film, args=(samples / f"{name}.mp4", name, stage, stop, failures), daemon=True
        )
        for name in CLIPS
    ]
    ages_ms: list[float] = []
    title = f"four cameras -> {'Apache Kafka' if stage.name == 'kafka' else 'memory'} -> CNN + RNN"
    began_s = time.monotonic()
    try:
        for camera in cameras:
            camera.start()
        with View(console, list(streams.values()), title=title) as view:
            while seconds is None or time.monotonic() - began_s < seconds:
                if failures:
                    raise failures[0]
                ages_ms += _read_predictions(stage, streams, READ_S)
                view.show(worker=stage.worker(), elapsed_s=time.monotonic() - began_s)
    except KeyboardInterrupt:
        pass
    stop.set()
    for camera in cameras:
        camera.join(timeout=5)
    fates = stage.finish()
    deadline_s = time.monotonic() + LAST_READ_S
    while _count(streams) < fates[Fate.PREDICTED] and time.monotonic() < deadline_s:
        ages_ms += _read_predictions(stage, streams, READ_S)
    return {
        "broker": stage.name,
        "seconds": round(time.monotonic() - began_s, 1),
        "frames": sum(fates.values()),
        "predictions": _count(streams),
        "dead_letters": fates[Fate.DEAD_LETTERED],
        "fates": dict(fates),
        "streams": {name: s.score.summary() for name, s in streams.items()},
        "age_p50_ms": _percentile(ages_ms, 50),
        "age_p99_ms": _percentile(ages_ms, 99),
    }


def _film(
    clip: Path, name: str, stage: Stage, stop: threading.Event, failures: list[LongtakeError]
) -> None:
    clock = SystemClock()
    exposure = Exposure(obstacle=None if name == PASSED_THROUGH else "")
    shutter = Shutter(name, exposure, epoch_s=int(clock.time()))
    source = ClipSource(clip, loop=True, realtime=True, clock=clock)
    try:
        for picture in source.pictures(stop):
            if not isinstance(picture, Picture):
                continue
            shot = shutter.take(picture, arrived_us=0)
            if isinstance(shot, Shot):
                stage.publish(shot.stream, shot.content, shot.headers)
    except LongtakeError as exc:
        failures.append(exc)


def _read_predictions(
    stage: Stage, streams: dict[str, StreamView], timeout_s: float
) -> list[float]:
    """Read new predictions into the views; returns their ages (ms), from capture to reading."""
    ages_ms = []
    for record in stage.predictions(timeout_s):
        try:
            prediction = Prediction.read(record.value)
        except UnreadableError as exc:
            log.warning("offset %d of predictions is no prediction: %s", record.offset, exc)
            continue
        if prediction.stream not in streams:
            continue  # another program publishes to our broker
        ages_ms.append((time.time() - prediction.captured_s) * 1000)
        streams[prediction.stream].enter(prediction, age_ms=ages_ms[-1], now_s=time.monotonic())
    return ages_ms


def _count(streams: dict[str, StreamView]) -> int:
    return sum(s.score.predictions for s in streams.values())


def _percentile(values: list[float], q: float) -> float | None:
    return round(float(np.percentile(values, q)), 1) if values else None
