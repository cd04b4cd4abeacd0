"""What is compressed before it is encrypted: it comes back equal, by hand too, and what isn't exactly that is refused."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyrage  # type: ignore[import-untyped]
import pytest

from integrations.backups import Repository, backup_place, is_compressed
from integrations.backups.compression import Compressor
from runbook.backups import Digest, StoredFile
from runbook.errors import Permanent
from tests.integrations.backups.repositories import (
    ORDER,
    Keys,
    assert_nothing_left,
    everything_in,
    in_pieces,
    random_bytes,
)

PLACE = backup_place(ORDER.id)
SEGMENT = 16 * 1024 * 1024
TEXT = b"a customer's address " * 40_000


@pytest.mark.parametrize("content", [b"", b"x", TEXT, random_bytes(3_000_000), bytes(SEGMENT)], ids=lambda c: len(c))
async def test_what_was_compressed_comes_back_equal(repository: Repository, tmp_path: Path, content: bytes) -> None:
    file = await repository.store(PLACE, "base.tar", in_pieces(content), compressed=True)
    await repository.fetch(PLACE, file, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == content
    assert (tmp_path / "back").stat().st_mode & 0o777 == 0o600
    assert file.plain == digest(content)
    assert is_compressed(file)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


async def test_zeros_take_next_to_nothing(local: Repository) -> None:
    file = await local.store(PLACE, "0" * 24, in_pieces(bytes(SEGMENT)), compressed=True)
    assert file.plain.bytes == SEGMENT
    assert file.cipher.bytes < 10_000


async def test_people_get_it_back_with_age_and_zstd(local: Repository, keys: Keys, tmp_path: Path) -> None:
    file = await local.store(PLACE, "base.tar", in_pieces(TEXT), compressed=True)
    stored = tmp_path / "repository" / PLACE / file.key
    line = 'age --decrypt --identity "$1" "$2" | zstd --decompress --stdout'
    command = ["bash", "-ceuo", "pipefail", line, "-", str(keys.identity_file), str(stored)]
    assert subprocess.run(command, check=True, capture_output=True, timeout=60).stdout == TEXT


async def test_what_was_stored_before_there_was_compression_is_still_fetched(local: Repository, tmp_path: Path) -> None:
    file = await local.store(PLACE, "base.tar", in_pieces(TEXT))
    assert not is_compressed(file)
    await local.fetch(PLACE, file, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == TEXT


async def test_what_fails_half_way_leaves_nothing_compressed(repository: Repository, tmp_path: Path) -> None:
    with pytest.raises(ConnectionError):
        await repository.store(PLACE, "base.tar", _broken_off(), compressed=True)
    await assert_nothing_left(repository, tmp_path)


async def _broken_off():  # type: ignore[no-untyped-def]
    yield TEXT
    raise ConnectionError("half-way")


def packed(content: bytes) -> bytes:
    work = Compressor()
    return work.more(content) + work.more(b"")


WAYS: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda frame: frame[:-1],
    "cut in the middle": lambda frame: frame[: len(frame) // 2],
    "flipped in its head": lambda frame: bytes([frame[0] ^ 1]) + frame[1:],
    "flipped in its end": lambda frame: frame[:-1] + bytes([frame[-1] ^ 1]),
    "empty": lambda frame: b"",
    "not compressed": lambda frame: TEXT,
    "a second frame": lambda frame: frame + packed(b"more"),
    "bytes that follow": lambda frame: frame + b"x" * 300_000,
    "another content": lambda frame: packed(TEXT[::-1]),
    "a byte more": lambda frame: packed(TEXT + b"x"),
    "a byte less": lambda frame: packed(TEXT[:-1]),
    "a bomb": lambda frame: packed(bytes(400_000_000)),
}


@pytest.mark.parametrize("way", WAYS)
async def test_what_is_no_whole_frame_of_the_right_bytes_is_refused(
    local: Repository, keys: Keys, tmp_path: Path, way: str
) -> None:
    """The stored bytes are as promised, and well encrypted: only what is inside of them isn't."""
    file = await local.store(PLACE, "base.tar", in_pieces(TEXT), compressed=True)
    lying = forged(tmp_path / "repository" / PLACE / file.key, file, keys, WAYS[way](packed(TEXT)))
    into = tmp_path / "fetched" / "back"
    into.parent.mkdir()
    with pytest.raises(Permanent) as raised:
        await local.fetch(PLACE, lying, into)
    assert raised.value.code == "backups.tampered"
    assert everything_in(into.parent) == []


@pytest.mark.parametrize("at", [0.001, 0.5, 0.999])
async def test_flipped_stored_bytes_are_never_decompressed(
    local: Repository, tmp_path: Path, at: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = await local.store(PLACE, "base.tar", in_pieces(random_bytes(500_000)), compressed=True)
    stored = tmp_path / "repository" / PLACE / file.key
    content = bytearray(stored.read_bytes())
    content[int(len(content) * at)] ^= 1
    stored.write_bytes(content)
    monkeypatch.setattr("integrations.backups.repository.expand", None)
    with pytest.raises(Permanent) as raised:
        await local.fetch(PLACE, file, tmp_path / "back")
    assert raised.value.code == "backups.tampered"
    assert not (tmp_path / "back").exists()


def forged(stored: Path, file: StoredFile, keys: Keys, inside: bytes) -> StoredFile:
    """Puts something else there, and promises its stored bytes."""
    cipher = pyrage.encrypt(inside, [pyrage.x25519.Recipient.from_str(keys.recipient)])
    stored.write_bytes(cipher)
    return replace(file, cipher=digest(cipher))


def digest(content: bytes) -> Digest:
    return Digest(len(content), hashlib.sha256(content).hexdigest())
