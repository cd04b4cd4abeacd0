"""What an incident is told of a rollback: the timeline, and who does what next, the most urgent first."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from runbook.aftermath import Aftermath, Moment, Unfinished, next_actions, report_text, timeline_lines
from runbook.hypothesis import Hypothesis

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
ERRORS = Hypothesis("version.errors", "the new version itself", ("errors: too many",), ("stable: fine",))


def actions(code: str = "version.errors", **more: Any) -> tuple[str, ...]:
    known: dict[str, Any] = {"validated": True, **more}
    after = Aftermath(
        run="prod-12", incident="incident-7", service="shop", environment="prod", version="v1.4.0", **known
    )
    return next_actions(after, Hypothesis(code, "something"))


def test_a_timeline_is_in_order_and_says_what_passed_since_the_first_sign() -> None:
    lines = timeline_lines(
        [
            Moment(NOON + timedelta(seconds=95), "weight 0 accepted"),
            Moment(NOON, "first sign"),
            Moment(NOON + timedelta(seconds=94.2), "decided"),
        ]
    )
    assert lines == (
        "12:00:00 UTC: first sign",
        "12:01:34 UTC (+1 min 34 s): decided",
        "12:01:35 UTC (+1 min 35 s): weight 0 accepted",
    )
    assert timeline_lines([]) == ()


def test_the_last_action_ends_the_incident() -> None:
    told = actions()
    assert told[0].startswith("Service Owner: find the cause of v1.4.0's fault")
    assert "`/forge incident resolve incident-7`" in told[-1]


def test_what_the_way_back_left_undone_comes_first_with_its_command() -> None:
    left = (
        Unfinished("Remove the canary", "forbidden", "`kubectl delete deployment/web-canary`"),
        Unfinished("Update", "no", ""),
    )
    told = actions(unfinished=left, validated=False)
    assert told[0].startswith("Release Engineer, now: “Remove the canary” did not succeed (forbidden).")
    assert "kubectl delete" in told[0]
    assert "`/forge status prod-12`" in told[1]
    assert told[2].startswith("On-call, now: health endpoints or user journeys fail after the rollback too")


def test_what_was_left_to_people_says_whose_it_is() -> None:
    left = (Unfinished("Restore the database", "forge does not restore", "The Database Owner leads", by_people=True),)
    assert (
        actions(unfinished=left)[0]
        == "By people, now: “Restore the database”: forge does not restore. The Database Owner leads"
    )


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"kept": ("0007",)}, "Database Owner: 0007 stays in the schema"),
        ({"kept": ("0007", "0008")}, "0007 and 0008 stay in the schema"),
        ({"taken_back": ("0007",)}, "0007 was taken back"),
        ({"validated": None}, "they were not looked at after the rollback"),
        ({"checklist": True}, "`/forge checklist prod-12`"),
        ({"code": "start.image"}, "the same version may be promoted again"),
        ({"code": "dependency"}, "ask the dependency's owners"),
        ({"code": "both"}, "look at dependencies and the database first"),
        ({"code": "migration.slow"}, "tag the next candidate"),
    ],
)
def test_each_thing_that_is_left_has_somebody_who_does_it(more: dict[str, Any], words: str) -> None:
    assert any(words in action for action in actions(**more))


def test_the_report_is_worded_as_a_hypothesis_with_both_sides() -> None:
    text = report_text("v1 was rolled back", ["12:00:00 UTC: first sign"], ERRORS, ("do this", "do that"))
    assert text.splitlines() == [
        "What happened: v1 was rolled back",
        "Timeline:",
        "• 12:00:00 UTC: first sign",
        "Hypothesis (unproven): the new version itself",
        "• It rests on errors: too many",
        "• Against it, or beside it: stable: fine",
        "Next:",
        "1. do this",
        "2. do that",
    ]
    lonely = report_text("x", (), Hypothesis("a", "b", ("c",)), ("d",))
    assert "Nothing that was measured speaks against it" in lonely
