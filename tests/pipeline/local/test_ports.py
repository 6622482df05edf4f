"""A reserved port is not given to any other caller."""

from pathlib import Path

from pipeline.local import ports
from pipeline.local.cluster import _lay_out
from pipeline.local.node_properties import Detour


def test_ports_are_found_besides_those_that_are_promised() -> None:
    left = set(ports.free_ports(3))
    others = set(range(ports.LOWEST, ports.HIGHEST)) - left
    assert set(ports.free_ports(3, besides=others)) == left


def test_a_node_never_gets_the_door_of_a_detour(tmp_path: Path) -> None:
    left = ports.free_ports(4)
    others = set(range(ports.LOWEST, ports.HIGHEST)) - set(left)
    detours = {9: Detour(left[0], left[1])} | {n: Detour(n, n) for n in others}
    (node,) = _lay_out(tmp_path, 1, 0, detours).values()
    assert {node.port, node.controller_port} == set(left[2:])
