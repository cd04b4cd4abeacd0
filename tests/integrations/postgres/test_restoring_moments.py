"""Point-in-time recovery between two inserts, on real servers; what isn't whole or was tampered with never reaches one."""

from __future__ import annotations

import asyncio
import copy
import os
import shutil
import signal
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from integrations.postgres.server_processes import running
from runbook.backups import Manifest, RestoreChecks
from runbook.database_ports import RestoreOrder
from runbook.errors import ForgeError
from runbook.rules.wal import is_segment
from sandbox.postgres import LocalPostgres
from tests.integrations.postgres.physical import Site, ask, asks, fill, picture, picture_of, server_now
from tests.integrations.postgres.servers import end_all, new_scratch, until
from tests.integrations.postgres.test_wal_receiver import KEEP, Receiving


class Story:
    """A base backup, then rows `one`, `two` and `three`, with moments between them; all of it archived."""

    def __init__(self, server: LocalPostgres, folder: Path) -> None:
        self.site = Site(server, folder)
        self.receiving = Receiving(self.site, "forge_shop")
        self.pictures: dict[str, list[object]] = {}
        self.moments: dict[str, datetime] = {}

    async def told(self) -> None:
        async with self.receiving.running() as receiver:
            await until(lambda: receiver.state().receiving, "it runs")
            self.base = await self.site.base()
            for name in ("one", "two", "three"):
                asks(self.site.server, f"INSERT INTO customers (name) VALUES ('{name}')")
                self.pictures[name] = picture(self.site.server, sequences=False)
                self.moments[name] = server_now(self.site.server)
                await written_nothing_else(self.receiving, self.moments[name])

    @property
    def whole(self) -> Path:
        return self.site.folder / "scratch"


async def written_nothing_else(receiving: Receiving, at: datetime) -> None:
    await until(lambda: any(s.ended_at >= at for s in receiving.site.segments), f"archived up to {at}")


@pytest.fixture(scope="module", params=[18, 16, 15])
def any_server(request: pytest.FixtureRequest) -> Iterator[LocalPostgres]:
    with LocalPostgres(major=request.param, segment_mib=1, settings=KEEP) as server:
        fill(server)
        asks(server, "CREATE TABLE orders_seen (n serial)")
        yield server


@pytest.fixture(scope="module")
def original() -> Iterator[Story]:
    """Told once; tests get copies of it."""
    settings = (*KEEP, "max_connections=70", "max_prepared_transactions=5")
    with LocalPostgres(major=16, segment_mib=1, settings=settings) as server, new_scratch() as folder:
        fill(server)
        story = Story(server, folder)
        asyncio.run(story.told())
        yield story


@pytest.fixture
async def story(original: Story, scratch: Path) -> AsyncIterator[Story]:
    shutil.copytree(original.site.folder / "repository", scratch / "repository")
    copied = copy.copy(original)
    copied.site = Site(original.site.server, scratch, original.site.keys, list(original.site.segments))
    yield copied
    await end_all(scratch / "scratch")


async def recovered(story: Story, at: datetime | None, name: str = "drill-1") -> tuple[list[object], datetime | None]:
    order, host = RestoreOrder(name, story.base, at), story.site.restores()
    await host.fetch(order, story.site.told.append)
    instance = await host.provision(order)
    reached = await host.restore(order, instance, story.site.told.append)
    return await picture_of(instance, sequences=False), reached


async def test_a_recovery_stops_between_two_inserts(any_server: LocalPostgres, scratch: Path) -> None:
    story = Story(any_server, scratch)
    await story.told()
    try:
        for name in ("one", "two"):
            found, reached = await recovered(story, story.moments[name], f"drill-{name}")
            assert found == story.pictures[name]
            assert reached is not None
            assert story.base.finished_at <= reached <= story.moments[name]
    finally:
        await end_all(scratch / "scratch")


async def test_the_newest_moment_is_reached_although_nothing_was_written_after_it(story: Story) -> None:
    newest = max(segment.ended_at for segment in story.site.segments)
    found, _ = await recovered(story, newest)
    assert found == story.pictures["three"]


async def test_a_moment_before_the_first_insert_has_none_of_them(story: Story) -> None:
    found, reached = await recovered(story, story.base.finished_at)
    assert ("one",) not in found
    assert reached is not None
    assert reached <= story.base.finished_at


