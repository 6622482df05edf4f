"""How long a running worker puts up with a broker that refuses its login."""

from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.clock import Clock
from pipeline.errors import BrokerUnavailableError, ConfigError, SecurityError

REFUSED_S = 60.0
"""While a password or certificate is replaced, broker and files differ for a while. After this time
the worker ends, so that its partitions go to workers that are let in."""


class RefusalPatience:
    """Makes a refusal an error to retry, until it has lasted for `REFUSED_S`. One thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since_s: float | None = None

    @contextmanager
    def retried(self) -> Iterator[None]:
        """Raise `BrokerUnavailableError` in place of an error of login, files or secrets."""
        try:
            yield
        except (SecurityError, ConfigError) as exc:
            now_s = self._clock.monotonic()
            self._since_s = now_s if self._since_s is None else self._since_s
            if now_s - self._since_s > REFUSED_S:
                raise
            raise BrokerUnavailableError(str(exc)) from exc
        else:
            self._since_s = None
