"""Which commit is deployed next: by tables, and over every history that hypothesis thinks of."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook.rules.superseding import (
    MOST_LOOKED_AT,
    AskCi,
    AwaitCi,
    CiState,
    Decision,
    Deploy,
    Nothing,
    Place,
    Supersede,
    next_commit,
)

G, R, P = CiState.GREEN, CiState.RED, CiState.PENDING


def decide(story: str, attempted: str = "", place: Place = Place.FREE) -> Decision:
    """story: newest first, as a letter for each commit with its CI: `Dg Cr Bp Ag`; a letter alone was not asked yet."""
    words = story.split()
    states = {"g": G, "r": R, "p": P}
    ci = {word[0]: states[word[1]] for word in words if len(word) > 1}
    return next_commit([word[0] for word in words], ci, set(attempted), place)


@pytest.mark.parametrize(
    ("story", "attempted", "decision"),
    [
        ("", "", Nothing("up_to_date")),
        ("A", "", AskCi("A")),
        ("Ag", "", Deploy("A")),
        ("Cg B A", "", Deploy("C")),
        ("Cg B A", "A", Deploy("C", ("B",))),
        ("Dg C B A", "A", Deploy("D", ("C", "B"))),
        ("C B A", "C", Nothing("up_to_date")),
        ("C B A", "B", AskCi("C")),
        ("Cr B A", "A", AskCi("B")),
        ("Cr Bg A", "A", Deploy("B")),
        ("Cp Bg A", "A", Deploy("B")),
        ("Cp Br A", "A", AwaitCi(("C",))),
        ("Cp Bp A", "A", AwaitCi(("C", "B"))),
        ("Cr Br A", "A", Nothing("none_green")),
        ("Cr Ag", "A", Nothing("none_green")),
        ("Cr Bg Ag", "AB", Nothing("none_green")),
        ("Cg B A", "X", Deploy("C", ("B", "A"), False)),
        ("Cr Bg A", "XY", Deploy("B", ("A",), False)),
    ],
)
def test_the_newest_green_commit_that_is_newer_than_every_attempt_is_next(
    story: str, attempted: str, decision: Decision
) -> None:
    assert decide(story, attempted) == decision


@pytest.mark.parametrize(
    ("story", "attempted", "decision"),
    [
        ("B A", "A", AskCi("B")),
        ("Bg A", "A", Supersede("B")),
        ("Bp A", "A", AwaitCi(("B",))),
        ("Br A", "A", Nothing("none_green")),
        ("A", "A", Nothing("up_to_date")),
        ("Cg Br", "A", Supersede("C")),
    ],
)
def test_a_held_automatic_run_is_left_for_a_newer_green_commit_alone(
    story: str, attempted: str, decision: Decision
) -> None:
    assert decide(story, attempted, Place.LEFT_FOR_NEWER) == decision


def test_beside_a_run_that_goes_on_nobody_is_asked() -> None:
    assert decide("B A", "A", Place.BUSY) == Nothing("busy")


def test_no_further_than_twenty_commits_are_asked() -> None:
    commits = [f"{n}" for n in range(30)]
    ci = dict.fromkeys(commits[:MOST_LOOKED_AT], R)
    assert next_commit(commits, ci, ()) == Nothing("none_green")
    asked = dict.fromkeys(commits[: MOST_LOOKED_AT - 1], R)
    assert next_commit(commits, asked, ()) == AskCi(commits[MOST_LOOKED_AT - 1])


def settled(commits: Sequence[str], truth: dict[str, CiState], attempted: set[str]) -> tuple[Decision, int]:
    """The decision once everything that was asked for is answered, and how much was."""
    known: dict[str, CiState] = {}
    while isinstance(decision := next_commit(commits, known, attempted), AskCi):
        assert decision.commit not in known, "nothing is asked twice"
        known[decision.commit] = truth[decision.commit]
    return decision, len(known)


histories = st.lists(st.tuples(st.sampled_from(CiState), st.booleans()), max_size=40)


@given(histories)
def test_what_is_deployed_is_green_newer_than_every_attempt_and_the_newest_such(
    history: list[tuple[CiState, bool]],
) -> None:
    commits = [f"c{n}" for n in range(len(history))]
    truth = {commit: state for commit, (state, _) in zip(commits, history, strict=True)}
    attempted = {commit for commit, (_, was) in zip(commits, history, strict=True) if was}
    first = next((at for at, commit in enumerate(commits) if commit in attempted), len(commits))
    eligible = [c for c in commits[:first][:MOST_LOOKED_AT] if truth[c] is G]
    decision, asked = settled(commits, truth, attempted)
    assert asked <= MOST_LOOKED_AT
    if eligible:
        assert isinstance(decision, Deploy)
        assert decision.commit == eligible[0]
        assert not attempted & {decision.commit, *decision.superseded}
        below = commits[commits.index(decision.commit) + 1 : first]
        assert list(decision.superseded) == (below if attempted else [])
    else:
        assert isinstance(decision, AwaitCi | Nothing)


@given(histories)
def test_deploying_what_is_said_leads_to_an_end_and_never_to_a_commit_twice(
    history: list[tuple[CiState, bool]],
) -> None:
    commits = [f"c{n}" for n in range(len(history))]
    truth = {commit: state for commit, (state, _) in zip(commits, history, strict=True)}
    attempted: set[str] = set()
    for _ in range(2):
        decision, _ = settled(commits, truth, attempted)
        if not isinstance(decision, Deploy):
            return
        assert decision.commit not in attempted
        attempted.add(decision.commit)
    raise AssertionError("with nothing new on the branch there was a second deployment")
