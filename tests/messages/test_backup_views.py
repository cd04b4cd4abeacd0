"""The list of backups and the cards of backups, drills and restores: what people read, in Slack and in the terminal."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from engine.answers import info
from engine.backup_views import BackupLine, BackupsView
from engine.records import Ending
from engine.views import ApprovalView, RunLine, RunView, SlotView, StepView
from messages.cards import approval_card, headline
from messages.details import run_line
from messages.plain import to_json, to_text
from messages.render import Messages
from runbook.backups import RecoveryWindow
from tests.handlers.slack_world import shown_text

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
NAME = "shop-prod-20260302T020000Z-1f3a"


def line(**changes: Any) -> BackupLine:
    given: dict[str, Any] = {
        "id": NAME, "kind": "logical", "state": "verified", "at": NOON - timedelta(hours=10), "stored_bytes": 80_020_000,
        "plain_bytes": 400_000_000, "restorable": True,
    }  # fmt: skip
    return BackupLine(**given | changes)


def view(*lines: BackupLine, **changes: Any) -> BackupsView:
    given: dict[str, Any] = {
        "service": "shop", "environment": "prod", "lines": lines, "total": len(lines), "window": None, "now": NOON,
    }  # fmt: skip
    return BackupsView(**given | changes)


def both(shown: BackupsView) -> tuple[str, str]:
    answer = info("backup.list", "", view=shown)
    return shown_text(Messages().answer(answer).blocks), to_text(answer, width=240)


def test_a_backup_is_told_with_its_age_its_size_how_far_it_is_proven_and_who_holds_it() -> None:
    held = line(held_by="T1:UDOT", held_by_name="Dot", held_reason="audit", drilled_at=NOON - timedelta(days=1))
    slack, terminal = both(view(held, line(id="other", kind="base", state="stored", restorable=False)))
    for text in (slack, terminal):
        assert NAME in text
        assert "80 MB" in text
        assert "restored and checked" in text
        assert "Dot: audit" in text
        assert "stored, never read back" in text
        assert "no base backup with unbroken WAL" in text
        assert "Restore drill: never" in text
    assert "10 h" in terminal


def test_what_was_read_back_and_not_published_is_not_called_good() -> None:
    slack, _ = both(view(line(state="decoded", restorable=False)))
    assert "not published yet" in slack
    assert "read back whole" not in slack


def test_the_window_says_from_when_until_when_and_where_the_wal_has_a_gap() -> None:
    window = RecoveryWindow(NOON - timedelta(days=7), NOON - timedelta(minutes=4), "base-1")
    slack, terminal = both(view(line(), window=window))
    assert "Recoverable from Mon 23 Feb 2026 12:00 UTC until Mon 02 Mar 2026 11:56 UTC, 4 min ago." in slack
    gap = RecoveryWindow(NOON - timedelta(days=7), NOON - timedelta(days=1), "base-1", gap="0" * 24)
    slack, terminal = both(view(line(), window=gap))
    assert f"the WAL has a gap ({'0' * 24}): a new base backup closes it" in slack
    assert "gap" in terminal


def test_a_drill_that_failed_is_told_with_its_reason_and_no_praise() -> None:
    slack, _ = both(view(line(), drilled_at=NOON - timedelta(hours=8), drill_reason="12 rows are missing"))
    assert "Restore drill: FAILED: 12 rows are missing, 8 h ago." in slack
    slack, _ = both(view(line(), drilled_at=NOON, drill_passed=True, drill_seconds=192.0, signed_off=True))
    assert "passed, 0 ms ago, took 3 min 12 s, signed off" in slack


def test_a_drill_that_passed_is_told_with_what_was_held_against_its_source() -> None:
    passed = view(line(), drilled_at=NOON, drill_passed=True, drill_seconds=192.0)
    for text in both(replace(passed, drill_compared="schema version 42; row counts of 3 critical tables")):
        assert "not signed off. As the source had it: schema version 42; row counts of 3 critical tables." in text
    for text in both(passed):
        assert "Nothing was held against its source." in text
    for text in both(
        replace(passed, drill_passed=False, drill_reason="12 rows are missing", drill_compared="3 tables")
    ):
        assert "the source" not in text


def test_a_long_list_and_hostile_names_stay_within_limits() -> None:
    lines = tuple(
        line(id=f"<!channel>{n}", failure="*x* <@U1> " * 50, state="failed", held_by_name="<!here>") for n in range(25)
    )
    message = Messages().answer(info("backup.list", "", view=view(*lines, total=900)))
    assert len(message.blocks) <= 50
    text = shown_text(message.blocks)
    assert "<!channel>" not in text
    assert "<!here>" not in text


def test_the_list_is_json_for_machines() -> None:
    found = to_json(info("backup.list", "", view=view(line())))["view"]
    assert (found["type"], found["lines"][0]["id"], found["lines"][0]["state"]) == ("BackupsView", NAME, "verified")


def run_view(**changes: Any) -> RunView:
    given: dict[str, Any] = {
        "id": "prod-3", "service": "shop", "environment": "prod", "version": "full backup", "procedure": "backup",
        "requester": "forge", "requester_name": "forge", "reason": "by schedule", "state": "running", "created_at": NOON,
    }  # fmt: skip
    return RunView(**given | changes)


def test_the_headline_of_a_backup_reads_well_and_offers_to_cancel() -> None:
    message = headline(run_view(buttons={"cancel": "b1", "pause": "b2"}))
    assert message.text.startswith("prod-3: shop full backup on prod – running.")
    assert "what it has begun is cleared up" in shown_text(message.blocks)
    assert "without having changed anything" not in shown_text(message.blocks)


@pytest.mark.parametrize("procedure", ["backup", "base_backup", "drill", "restore"])
@pytest.mark.parametrize("ending", [Ending.FAILED, Ending.RETURNED, Ending.INCOMPLETE])
def test_no_end_of_theirs_speaks_of_versions_or_changes(procedure: str, ending: Ending) -> None:
    steps = (StepView(index=1, title="Discard", sentence="", state="done", in_way_back=True),)
    shown = run_view(procedure=procedure, state="ended", ending=ending, ended_at=NOON, steps=steps)
    text = shown_text(headline(shown).blocks) + headline(shown).text
    text += str(run_line(RunLine(id="prod-3", service="shop", environment="prod", version="x", state="ended", ending=ending, why="",
                                 requester_name="", created_at=NOON, procedure=procedure)))  # fmt: skip
    for word in ("previous state", "before any change", "way back", "Way back", "deploy"):
        assert word not in text


def card(**changes: Any) -> ApprovalView:
    given: dict[str, Any] = {
        "run": "prod-4", "index": 6, "title": "Sign off the drill", "service": "shop", "environment": "prod",
        "version": "restore drill", "commit": "", "images": (), "changes_url": "", "requester": "forge", "requester_name": "forge",
        "reason": "", "steps": (), "slots": (SlotView(role="Database Owner", who=("UDOT",)),), "expires_at": NOON,
        "plan_hash": "ab" * 32, "state": "open", "procedure": "drill", "purpose": "signoff",
        "buttons": {"signoff": "s1", "reject": "r1", "withdraw": "w1"},
    }  # fmt: skip
    return ApprovalView(**given | changes)


def test_a_sign_off_is_asked_for_in_its_own_words() -> None:
    message = approval_card(card())
    assert (
        message.text
        == "Sign-off needed (0 of 1): Sign off the drill, shop restore drill on prod (prod-4). By Database Owner."
    )
    text = shown_text(message.blocks)
    assert "*Database:* shop on *prod* – restore drill" in text
    assert "Release:" not in text
    (actions,) = [block for block in message.blocks if block["type"] == "actions"]
    assert [each["action_id"] for each in actions["elements"]] == ["signoff", "reject", "withdraw"]
    assert actions["elements"][0]["text"]["text"] == "Sign off"


def test_a_given_sign_off_names_who_gave_it() -> None:
    slot = SlotView(role="Database Owner", by="T1:UDAN", by_name="Dan", at=NOON)
    message = approval_card(
        card(state="approved", slots=(slot,), closing="Already decided: signed off by Dan.", buttons={})
    )
    assert "signed off by *@Dan*" in shown_text(message.blocks)
    assert "Sign off the drill: signed off." in message.text
