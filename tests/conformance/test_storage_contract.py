"""What forge relies on in the object storage of its backups. Everything is written below a folder of the test's own, and removed."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from integrations.backups import Repository
from integrations.backups.address import RepositoryAddress
from integrations.backups.objects import PART_BYTES, Objects
from runbook.errors import ForgeError, Permanent
from runbook.values import Environment
from tests.conformance.addresses import Addresses
from tests.conformance.databases import repository_in

pytestmark = pytest.mark.conformance
MEBIBYTE = 1024 * 1024


def options_of(addresses: Addresses) -> dict[str, str]:
    """obstore's; what is left out comes from the surroundings, as AWS' own tools take it."""
    names = ("endpoint", "region", "access_key_id", "secret_access_key")
    named = {name: addresses.get(f"CONFORMANCE_STORAGE_{name.upper()}", "") for name in names}
    return {name: value for name, value in named.items() if value}


@pytest.fixture
def where(addresses: Addresses) -> str:
    return f"{addresses['CONFORMANCE_STORAGE'].rstrip('/')}/forge-conformance-{secrets.token_hex(4)}"


@pytest.fixture
async def storage(addresses: Addresses, where: str, tmp_path: Path) -> AsyncIterator[Objects]:
    made = Objects(RepositoryAddress(where, (), tmp_path / "scratch", None, options_of(addresses)).checked())
    yield made
    for prefix in ("shop", "probe"):
        await made.clear(prefix)


@pytest.fixture
def repository(addresses: Addresses, where: str, storage: Objects, tmp_path: Path) -> Repository:
    return repository_in(tmp_path, where, options_of(addresses))


async def in_pieces(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), MEBIBYTE):
        yield content[start : start + MEBIBYTE]


async def read(storage: Objects, key: str) -> bytes:
    content = await storage.read(key, 64 * MEBIBYTE)
    assert content is not None
    return content


async def test_the_destination_is_writable_and_the_way_there_encrypted(repository: Repository) -> None:
    found = await repository.destination()
    assert (found.problem, found.writable, found.encrypted, found.in_transit) == ("", True, True, True)


async def test_a_large_object_comes_back_byte_for_byte_by_ranges(storage: Objects) -> None:
    content = secrets.token_bytes(3 * PART_BYTES + 12_345)
    await storage.upload("shop/large", in_pieces(content), len(content))
    assert await storage.size("shop/large") == len(content)
    assert await read(storage, "shop/large") == content


@pytest.mark.parametrize("size", [0, 1, PART_BYTES])
async def test_small_and_empty_objects_come_back_too(storage: Objects, size: int) -> None:
    content = secrets.token_bytes(size)
    await storage.upload("shop/small", in_pieces(content))
    assert (await storage.size("shop/small"), await read(storage, "shop/small")) == (size, content)


async def test_an_object_is_created_once_and_never_overwritten(storage: Objects) -> None:
    """On this rests that no manifest is ever exchanged: S3 calls it a conditional write (`If-None-Match: *`)."""
    assert await storage.create("shop/once", b"first")
    assert not await storage.create("shop/once", b"second")
    assert await read(storage, "shop/once") == b"first"


async def test_of_many_at_once_one_alone_creates(storage: Objects) -> None:
    made = await asyncio.gather(*(storage.create("shop/race", bytes([n]) * 9) for n in range(8)))
    assert sum(made) == 1
    assert await read(storage, "shop/race") == bytes([made.index(True)]) * 9


async def test_what_was_written_is_listed_at_once_with_its_size_and_moment(storage: Objects) -> None:
    for name in ("shop/a/1", "shop/a/2", "shop/ab/3"):
        await storage.create(name, name.encode())
    listed = await storage.listed("shop/a")
    assert [(key, size) for key, size, _ in listed] == [("shop/a/1", 8), ("shop/a/2", 8)]
    assert all(abs((datetime.now(UTC) - at).total_seconds()) < 300 for _, _, at in listed)
    assert await storage.folders("shop") == ("shop/a", "shop/ab")


async def test_more_than_a_page_is_listed_whole(storage: Objects) -> None:
    """S3 gives a thousand at once."""
    names = [f"shop/many/{n:04}" for n in range(1_005)]
    for start in range(0, len(names), 50):
        await asyncio.gather(*(storage.create(name, b"x") for name in names[start : start + 50]))
    assert await storage.keys("shop/many") == tuple(names)


async def test_what_was_removed_is_gone_at_once_and_may_be_removed_again(storage: Objects) -> None:
    await storage.create("shop/gone", b"x")
    for _ in range(2):
        await storage.remove(("shop/gone",))
        assert await storage.size("shop/gone") is None
        assert await storage.keys("shop") == ()


async def test_an_upload_that_breaks_off_shows_nothing(storage: Objects) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield secrets.token_bytes(2 * PART_BYTES)
        raise Permanent("conformance", "source", "the source broke off")

    with pytest.raises(ForgeError):
        await storage.upload("shop/broken", broken(), 4 * PART_BYTES)
    assert await storage.size("shop/broken") is None
    assert await storage.keys("shop") == ()


async def test_a_file_is_encrypted_stored_listed_and_fetched_again(repository: Repository, tmp_path: Path) -> None:
    content = secrets.token_bytes(2 * PART_BYTES)
    file = await repository.store("shop/staging/wal/7345", "0" * 24, in_pieces(content))
    (listed,) = await repository.wal_files("shop", Environment.STAGING)
    assert (listed.system_identifier, listed.key, listed.bytes) == ("7345", file.key, file.cipher.bytes)
    await repository.fetch("shop/staging/wal/7345", file, tmp_path / "fetched")
    assert (tmp_path / "fetched").read_bytes() == content


async def test_a_bucket_that_isnt_there_needs_a_person(addresses: Addresses, tmp_path: Path) -> None:
    scheme, _, rest = addresses["CONFORMANCE_STORAGE"].partition("://")
    other = f"{scheme}://forge-conformance-{secrets.token_hex(8)}/{rest.partition('/')[2]}"
    lost = Objects(RepositoryAddress(other, (), tmp_path, None, options_of(addresses)).checked())
    with pytest.raises(Permanent):
        await lost.create("shop/nowhere", b"x")
