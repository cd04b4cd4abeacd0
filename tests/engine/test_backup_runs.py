"""Backups, drills and restores as runs of the engine: their lanes, their words, cancelling, holding, signing off."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine import controls, present
from engine.intents import Intent
from engine.journal import Turn
from engine.planned import under_way
from engine.records import BackupRow, Button, DrillRow, Run
from runbook.backups import BackupState
from runbook.errors import Permanent
from runbook.values import Environment
from tests.engine.backing import ADA, DAN, DOT, EVE, PROD, STAGING, Backing, Place, backing


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


async def test_a_backup_is_made_confirmed_published_and_on_record(place: Place) -> None:
    async with backing(place) as b:
        answer = await b.backup()
        assert (answer.code, answer.text) == ("run.started", "prod-1 has started: the full backup of shop on prod.")
        run = await b.ended(answer.run)
        assert (run.ending, run.ending_reason) == ("completed", "the full backup of shop on prod is made and published")
        (row,) = b.rows(BackupRow)
        assert (row.state, row.run, row.operator) == (BackupState.DECODED, "prod-1", DOT.id)
        assert list(place.repository.manifests) == [row.id]
        (created,) = b.audited("run.created")
        assert created.what == "full backup of shop on prod"
        assert b.audited("retention.planned")


async def test_nobody_without_the_role_makes_backups_and_everybody_may_list_them(place: Place) -> None:
    async with backing(place) as b:
        assert (await b.backup(actor=ADA)).code == "authority.role_missing"
        assert (await b.backup("hold", actor=EVE, options={"backup": "x"}, reason="r")).code == "authority.role_missing"
        assert (await b.backup("list", actor=EVE)).code == "backup.list"
        assert (await b.act("restore", ADA, options={"backup": "x"})).code == "authority.role_missing"
        assert b.rows(Run) == []


async def test_a_place_without_a_database_is_refused_with_what_there_is(place: Place) -> None:
    async with backing(place) as b:
        answer = await b.backup(environment=Environment.DEV)
        assert answer.code == "backup.not_configured"
        assert "There is one on prod, staging" in answer.text
        assert (await b.backup("list", environment=Environment.DEV)).code == "backup.not_configured"


async def test_two_at_once_one_backs_up_and_the_other_is_told_of_it(place: Place) -> None:
    async with backing(place) as b:
        wanted = Intent(name="backup", environment=PROD, options={"verb": "run"})
        answers = await b.at_once((wanted, DOT), (wanted, DAN))
        assert sorted(answer.code for answer in answers) == ["database.already", "run.started"]
        assert len(b.rows(Run)) == 1


async def test_a_base_backup_waits_for_the_full_one_and_a_drill_for_neither(place: Place) -> None:
    async with backing(place) as b:
        await b.made()
        place.database.takes_s, place.host.takes_s = 20.0, 1.0
        full = await b.backup()
        base = await b.backup(options={"kind": "base"})
        drill = await b.backup("drill")
        assert (full.code, base.code, drill.code) == ("run.started", "run.queued", "run.started")
        assert "Queued behind prod-2 (full backup by Dot" in base.text
        await b.waits(drill.run)
        assert b.run(full.run).state == "running"
        assert (await b.ended(base.run)).ending == "completed"


async def test_a_lock_and_a_freeze_hold_up_no_backup_and_a_lock_does_a_restore(place: Place) -> None:
    async with backing(place) as b:
        await b.act("lock", ADA, reason="load test")
        await b.act("freeze", ADA, reason="end of year")
        row = await b.made()
        answer = await b.backup("drill")
        assert answer.code == "run.started"
        restore = await b.act("restore", DOT, options={"backup": row.id})
        assert restore.code == "run.queued"
        assert "Ada locked prod" in restore.text


async def test_a_rollback_never_takes_a_backup_for_a_deployment(place: Place) -> None:
    async with backing(place) as b:
        place.database.takes_s = 90.0
        started = await b.backup()
        look = b.store.read_now(lambda ledger: under_way(Turn(ledger, b.clock.now(), place.setting), PROD, "shop"))
        assert look is None
        answer = b.store.read_now(
            lambda ledger: controls.roll_back(
                Turn(ledger, b.clock.now(), place.setting), ledger.find(Run, id=started.run)[0], ADA, ""
            )
        )
        assert answer.code == "rollback.no_release"


async def test_a_backup_under_way_is_cancelled_and_nothing_of_it_is_kept(place: Place) -> None:
    async with backing(place) as b:
        place.database.takes_s = 90.0
        started = await b.backup()
        await b.until(lambda: "dump" in place.database.calls)
        await b.clock.advance(20)
        answer = await b.act("cancel", DOT, run=started.run, reason="wrong hour")
        assert answer.code == "run.cancelled"
        assert answer.text == "prod-1 is cancelled: it stops, and what it has begun is cleared up."
        run = await b.ended(started.run)
        assert (run.ending, run.ending_code) == ("cancelled", "cancelled")
        (row,) = b.rows(BackupRow)
        assert (row.state, row.deleted_at is not None) == (BackupState.FAILED, True)
        assert place.repository.stored == {}
        assert any("cancelled, nothing of it is kept" in text for text in b.told())


async def test_the_buttons_of_a_backup_offer_to_cancel_it_and_never_to_abort(place: Place) -> None:
    async with backing(place) as b:
        place.database.takes_s = 90.0
        started = await b.backup()
        await b.until(lambda: "dump" in place.database.calls)
        run = b.run(started.run)
        view = b.store.read_now(lambda ledger: present.headline(Turn(ledger, b.clock.now(), place.setting), run))
        assert "cancel" in view.buttons
        assert "abort" not in view.buttons


async def test_a_failed_backup_is_told_to_the_database_owner_with_what_to_type(place: Place) -> None:
    async with backing(place) as b:
        place.database.errors["dump"] = [Permanent("postgres", "refused", "the server refused the connection")]
        started = await b.backup()
        run = await b.ended(started.run)
        assert run.ending == "failed"
        await b.clock.settle()
        (note,) = [text for text in b.told() if "FAILED, there is no new backup" in text]
        assert "<@UDOT>" in note
        (kept,) = [m for m in b.chat.messages if m.message.text == note]
        assert kept.broadcast
        assert "/forge backup run prod --service shop" in str(kept.message.blocks)
        (row,) = b.rows(BackupRow)
        assert row.failure == "the server refused the connection"


async def test_a_hold_keeps_a_backup_until_it_is_released(place: Place) -> None:
    async with backing(place) as b:
        row = await b.made()
        wanted = {"options": {"backup": row.id}}
        assert (await b.backup("hold", reason="audit", **wanted)).code == "backup.hold"
        again = await b.backup("hold", actor=DAN, reason="mine", **wanted)
        assert (again.code, "by Dot: audit" in again.text) == ("backup.held", True)
        record = await b.ledger.record(row.id)
        assert record is not None
        assert (record.held_by, record.held_reason) == (DOT.id, "audit")
        assert (await b.backup("release", actor=DAN, **wanted)).code == "backup.released"
        assert (await b.backup("release", **wanted)).code == "backup.not_held"
        assert [each.actor for each in b.audited("backup.released")] == [DAN.id]
        assert (await b.backup("hold", reason="x", options={"backup": "nothing"})).code == "backup.unknown"
        assert (await b.backup("hold", reason="x", environment=STAGING, **wanted)).code == "backup.unknown"


async def test_the_list_has_the_newest_first_with_its_drill_and_its_holder(place: Place) -> None:
    async with backing(place) as b:
        first = await b.made()
        drill = await b.backup("drill")
        await b.waits(drill.run)
        await b.clock.advance(3600)
        second = await b.made()
        await b.backup("hold", reason="audit", options={"backup": first.id})
        answer = await b.backup("list", actor=EVE)
        assert answer.text == "2 backups of shop on prod are on record."
        assert [line.id for line in answer.view.lines] == [second.id, first.id]
        newest, older = answer.view.lines
        assert (newest.state, newest.drilled_at) == ("decoded", None)
        assert (older.state, older.held_by_name) == ("verified", "Dot")
        assert older.drilled_at is not None
        assert (answer.view.drill_passed, answer.view.signed_off) == (True, False)
        assert answer.view.drill_compared == b.rows(DrillRow)[0].compared


# --- drills and sign-offs -------------------------------------------------------------------------------------------


async def drilled(b: Backing, actor: object = DOT) -> str:
    await b.made()
    answer = await b.backup("drill", actor=actor)
    run = await b.waits(answer.run)
    assert run.state == "waiting", run.ending_reason
    return answer.run


async def test_a_drill_is_signed_off_by_a_database_owner_who_didnt_ask_for_it(place: Place) -> None:
    async with backing(place) as b:
        run = await drilled(b)
        assert (await b.act("signoff", DOT, run=run)).code == "authority.requester"
        assert (await b.act("signoff", ADA, run=run)).code == "authority.role_missing"
        assert (await b.act("approve", DAN, run=run)).code == "approval.signoff"
        answer = await b.act("signoff", DAN, run=run)
        assert (answer.code, answer.text) == ("approval.granted", f"You signed off {run}: Sign off the drill.")
        assert (await b.ended(run)).ending == "completed"
        (drill,) = b.rows(DrillRow)
        assert (drill.passed, drill.signed_off_by) == (True, DAN.id)
        assert [each.actor for each in b.audited("drill.signed_off")] == [DAN.id]
        assert place.host.there == {}


async def test_a_double_click_on_the_sign_off_counts_once(place: Place) -> None:
    async with backing(place) as b:
        run = await drilled(b)
        (button,) = b.rows(Button, run=run, action="signoff")
        click = Intent(name="signoff", button=button.id)
        answers = await b.at_once((click, DAN), (click, DAN))
        assert sorted(answer.code for answer in answers)[1] == "approval.granted"
        assert len(b.audited("approval.approve")) == 1
        assert (await b.ended(run)).ending == "completed"


async def test_what_isnt_a_sign_off_cant_be_signed_off(place: Place) -> None:
    async with backing(place) as b:
        row = await b.made()
        started = await b.act("restore", DOT, options={"backup": row.id}, reason="orders were deleted")
        await b.waits(started.run)
        assert (await b.act("signoff", DAN, run=started.run)).code == "signoff.none"
        assert (await b.act("approve", DOT, run=started.run)).code == "authority.requester"


async def test_a_drill_nobody_signs_off_stands_unsigned(place: Place) -> None:
    async with backing(place) as b:
        run = await drilled(b)
        assert (await b.ended(run)).ending == "completed"
        (drill,) = b.rows(DrillRow)
        assert (drill.passed, drill.signed_off_by) == (True, "")


async def test_a_drill_of_tampered_bytes_fails_and_says_so(place: Place) -> None:
    async with backing(place) as b:
        row = await b.made()
        place.host.tampered.add(row.id)
        answer = await b.backup("verify", options={"backup": row.id})
        run = await b.ended(answer.run)
        assert run.ending == "failed"
        (drill,) = b.rows(DrillRow)
        assert not drill.passed
        assert any("restore drill on prod: FAILED" in text and "<@UDOT>" in text for text in b.told())


# --- restores -------------------------------------------------------------------------------------------------------


async def test_a_restore_without_anything_named_is_refused(place: Place) -> None:
    async with backing(place) as b:
        answer = await b.act("restore", DOT)
        assert answer.code == "restore.what"
        assert "/forge backup list prod" in answer.remedy


@pytest.mark.parametrize(
    ("at", "code"), [("tomorrow", "at.unclear"), ("2026-03-03T12:00", "at.future"), ("2026-03-02", "at.unclear")]
)
async def test_a_moment_that_is_none_or_still_to_come_is_refused(place: Place, at: str, code: str) -> None:
    async with backing(place) as b:
        assert (await b.act("restore", DOT, options={"at": at})).code == code


async def test_a_restore_is_approved_signed_off_and_ended_in_its_own_words(place: Place) -> None:
    async with backing(place) as b:
        row = await b.made()
        answer = await b.act("restore", DOT, options={"backup": row.id}, reason="orders were deleted")
        assert answer.text == f"prod-2 has started: the restore of shop on prod, of {row.id}."
        run = await b.waits(answer.run)
        assert (await b.act("approve", DAN, run=run.id)).code == "approval.granted"
        await b.until(lambda: b.run(run.id).state in ("waiting", "ended", "held") and "check" in place.host.calls)
        assert b.run(run.id).state == "waiting", b.run(run.id).ending_reason
        assert (await b.act("signoff", DOT, run=run.id)).code == "authority.requester"
        assert (await b.act("signoff", DAN, run=run.id)).code == "approval.granted"
        assert b.run(run.id).facts["signed_off"]["by"] == DAN.id


async def test_a_rejected_sign_off_takes_the_restore_back(place: Place) -> None:
    async with backing(place) as b:
        row = await b.made()
        answer = await b.act("restore", DOT, options={"backup": row.id}, reason="orders were deleted")
        await b.waits(answer.run)
        await b.act("approve", DAN, run=answer.run)
        await b.until(lambda: b.run(answer.run).state in ("waiting", "ended") and "check" in place.host.calls)
        await b.act("reject", DAN, run=answer.run, reason="yesterday's orders are missing")
        run = await b.ended(answer.run)
        assert run.ending == "returned", (run.ending_reason, b.told()[-3:])
        assert place.host.there == {}
        assert any("the database in use is the one from before" in text for text in b.told())
        assert not any("previous version" in text or "deploying" in text for text in b.told())


async def test_a_plan_made_anew_keeps_what_was_asked_for(place: Place) -> None:
    async with backing(place) as b:
        row = await b.made()
        answer = await b.act("restore", DOT, options={"backup": row.id}, reason="x")
        await b.waits(answer.run)
        await b.clock.advance(3600)
        await b.made()
        await b.act("approve", DAN, run=answer.run)
        await b.until(lambda: bool(place.host.orders))
        assert place.host.orders[0].manifest.id == row.id
        assert b.run(answer.run).environment == PROD


async def test_a_drill_under_way_is_cancelled_and_what_it_restored_is_gone(place: Place) -> None:
    async with backing(place) as b:
        row = await b.made()
        place.host.takes_s = 600.0
        answer = await b.backup("drill")
        await b.until(lambda: "fetch" in place.host.calls)
        cancelled = await b.act("cancel", DAN, run=answer.run)
        assert cancelled.code == "run.cancelled"
        run = await b.ended(answer.run)
        assert (run.ending, place.host.there, place.host.fetched) == ("cancelled", {}, set())
        record = await b.ledger.record(row.id)
        assert record is not None
        assert record.busy == ""
        assert (await b.act("cancel", DAN, run=answer.run)).code == "run.ended"


async def test_a_published_backup_stays_when_its_run_is_cancelled_afterwards(place: Place) -> None:
    async with backing(place) as b:
        answer = await b.backup()
        await b.until(lambda: bool(place.repository.manifests) or b.run(answer.run).state == "ended")
        await b.act("cancel", DOT, run=answer.run)
        run = await b.ended(answer.run)
        (row,) = b.rows(BackupRow)
        assert row.manifest
        assert list(place.repository.manifests) == [row.id]
        if run.ending == "cancelled":
            assert any("cancelled after it was published: the backup stays" in text for text in b.told())
