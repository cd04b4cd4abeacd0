"""The destination as it answers; what happens when it is full, or goes away half-way; how much memory a stream takes."""

from __future__ import annotations

import asyncio
import resource
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from integrations.backups import Repository, RepositoryAddress, backup_place
from integrations.backups.objects import MOST_PARTS, PART_BYTES, part_bytes
from runbook.errors import ForgeError, Permanent, Temporary
from tests.integrations.backups.conftest import Bucket
from tests.integrations.backups.repositories import (
    ORDER,
    Keys,
    assert_nothing_left,
    everything_in,
    in_pieces,
    new_repository,
    random_bytes,
)

PLACE = backup_place(ORDER.id)
MEBIBYTE = 1024 * 1024


async def test_a_destination_is_written_read_and_left_as_it_was(repository: Repository, tmp_path: Path) -> None:
    answer = await repository.destination()
    assert (answer.writable, answer.encrypted, answer.in_transit, answer.problem) == (True, True, True, "")
    assert await repository.files("probe") == ()
    await assert_nothing_left(repository, tmp_path)


async def test_free_space_is_known_of_a_folder_and_unknown_of_object_storage(
    local: Repository, bucket: Bucket, keys: Keys, tmp_path: Path
) -> None:
    free = (await local.destination()).free_bytes
    assert free is not None
    assert free > 0
    remote = new_repository(tmp_path, keys, f"s3://{bucket.name}", bucket.options)
    assert (await remote.destination()).free_bytes is None


async def test_a_folder_that_others_may_read_is_closed(local: Repository, tmp_path: Path) -> None:
    folder = tmp_path / "repository"
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)
    await local.destination()
    assert folder.stat().st_mode & 0o777 == 0o700


async def test_a_folder_in_the_way_of_a_file_is_a_problem(tmp_path: Path, keys: Keys) -> None:
    (tmp_path / "repository").write_text("not a folder")
    answer = await new_repository(tmp_path, keys).destination()
    assert not answer.writable
    assert answer.problem


@pytest.mark.parametrize("recipients", [(), ("age1nonsense",), ("AGE-SECRET-KEY-1",), ("ssh-ed25519 AAAA",)])
async def test_without_good_recipients_nothing_is_encrypted_and_nothing_stored(
    recipients: tuple[str, ...], tmp_path: Path, keys: Keys
) -> None:
    repository = Repository(RepositoryAddress(str(tmp_path / "repository"), recipients, tmp_path), keys.signer)
    answer = await repository.destination()
    assert not answer.encrypted
    assert answer.problem
    with pytest.raises(Permanent) as raised:
        await repository.store(PLACE, "dump", in_pieces(b"x"))
    assert raised.value.code == "backups.recipients"
    assert "AGE-SECRET-KEY" not in str(raised.value)
    assert everything_in(tmp_path / "repository") == []


async def test_a_bucket_that_is_not_there_is_a_problem(bucket: Bucket, keys: Keys, tmp_path: Path) -> None:
    answer = await new_repository(tmp_path, keys, "s3://nobodys-bucket/x", bucket.options).destination()
    assert not answer.writable
    assert "bucket" in answer.problem


async def test_storage_that_nobody_answers_for_is_a_problem(keys: Keys, tmp_path: Path, bucket: Bucket) -> None:
    options = {**bucket.options, "endpoint": "http://127.0.0.1:1"}
    answer = await new_repository(tmp_path, keys, f"s3://{bucket.name}", options).destination()
    assert not answer.writable
    assert "connection refused" in answer.problem
    assert options["secret_access_key"] not in answer.problem


@pytest.mark.parametrize("endpoint", ["http://s3.example", "HTTP://10.0.0.8:9000", "http://localhost.example"])
def test_an_endpoint_without_tls_is_refused(endpoint: str, keys: Keys, tmp_path: Path) -> None:
    with pytest.raises(Permanent) as raised:
        new_repository(tmp_path, keys, "s3://bucket", {"endpoint": endpoint})
    assert raised.value.code == "backups.insecure"


