"""What is published and not on record: an older copy of forge's database on its repository, or a new installation on an old one."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from bot.adopting import adopt_at_start
from engine import backup_adoption
from engine.backup_adoption import Adopted, adopt_published
from engine.backup_ledger import LedgerBackups
from engine.records import BackupRow, Sealed
from integrations.backups import Repository, backup_place
from runbook.backups import BackupKind, BackupOrder, BackupState, Manifest, manifest_of, manifest_text
from runbook.errors import Permanent, Temporary
from runbook.values import Environment
from state.store import SqlStore
from tests.engine.backing import DOT, EVE, Place, backing
from tests.fakes.clock import NOON, SimulatedClock
from tests.integrations.backups.repositories import (
    Keys,
    new_keys,
    new_repository,
    order_named,
    random_bytes,
    stored_backup,
)
from tests.runbook.fake_databases import FakeLedger, FakeRepository, made

PROD = Environment.PROD
PLACES = {("shop", PROD)}


@pytest.fixture
def ledger(store: SqlStore) -> LedgerBackups:
    return LedgerBackups(store, SimulatedClock())


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return new_keys(tmp_path / "keys")


@pytest.fixture
def repository(tmp_path: Path, keys: Keys) -> Repository:
    return new_repository(tmp_path, keys)


async def published(repository: Repository, suffix: str, service: str = "shop", environment: str = "prod") -> Manifest:
    _, manifest = await stored_backup(repository, random_bytes(1000), order_named(suffix, service, environment))
    await repository.publish(manifest)
    return manifest


def audited(store: SqlStore) -> list[tuple[str, str, str]]:
    return [(e.action, e.subject, e.actor) for e in store.read_now(lambda ledger: ledger.find(Sealed, order="seq"))]


async def test_what_is_well_signed_is_on_record_as_read_back_and_never_as_restored(
    store: SqlStore, ledger: LedgerBackups, repository: Repository
) -> None:
    manifest = await published(repository, "0a0a")
    found = await adopt_published(repository, ledger, PLACES, operator=DOT.id)
    assert found == Adopted((manifest.id,))
    record = await ledger.record(manifest.id)
    assert record is not None
    assert (record.state, record.restorable, record.manifest) == (BackupState.DECODED, True, manifest_text(manifest))
    assert (record.finished_at, record.operator, record.run) == (manifest.finished_at, manifest.operator, "")
    assert audited(store) == [("backup.adopted", manifest.id, DOT.id)]
    newest = await ledger.newest("shop", PROD)
    assert newest is not None
    assert newest.id == manifest.id


async def test_a_second_pass_changes_nothing(store: SqlStore, ledger: LedgerBackups, repository: Repository) -> None:
    manifest = await published(repository, "0a0a")
    await adopt_published(repository, ledger, PLACES)
    await ledger.proven(manifest.id, checked=True)
    before = audited(store)
    assert await adopt_published(repository, ledger, PLACES) == Adopted()
    await ledger.adopted(manifest, DOT.id)
    record = await ledger.record(manifest.id)
    assert record is not None
    assert (record.state, audited(store)) == (BackupState.VERIFIED, before)


async def test_what_is_on_record_as_deleted_stays_deleted(ledger: LedgerBackups, repository: Repository) -> None:
    """Whoever can write to the repository can put an old one back, signature and all."""
    manifest = await published(repository, "0a0a")
    await adopt_published(repository, ledger, PLACES)
    await ledger.deleted(manifest.id, "older than 35 d")
    assert await adopt_published(repository, ledger, PLACES) == Adopted()
    record = await ledger.record(manifest.id)
    assert record is not None
    assert record.state is BackupState.DELETED


async def test_what_is_not_well_signed_is_told_and_left_alone(
    ledger: LedgerBackups, repository: Repository, tmp_path: Path
) -> None:
    good, edited, foreign = [await published(repository, suffix) for suffix in ("0a0a", "0b0b", "0c0c")]
    lies = {m.id: tmp_path / "repository" / backup_place(m.id) / "manifest.json" for m in (edited, foreign)}
    envelope = json.loads(lies[edited.id].read_text())
    envelope["manifest"] = envelope["manifest"].replace('"operator":"forge"', '"operator":"nobody"')
    lies[edited.id].write_text(json.dumps(envelope))
    stranger = new_repository(tmp_path / "stranger", new_keys(tmp_path / "other"))
    await stranger.publish(foreign)
    theirs = tmp_path / "stranger" / "repository" / backup_place(foreign.id) / "manifest.json"
    lies[foreign.id].write_bytes(theirs.read_bytes())
    found = await adopt_published(repository, ledger, PLACES)
    assert found.taken == (good.id,)
    assert {name for name, _ in found.left} == {edited.id, foreign.id}
    assert all("isn't signed with forge's key" in why for _, why in found.left)
    assert await ledger.record(edited.id) is None
    assert set(await repository.published()) == {good.id, edited.id, foreign.id}


async def test_a_backup_whose_files_are_cut_or_gone_is_left_alone(
    ledger: LedgerBackups, repository: Repository, tmp_path: Path
) -> None:
    cut, gone = await published(repository, "0a0a"), await published(repository, "0b0b")
    (tmp_path / "repository" / backup_place(cut.id) / cut.files[0].key).write_bytes(b"short")
    (tmp_path / "repository" / backup_place(gone.id) / gone.files[0].key).unlink()
    found = await adopt_published(repository, ledger, PLACES)
    assert (found.taken, {name for name, _ in found.left}) == ((), {cut.id, gone.id})
    assert "not all there" in found.left[0][1]


async def test_only_databases_that_were_asked_for_are_looked_at(ledger: LedgerBackups, repository: Repository) -> None:
    mine = await published(repository, "0a0a")
    for service, environment in (("shop", "staging"), ("shop-api", "prod"), ("other", "prod")):
        await published(repository, "0b0b", service, environment)
    assert (await adopt_published(repository, ledger, PLACES)).taken == (mine.id,)


async def test_a_pass_is_bounded_and_goes_on_where_it_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backup_adoption, "MOST", 2)
    fake, ledger = FakeRepository(), FakeLedger(SimulatedClock())
    for day in range(1, 6):
        _publish(fake, f"shop-prod-2026030{day}T020000Z-1f3a")
    first = await adopt_published(fake, ledger, PLACES)
    assert first == Adopted(("shop-prod-20260305T020000Z-1f3a", "shop-prod-20260304T020000Z-1f3a"), more=3)
    second = await adopt_published(fake, ledger, PLACES)
    assert (len(second.taken), second.more) == (2, 1)


def _publish(repository: FakeRepository, name: str) -> Manifest:
    order = BackupOrder(name, BackupKind.LOGICAL, "shop", "prod", "prod-1", "forge")
    repository.manifests[name] = manifest_of(order, "shop", made())
    return repository.manifests[name]


# --- at start -------------------------------------------------------------------------------------------------------


async def test_at_start_a_repository_that_is_away_is_asked_again_and_ever_later() -> None:
    repository, ledger = FakeRepository(), FakeLedger(SimulatedClock())
    manifest = _publish(repository, "shop-prod-20260302T020000Z-1f3a")
    repository.errors["published"] = [Temporary("backups", "storage", "no usable answer")] * 8
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    found = await adopt_at_start(repository, ledger, PLACES, sleep=sleep)
    assert found == Adopted((manifest.id,))
    assert waited == [60.0, 120.0, 240.0, 480.0, 960.0, 1920.0, 3600.0, 3600.0]


async def test_at_start_a_repository_that_refuses_is_told_once() -> None:
    repository, ledger = FakeRepository(), FakeLedger(SimulatedClock())
    repository.errors["published"] = [Permanent("backups", "refused", "it refuses forge's access")]
    assert await adopt_at_start(repository, ledger, PLACES) is None
    assert repository.calls == ["published"]


async def test_the_wait_at_start_can_be_broken_off() -> None:
    repository = FakeRepository()
    repository.errors["published"] = [Temporary("backups", "storage", "no usable answer")]
    waiting = asyncio.Event()

    async def sleep(_: float) -> None:
        waiting.set()
        await asyncio.Event().wait()

    work = asyncio.ensure_future(adopt_at_start(repository, FakeLedger(SimulatedClock()), PLACES, sleep=sleep))
    await waiting.wait()
    work.cancel()
    (ended,) = await asyncio.gather(work, return_exceptions=True)
    assert isinstance(ended, asyncio.CancelledError)


# --- by the command -------------------------------------------------------------------------------------------------


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


async def test_an_older_copy_of_the_record_learns_what_was_published_since(place: Place) -> None:
    async with backing(place) as b:
        row = await b.made()
        b.store.write_now(lambda ledger: ledger.remove(BackupRow, id=row.id))
        answer = await b.backup("adopt")
        assert (answer.code, answer.ok) == ("backup.adopted", True)
        assert row.id in answer.text
        (found,) = b.rows(BackupRow)
        assert (found.id, found.state, found.manifest) == (row.id, BackupState.DECODED, row.manifest)
        (entry,) = b.audited("backup.adopted")
        assert (entry.actor, entry.evidence["made_by"]) == (DOT.id, row.run)
        again = await b.backup("adopt")
        assert (again.code, again.text) == ("backup.nothing_to_adopt", "Nothing of shop on prod was taken on record.")
        drill = await b.backup("drill")
        assert row.id in drill.text


async def test_a_drill_names_its_backup_or_its_kind_and_not_both(place: Place) -> None:
    async with backing(place) as b:
        row = await b.made()
        both = await b.backup("drill", options={"backup": row.id, "kind": "base"})
        assert (both.code, both.ok) == ("backup.one_of", False)
        none = await b.backup("drill", options={"kind": "base"})
        assert (none.code, none.remedy) == ("restore.no_base", "Make one: `/forge backup run <env> --kind base`")
        verify = await b.backup("verify", options={"backup": row.id})
        assert verify.text == f"{verify.run} has started: the restore drill of shop on prod, of {row.id}."


async def test_only_who_may_back_up_takes_anything_on_record(place: Place) -> None:
    async with backing(place) as b:
        _publish(place.repository, "shop-prod-20260302T020000Z-1f3a")
        assert (await b.backup("adopt", actor=EVE)).code == "authority.role_missing"
        assert (await b.backup("adopt", environment=Environment.DEV)).code == "backup.not_configured"
        assert b.rows(BackupRow) == []


async def test_what_was_left_alone_and_a_repository_that_is_away_are_told(place: Place) -> None:
    async with backing(place) as b:
        for day in range(1, 9):
            place.repository.spoilt.add(_publish(place.repository, f"shop-prod-2026030{day}T020000Z-1f3a").id)
        answer = await b.backup("adopt")
        assert answer.text.count("was left alone: its files are not all there") == 5
        assert "3 more were left alone" in answer.text
        place.repository.errors["published"] = [Temporary("backups", "storage", "no usable answer")]
        away = await b.backup("adopt")
        assert (away.code, away.ok) == ("backups.storage", False)


async def test_what_the_retention_deletes_after_an_adoption_is_decided_as_of_any_backup(place: Place) -> None:
    """By its completion: an old repository's old backups go with the next retention, its newest stays."""
    async with backing(place) as b:
        for day, suffix in ((NOON - timedelta(days=60), "0a0a"), (NOON - timedelta(days=2), "0b0b")):
            manifest = _publish(place.repository, f"shop-prod-{day:%Y%m%dT%H%M%SZ}-{suffix}")
            place.repository.manifests[manifest.id] = replace(manifest, started_at=day, finished_at=day)
        assert (await b.backup("adopt")).ok
        await b.made()
        states = {row.id[-4:]: row.state for row in b.rows(BackupRow)}
        assert (states["0a0a"], states["0b0b"]) == ("deleted", "decoded")
