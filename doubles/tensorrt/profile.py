"""Optimisation profiles: which shapes a plan has to take."""

from collections.abc import Iterator, Sequence

from tensorrt_bindings import Dims

from doubles.tensorrt.ports import Port, Shape, shape_of

Range = tuple[Shape, Shape, Shape]  # smallest, usual, largest


class IOptimizationProfile:
    """Made by `Builder.create_optimization_profile`."""

    def __init__(self) -> None:
        self._shapes: dict[str, Range] = {}
        self._broken = False

    def set_shape(
        self,
        input: str,  # noqa: A002 - the genuine name
        min: Dims | Shape,  # noqa: A002
        opt: Dims | Shape,
        max: Dims | Shape,  # noqa: A002
    ) -> None:
        smallest, usual, largest = shape_of(min), shape_of(opt), shape_of(max)
        ordered = len(smallest) == len(usual) == len(largest) and all(
            0 <= low <= middle <= high
            for low, middle, high in zip(smallest, usual, largest, strict=True)
        )
        if not ordered:  # the genuine binding has set what came before, so the profile is no good
            self._broken = True
            raise ValueError(f"{input}: {smallest} <= {usual} <= {largest} does not hold")
        self._shapes[input] = (smallest, usual, largest)

    def get_shape(self, input: str) -> list[Dims]:  # noqa: A002 - the genuine name
        return [Dims(shape) for shape in self._shapes.get(input, ())]

    def __bool__(self) -> bool:
        return not self._broken


def uncovered(ports: Sequence[Port], profiles: Sequence[dict[str, Range]]) -> Iterator[str]:
    """Say what the builder finds wrong with the profiles of a network's inputs."""
    known = {port.name: port for port in ports}
    if not profiles and any(port.dynamic for port in ports):
        yield "Network has dynamic or shape inputs, but no optimization profile has been defined."
    for number, profile in enumerate(profiles):
        for port in ports:
            if port.dynamic and port.name not in profile:
                yield f"Dynamic input {port.name} is missing dimensions in profile {number}."
        for name, shapes in profile.items():
            if name not in known:
                yield f"Profile {number} names {name}, which is no input of the network."
            elif not all(known[name].admits(shape) for shape in shapes):
                yield f"Profile {number} gives {name} {shapes}, the network {known[name].shape}."