async def test_a_base_backup_alone_is_the_state_at_its_end(story: Story) -> None:
    story.site.segments.clear()
    await recovered(story, None)
    host = story.site.restores()
    instance = await host.provision(RestoreOrder("drill-1", story.base))
    assert await ask(instance, "SELECT count(*) FROM customers") == [(300,)]
    assert await ask(instance, "SELECT pg_is_in_recovery()") == [(False,)]


async def test_the_recovered_server_takes_nothing_of_the_sources_configuration(story: Story) -> None:
    asks(story.site.server, "ALTER SYSTEM SET archive_command = 'touch /tmp/never'")
    asks(story.site.server, "ALTER SYSTEM SET shared_preload_libraries = 'auto_explain'")
    story.base = await story.site.base()
    await recovered(story, None)
    instance = await story.site.restores().provision(RestoreOrder("drill-1", story.base))
    shown = [
        await ask(instance, f"SHOW {name}")
        for name in ("archive_command", "shared_preload_libraries", "listen_addresses")
    ]
    assert shown == [[("(disabled)",)], [("",)], [("",)]]
    assert await ask(instance, "SELECT count(*) FROM pg_replication_slots") == [(0,)]
    facts = await story.site.restores().check(instance, RestoreChecks(tables=("public.orders",)))
    assert (dict(facts.rows), facts.behind, facts.invalid) == ({"public.orders": 3000}, (), ())


async def test_only_forge_comes_in_although_the_source_let_others(story: Story) -> None:
    await recovered(story, None)
    places = story.whole / "restores" / "drill-1"
    assert (places / "data" / "pg_hba.conf").read_text() == "local all all peer map=forge\n"
    assert "password" not in (places / "service.conf").read_text()
    sockets = next((story.whole / "s").iterdir())
    assert sockets.stat().st_mode & 0o077 == 0


async def test_a_missing_segment_is_named_before_anything_starts(story: Story) -> None:
    names = sorted(segment.name for segment in story.site.segments if is_segment(segment.name))
    story.site.segments = [segment for segment in story.site.segments if segment.name != names[-2]]
    host = story.site.restores()
    with pytest.raises(ForgeError) as refused:
        await host.fetch(RestoreOrder("drill-1", story.base, story.moments["three"]), story.site.told.append)
    assert refused.value.code == "backups.gap"
    assert names[-2] in str(refused.value)
    assert await host.standing() == ()


@pytest.mark.parametrize("beyond", [timedelta(days=-1), timedelta(days=1)])
async def test_a_moment_outside_of_the_window_is_refused_with_the_window(story: Story, beyond: timedelta) -> None:
    host = story.site.restores()
    with pytest.raises(ForgeError) as refused:
        await host.fetch(RestoreOrder("drill-1", story.base, datetime.now(UTC) + beyond), story.site.told.append)
    assert refused.value.code == "backups.window"
    assert f"{story.base.finished_at:%H:%M:%S} UTC" in str(refused.value)
    assert await host.standing() == ()


async def test_a_recovery_follows_the_server_over_its_promotion(scratch: Path) -> None:
    """The base backup is of the timeline before; a receiver that was there all along archives the next one's history too."""
    with LocalPostgres(major=16, segment_mib=1, settings=KEEP) as server:
        fill(server)
        story = Story(server, scratch)
        await story.told()
        async with story.receiving.running():
            server.kill(signal.SIGINT)
            (server.home / "data" / "standby.signal").touch()
            server.restart()
            assert asks(server, "SELECT pg_promote()") == [(True,)]
            asks(server, "INSERT INTO customers (name) VALUES ('four')")
            story.pictures["four"], at = picture(server, sequences=False), server_now(server)
            await until(lambda: any(s.ended_at >= at and is_segment(s.name) for s in story.site.segments), "archived")
        assert {s.timeline for s in story.site.segments} == {1, 2}
        try:
            for name, moment in (("two", story.moments["two"]), ("four", at)):
                found, _ = await recovered(story, moment, f"drill-{name}")
                assert found == story.pictures[name]
        finally:
            await end_all(scratch / "scratch")


