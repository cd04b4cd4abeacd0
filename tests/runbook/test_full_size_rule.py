"""What an autoscaler's minReplicas is raised to for a roll-out, and what it is set back to."""

from __future__ import annotations

from dataclasses import replace

import pytest

from runbook.ports import Autoscaler
from runbook.rules.full_size import Change, Hold, floor, hold_of, lowered, lowered_by_hand, raised

OURS = {"forge/run": "prod-7", "forge/min-replicas": "2", "forge/held-replicas": "10"}
NONE = {"forge/run": None, "forge/min-replicas": None, "forge/held-replicas": None}
FREE = Autoscaler("web", least=2, most=20)
HELD = replace(FREE, least=10, marks=OURS)


def test_minreplicas_is_raised_to_stables_size_and_the_autoscaler_remembers_what_it_had() -> None:
    assert raised(FREE, 10, "prod-7", "forge") == Change(10, OURS)


def test_what_is_raised_already_is_not_written_again() -> None:
    assert raised(HELD, 10, "prod-7", "forge") is None


def test_it_is_never_lowered() -> None:
    assert raised(replace(FREE, least=12), 10, "prod-7", "forge") is None


def test_it_is_never_above_maxreplicas() -> None:
    change = raised(replace(FREE, most=6), 10, "prod-7", "forge")
    assert change is not None
    assert (change.least, change.marks["forge/held-replicas"]) == (6, "6")


def test_a_smaller_floor_of_the_same_run_keeps_what_the_run_began_from() -> None:
    assert raised(HELD, 4, "prod-7", "forge") == Change(4, {**OURS, "forge/held-replicas": "4"})
    assert raised(HELD, 1, "prod-7", "forge") == Change(2, NONE)


def test_what_a_run_that_is_over_left_behind_is_taken_on_with_what_it_began_from() -> None:
    change = raised(HELD, 10, "prod-8", "forge")
    assert change == Change(10, {**OURS, "forge/run": "prod-8"})


def test_a_value_that_somebody_has_set_over_a_run_that_is_over_is_their_own() -> None:
    change = raised(replace(HELD, least=5), 10, "prod-8", "forge")
    assert change == Change(10, {**OURS, "forge/run": "prod-8", "forge/min-replicas": "5"})


def test_a_value_that_somebody_has_set_meanwhile_is_not_raised_again() -> None:
    assert raised(replace(HELD, least=3), 10, "prod-7", "forge") is None


def test_the_end_of_a_hold_brings_back_what_was_there_before() -> None:
    assert lowered(HELD, "prod-7", "forge") == Change(2, NONE)


def test_the_end_of_a_hold_is_never_above_maxreplicas() -> None:
    """The API server would refuse it; somebody has lowered the most meanwhile."""
    found = replace(HELD, least=10, most=10, marks={**OURS, "forge/min-replicas": "12"})
    assert lowered(found, "prod-7", "forge") == Change(10, NONE)


def test_a_value_that_somebody_has_set_meanwhile_stays_and_the_hold_is_forgotten() -> None:
    assert lowered(replace(HELD, least=3), "prod-7", "forge") == Change(3, NONE)


@pytest.mark.parametrize("found", [FREE, replace(HELD, marks={**OURS, "forge/run": "prod-8"})])
def test_without_a_hold_of_this_run_nothing_is_set_back(found: Autoscaler) -> None:
    assert lowered(found, "prod-7", "forge") is None


@pytest.mark.parametrize("marks", [{}, {**OURS, "forge/min-replicas": "many"}, {"forge/run": "prod-7"}])
def test_annotations_that_can_not_be_read_are_no_hold(marks: dict[str, str]) -> None:
    assert hold_of(replace(FREE, marks=marks), "forge") is None
    assert hold_of(HELD, "forge") == Hold("prod-7", 2, 10)


def test_by_numbers_of_pods_stable_is_held_at_what_its_share_leaves_it() -> None:
    assert [floor("route", weight, 10) for weight in (5, 25, 75, 100)] == [10, 10, 10, 10]
    assert [floor("replicas", weight, 10) for weight in (5, 25, 50, 75, 100)] == [10, 10, 10, 4, 10]


def test_a_hold_is_ended_by_hand_with_one_command() -> None:
    command = lowered_by_hand("kubectl -n shop", "web", 2, "forge")
    assert command == (
        "kubectl -n shop patch hpa web --type merge -p "
        '\'{"metadata":{"annotations":{"forge/run":null,"forge/min-replicas":null,"forge/held-replicas":null}},"spec":{"minReplicas":2}}\''
    )
