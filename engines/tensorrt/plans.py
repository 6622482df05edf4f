"""Plans on disk: those that this machine has built itself, and those that the operator names.

A plan is code: it never comes from a bundle, from the log or from a URL, nor from a folder that
another user can write.
"""

import fcntl
import hashlib
import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pydantic import JsonValue

from engines.errors import EngineUnavailableError
from engines.trusted_files import PrivateFolder, UntrustedError, open_regular

log = logging.getLogger(__name__)

SCHEMA = 1  # of cards; one without a number is of the release before, and says the same
PlanFacts = Mapping[str, JsonValue]  # everything that a plan is built for
MOST_BYTES = 4 << 30


class PlanCache:
    """Plans in `folder`, each as `<key>.plan` with the facts it was built for in `<key>.json`.

    Files are whole or not there. A folder that cannot be written keeps nothing, and this is logged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._private = PrivateFolder(folder)
        self._warned = False

    @contextmanager
    def locked(self, facts: PlanFacts) -> Iterator[None]:
        """Let one process at a time build the plan for `facts`; the others wait, and find it."""
        with ExitStack() as held:
            try:
                self._private.make()
                file = self.folder / f"{key_of(facts)}.lock"
                lock = open_regular(file, os.O_WRONLY | os.O_CREAT)
                held.callback(os.close, lock)
                fcntl.flock(lock, fcntl.LOCK_EX)
            except UntrustedError as exc:
                self._warn(exc)
            except OSError as exc:
                log.warning(
                    "plans in %s cannot be locked (%s): where none can be kept, each start builds",
                    self.folder,
                    exc,
                )
            yield

    def load(self, facts: PlanFacts) -> bytes | None:
        """Read a plan; None if there is none, or if it is damaged."""
        try:
            plan = self._read(key_of(facts), "plan")
            card = self._read(key_of(facts), "json")
        except UntrustedError as exc:
            self._warn(exc)
            return None
        except OSError:
            return None
        if not _belongs(card, facts, plan):
            log.warning("the plan %s is damaged and is made again", self.path(facts))
            return None
        return plan

    def store(self, facts: PlanFacts, plan: bytes) -> None:
        """Write a plan and its card."""
        self._write(key_of(facts), "plan", plan)
        self._write(key_of(facts), "json", _card(facts, plan))

    def path(self, facts: PlanFacts) -> Path:
        """The file of the plan for `facts`, whether it exists or not."""
        return self.folder / f"{key_of(facts)}.plan"

    def timings(self, facts: PlanFacts) -> bytes:
        """Read the timings of earlier builds on the same machine; empty if there are none."""
        return self._kept(facts, "timings")

    def keep_timings(self, facts: PlanFacts, timings: bytes) -> None:
        """Write the timings of a build."""
        self._write(key_of(facts), "timings", timings)

    def compiled(self, facts: PlanFacts) -> bytes:
        """Read the kernels that TensorRT for RTX has compiled of a plan; empty if none are kept."""
        return self._kept(facts, "compiled")

    def keep_compiled(self, facts: PlanFacts, compiled: bytes) -> None:
        """Write such kernels."""
        self._write(key_of(facts), "compiled", compiled)

    def _kept(self, facts: PlanFacts, kind: str) -> bytes:
        try:
            return self._read(key_of(facts), kind)
        except UntrustedError as exc:
            self._warn(exc)
            return b""
        except OSError:
            return b""

    def _read(self, key: str, kind: str) -> bytes:
        return self._private.read(f"{key}.{kind}", MOST_BYTES)

    def _write(self, key: str, kind: str, content: bytes) -> None:
        try:
            self._private.make()  # with given plans, nothing has locked it before
            self._private.write(f"{key}.{kind}", content)
        except UntrustedError as exc:
            self._warn(exc)
        except OSError as exc:
            log.warning("%s.%s cannot be kept in %s: %s", key, kind, self.folder, exc)

    def _warn(self, exc: UntrustedError) -> None:
        if not self._warned:
            log.warning(
                "kept plans and timings are not used, so each start builds: %s; LONGTAKE_CACHE"
                " names a folder, which must be this user's own",
                exc,
            )
        self._warned = True


class GivenPlans:
    """Plans in a folder that the operator names, made elsewhere with `engine build --for`.

    They are read, never written. Whoever can write the folder can run code here, so it is believed
    as a cache is. Raises `EngineUnavailableError` where it is not there or others may write it: a
    worker that was promised plans must not make them instead.
    """

    def __init__(self, folder: Path) -> None:
        self._private = PrivateFolder(folder)
        with self._believed():
            self._private.check()

    def load(self, facts: PlanFacts) -> bytes | None:
        """Read a plan; None if there is none for these facts."""
        key = key_of(facts)
        with self._believed():
            try:
                plan, card = (
                    self._private.read(f"{key}.{kind}", MOST_BYTES) for kind in ("plan", "json")
                )
            except FileNotFoundError:
                log.warning("no plan in %s is for this GPU and bundle: %s", self._private.path, key)
                return None
        if not _belongs(card, facts, plan):
            raise EngineUnavailableError(
                f"the plan {self._private.path / key}.plan is damaged: copy it again"
            )
        return plan

    @contextmanager
    def _believed(self) -> Iterator[None]:
        try:
            yield
        except OSError as exc:
            raise EngineUnavailableError(
                f"plans are wanted from {self._private.path}, which is not used: {exc}"
            ) from exc


def key_of(facts: PlanFacts) -> str:
    """The name of the files for a set of facts."""
    canonical = json.dumps(facts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:32]


def _belongs(card: bytes, facts: PlanFacts, plan: bytes) -> bool:
    """Whether a card is that of this plan, of today or of the release before."""
    return card in (_card(facts, plan), _unnumbered_card(facts, plan))


def _card(facts: PlanFacts, plan: bytes) -> bytes:
    """Write the card of a plan. Cards are compared as bytes: nothing of a foreign one is parsed."""
    return _unnumbered_card({**facts, "schema": SCHEMA}, plan)


def _unnumbered_card(facts: PlanFacts, plan: bytes) -> bytes:
    card = {**facts, "plan_sha256": hashlib.sha256(plan).hexdigest()}
    return json.dumps(card, indent=1, sort_keys=True).encode()
