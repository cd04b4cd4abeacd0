"""Segments of a server with little to do take a fraction of their 16 MB, and recover it all the same, beside older ones that are not compressed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from integrations.backups import backup_place, is_compressed, wal_place
from runbook.backups import StoredFile
from runbook.database_ports import RestoreOrder
from runbook.rules.wal import is_segment
from sandbox.postgres import LocalPostgres
from tests.integrations.backups.repositories import in_pieces
from tests.integrations.postgres.physical import Site, fill, picture_of
from tests.integrations.postgres.servers import end_all, new_scratch
from tests.integrations.postgres.test_restoring_moments import Story, recovered
from tests.integrations.postgres.test_wal_receiver import KEEP

SEGMENT = 16 * 1024 * 1024


@pytest.fixture(scope="module")
def told() -> Iterator[Story]:
    """A server with segments of the usual size."""
    with LocalPostgres(major=18, settings=KEEP) as server, new_scratch() as folder:
        fill(server)
        story = Story(server, folder)
        asyncio.run(story.told())
        yield story


@pytest.fixture
async def story(told: Story) -> AsyncIterator[Story]:
    kept = list(told.site.segments)
    yield told
    told.site.segments = kept
    await end_all(told.whole)


async def test_a_segment_of_a_quiet_server_takes_well_under_a_megabyte(story: Story) -> None:
    segments = [segment for segment in story.site.segments if is_segment(segment.name)]
    assert len(segments) >= 3
    assert {segment.file.plain.bytes for segment in segments} == {SEGMENT}
    assert max(sorted(segment.file.cipher.bytes for segment in segments)[:-1]) < 1_000_000
    assert all(is_compressed(segment.file) for segment in story.site.segments)


async def test_a_base_backup_takes_less_than_half_of_its_files(story: Story) -> None:
    (file,) = story.base.files
    assert is_compressed(file)
    assert file.cipher.bytes < file.plain.bytes / 2


async def test_a_moment_is_recovered_from_compressed_wal(story: Story) -> None:
    found, _ = await recovered(story, story.moments["two"])
    assert found == story.pictures["two"]


async def test_what_was_archived_before_there_was_compression_is_recovered_with_what_came_after(story: Story) -> None:
    site, base = story.site, story.base
    older = replace(base, files=(await stored_as_before(site, backup_place(base.id), base.files[0], "base.tar"),))
    place = wal_place("shop", "prod", base.system_identifier)
    for segment in story.site.segments[: len(site.segments) // 2 + 1]:
        site.archived(replace(segment, file=await stored_as_before(site, place, segment.file, segment.name)))
    assert {is_compressed(segment.file) for segment in site.segments} == {True, False}
    order, host = RestoreOrder("drill-1", older, story.moments["two"]), site.restores()
    await host.fetch(order, site.told.append)
    instance = await host.provision(order)
    await host.restore(order, instance, site.told.append)
    assert await picture_of(instance, sequences=False) == story.pictures["two"]


async def stored_as_before(site: Site, place: str, file: StoredFile, name: str) -> StoredFile:
    """The same bytes as a forge without compression stored them."""
    plain: Path = site.folder / f"plain-{name}"
    await site.repository.fetch(place, file, plain)
    stored = await site.repository.store(place, name, in_pieces(plain.read_bytes(), 1 << 20))
    assert stored.plain == file.plain
    return stored
