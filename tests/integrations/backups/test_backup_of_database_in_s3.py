"""From a real PostgreSQL into object storage and back."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from integrations.backups import backup_place
from runbook.backups import manifest_of
from sandbox.postgres import LocalPostgres
from tests.integrations.backups.conftest import Bucket
from tests.integrations.backups.repositories import ORDER, Keys, new_repository
from tests.integrations.postgres.servers import until
from tests.integrations.postgres.subjects import children, connection_to, contents, fill, subject


@pytest.fixture(scope="module")
def server() -> Iterator[LocalPostgres]:
    with LocalPostgres() as started:
        fill(started, bulk=200_000)
        yield started


async def test_a_dump_goes_into_s3_and_comes_back_equal(
    server: LocalPostgres, bucket: Bucket, keys: Keys, tmp_path: Path
) -> None:
    repository = new_repository(tmp_path, keys, f"s3://{bucket.name}/forge", bucket.options)
    shop = subject(connection_to(server), repository, tmp_path)
    made = await shop.database.dump(ORDER, shop.told.append)
    assert await repository.confirm(ORDER, made)
    await repository.publish(manifest_of(ORDER, "shop", made))
    manifest = await repository.manifest(ORDER.id)
    assert manifest is not None
    await repository.fetch(backup_place(ORDER.id), manifest.files[0], tmp_path / "dump")
    server.create_database("again", "template0")
    command = [server.binaries / "pg_restore", "--exit-on-error", f"--dbname={server.url('again')}", tmp_path / "dump"]
    await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True)
    assert contents(server.url("again")) == contents(server.url("shop"))


async def test_a_cancelled_dump_leaves_no_piece_in_s3(
    server: LocalPostgres, bucket: Bucket, keys: Keys, tmp_path: Path
) -> None:
    repository = new_repository(tmp_path, keys, f"s3://{bucket.name}/forge", bucket.options)
    shop = subject(connection_to(server), repository, tmp_path)
    dumping = asyncio.create_task(shop.database.dump(ORDER, shop.told.append))
    await until(lambda: dumping.done() or bool(children("pg_dump")), "pg_dump was started")
    dumping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await dumping
    assert children("pg_dump") == []
    assert await repository.files("shop") == ()
    assert bucket.unfinished_uploads() == 0