@pytest.mark.parametrize("spoil", ["flipped", "cut", "another's"])
async def test_a_tampered_segment_never_reaches_a_server(story: Story, spoil: str) -> None:
    whole = sorted((s for s in story.site.segments if is_segment(s.name)), key=lambda segment: segment.name)
    one, two = whole[-2:]
    stored = story.site.stored_file(one.file.key)
    content = bytearray(stored.read_bytes())
    content[len(content) // 2] ^= 1
    other = story.site.stored_file(two.file.key).read_bytes()
    stored.write_bytes({"flipped": bytes(content), "cut": stored.read_bytes()[:-1], "another's": other}[spoil])
    order, host = RestoreOrder("drill-1", story.base, story.moments["three"]), story.site.restores()
    with pytest.raises(ForgeError) as refused:
        await host.fetch(order, story.site.told.append)
    assert refused.value.code == "backups.tampered"
    assert not (story.whole / "restores" / "drill-1" / "wal" / one.name).exists()
    instance = await host.provision(order)
    with pytest.raises(ForgeError, match="was not fetched whole"):
        await host.restore(order, instance, story.site.told.append)
    assert not (story.whole / "restores" / "drill-1" / "data").exists()


async def test_a_tampered_base_backup_never_reaches_a_server(story: Story) -> None:
    stored = story.site.stored_file(story.base.files[0].key)
    content = bytearray(stored.read_bytes())
    content[-5] ^= 1
    stored.write_bytes(bytes(content))
    with pytest.raises(ForgeError) as refused:
        await story.site.restores().fetch(RestoreOrder("drill-1", story.base), story.site.told.append)
    assert refused.value.code == "backups.tampered"


async def test_a_server_that_is_killed_while_it_recovers_is_told_and_a_repeat_works(story: Story) -> None:
    order, host = RestoreOrder("drill-1", story.base, story.moments["two"]), story.site.restores()
    await host.fetch(order, story.site.told.append)
    instance = await host.provision(order)
    places = host._instances.places("drill-1")
    restoring = asyncio.create_task(host.restore(order, instance, story.site.told.append))
    await until(lambda: running(places.data) is not None, "the server recovers")
    pid = running(places.data)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(ForgeError, match="ended by itself"):
        await restoring
    await host.restore(order, instance, story.site.told.append)
    assert await picture_of(instance, sequences=False) == story.pictures["two"]


async def test_a_recovery_that_is_cancelled_leaves_no_server_and_can_be_repeated(story: Story) -> None:
    order, host = RestoreOrder("drill-1", story.base, story.moments["two"]), story.site.restores()
    await host.fetch(order, story.site.told.append)
    instance = await host.provision(order)
    places = host._instances.places("drill-1")
    restoring = asyncio.create_task(host.restore(order, instance, story.site.told.append))
    await until(lambda: (places.data / "postmaster.pid").exists(), "the server begins")
    restoring.cancel()
    await asyncio.wait({restoring})
    await host.restore(order, instance, story.site.told.append)
    assert await picture_of(instance, sequences=False) == story.pictures["two"]
    later = story.site.restores()
    assert await later.standing() == ("drill-1",)
    await later.drop("drill-1")
    assert await later.standing() == ()
    assert running(places.data) is None


async def test_a_recovery_that_lacks_wal_is_refused_and_not_ended_early(story: Story) -> None:
    order, host = RestoreOrder("drill-1", story.base, story.moments["three"]), story.site.restores()
    await host.fetch(order, story.site.told.append)
    instance = await host.provision(order)
    other = replace(order, until=story.moments["two"])
    with pytest.raises(ForgeError, match="was not fetched whole"):
        await host.restore(other, instance, story.site.told.append)


async def test_a_base_backup_says_what_it_needs_and_leaves_nothing_in_scratch(original: Story) -> None:
    base: Manifest = original.base
    assert (base.settings["max_connections"], base.settings["max_prepared_transactions"]) == ("70", "5")
    assert base.settings["superuser"] == "forge"
    assert base.entries > 500
    assert base.timeline == 1
    assert [path.name for path in original.whole.iterdir() if path.name.startswith("base-")] == []
    assert {told.phase for told in original.site.told} >= {"storing"}
    assert all(told.done <= told.of for told in original.site.told)
