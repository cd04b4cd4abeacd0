"""Storing, fetching and publishing, in a folder and in S3."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pyrage  # type: ignore[import-untyped]
import pytest

from integrations.backups import Repository, RepositoryAddress, backup_place
from runbook.errors import Conflict, Permanent
from tests.integrations.backups.conftest import Bucket
from tests.integrations.backups.repositories import (
    ORDER,
    Keys,
    assert_nothing_left,
    everything_in,
    in_pieces,
    new_keys,
    new_repository,
    order_named,
    random_bytes,
    stored_backup,
)

PLACE = backup_place(ORDER.id)
SEVERAL_PARTS = 14 * 1024 * 1024 + 11


@pytest.mark.parametrize("count", [0, 1, 65_536, SEVERAL_PARTS])
async def test_what_was_stored_comes_back_equal(repository: Repository, tmp_path: Path, count: int) -> None:
    content = random_bytes(count)
    file = await repository.store(PLACE, "dump", in_pieces(content))
    await repository.fetch(PLACE, file, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == content
    assert (tmp_path / "back").stat().st_mode & 0o777 == 0o600
    assert file.plain.bytes == count
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


async def test_nothing_is_stored_in_the_clear(local: Repository, tmp_path: Path) -> None:
    content = b"a customer's address " * 10_000
    await local.store(PLACE, "dump", in_pieces(content))
    for name in everything_in(tmp_path / "repository"):
        assert b"customer" not in (tmp_path / "repository" / name).read_bytes()


async def test_the_plain_age_format_is_stored(local: Repository, keys: Keys, tmp_path: Path) -> None:
    file = await local.store(PLACE, "dump", in_pieces(b"by hand"))
    assert pyrage.decrypt((tmp_path / "repository" / PLACE / file.key).read_bytes(), [keys.identity]) == b"by hand"


async def test_two_files_of_one_name_never_share_a_key(repository: Repository, tmp_path: Path) -> None:
    one = await repository.store(PLACE, "wal", in_pieces(b"one"))
    two = await repository.store(PLACE, "wal", in_pieces(b"two"))
    assert one.key != two.key
    await repository.fetch(PLACE, one, tmp_path / "one")
    assert (tmp_path / "one").read_bytes() == b"one"


async def test_the_caller_hears_how_much_is_stored(repository: Repository) -> None:
    heard: list[tuple[int, int]] = []
    file = await repository.store(
        PLACE, "dump", in_pieces(random_bytes(3_000_000)), stored=lambda plain, cipher: heard.append((plain, cipher))
    )
    assert heard == sorted(heard)
    assert heard[-1] == (file.plain.bytes, file.cipher.bytes)


async def test_what_fails_half_way_leaves_nothing(repository: Repository, tmp_path: Path) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield random_bytes(SEVERAL_PARTS)
        raise ConnectionError("half-way")

    with pytest.raises(ConnectionError, match="half-way"):
        await repository.store(PLACE, "dump", broken())
    await assert_nothing_left(repository, tmp_path)


async def test_a_cancelled_upload_leaves_nothing(repository: Repository, tmp_path: Path) -> None:
    reached, ended = asyncio.Event(), asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        try:
            yield random_bytes(SEVERAL_PARTS)
            reached.set()
            await asyncio.Event().wait()
        finally:
            ended.set()

    storing = asyncio.create_task(repository.store(PLACE, "dump", endless()))
    await asyncio.wait_for(reached.wait(), 30)
    storing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await storing
    assert ended.is_set()
    await assert_nothing_left(repository, tmp_path)


async def test_a_cancelled_upload_leaves_no_hidden_pieces_in_s3(bucket: Bucket, tmp_path: Path, keys: Keys) -> None:
    repository = new_repository(tmp_path, keys, f"s3://{bucket.name}/forge", bucket.options)
    await test_a_cancelled_upload_leaves_nothing(repository, tmp_path)
    assert bucket.unfinished_uploads() == 0


async def test_a_cancelled_fetch_leaves_nothing(local: Repository, tmp_path: Path) -> None:
    file = await local.store(PLACE, "dump", in_pieces(random_bytes(SEVERAL_PARTS)))
    into = tmp_path / "fetched" / "dump"
    into.parent.mkdir()
    fetching = asyncio.create_task(local.fetch(PLACE, file, into))
    async with asyncio.timeout(60):
        while not list(into.parent.iterdir()) and not fetching.done():  # noqa: ASYNC110 - it is a file
            await asyncio.sleep(0)
    fetching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await fetching
    assert list(into.parent.iterdir()) == []


async def test_stored_bytes_are_confirmed(repository: Repository) -> None:
    made, _ = await stored_backup(repository, random_bytes(SEVERAL_PARTS))
    assert await repository.confirm(ORDER, made)
    assert not await repository.confirm(ORDER, replace(made, files=()))


async def test_a_missing_file_is_not_confirmed(repository: Repository) -> None:
    made, _ = await stored_backup(repository, b"x")
    await repository.discard(PLACE, [made.files[0].key])
    assert not await repository.confirm(ORDER, made)


async def test_a_published_manifest_comes_back_and_is_listed(repository: Repository) -> None:
    _, manifest = await stored_backup(repository, b"x")
    assert await repository.manifest(ORDER.id) is None
    assert await repository.published() == ()
    await repository.publish(manifest)
    assert await repository.manifest(ORDER.id) == manifest
    assert await repository.published() == (ORDER.id,)


async def test_publishing_again_is_fine_and_publishing_another_is_a_conflict(repository: Repository) -> None:
    _, manifest = await stored_backup(repository, b"x")
    await repository.publish(manifest)
    await repository.publish(manifest)
    with pytest.raises(Conflict):
        await repository.publish(replace(manifest, operator="U2"))
    assert await repository.manifest(ORDER.id) == manifest


async def test_of_two_that_publish_at_once_one_wins(repository: Repository) -> None:
    _, manifest = await stored_backup(repository, b"x")
    others = [replace(manifest, operator=f"U{number}") for number in range(6)]
    answers = await asyncio.gather(*(repository.publish(other) for other in others), return_exceptions=True)
    assert sum(answer is None for answer in answers) == 1
    assert sum(isinstance(answer, Conflict) for answer in answers) == 5
    assert await repository.manifest(ORDER.id) == others[answers.index(None)]


async def test_a_name_that_is_of_another_service_is_not_published(local: Repository) -> None:
    _, manifest = await stored_backup(local, b"x")
    with pytest.raises(Permanent) as raised:
        await local.publish(replace(manifest, service="other"))
    assert raised.value.code == "backups.id"


async def test_removing_takes_everything_and_may_be_repeated(repository: Repository) -> None:
    _, manifest = await stored_backup(repository, b"x")
    other = order_named("beef", environment="dev")
    _, kept = await stored_backup(repository, b"y", other)
    for each in (manifest, kept):
        await repository.publish(each)
    await repository.remove(ORDER.id)
    await repository.remove(ORDER.id)
    assert await repository.published() == (other.id,)
    assert await repository.manifest(other.id) == kept
    assert await repository.manifest(ORDER.id) is None


async def test_files_without_a_manifest_are_no_backup(repository: Repository) -> None:
    await repository.store(PLACE, "dump", in_pieces(b"x"))
    await repository.store("shop/prod/wal/7345", "000000010000000000000001", in_pieces(b"x"))
    assert await repository.published() == ()


async def test_many_files_are_removed_and_those_that_are_gone_already_are_fine(repository: Repository) -> None:
    files = [await repository.store(PLACE, f"segment{number}", in_pieces(b"x")) for number in range(20)]
    await repository.discard(PLACE, [files[0].key])
    await repository.discard(PLACE, [file.key for file in files[:19]])
    assert await repository.files(PLACE) == (files[19].key,)


async def test_what_a_crash_left_in_a_folder_is_removed_too(local: Repository, tmp_path: Path) -> None:
    await stored_backup(local, b"x")
    (tmp_path / "repository" / PLACE / "dump-00000000.age#1").write_bytes(b"unfinished")
    await local.discard(PLACE)
    assert everything_in(tmp_path / "repository") == []


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "shop-prod", "", "shop-prod-20260302T020000Z-1f3a/..", "shop-qa-20260302T020000Z-1f3a"]
)
async def test_a_name_that_is_no_backups_is_refused(local: Repository, name: str) -> None:
    with pytest.raises(Permanent) as raised:
        await local.manifest(name)
    assert raised.value.code == "backups.id"


@pytest.mark.parametrize("place", ["../outside", "/etc", "a/../b", "a//b", ".hidden"])
async def test_nothing_is_stored_outside_of_the_repository(local: Repository, place: str) -> None:
    with pytest.raises(Permanent) as raised:
        await local.store(place, "x", in_pieces(b"x"))
    assert raised.value.code == "backups.key_name"


def test_a_services_name_may_hold_an_environments() -> None:
    assert backup_place("shop-prod-dev-20260302T020000Z-1f3a").startswith("shop-prod/dev/")


async def test_the_secret_of_the_storage_is_in_no_representation(bucket: Bucket, keys: Keys, tmp_path: Path) -> None:
    repository = new_repository(tmp_path, keys, f"s3://{bucket.name}", bucket.options)
    address = RepositoryAddress("/x", (keys.recipient,), tmp_path, options=bucket.options)
    assert bucket.options["secret_access_key"] not in repr(address) + repr(repository) + repr(vars(repository))


async def test_without_an_identity_nothing_is_decrypted(local: Repository, tmp_path: Path, keys: Keys) -> None:
    file = await local.store(PLACE, "dump", in_pieces(b"x"))
    keys.identity_file.unlink()
    with pytest.raises(Permanent) as raised:
        await local.fetch(PLACE, file, tmp_path / "back")
    assert raised.value.code == "backups.key"


async def test_an_identity_file_that_is_none_is_never_quoted(local: Repository, tmp_path: Path, keys: Keys) -> None:
    file = await local.store(PLACE, "dump", in_pieces(b"x"))
    keys.identity_file.write_text("AGE-SECRET-KEY-1NOTQUITE")
    with pytest.raises(Permanent) as raised:
        await local.fetch(PLACE, file, tmp_path / "back")
    assert "NOTQUITE" not in str(raised.value)


async def test_any_recipient_can_decrypt(tmp_path: Path, keys: Keys) -> None:
    second = new_keys(tmp_path / "second")
    address = RepositoryAddress(
        str(tmp_path / "repository"), (keys.recipient, second.recipient), tmp_path, second.identity_file
    )
    repository = Repository(address, keys.signer)
    file = await repository.store(PLACE, "dump", in_pieces(b"for both"))
    await repository.fetch(PLACE, file, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == b"for both"
