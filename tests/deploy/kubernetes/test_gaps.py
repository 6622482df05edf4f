"""The longest time without a prediction."""

from tests.deploy.kubernetes.gaps import longest_gap_s


def test_a_gap_begins_with_the_last_prediction_before_the_event() -> None:
    assert longest_gap_s([1.0, 2.0, 8.0, 8.5], since_s=4.0, until_s=9.0) == 6.0


def test_a_gap_that_was_over_before_the_event_does_not_count() -> None:
    assert longest_gap_s([1.0, 7.0, 7.5, 8.0], since_s=7.2, until_s=8.0) == 0.5


def test_a_stream_that_does_not_come_back_has_a_gap_to_the_end() -> None:
    assert longest_gap_s([1.0, 2.0], since_s=3.0, until_s=9.0) == 7.0
    assert longest_gap_s([], since_s=3.0, until_s=9.0) == 6.0
