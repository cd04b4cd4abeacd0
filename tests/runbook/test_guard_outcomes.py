"""A guard's outcome alone is that of its whole verdict, whatever was read before."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from runbook.errors import Temporary
from runbook.plan import Guard
from runbook.rules.guards import GuardState, judge_guard, next_guard, outcome_of, rearmed
from runbook.rules.readings import Reading, read_error, read_single
from tests.fakes.clock import NOON

MISSING = read_single("g", (), "m")
FAILED = read_error("g", Temporary("prometheus", "timeout", "too slow"), "m")
READINGS: tuple[Reading, ...] = (0.0, 0.03, 0.05, MISSING, FAILED)

steps = st.lists(st.tuples(st.integers(0, 40), st.sampled_from(READINGS), st.booleans()), max_size=25)


@given(steps=steps, for_s=st.sampled_from([0.0, 20.0, 60.0]), above=st.booleans())
def test_the_outcome_alone_is_that_of_the_verdict(
    steps: list[tuple[int, Reading, bool]], for_s: float, above: bool
) -> None:
    guard = Guard("g", "m", above, 0.03, for_s)
    state, at = GuardState(), NOON
    assert outcome_of(state) is judge_guard(state, guard).outcome
    for gap, reading, dealt_with in steps:
        at += timedelta(seconds=gap)
        state = next_guard(state, reading, at, guard, 10.0)
        assert outcome_of(state) is judge_guard(state, guard).outcome
        if dealt_with:
            state = rearmed(state)
