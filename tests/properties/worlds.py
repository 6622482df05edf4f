"""Small worlds with one partition, and films for them."""

from engines.host import HostEngine
from engines.model.bundle import Bundle
from engines.onnxrt import onnxruntime_engine
from pipeline.config import WorkerConfig
from tests.world import World

START_MS = 1_700_000_000_000


def make_world(bundle: Bundle, **settings: object) -> World:
    engines: dict[str, HostEngine] = {}

    def engine(slot: str) -> HostEngine:
        return engines.setdefault(slot, onnxruntime_engine(bundle, 1))

    world = World(bundle, engine, partitions=1, max_batch=4)
    world.config = WorkerConfig(**world.config.model_dump() | settings)
    return world


def film(world: World, count: int, *, stream: str = "a", first: int = 0) -> None:
    for n in range(first, first + count):
        headers = (("seq", b"%d" % n), ("captured-at", b"%d" % (START_MS + n * 100)))
        world.log.publish(0, stream.encode(), b"%d" % n, headers)


def go(world: World, slot: str, rounds: int = 12) -> None:
    for _ in range(rounds):
        world.turn(slot)
        for kind in ("decodes", "reads", "writes"):
            world.work_off(slot, kind)
