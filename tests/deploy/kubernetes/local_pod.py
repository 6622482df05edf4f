"""One pod's container as a process of this machine: what a kubelet does, from the manifest alone.

Environment, arguments, files, probes, restarts, SIGTERM and grace period are the manifest's. Other
than in a cluster: paths of mounts lead to folders of this machine, the metrics port is a free one,
and the process has this machine's user, network and memory.
"""

import re
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from pipeline.local.ports import free_ports
from tests.cli.commands import SCRIPT
from tests.deploy.dockerfile import ROOT
from tests.deploy.kubernetes.kustomize import Manifest
from tests.deploy.kubernetes.mounted import OF_A_KUBELET, MountedFolder
from tests.deploy.kubernetes.pods import Container

OF_IMAGE = {"/usr/share/longtake/samples": ROOT / "pipeline" / "samples"}
TMP = "/tmp"  # noqa: S108 - of the pod
LOOK_S = 0.05
PATIENCE_S = 120.0
BACKOFF_S = 10.0  # before the second restart, then twice as long each time


class LocalMounts:
    """The volumes of one pod as folders; `disks` keeps those that outlive it."""

    def __init__(self, container: Container, folder: Path, disks: Path) -> None:
        self._folders = dict(OF_IMAGE)
        volumes = container.workload.volumes
        for path, mount in container.mounts.items():
            name = mount["name"]
            kept = "disk" in volumes[name]
            place = (disks if kept else folder) / name
            if not place.exists():
                place.mkdir(parents=True)
                place.chmod(OF_A_KUBELET)
            self._folders[path] = place
        for path, mount in container.mounts.items():
            if "configMap" in volumes[mount["name"]]:
                files = {
                    p.name: self.moved(t) for p, t in container.files() if str(p.parent) == path
                }
                MountedFolder(self._folders[path]).update(files)

    @property
    def environment(self) -> dict[str, str]:
        """Where the process puts temporary files: `/tmp` itself is not mapped."""
        return {"TMPDIR": str(self._folders[TMP])} if TMP in self._folders else {}

    def moved(self, text: str) -> str:
        """Return a text in which the paths of mounts are those of this machine."""
        paths = sorted((path for path in self._folders if path != TMP), key=len, reverse=True)
        known = "|".join(map(re.escape, paths))
        return re.sub(rf"({known})(?=[/\"]|$)", lambda found: str(self._folders[found[1]]), text)


class ProbeCount:
    """Says when a probe is due, and counts its failures in a row."""

    def __init__(self, probe: Manifest) -> None:
        self.path: str = probe["httpGet"]["path"]
        self.timeout_s: float = probe.get("timeoutSeconds", 1)
        self._period_s: float = probe["periodSeconds"]
        self._most: int = probe.get("failureThreshold", 3)
        self._due_s = time.monotonic()
        self._failures = 0

    @property
    def is_due(self) -> bool:
        return time.monotonic() >= self._due_s

    def fails(self, *, ok: bool) -> bool:
        """Count an answer. Returns whether there were too many failures in a row."""
        self._due_s = time.monotonic() + self._period_s
        self._failures = 0 if ok else self._failures + 1
        return self._failures >= self._most


class LocalPod:
    """Runs the container until `delete` or `lose`; starts it again when it ends before."""

    def __init__(
        self, container: Container, name: str, folder: Path, *, overrides: Mapping[str, str]
    ) -> None:
        self.name = name
        self.ready = False
        self.restarts = 0
        (self._port,) = free_ports(1)
        life = folder / f"{name}.{time.monotonic_ns()}"
        life.mkdir(parents=True)
        mounts = LocalMounts(container, life, folder / f"{name}.disks")
        self.log = life / "log"
        self._words = [str(SCRIPT), *map(mounts.moved, container.arguments_in(name))]
        values = {k: mounts.moved(v) for k, v in container.environment_in(name).items()}
        self._environment = {
            **values,
            **mounts.environment,
            "PATH": "/usr/bin:/bin",
            "HOME": "/nonexistent",
            "LONGTAKE_METRICS_HOST": "127.0.0.1",
            "LONGTAKE_METRICS_PORT": str(self._port),
            **overrides,
        }
        self._probes = container.probes
        self._grace_s = float(container.workload.pod.get("terminationGracePeriodSeconds", 30))
        self._ends_once = container.workload.pod.get("restartPolicy") == "OnFailure"
        self._starting = threading.Lock()
        self._deleted = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._keep, name=name, daemon=True)
        self._thread.start()

    def delete(self) -> None:
        """End it as an eviction, a rollout or a scale-down does."""
        with self._starting:
            self._deleted.set()
        self._end()
        self._thread.join()

    def lose(self) -> None:
        """End it as a node that is switched off does."""
        with self._starting:
            self._deleted.set()
        self.crash()
        self._thread.join()

    def await_end(self) -> None:
        """Wait until the process of a Job ends with 0; one that fails is started again."""
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive(), self.log.read_text()

    def crash(self) -> None:
        """Kill its process."""
        if self._process is not None:
            self._process.kill()

    def _end(self) -> None:
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(self._grace_s)
        except subprocess.TimeoutExpired:
            self._process.kill()

    def _keep(self) -> None:
        delay_s = 0.0
        while not self._deleted.wait(delay_s):
            with self.log.open("ab") as log, self._starting:
                if self._deleted.is_set():
                    return
                self._process = subprocess.Popen(
                    self._words, env=self._environment, stdout=log, stderr=log
                )
            self._look(self._process)
            self.ready = False
            if self._ends_once and self._process.returncode == 0:
                return
            delay_s = BACKOFF_S * 2 ** (self.restarts - 1) if self.restarts else 0.0
            self.restarts += not self._deleted.is_set()

    def _look(self, process: subprocess.Popen[bytes]) -> None:
        """Ask its probes until it ends."""
        counts = {name: ProbeCount(probe) for name, probe in self._probes.items()}
        started = False
        while process.poll() is None:
            for name, count in counts.items():
                if (name == "startupProbe") is started or not count.is_due:
                    continue
                ok = self._answers(count)
                failed = count.fails(ok=ok)
                if name == "startupProbe":
                    started = ok
                if name == "readinessProbe":
                    self.ready = ok or (self.ready and not failed)
                elif failed:
                    self._end()
            time.sleep(LOOK_S)

    def _answers(self, count: ProbeCount) -> bool:
        connection = HTTPConnection("127.0.0.1", self._port, timeout=count.timeout_s)
        try:
            connection.request("GET", count.path)
            return connection.getresponse().status < 400
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()
