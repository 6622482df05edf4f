"""A StatefulSet on this machine: as many pods as wanted, and a rollout one by one."""

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.deploy.kubernetes.local_pod import LocalPod
from tests.deploy.kubernetes.pods import Workload

PATIENCE_S = 120.0
LOOK_S = 0.05


class LocalSet:
    """The pods of one StatefulSet with `podManagementPolicy: Parallel`. `close` ends all."""

    def __init__(self, workload: Workload, folder: Path, *, overrides: Mapping[str, str]) -> None:
        assert workload.manifest["spec"]["podManagementPolicy"] == "Parallel"
        self._workload, self._folder, self._overrides = workload, folder, overrides
        (self._container,) = workload.containers
        self.pods: dict[int, LocalPod] = {}

    def scale(self, wanted: int) -> None:
        """Start what is missing and end what is too much, all at once."""
        self._end([self.pods.pop(number) for number in sorted(self.pods) if number >= wanted])
        self.start(wanted)
        self.await_ready()

    def start(self, wanted: int) -> None:
        """Start what is missing, without waiting."""
        for number in range(wanted):
            if number not in self.pods:
                self._start(number)

    def roll(self) -> None:
        """Replace every pod, the highest number first, each when the one before is ready."""
        for number in sorted(self.pods, reverse=True):
            self.pods[number].delete()
            self._start(number)
            self.await_ready()

    def lose(self, number: int) -> None:
        """Lose the node of a pod. The pod is not replaced."""
        self.pods.pop(number).lose()

    def await_ready(self) -> None:
        """Wait until all pods are ready."""
        end_s = time.monotonic() + PATIENCE_S
        while not all(pod.ready for pod in self.pods.values()):
            if time.monotonic() > end_s:
                waited = [pod for pod in self.pods.values() if not pod.ready]
                words = "\n".join(f"{pod.name}:\n{pod.log.read_text()[-2000:]}" for pod in waited)
                raise AssertionError(f"not ready after {PATIENCE_S:g} s:\n{words}")
            time.sleep(LOOK_S)

    def close(self) -> None:
        """End all pods, in whatever state they are."""
        self._end(list(self.pods.values()))
        self.pods.clear()

    @staticmethod
    def _end(pods: Sequence[LocalPod]) -> None:
        with ThreadPoolExecutor(max(1, len(pods))) as ending:
            list(ending.map(LocalPod.delete, pods))

    def _start(self, number: int) -> None:
        name = f"{self._workload.name}-{number}"
        self.pods[number] = LocalPod(self._container, name, self._folder, overrides=self._overrides)
