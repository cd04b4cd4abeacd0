"""docs/backups.md, "Recovery to a moment, by hand": its commands, as they stand there, on a real base backup and real WAL."""

from __future__ import annotations

import asyncio
import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest

from integrations.backups import backup_place, wal_place
from runbook.backups import StoredFile
from sandbox.postgres import USER, LocalPostgres
from tests.integrations.postgres.physical import asks, fill
from tests.integrations.postgres.servers import new_scratch
from tests.integrations.postgres.test_restoring_moments import KEEP, Story

PAGE = Path(__file__).parents[3] / "docs" / "backups.md"


def recipe() -> str:
    chapter = PAGE.read_text(encoding="utf-8").partition("### Recovery to a moment, by hand")[2]
    (found,) = re.findall(r"^```sh\n(.*?)^```", chapter, re.MULTILINE | re.DOTALL)
    assert isinstance(found, str)
    return found


def not_root() -> dict[str, Any]:
    """PostgreSQL's programs refuse to run as root."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


class Hand:
    """A person with the fetched repository and the private key."""

    def __init__(self, story: Story, folder: Path) -> None:
        self.story, self.folder = story, folder
        shutil.copytree(story.site.folder / "repository", folder / "repository")
        assert story.site.keys is not None
        shutil.copy(story.site.keys.identity_file, folder / "identity")
        (folder / "work").mkdir()
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
            if "user" in not_root():
                os.chown(path, not_root()["user"], not_root()["group"])

    @property
    def wal(self) -> Path:
        base = self.story.base
        return self.folder / "repository" / wal_place("shop", "prod", base.system_identifier)

    @property
    def backup(self) -> Path:
        return self.folder / "repository" / backup_place(self.story.base.id)

    def types(self, command: str, **more: str) -> subprocess.CompletedProcess[str]:
        programs = str(self.story.site.server.binaries)
        given: Mapping[str, str] = {
            "PATH": os.pathsep.join([programs, "/usr/local/bin", "/usr/bin", "/bin"]),
            "BACKUP": str(self.backup), "IDENTITY": str(self.folder / "identity"), "WORK": str(self.folder / "work"),
        }  # fmt: skip
        with (self.folder / "said").open(
            "w+", encoding="utf-8"
        ) as said:  # a pipe would stay open as long as the server runs
            done = subprocess.run(
                ["sh", "-e", "-c", command], env={**given, **more}, cwd=self.folder, stdout=said, stderr=said, timeout=120, check=False, **not_root()
            )  # fmt: skip
            said.seek(0)
            return subprocess.CompletedProcess(done.args, done.returncode, said.read(), "")

    def names(self) -> set[str]:
        """Of the customers that the story adds."""
        with psycopg.connect(host=str(self.folder / "work"), user=USER, dbname="shop") as session:
            rows = session.execute("SELECT name FROM customers WHERE name IN ('one', 'two', 'three')").fetchall()
            return {name for (name,) in rows}

    def stop(self) -> None:
        self.types('pg_ctl stop --pgdata "$WORK/data" --mode immediate --wait')

    def log(self) -> str:
        log = self.folder / "work" / "log"
        return log.read_text() if log.exists() else ""


@pytest.fixture(scope="module")
def story() -> Iterator[Story]:
    with (
        LocalPostgres(major=16, segment_mib=1, settings=(*KEEP, "max_connections=70")) as server,
        new_scratch() as folder,
    ):
        fill(server)
        asks(server, "CREATE TABLE orders_seen (n serial)")
        told = Story(server, folder)
        asyncio.run(told.told())
        yield told


@pytest.fixture
def hand(story: Story) -> Iterator[Hand]:
    with new_scratch() as folder:
        made = Hand(story, folder)
        yield made
        made.stop()


@pytest.mark.parametrize(("moment", "there"), [("one", {"one"}), ("two", {"one", "two"})])
def test_the_pages_commands_recover_to_a_moment_between_two_inserts(hand: Hand, moment: str, there: set[str]) -> None:
    answer = hand.types(recipe(), UNTIL=f"{hand.story.moments[moment]:%Y-%m-%d %H:%M:%S.%f%z}")
    assert answer.returncode == 0, answer.stdout + hand.log()
    assert " shop " in answer.stdout
    assert hand.names() == there
    assert hand.types('test "$(stat -c %a "$WORK")" = 700').returncode == 0


def test_without_a_moment_it_replays_all_there_is(hand: Hand) -> None:
    block = "".join(line for line in recipe().splitlines(keepends=True) if not line.startswith("recovery_target_time"))
    answer = hand.types(block)
    assert answer.returncode == 0, answer.stdout + hand.log()
    assert hand.names() == {"one", "two", "three"}


def test_a_moment_that_no_transaction_is_later_than_is_told_in_the_words_of_the_page(hand: Hand) -> None:
    answer = hand.types(recipe(), UNTIL="2099-01-01 00:00:00+00")
    assert answer.returncode != 0
    words = "recovery ended before configured recovery target was reached"
    assert words in hand.log()
    assert words in PAGE.read_text(encoding="utf-8")


def test_a_byte_of_the_base_backup_that_has_changed_stops_it_before_any_program_reads_it(hand: Hand) -> None:
    flip(hand.backup / stored(hand).key)
    answer = hand.types(recipe(), UNTIL="2099-01-01 00:00:00+00")
    assert answer.returncode != 0
    assert not (hand.folder / "work" / "data").exists()


def test_a_byte_of_the_wal_that_has_changed_stops_it_before_any_program_reads_it(hand: Hand) -> None:
    flip(next(hand.wal.glob("*.age")))
    answer = hand.types(recipe(), UNTIL="2099-01-01 00:00:00+00")
    assert answer.returncode != 0
    assert list((hand.folder / "work" / "data").iterdir()) == []


def test_wal_that_was_archived_before_it_was_compressed_is_recovered_from_by_the_same_commands(hand: Hand) -> None:
    compressed = list(hand.wal.glob("*.zst.age"))
    assert compressed
    for file in compressed:
        uncompress(hand, file)
    answer = hand.types(recipe(), UNTIL=f"{hand.story.moments['two']:%Y-%m-%d %H:%M:%S.%f%z}")
    assert answer.returncode == 0, answer.stdout + hand.log()
    assert hand.names() == {"one", "two"}


def uncompress(hand: Hand, file: Path) -> None:
    """In its place, encrypted to the same key."""
    command = (
        'age --decrypt --identity "$IDENTITY" --output "$WORK/plain.zst" "$FILE" && zstd --decompress --rm --quiet "$WORK/plain.zst" && '
        'age --encrypt --recipient "$RECIPIENT" --output "${FILE%.zst.age}.age" "$WORK/plain" && rm "$FILE" "$WORK/plain"'
    )
    assert hand.story.site.keys is not None
    done = hand.types(command, FILE=str(file), RECIPIENT=hand.story.site.keys.recipient)
    assert done.returncode == 0, done.stdout


def stored(hand: Hand) -> StoredFile:
    (file,) = hand.story.base.files
    return file


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
