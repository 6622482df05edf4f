"""A context that is ready to run, and whether its stream still is: for tests of wrong use."""

from typing import Any

from doubles.tensorrt import models
from doubles.tensorrt.models import LINES

LINE = 64 * 4  # bytes of one line


class Doubler:
    """`models.doubling` in a context that is ready to run two lines."""

    def __init__(self, bench: Any, gpu: Any, *profiles: Any, **options: Any) -> None:
        engine = bench.engine(models.doubling(), *(profiles or (LINES,)))
        self.context = engine.create_execution_context(**options)
        self.engine = engine  # behind the context, so that it goes after it
        self.memory = gpu.empty(16 * LINE)
        assert self.context.set_optimization_profile_async(0, gpu.stream)
        gpu.wait()
        assert self.context.set_input_shape("x", (2, 64))
        self.place(x=0, y=8)

    def place(self, **lines: int) -> None:
        """Let tensors begin at given lines of the memory."""
        for name, line in lines.items():
            assert self.context.set_tensor_address(name, self.memory + line * LINE)


def broken(gpu: Any, stream: int | None = None) -> bool:
    """Whether waiting for the stream gives an error."""
    try:
        gpu.wait(stream)
    except RuntimeError:
        return True
    return False
