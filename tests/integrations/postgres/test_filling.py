"""A server is filled with settings that keep nothing, and is called restored only when it is on the disk and has durable ones again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from integrations.postgres.instances import FILLING, LocalInstances
from integrations.postgres.programs import Program, ProgramFinder
from integrations.postgres.restore_host import LocalRestores
from runbook.backups import Instance, RestoreChecks
from runbook.database_ports import RestoreOrder
from sandbox.postgres import LocalPostgres
from tests.integrations.postgres.physical import Site, ask, fill, picture, picture_of
from tests.integrations.postgres.servers import end_all, finder, new_scratch

SMALL = {"shared_buffers": "16MB", "max_connections": "20"}
DURABLE = {
    "fsync": "on", "synchronous_commit": "on", "full_page_writes": "on", "wal_level": "replica", "max_wal_senders": "10", "autovacuum": "on",
}  # fmt: skip


class RecordingFinder(ProgramFinder):
    """Notes who asked for which program, in order."""

    def __init__(self, finder: ProgramFinder) -> None:
        super().__init__()
        self._finder = finder
        self.asked: list[str] = []

    async def found(self, name: str) -> tuple[Program, ...]:
        self.asked.append(name)
        return await self._finder.found(name)


@pytest.fixture(scope="module", params=[18, 15])
def source(request: pytest.FixtureRequest) -> Iterator[LocalPostgres]:
    with LocalPostgres(major=request.param) as server:
        fill(server)
        yield server


@pytest.fixture
async def site(source: LocalPostgres, scratch: Path) -> AsyncIterator[Site]:
    yield Site(source, scratch)
    await end_all(scratch / "scratch")


def durable_host(site: Site, programs: ProgramFinder | None = None) -> LocalRestores:
    """As in production: nothing of its servers' settings is for tests alone, but their size."""

    async def segments(*_: object) -> tuple[()]:
        return ()

    return LocalRestores(site.folder / "scratch", programs or finder(), site.repository, segments, SMALL)


async def settings(instance: Instance) -> dict[str, object]:
    return {name: (await ask(instance, f"SHOW {name}"))[0][0] for name in FILLING}


@dataclass
class Restored:
    """initdbs: how often it was looked for while the server was filled."""

    site: Site
    order: RestoreOrder
    instance: Instance
    initdbs: int


@pytest.fixture(scope="module")
def restored(source: LocalPostgres) -> Iterator[Restored]:
    """Once for all tests that only look at it, or let it stop."""
    with new_scratch() as folder:
        yield asyncio.run(restored_in(Site(source, folder)))
        asyncio.run(end_all(folder / "scratch"))


async def restored_in(site: Site) -> Restored:
    programs = RecordingFinder(finder())
    order, host = RestoreOrder("drill-1", await site.logical()), durable_host(site, programs)
    await host.fetch(order, site.told.append)
    instance = await host.provision(order)
    before = programs.asked.count("initdb")
    await host.restore(order, instance, site.told.append)
    return Restored(site, order, instance, programs.asked.count("initdb") - before)


async def test_a_restored_server_has_durable_settings_and_was_put_on_the_disk(restored: Restored) -> None:
    site, instance = restored.site, restored.instance
    assert await settings(instance) == DURABLE
    assert await ask(instance, "SHOW data_checksums") == [("on" if restored.order.manifest.major >= 18 else "off",)]
    assert restored.initdbs == 1  # --sync-only
    assert await picture_of(instance) == picture(site.server)
    assert state_of(site)["kind"] == "settled"


async def test_nothing_durable_is_paid_for_while_it_is_filled(site: Site) -> None:
    order, host = RestoreOrder("drill-1", await site.logical()), durable_host(site)
    instance = await host.provision(order)
    found = await settings(Instance(instance.name, instance.major, instance.where, instance.service_file, "template1"))
    assert found == dict(FILLING)


async def test_a_restored_server_is_left_as_it_is_by_another_provision(restored: Restored) -> None:
    instance = await durable_host(restored.site).provision(restored.order)
    assert await picture_of(instance) == picture(restored.site.server)
    assert await settings(instance) == DURABLE


@pytest.mark.parametrize("kind", ["empty", "filling"])
async def test_what_a_machine_that_went_down_left_half_filled_is_made_anew(site: Site, kind: str) -> None:
    order, host = RestoreOrder("drill-1", await site.logical()), durable_host(site)
    await host.fetch(order, site.told.append)
    await host.provision(order)
    first = system_of(site)
    mark(site, {**state_of(site), "kind": kind, "boot": "another"})
    instance = await durable_host(site).provision(order)
    assert system_of(site) != first
    await host.restore(order, instance, site.told.append)
    assert await picture_of(instance) == picture(site.server)


async def test_a_restored_server_stands_after_the_machine_went_down(restored: Restored) -> None:
    site, instance = restored.site, restored.instance
    await LocalInstances(site.folder / "scratch", finder()).stop("drill-1")
    assert "boot" not in state_of(site)
    facts = await durable_host(site).check(instance, RestoreChecks(tables=("public.orders",)))
    assert dict(facts.rows) == {"public.orders": 3000}
    assert await settings(instance) == DURABLE


def made(site: Site) -> Path:
    return site.folder / "scratch" / "restores" / "drill-1" / "made.json"


def state_of(site: Site) -> dict[str, object]:
    found: dict[str, object] = json.loads(made(site).read_text())
    return found


def mark(site: Site, state: dict[str, object]) -> None:
    made(site).write_text(json.dumps(state))


def system_of(site: Site) -> bytes:
    """The cluster's own identifier: the first bytes of its control file."""
    return (made(site).parent / "data" / "global" / "pg_control").read_bytes()[:8]
