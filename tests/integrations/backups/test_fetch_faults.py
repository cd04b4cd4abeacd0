"""A storage or a disk that fails while something is fetched: asked again where that helps, told where it doesn't, and nothing is left behind."""

from __future__ import annotations

import asyncio
import hashlib
import re
import resource
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from integrations.backups import Repository, backup_place
from integrations.backups.objects import PART_BYTES
from runbook.backups import Digest, StoredFile
from runbook.errors import ForgeError, Permanent, Temporary
from tests.integrations.backups.repositories import (
    ORDER,
    Keys,
    everything_in,
    in_pieces,
    new_repository,
    random_bytes,
)

PLACE = backup_place(ORDER.id)
MEBIBYTE = 1024 * 1024
CONTENT = random_bytes(3 * PART_BYTES)
CUT = 0

Answers = Callable[[int, int], int]
"""(which range, how often it was asked for, from 1) -> the status; `CUT`: half of the answer, then nothing."""


class Storage(ThreadingHTTPServer):
    """S3 as far as a download needs it: one object, served in ranges."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.content = b""
        self.answers: Answers = lambda part, tries: 206
        self.asked: Counter[int] = Counter()

    @property
    def options(self) -> dict[str, str]:
        keys = {"access_key_id": "AKIATESTTESTTEST0000", "secret_access_key": "not-for-anybody"}
        return {"endpoint": f"http://127.0.0.1:{self.server_port}", "region": "us-east-1", **keys}


class _Handler(BaseHTTPRequestHandler):
    server: Storage
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._head(200, len(self.server.content))

    def do_GET(self) -> None:
        match = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers["Range"])
        assert match is not None
        start, end = int(match[1]), int(match[2]) + 1
        part = start // PART_BYTES
        self.server.asked[part] += 1
        status = self.server.answers(part, self.server.asked[part])
        body = self.server.content[start:end]
        if status not in (206, CUT):
            self._head(status, 0)
            return
        self._head(206, len(body), f"bytes {start}-{start + len(body) - 1}/{len(self.server.content)}")
        self.wfile.write(body[: len(body) // 2] if status == CUT else body)
        if status == CUT:
            self.close_connection = True

    def _head(self, status: int, length: int, content_range: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        self.send_header("ETag", '"one"')
        self.send_header("Last-Modified", "Mon, 02 Mar 2026 02:00:00 GMT")
        if content_range:
            self.send_header("Content-Range", content_range)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def storage() -> Iterator[Storage]:
    server = Storage()
    thread = Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
async def stored(storage: Storage, local: Repository, tmp_path: Path) -> StoredFile:
    """In the storage: what a folder has."""
    file = await local.store(PLACE, "dump", in_pieces(CONTENT))
    storage.content = (tmp_path / "repository" / PLACE / file.key).read_bytes()
    return file


@pytest.fixture
def remote(storage: Storage, keys: Keys, tmp_path: Path) -> Repository:
    return new_repository(tmp_path, keys, "s3://bucket/forge", storage.options)


@pytest.fixture
def into(tmp_path: Path) -> Path:
    path = tmp_path / "fetched" / "dump"
    path.parent.mkdir()
    return path


@pytest.mark.parametrize("status", [429, 500, 503, CUT])
async def test_a_storage_with_too_much_to_do_is_asked_again(
    storage: Storage, stored: StoredFile, remote: Repository, into: Path, status: int
) -> None:
    storage.answers = lambda part, tries: status if part == 1 and tries == 1 else 206
    await remote.fetch(PLACE, stored, into)
    assert into.read_bytes() == CONTENT
    assert storage.asked[1] == 2


@pytest.mark.parametrize(("status", "words"), [(429, "429"), (500, "500"), (503, "503"), (CUT, "")])
async def test_a_storage_that_fails_for_good_in_the_middle_is_told_and_nothing_is_left(
    storage: Storage, stored: StoredFile, remote: Repository, into: Path, status: int, words: str
) -> None:
    storage.answers = lambda part, tries: status if part == 2 else 206
    with pytest.raises(Temporary) as raised:
        await remote.fetch(PLACE, stored, into)
    assert raised.value.code == "backups.storage"
    assert words in str(raised.value)
    assert storage.asked[2] > 1
    assert everything_in(into.parent) == []


async def test_a_storage_whose_key_was_taken_away_in_the_middle_is_told(
    storage: Storage, stored: StoredFile, remote: Repository, into: Path
) -> None:
    storage.answers = lambda part, tries: 403 if part == 1 else 206
    with pytest.raises(Permanent) as raised:
        await remote.fetch(PLACE, stored, into)
    assert raised.value.code == "backups.refused"
    assert everything_in(into.parent) == []


async def test_a_fetch_works_after_one_that_failed(
    storage: Storage, stored: StoredFile, remote: Repository, into: Path
) -> None:
    """Threads of the first are over: there are as many as there were."""
    storage.answers = lambda part, tries: 403 if part == 1 and tries < 40 else 206
    for _ in range(39):
        with pytest.raises(ForgeError):
            await remote.fetch(PLACE, stored, into)
    async with asyncio.timeout(60):
        await remote.fetch(PLACE, stored, into)
    assert into.read_bytes() == CONTENT


@pytest.mark.parametrize("compressed", [False, True])
async def test_a_folder_that_goes_away_while_it_is_read_is_told_and_nothing_is_left(
    local: Repository, tmp_path: Path, into: Path, compressed: bool
) -> None:
    file = await local.store(PLACE, "dump", in_pieces(CONTENT), compressed=compressed)
    pieces = local._objects.pieces

    async def leaving(key: str, size: int) -> AsyncIterator[bytes]:
        async for piece in pieces(key, size):
            yield piece
            if not (tmp_path / "elsewhere").exists():
                (tmp_path / "repository").rename(tmp_path / "elsewhere")

    local._objects.pieces = leaving  # type: ignore[method-assign, assignment]
    with pytest.raises(ForgeError) as raised:
        await local.fetch(PLACE, file, into)
    # The next range is asked for while one is worked on: whichever sees it first.
    assert raised.value.code in ("backups.missing", "backups.unmounted")
    assert everything_in(into.parent) == []


@pytest.fixture
def small_disk() -> Iterator[Callable[[int], None]]:
    """No file of this process may become larger."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda count: resource.setrlimit(resource.RLIMIT_FSIZE, (count, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("content", [CONTENT, bytes(len(CONTENT))], ids=["compressed", "decompressed"])
