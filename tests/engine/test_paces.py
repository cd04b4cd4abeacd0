"""When a branch is looked at next, over every sequence of rings."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from engine.paces import MOST_SETTLES, Pace, growing_pause_s
from tests.fakes.clock import NOON

SETTLE_S = 10.0


def at(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)


def test_what_was_never_looked_at_is_looked_at_at_once() -> None:
    assert Pace().next_look(NOON) == NOON


def test_a_ring_is_answered_after_it_has_settled_and_before_the_next_poll() -> None:
    pace = Pace(due=NOON + at(300))
    pace.ring(NOON, SETTLE_S)
    assert pace.next_look(NOON) == NOON + at(10)


def test_a_ring_never_postpones_what_is_due_earlier() -> None:
    pace = Pace(due=NOON + at(3))
    pace.ring(NOON, SETTLE_S)
    assert pace.next_look(NOON) == NOON + at(3)


def test_a_system_that_asked_for_time_is_hastened_by_no_ring() -> None:
    pace = Pace(due=NOON + at(900), not_before=NOON + at(900))
    pace.ring(NOON, SETTLE_S)
    pace.ring_at_once(NOON)
    assert pace.next_look(NOON) == NOON + at(900)
    pace.begin()
    pace.ring_at_once(NOON)
    assert pace.next_look(NOON) == NOON


@given(st.lists(st.floats(min_value=0.0, max_value=9.9), min_size=1, max_size=200))
def test_a_storm_is_answered_within_its_bound_and_never_before_the_first_ring_has_settled(pauses: list[float]) -> None:
    pace, moment = Pace(due=NOON + timedelta(days=1)), NOON
    pace.ring(moment, SETTLE_S)
    for pause in pauses:
        moment += at(pause)
        pace.ring(moment, SETTLE_S)
        look = pace.next_look(moment)
        assert NOON + at(SETTLE_S) <= look <= NOON + at(MOST_SETTLES * SETTLE_S)


def test_pauses_grow_within_their_bounds() -> None:
    lasted, pauses = 0.0, []
    while len(pauses) < 10:
        pauses.append(growing_pause_s(lasted, 5.0, 300.0))
        lasted += pauses[-1]
    assert pauses == [5.0, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 300.0, 300.0, 300.0]
