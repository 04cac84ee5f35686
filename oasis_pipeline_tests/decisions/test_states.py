"""States of wells from times of cards, run time and failures."""

import numpy as np

from oasis_pipeline.decisions.states import (
    DAY_MS,
    HOUR_MS,
    NEVER,
    KnownFailure,
    carry_forward,
    days_in_a_row,
    find_states,
    ordinary_gaps_h,
    silence_outcomes,
)

DAYS = 12


def cards_each(hours: float, until_day: int = DAYS) -> tuple[np.ndarray, np.ndarray]:
    """First and last card of each day of one well that sends a card every so many hours."""
    times = np.arange(1.0, 24.0 * until_day, hours) * HOUR_MS
    first, last = np.full((1, DAYS), NEVER, np.int64), np.full((1, DAYS), NEVER, np.int64)
    for time in times.astype(np.int64):
        day = time // DAY_MS
        first[0, day] = time if first[0, day] == NEVER else first[0, day]
        last[0, day] = time
    return first, last


def states_of(first, last, run_h=None, failure=None):
    """States of one well; run time 24 h and no failure by default."""
    shape = first.shape
    return find_states(
        as_of_ms=(np.arange(shape[1]) + 1) * DAY_MS - 1,
        first_card_ms=first,
        last_card_ms=carry_forward(last),
        gap_h=ordinary_gaps_h(first, last),
        run_h=np.full(shape, 24.0) if run_h is None else run_h,
        failure_start_ms=np.full(shape, NEVER, np.int64) if failure is None else failure,
    )


def test_a_well_that_sends_is_pumping_since_its_first_card():
    states = states_of(*cards_each(8.0))
    assert (states.state == "pumping").all()
    assert (states.since_ms == HOUR_MS).all()


def test_a_well_is_silent_against_its_own_cadence():
    hourly = states_of(*cards_each(1.0, until_day=6))
    weekly = states_of(*cards_each(60.0, until_day=6))
    assert list(hourly.state[0]) == ["pumping"] * 6 + ["silent"] * 6
    assert (weekly.state == "pumping").all()  # three gaps of 60 h are not over
    assert hourly.since_ms[0, -1] == carry_forward(cards_each(1.0, 6)[1])[0, -1]


def test_no_run_time_is_idle_and_an_open_failure_is_down():
    first, last = cards_each(8.0)
    run_h = np.full((1, DAYS), 20.0)
    run_h[0, 4:6] = 0.0
    failure = np.full((1, DAYS), NEVER, np.int64)
    failure[0, 8:10] = 8 * DAY_MS + 5
    states = states_of(first, last, run_h, failure)
    assert (
        list(states.state[0])
        == ["pumping"] * 4 + ["idle"] * 2 + ["pumping"] * 2 + ["down"] * 2 + ["pumping"] * 2
    )
    assert states.since_ms[0, 5] == first[0, 4]
    assert states.since_ms[0, 7] == first[0, 6]
    assert states.since_ms[0, 9] == 8 * DAY_MS + 5
    assert states.since_ms[0, 11] == first[0, 10]


def test_nothing_is_said_of_a_well_before_its_first_card():
    first, last = cards_each(8.0)
    first[0, :3], last[0, :3] = NEVER, NEVER
    states = states_of(first, last)
    assert list(states.state[0, :3]) == ["", "", ""]
    assert states.since_ms[0, 3] == first[0, 3]


def test_later_days_change_nothing():
    first, last = cards_each(8.0, until_day=7)
    whole = states_of(first, last)
    part = states_of(first[:, :8], last[:, :8])
    assert (whole.state[:, :8] == part.state).all()
    assert (whole.since_ms[:, :8] == part.since_ms).all()


def test_days_in_a_row_pass_over_days_without_a_card():
    label = np.array(
        [["A", "A", None, "A", "B", None, "B"], [None, "A", "A", "A", "A", "A", "A"]], dtype=object
    )
    assert days_in_a_row(label).tolist() == [[1, 2, 2, 3, 1, 1, 2], [0, 1, 2, 3, 4, 5, 6]]


def test_silences_that_ended_in_failures_are_counted_once_that_is_known():
    state = np.full((2, 8), "pumping", dtype="<U7")
    state[0, 1:3] = "silent"
    state[1, 2:4] = "silent"
    as_of = (np.arange(8) + 1) * DAY_MS - 1
    failure = KnownFailure(
        1, 2 * DAY_MS, 4 * DAY_MS, 5 * DAY_MS + 5
    )  # known on day 5, a day after the well came back
    share = silence_outcomes(state, as_of, [failure])
    # day 5: the failure of well 1; day 6: three days after the silence of well 0 had ended
    assert np.allclose(share, [1 / 2] * 5 + [2 / 3, 2 / 4, 2 / 4])
    assert np.allclose(silence_outcomes(state[:, :6], as_of[:6], [failure]), share[:6])