async def test_scratch_that_is_full_on_either_side_of_the_decompression_leaves_nothing(
    local: Repository, into: Path, small_disk: Callable[[int], None], content: bytes
) -> None:
    """Noise is as large while it is compressed; of zeros only what comes out is too much."""
    file = await local.store(PLACE, "base.tar", in_pieces(content), compressed=True)
    small_disk(8 * MEBIBYTE)
    with pytest.raises(Temporary) as raised:
        await local.fetch(PLACE, file, into)
    assert raised.value.code == "backups.scratch"
    assert raised.value.remedy
    assert everything_in(into.parent) == []


async def test_a_full_disk_ends_the_download_at_once(
    storage: Storage, stored: StoredFile, remote: Repository, into: Path, small_disk: Callable[[int], None]
) -> None:
    """There is no use in the rest: only of changed bytes all is read, to know that they were changed."""
    small_disk(MEBIBYTE)
    with pytest.raises(Temporary) as raised:
        await remote.fetch(PLACE, stored, into)
    assert raised.value.code == "backups.scratch"
    assert everything_in(into.parent) == []
    assert storage.asked[3] == 0


async def test_a_fetch_that_is_cancelled_while_it_decompresses_leaves_nothing(local: Repository, into: Path) -> None:
    zeros = b"\0" * MEBIBYTE

    async def many() -> AsyncIterator[bytes]:
        for _ in range(400):
            yield zeros

    file = await local.store(PLACE, "base.tar", many(), compressed=True)
    fetching = asyncio.create_task(local.fetch(PLACE, file, into))
    async with asyncio.timeout(60):
        while not any(name.endswith(".plain") for name in everything_in(into.parent)) and not fetching.done():  # noqa: ASYNC110 - files
            await asyncio.sleep(0)
    fetching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await fetching
    assert everything_in(into.parent) == []


async def test_changed_bytes_are_told_as_such_although_age_refuses_the_first_of_them(
    storage: Storage, stored: StoredFile, remote: Repository, into: Path
) -> None:
    """What age says of them would be a guess: `No matching keys`, for instance."""
    changed = b"x" * len(storage.content)
    storage.content = changed
    with pytest.raises(Permanent) as raised:
        await remote.fetch(PLACE, stored, into)
    assert "what is stored" in str(raised.value)
    assert everything_in(into.parent) == []
    promised = replace(stored, cipher=Digest(len(changed), hashlib.sha256(changed).hexdigest()))
    with pytest.raises(Permanent, match="can't be decrypted"):
        await remote.fetch(PLACE, promised, into)
    assert everything_in(into.parent) == []
