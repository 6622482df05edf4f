"""The shapes of one context: which inputs are set, and whether they go together."""

from collections.abc import Iterator

from doubles.tensorrt.loaded import Loaded
from doubles.tensorrt.ports import Shape


class Shapes:
    """Set by the user for inputs of free shape; all else follows from them."""

    def __init__(self, loaded: Loaded) -> None:
        self._loaded = loaded
        self.profile: int | None = None if loaded.dynamic else 0
        self._set: dict[str, Shape] = {}

    def choose(self, profile: int) -> None:
        """Switch the profile, which forgets all shapes."""
        self.profile = profile
        self._set.clear()

    def refusal(self, name: str, shape: Shape) -> str | None:
        """Say why an input cannot have a shape now; None if it can."""
        port = self._loaded.inputs.get(name)
        if port is None:
            return f"{name} is no input"
        if not port.admits(shape):
            return f"{name} is {port.shape} in the network, not {shape}"
        if self.profile is None:
            return f"the profile must be set before the shape of {name}"
        low, _, high = self._loaded.profiles[self.profile].get(name, (shape, shape, shape))
        if not all(a <= b <= c for a, b, c in zip(low, shape, high, strict=True)):
            return f"{name} {shape} is not in profile {self.profile}: {low} to {high}"
        return None

    def set(self, name: str, shape: Shape) -> None:
        """Keep a shape that `refusal` has nothing against."""
        self._set[name] = shape

    def missing(self) -> list[str]:
        """Name the inputs of free shape that have none yet."""
        return [n for n, p in self._loaded.inputs.items() if p.dynamic and n not in self._set]

    def conflicts(self) -> Iterator[str]:
        """Say which dimensions of one name have two sizes."""
        sizes: dict[str, int] = {}
        for name, shape in self._set.items():
            for symbol, size in zip(self._loaded.inputs[name].symbols, shape, strict=True):
                if symbol and sizes.setdefault(symbol, size) != size:
                    yield f"the dimension {symbol} is {sizes[symbol]}, in {name} it is {size}"

    def of(self, name: str) -> Shape:
        """Tell a tensor's shape as far as it is known: -1 where it is not."""
        port = self._loaded.all_ports[name]
        if name in self._loaded.inputs:
            return self._set.get(name, port.shape)
        if self.missing() or list(self.conflicts()):
            return port.shape
        given = {n: self.of(n) for n in self._loaded.inputs}
        return self._loaded.output_shapes(given)[name]
