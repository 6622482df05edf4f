"""The camera's wall clock, which RTCP sender reports give (RFC 3550 section 6.4.1)."""

from collections import deque

FUTURE_US = 1_500_000  # a camera clock further ahead of ours is not used; below, the arrival counts
PAST_US = 800_000  # nor one further behind: no picture takes longer to arrive
NEWS_US = 1_000  # a larger difference comes from a new report
FAR_US = 30_000_000  # the rate between two reports is used for this long
MOST_RATE = 0.5
AGREE = 0.5  # rates that differ by less than this fraction confirm one another


class SenderReports:
    """The camera's clock at time stamp 0, by its newest reports.

    Between two reports the camera's clock is computed from time stamps. If these run slow or fast,
    as the reports themselves show twice in a row, their rate is corrected.
    """

    def __init__(self) -> None:
        self._news: deque[tuple[int, int]] = deque(maxlen=3)  # time stamp, clock at stamp 0

    def offset_us(self, pts_us: int, wall_us: int, *, ours_us: float) -> float | None:
        """Return the camera's clock minus the time stamp; None if it is far from ours.

        `ours_us` is our clock minus the time stamp, by the fastest arrivals.
        """
        zero_us = wall_us - pts_us
        fresh = not self._news or abs(zero_us - self._news[-1][1]) > NEWS_US
        offset_us = float(zero_us)
        if not fresh:
            since_us = min(FAR_US, max(0, pts_us - self._news[-1][0]))
            offset_us += self._rate() * since_us
        if not -PAST_US <= offset_us - ours_us <= FUTURE_US:
            return None
        if fresh:
            self._news.append((pts_us, zero_us))
        return offset_us

    def _rate(self) -> float:
        if len(self._news) < 3:
            return 0.0
        (a_pts, a_us), (b_pts, b_us), (c_pts, c_us) = self._news
        if not a_pts < b_pts < c_pts:
            return 0.0
        before, after = (b_us - a_us) / (b_pts - a_pts), (c_us - b_us) / (c_pts - b_pts)
        agree = abs(after - before) <= AGREE * min(abs(before), abs(after))
        return after if agree and abs(after) <= MOST_RATE else 0.0
