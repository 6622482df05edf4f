"""The state and the counts of one camera, for metrics and for people."""

from collections import Counter
from dataclasses import dataclass, field

from pipeline.cameras.values import (
    ClockFault,
    Condition,
    NewEpoch,
    PictureFate,
    PublishedAs,
    State,
)
from pipeline.errors import LossReason


@dataclass(slots=True)
class CameraTally:
    """The counts of one camera. They outlive its reconnects, so that no counter goes back.

    Each number is written by one thread: the camera's own, or the relay's (published, overflowed,
    expired, oversized). Any thread may read.
    """

    condition: Condition = field(default_factory=Condition)  # replaced as a whole
    fates: Counter[PictureFate] = field(default_factory=Counter)
    losses: Counter[LossReason] = field(default_factory=Counter)
    epochs: Counter[NewEpoch] = field(default_factory=Counter)
    redated: Counter[ClockFault] = field(default_factory=Counter)
    distrusted: ClockFault | None = None  # why its time stamps are not used at present
    published: PublishedAs = field(default_factory=PublishedAs)
    captured_us: int = 0  # of the newest shot; 0 before the first

    def count(self, fate: PictureFate, pictures: int = 1) -> None:
        """Count pictures that ended with this fate."""
        self.fates[fate] += pictures

    def count_loss(self, reason: LossReason) -> None:
        """Count a loss of the camera."""
        self.losses[reason] += 1

    def count_epoch(self, why: NewEpoch) -> None:
        """Count a new epoch."""
        self.epochs[why] += 1

    def count_redated(self, why: ClockFault) -> None:
        """Count a picture that its own time stamp does not date."""
        self.redated[why] += 1

    def change_trust(self, distrusted: ClockFault | None) -> bool:
        """Record why the time stamps are not used; returns whether that changed."""
        changed = distrusted is not self.distrusted
        self.distrusted = distrusted
        return changed

    def change_published(self, published: PublishedAs) -> None:
        """Record what its frames are published as."""
        self.published = published

    def record_shot(self, captured_us: int) -> None:
        """Record the capture time of the newest shot."""
        self.captured_us = captured_us

    @property
    def state(self) -> State:
        """The camera's state."""
        return self.condition.state

    @property
    def why(self) -> str:
        """Why it is not live."""
        return self.condition.why

    def change_state(self, state: State, why: str = "", *, now_s: float) -> bool:
        """Record the camera's state and why it is not live; returns whether either changed."""
        before = self.condition
        if (state, why) == (before.state, before.why):
            return False
        since_s = before.since_s if state is before.state else now_s
        self.condition = Condition(state, why, since_s)
        return True