async def test_an_endpoint_without_tls_in_the_environment_is_refused(
    bucket: Bucket, keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """obstore reads the provider's variables too."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", bucket.endpoint)
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    options = {name: value for name, value in bucket.options.items() if name != "endpoint"}
    answer = await new_repository(tmp_path, keys, f"s3://{bucket.name}", options).destination()
    assert not answer.writable


@pytest.mark.parametrize(
    "destination", ["relative/folder", "ftp://example/x", "http://example/x", "", "file:///tmp/x", "memory:///"]
)
def test_a_destination_of_another_kind_is_refused(destination: str, keys: Keys, tmp_path: Path) -> None:
    with pytest.raises(Permanent) as raised:
        RepositoryAddress(destination, (keys.recipient,), tmp_path).checked()
    assert raised.value.code == "backups.settings"


async def test_a_setting_that_the_storage_does_not_know_is_told(bucket: Bucket, keys: Keys, tmp_path: Path) -> None:
    answer = await new_repository(tmp_path, keys, f"s3://{bucket.name}", {**bucket.options, "bogus": "1"}).destination()
    assert not answer.writable
    assert "unknown" in answer.problem


@pytest.mark.parametrize("destination", ["gs://bucket/forge", "az://account/container/forge"])
async def test_other_providers_are_opened_by_the_same_code(destination: str, keys: Keys, tmp_path: Path) -> None:
    address = RepositoryAddress(destination, (keys.recipient,), tmp_path, options=_skipping(destination))
    assert address.checked().in_transit
    assert Repository(address, keys.signer).recipients == (keys.recipient,)


def _skipping(destination: str) -> dict[str, str]:
    return (
        {"skip_signature": "true"} if destination.startswith("gs") else {"account_name": "a", "skip_signature": "true"}
    )


@pytest.fixture
def small_disk() -> Iterator[Callable[[int], None]]:
    """No file of this process may become larger: as a full disk, it is noticed in the middle of writing."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit(count: int) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (count, before[1]))

    yield limit
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_a_full_disk_is_told_and_nothing_is_left(
    local: Repository, tmp_path: Path, small_disk: Callable[[int], None]
) -> None:
    small_disk(8 * MEBIBYTE)
    with pytest.raises(Temporary) as raised:
        await local.store(PLACE, "dump", in_pieces(random_bytes(20 * MEBIBYTE)))
    assert raised.value.code == "backups.full"
    assert raised.value.remedy
    await assert_nothing_left(local, tmp_path)


async def test_full_scratch_space_leaves_nothing(
    local: Repository, tmp_path: Path, small_disk: Callable[[int], None]
) -> None:
    file = await local.store(PLACE, "dump", in_pieces(random_bytes(9 * MEBIBYTE)))
    into = tmp_path / "fetched" / "dump"
    into.parent.mkdir()
    small_disk(8 * MEBIBYTE)
    with pytest.raises(Temporary) as raised:
        await local.fetch(PLACE, file, into)
    assert raised.value.code == "backups.scratch"
    assert list(into.parent.iterdir()) == []


async def test_scratch_space_that_ends_while_decrypting_leaves_nothing(
    local: Repository, tmp_path: Path, small_disk: Callable[[int], None]
) -> None:
    """The encrypted file just fits, the plain one is refused: a folder in its way stands for it."""
    file = await local.store(PLACE, "dump", in_pieces(random_bytes(MEBIBYTE)))
    into = tmp_path / "fetched" / "dump"
    into.mkdir(parents=True)
    (into / "occupied").write_text("x")
    with pytest.raises(Temporary) as raised:
        await local.fetch(PLACE, file, into)
    assert raised.value.code == "backups.scratch"
    assert [path.name for path in into.parent.iterdir()] == ["dump"]


async def test_storage_that_goes_away_half_way_is_told(
    own_s3: Callable[[], Bucket], keys: Keys, tmp_path: Path
) -> None:
    bucket = own_s3()
    repository = new_repository(tmp_path, keys, f"s3://{bucket.name}", bucket.options)

    async def chunks() -> AsyncIterator[bytes]:
        yield random_bytes(7 * MEBIBYTE)
        await asyncio.to_thread(bucket.server.stop)
        for _ in range(40):
            yield random_bytes(MEBIBYTE)

    with pytest.raises(ForgeError) as raised:
        await repository.store(PLACE, "dump", chunks())
    assert raised.value.code == "backups.storage"


async def test_a_folder_that_goes_away_half_way_is_told(local: Repository, tmp_path: Path) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield random_bytes(14 * MEBIBYTE)
        async with asyncio.timeout(60):
            while not everything_in(tmp_path / "repository"):  # noqa: ASYNC110 - it is a folder
                await asyncio.sleep(0.01)
        (tmp_path / "repository").rename(tmp_path / "elsewhere")
        yield random_bytes(14 * MEBIBYTE)

    with pytest.raises(ForgeError) as raised:
        await local.store(PLACE, "dump", chunks())
    assert raised.value.code == "backups.missing"
    assert not (tmp_path / "repository").exists()


def test_parts_grow_so_that_everything_fits_into_ten_thousand() -> None:
    assert part_bytes(0) == PART_BYTES
    assert part_bytes(PART_BYTES * MOST_PARTS) == PART_BYTES
    terabyte = 1024**4
    assert terabyte / part_bytes(terabyte) <= MOST_PARTS


MEASURED = """
import asyncio, pathlib, resource, sys
from tests.integrations.backups.repositories import *
async def main(folder):
    repository = new_repository(folder, new_keys(folder / "keys"))
    piece = random_bytes(256 * 1024)
    async def chunks(count):
        for _ in range(count):
            yield piece
    async def once(count):
        file = await repository.store("shop/prod/x", "dump", chunks(count))
        await repository.fetch("shop/prod/x", file, folder / "back")
    await repository.destination()
    peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    idle = peak()
    await once(1200)
    print(peak() - idle)
asyncio.run(main(pathlib.Path(sys.argv[1])))
"""


def test_memory_stays_below_64_mb_for_300_mb(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", MEASURED, tmp_path], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 64
