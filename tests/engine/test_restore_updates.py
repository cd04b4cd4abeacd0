"""What a restore declares and tells: beside the database in use, restored, or not to be."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.records import BackupRow, IncidentRow, Run
from runbook.errors import Permanent
from tests.engine.backing import ADA, DAN, DOT, STAGING, Backing, Place, backing
from tests.runbook.fake_jobs import JobLife


@pytest.fixture
def place(tmp_path: Path) -> Place:
    given = Place(tmp_path)
    given.world.cluster.clock = given.world.probes.clock = given.clock
    return given


async def begun(b: Backing) -> tuple[Run, BackupRow]:
    """A restore in production that was approved, up to its sign-off or its end."""
    row = await b.made()
    answer = await b.act("restore", DOT, options={"backup": row.id}, reason="orders were deleted")
    await b.waits(answer.run)
    await b.act("approve", DAN, run=answer.run)
    await b.until(lambda: "provision" in b.place.host.calls or b.run(answer.run).state == "ended")
    return await b.waits(answer.run), row


def incident(b: Backing) -> IncidentRow:
    found: list[IncidentRow] = b.rows(IncidentRow)
    assert len(found) == 1
    return found[0]


async def test_a_restore_declares_an_incident_in_words_of_its_own(place: Place) -> None:
    async with backing(place) as b:
        run, row = await begun(b)
        declared = incident(b)
        assert (declared.severity, declared.run) == (2, run.id)
        assert declared.title == "The database of shop on prod is being restored"
        (told,) = [update["text"] for update in declared.updates]
        assert told.startswith("prod-2: the database of shop on prod is being restored, beside the one in use: ")
        assert row.id in told
        assert "Dot asked for it: orders were deleted" in told


async def test_a_refused_sign_off_is_told_as_nothing_restored(place: Place) -> None:
    async with backing(place) as b:
        run, _ = await begun(b)
        await b.act("reject", DAN, run=run.id, reason="rows are missing")
        await b.ended(run.id)
        told = incident(b)
        assert told.title == "The database of shop on prod was not restored: the one in use is the one from before"
        assert "rows are missing" in told.updates[-1]["text"]
        assert not any("rolled back" in update["text"] for update in told.updates)


async def test_a_restore_that_fails_is_told_with_its_reason(place: Place) -> None:
    async with backing(place) as b:
        place.host.errors["provision"] = [Permanent("postgres", "no_server", "no PostgreSQL 16 is installed")]
        run, _ = await begun(b)
        await b.ended(run.id)
        assert "no PostgreSQL 16 is installed" in incident(b).updates[-1]["text"]
        assert place.host.there == {}


async def test_outside_production_it_is_a_change_that_holds_nothing_up(place: Place) -> None:
    async with backing(place) as b:
        row = await b.made(environment=STAGING)
        answer = await b.act("restore", DOT, environment=STAGING, options={"backup": row.id})
        await b.until(lambda: "check" in place.host.calls)
        assert incident(b).severity == 4
        run = await b.waits(answer.run)
        assert (await b.act("signoff", DOT, run=run.id)).code == "authority.requester"
        assert (await b.act("signoff", DAN, run=run.id)).code == "approval.granted"
        ended = await b.ended(run.id)
        assert ended.ending == "completed", ended.ending_reason
        told = incident(b)
        assert told.title == "The database of shop on staging is restored and signed off"
        assert place.world.cluster.created[0].env["FORGE_RESTORE_NAME"] == "forge-staging-2"
        assert place.host.there


async def test_a_restore_that_is_aborted_within_its_switch_is_left_to_the_database_owner(place: Place) -> None:
    async with backing(place) as b:
        row = await b.made(environment=STAGING)
        answer = await b.act("restore", DOT, environment=STAGING, options={"backup": row.id})
        await b.until(lambda: "check" in place.host.calls)
        run = await b.waits(answer.run)
        place.world.cluster.lives = lambda order: JobLife(exit_code=1)
        await b.act("signoff", DAN, run=run.id)
        await b.until(lambda: b.run(run.id).state == "held")
        await b.act("abort", ADA, run=run.id, reason="the switch fails")
        ended = await b.ended(run.id)
        assert ended.ending == "incomplete"
        assert "the Database Owner decides where the traffic goes" in incident(b).title
        assert place.host.there
