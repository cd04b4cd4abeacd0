"""The procedures on a real server, a real repository and real restores: backed up, drilled, restored, spoilt, retained."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from engine.clock import SteadyClock
from integrations.backups.own_folder import MARKER
from runbook.backups import BackupState, RestoreChecks
from runbook.database_ports import RestoreHost
from runbook.steps.restores import instance_of
from runbook.verdicts import Outcome
from sandbox.postgres import LocalPostgres
from tests.integrations.postgres.physical import Site, asks, fill, picture, picture_of
from tests.integrations.postgres.servers import end_all, new_scratch
from tests.runbook.database_stories import PROD, SHOP, DatabaseWorld, Story, prepared, setting

CHECKS = RestoreChecks(
    schema_version="SELECT max(name) FROM schema_versions",
    tables=("public.customers", "public.orders"),
    smoke=("SELECT count(*) = 300 FROM customers",),
    minimum_rows={"public.orders": 3000},
)
GIVEN = setting(service=replace(SHOP, restore_checks=CHECKS, restore_switch=None, urls={}))
CHECK, FETCH = "Post-restore checks", "Fetch everything and check it before anything reads it"
SIGN = "Sign off what was restored, before any traffic goes there"


class Real(DatabaseWorld):
    """The ledger is in memory, everything else is real."""

    def __init__(self, site: Site) -> None:
        super().__init__()
        self.site = site
        self.restores = site.restores()
        self.steady = SteadyClock()
        self.ledger.clock = self.steady  # type: ignore[assignment]
        host: RestoreHost = self.restores
        self.ports = replace(
            self.ports, clock=self.steady, databases={("shop", PROD): site.database()}, repository=site.repository, restore_host=host
        )  # fmt: skip

    async def finish(self, work: Awaitable[Any]) -> Any:
        return await work

    async def play(self, procedure: str, **story: Any) -> Story:
        options = story.pop("options", {})
        found = await prepared(self, procedure, given=GIVEN, **options)
        assert found.plan is not None, found.verdicts
        return await Story(self, **story).play(found.plan)

    def files(self, id: str = "") -> list[Path]:
        folder = self.site.folder / "repository"
        found = (path for path in folder.rglob("*") if path.is_file() and path != folder / MARKER)
        return sorted(path for path in found if id in str(path))


@pytest.fixture(scope="module")
def server() -> Iterator[LocalPostgres]:
    with LocalPostgres(major=16) as started:
        fill(started)
        yield started


@pytest.fixture
async def world(server: LocalPostgres) -> AsyncIterator[Real]:
    with new_scratch() as folder:
        yield Real(Site(server, folder))
        await end_all(folder / "scratch")


def well(story: Story) -> None:
    assert [(title, outcome) for title, outcome in story.told if outcome is not Outcome.PASS] == [], {
        title: [v.reason for v in result.verdicts] for title, result in story.results.items()
    }
    assert story.ended == "completed"


async def test_a_database_is_backed_up_and_its_drill_passes(world: Real) -> None:
    well(await world.play("backup"))
    (record,) = world.ledger.by_id.values()
    assert record.restorable
    assert record.server_version_num // 10_000 == 16
    story = await world.play("drill", run="prod-13")
    well(story)
    assert world.ledger.by_id[record.id].state is BackupState.VERIFIED
    (drill,) = world.ledger.made_drills
    assert (drill.passed, drill.major) == (True, 16)
    assert drill.seconds > 0
    assert await world.restores.standing() == ()
    assert [v.outcome for v in story.results[CHECK].verdicts] == [Outcome.PASS] * 8
    assert drill.compared.startswith(
        "schema version 0007; row counts of 2 critical tables; checksums of 2 critical tables"
    )


async def test_what_is_signed_off_equals_its_source(world: Real, server: LocalPostgres) -> None:
    well(await world.play("backup"))
    story = await world.play("restore", run="prod-13")
    well(story)
    instance = instance_of(story.facts)
    assert instance is not None
    assert await picture_of(instance) == picture(server)
    assert await world.restores.standing() == ("forge-prod-13",)


async def test_a_refused_sign_off_leaves_nothing_standing(world: Real) -> None:
    well(await world.play("backup"))
    await world.play("restore", run="prod-13", rejects=(SIGN,))
    assert await world.restores.standing() == ()
    assert [path for path in (world.site.folder / "scratch").rglob("*") if path.is_file()] == []


async def test_a_restored_database_that_is_not_right_is_found(world: Real, server: LocalPostgres) -> None:
    asks(server, "SELECT setval('customers_id_seq', 7)")
    try:
        well(await world.play("backup"))
        await world.play("drill", run="prod-13")
    finally:
        asks(server, "SELECT setval('customers_id_seq', 300)")
    (drill,) = world.ledger.made_drills
    assert not drill.passed
    assert "behind its table: customers_id_seq" in drill.reason
    assert await world.restores.standing() == ()


async def test_a_constraint_that_the_source_never_validated_is_no_fault_of_the_restore(
    world: Real, server: LocalPostgres
) -> None:
    asks(server, "ALTER TABLE orders ADD CONSTRAINT later CHECK (total < 0) NOT VALID")
    try:
        well(await world.play("backup"))
        story = await world.play("drill", run="prod-13")
    finally:
        asks(server, "ALTER TABLE orders DROP CONSTRAINT later")
    well(story)
    told = [verdict.reason for verdict in story.results[CHECK].verdicts]
    assert "every other constraint and index is valid; as at the source not valid: constraint later of orders" in told


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("spoil", [cut, flip, empty, Path.unlink])
async def test_spoilt_bytes_reach_no_program_and_fail_the_drill(world: Real, spoil: Callable[[Path], None]) -> None:
    well(await world.play("backup"))
    (dump,) = [path for path in world.files() if path.suffix == ".age"]
    dump.chmod(0o600)
    spoil(dump)
    story = await world.play("drill", run="prod-13")
    assert (FETCH, Outcome.FAIL) in story.told
    (drill,) = world.ledger.made_drills
    assert not drill.passed
    assert await world.restores.standing() == ()


async def test_an_older_backup_under_the_new_ones_name_is_refused(world: Real) -> None:
    for run in ("prod-12", "prod-13"):
        well(await world.play("backup", run=run))
    old, new = sorted(world.ledger.by_id.values(), key=lambda record: record.run)
    place = {path.name: path for path in world.files(new.id)}
    place["manifest.json"].chmod(0o600)
    place["manifest.json"].write_bytes(
        next(path for path in world.files(old.id) if path.name == "manifest.json").read_bytes()
    )
    story = await world.play("drill", run="prod-14", options={"backup": new.id})
    assert (FETCH, Outcome.FAIL) in story.told
    assert story.results[FETCH].verdicts[0].code == "backups.forged"


async def test_a_year_later_the_last_one_that_was_verified_is_still_there(world: Real) -> None:
    well(await world.play("backup"))
    well(await world.play("drill", run="prod-13"))
    (verified,) = world.ledger.by_id
    long_ago = world.steady.now() - timedelta(days=365)
    record = world.ledger.by_id[verified]
    world.ledger.add(replace(record, started_at=long_ago, finished_at=long_ago))
    for run in ("prod-14", "prod-15"):
        well(await world.play("backup", run=run))
    assert world.files(verified)
    assert world.ledger.by_id[verified].deleted_at is None


async def test_a_cancelled_backup_leaves_no_file(world: Real) -> None:
    await world.play("backup", abort_before="Record the backup's metadata")
    assert world.files() == []
    assert [record.state for record in world.ledger.by_id.values()] == [BackupState.FAILED]
