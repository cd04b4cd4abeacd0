"""The Database Owner chooses to restore to a point in time, and forge can: the whole bot, with databases in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from runbook.backups import BackupKind, BackupOrder, BackupState, RecoveryWindow, RestoreChecks, manifest_of
from runbook.errors import Permanent
from runbook.jobs import JobTemplate
from runbook.values import Environment
from tests.fakes.clock import NOON
from tests.runbook.fake_databases import (
    FakeDatabase,
    FakeLedger,
    FakeRepository,
    FakeRestoreHost,
    made,
    published,
)
from tests.runbook.fakes import RELEASE_FILE, digest
from tests.scenarios.production import OLD, SHOP, ProductionStage, ProductionWorld, production
from tests.scenarios.two_tracks import CANARY

RESTORE = "rollback_restore"
RESTORED_SHOP = replace(
    SHOP,
    restore_checks=RestoreChecks(tables=("public.orders",)),
    restore_switch=JobTemplate(image=f"registry.example/acme/switch@{digest('5')}", args=("switch",)),
)


class RecoverableWorld(ProductionWorld):
    """With a base backup of two days ago, and WAL after it."""

    def __init__(self) -> None:
        super().__init__(RELEASE_FILE)
        self.repository = FakeRepository()
        self.host = FakeRestoreHost(self.clock)
        self.ledger = FakeLedger(self.clock)
        begun = NOON - timedelta(days=2)
        order = BackupOrder("shop-prod-base", BackupKind.BASE, "shop", "prod", "prod-0", "forge")
        manifest = manifest_of(order, "shop", made(started_at=begun, finished_at=begun))
        published(self.ledger, self.repository, manifest, state=BackupState.DECODED)
        self.ledger.recovery = RecoveryWindow(begun, NOON + timedelta(days=9), "shop-prod-base")
        self.ports = replace(
            self.ports,
            databases={("shop", Environment.PROD): FakeDatabase(self.clock, self.repository)},
            repository=self.repository,
            restore_host=self.host,
            backup_ledger=self.ledger,
        )

    def switches(self) -> int:
        return sum(1 for order in self.cluster.created if order.args == ("switch",))


@asynccontextmanager
async def chosen(path: Path, world: RecoverableWorld) -> AsyncIterator[ProductionStage]:
    """The canary fails after a migration that can't be undone, and the Database Owner wants the moment before it back."""
    async with production(path, world=world, service=RESTORED_SHOP) as s:
        await s.rolls_out_to(5)
        s.tracks.fails(CANARY, 0.3)
        await s.until_state("waiting")
        await s.shown_all()
        await s.chooses("dora", RESTORE)
        yield s


async def test_the_restore_is_checked_signed_off_by_the_database_owner_and_the_traffic_is_led_there(
    tmp_path: Path,
) -> None:
    world = RecoverableWorld()
    async with chosen(tmp_path, world) as s:
        await s.until_at("Sign off what was restored, before any traffic goes there")
        assert s.images() == OLD, "the application is back before the database"
        assert world.switches() == 0
        (order,) = world.host.orders
        assert order.until is not None
        assert order.until <= NOON + timedelta(minutes=1)
        assert "may not" in await s.says("sam", "signoff prod-1")
        await s.says("dora", "signoff prod-1")
        assert await s.ends() == "returned"
        assert world.switches() == 1
        assert world.host.there
        assert world.ledger.by_id["shop-prod-base"].state is BackupState.VERIFIED


async def test_a_restore_that_fails_is_left_to_people_and_the_rollback_is_whole_but_for_it(tmp_path: Path) -> None:
    world = RecoverableWorld()
    world.host.errors["restore"] = [Permanent("postgres", "recovery", "recovery ended before the moment")]
    async with chosen(tmp_path, world) as s:
        assert await s.ends() == "incomplete"
        assert s.images() == OLD
        assert world.switches() == 0
        assert world.host.there == {}
        [message] = [text for text in s.incident_messages if "Timeline" in text]
        assert "forge could not" in message


async def test_a_sign_off_that_nobody_gives_leaves_the_database_as_it_is(tmp_path: Path) -> None:
    world = RecoverableWorld()
    async with chosen(tmp_path, world) as s:
        await s.until_at("Sign off what was restored, before any traffic goes there")
        await s.clock.advance(timedelta(hours=25))
        assert await s.ends() == "incomplete"
        assert world.switches() == 0
        assert world.host.there == {}
