"""Twelve ways and more to tamper with a backup: none is taken for one, and no PostgreSQL program is started on any."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pyrage  # type: ignore[import-untyped]
import pytest

from integrations.backups import Repository, backup_place
from integrations.backups.manifests import NAME, Signer, signed
from integrations.postgres import Program, ProgramFinder
from runbook.backups import Manifest, StoredFile
from runbook.errors import Permanent
from tests.integrations.backups.repositories import (
    ORDER,
    Keys,
    made_of,
    new_keys,
    new_repository,
    order_named,
    random_bytes,
    stored_backup,
)


class RecordingFinder(ProgramFinder):
    """Notes whoever asks for a program; nothing can be run without."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    async def found(self, name: str) -> tuple[Program, ...]:
        self.asked.append(name)
        return await super().found(name)


@dataclass
class Published:
    """A backup that is about to be tampered with."""

    repository: Repository
    keys: Keys
    folder: Path
    manifest: Manifest
    other: Manifest

    @property
    def path(self) -> Path:
        return self.folder / "repository" / backup_place(self.manifest.id)

    @property
    def file(self) -> Path:
        return self.path / self.manifest.files[0].key

    @property
    def other_path(self) -> Path:
        return self.folder / "repository" / backup_place(self.other.id)

    def change(self, change: Callable[[bytes], bytes]) -> None:
        self.file.write_bytes(change(self.file.read_bytes()))

    def claim(self, manifest: Manifest, signer: Signer | None = None) -> None:
        """Puts a manifest there, signed with forge's own key where no other is given."""
        (self.path / NAME).write_bytes(signed(manifest, signer or self.keys.signer))

    def edit(self, change: Callable[[dict[str, str]], None]) -> None:
        envelope = json.loads((self.path / NAME).read_bytes())
        change(envelope)
        (self.path / NAME).write_text(json.dumps(envelope))


@pytest.fixture
async def published(local: Repository, keys: Keys, tmp_path: Path) -> Published:
    _, manifest = await stored_backup(local, random_bytes(300_000))
    _, other = await stored_backup(local, random_bytes(300_000, seed=2), order_named("beef", service="other"))
    for each in (manifest, other):
        await local.publish(each)
    return Published(local, keys, tmp_path, manifest, other)


async def _restored(published: Published, programs: ProgramFinder) -> Program:
    """The order that every restore keeps: the manifest, all the bytes, and only then a program."""
    manifest = await published.repository.manifest(published.manifest.id)
    assert manifest is not None
    for file in manifest.files:
        await published.repository.fetch(backup_place(manifest.id), file, published.folder / "restored")
    return (await programs.found("pg_restore"))[0]


async def test_an_untouched_backup_reaches_pg_restore(published: Published) -> None:
    programs = RecordingFinder()
    await _restored(published, programs)
    assert programs.asked == ["pg_restore"]
    assert (published.folder / "restored").read_bytes() == random_bytes(300_000)


def _flipped(at: float) -> Callable[[Published], None]:
    """at: where, as a part of the whole."""

    def change(content: bytes) -> bytes:
        place = min(int(len(content) * at), len(content) - 1)
        return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]

    return lambda published: published.change(change)


def _another_server(published: Published) -> None:
    """Files and all: only the manifest says which backup it is."""
    for path in published.path.iterdir():
        path.unlink()
    for path in published.other_path.iterdir():
        (published.path / path.name).write_bytes(path.read_bytes())


def _other_bytes(published: Published) -> None:
    published.file.write_bytes((published.other_path / published.other.files[0].key).read_bytes())


def _old_under_a_new_name(published: Published) -> None:
    """The same database, signed by the same key, only not this backup."""
    published.claim(replace(published.manifest, id=order_named("0001").id))


def _other_environment(published: Published) -> None:
    published.claim(replace(published.manifest, environment="staging"))


def _signed_by_another(published: Published) -> None:
    published.claim(published.manifest, new_keys(published.folder / "attacker").signer)


def _edited(published: Published) -> None:
    def edit(envelope: dict[str, str]) -> None:
        envelope["manifest"] = envelope["manifest"].replace('"operator":"forge"', '"operator":"nobody"')

    published.edit(edit)


def _unsigned(published: Published) -> None:
    published.edit(lambda envelope: envelope.update(signature=""))


def _reaching_out(published: Published) -> None:
    """Signed, but with a file that is not the backup's own."""
    file = published.manifest.files[0]
    published.claim(replace(published.manifest, files=(replace(file, key="../../../keys/identity.txt"),)))


def _encrypted_for_another(published: Published) -> None:
    """Whoever can write but not sign encrypts something of his own."""
    attacker = new_keys(published.folder / "attacker")
    published.file.write_bytes(
        pyrage.encrypt(random_bytes(300_000), [pyrage.x25519.Recipient.from_str(attacker.recipient)])
    )


def _encrypted_anew(published: Published) -> None:
    """The recipients are public: a crafted dump decrypts well."""
    crafted = pyrage.encrypt(
        random_bytes(300_000, seed=3), [pyrage.x25519.Recipient.from_str(published.keys.recipient)]
    )
    published.file.write_bytes(crafted)


TAMPERED: dict[str, tuple[Callable[[Published], object], str]] = {
    "cut": (lambda published: published.change(lambda content: content[:-1]), "backups.tampered"),
    "cut in the middle": (lambda published: published.change(lambda content: content[:150_000]), "backups.tampered"),
    "a bit of the header": (_flipped(0.0001), "backups.tampered"),
    "a bit of the body": (_flipped(0.5), "backups.tampered"),
    "a bit of the end": (_flipped(1), "backups.tampered"),
    "bytes more": (lambda published: published.change(lambda content: content + b"x"), "backups.tampered"),
    "empty": (lambda published: published.change(lambda _: b""), "backups.tampered"),
    "the file is gone": (lambda published: published.file.unlink(), "backups.missing"),
    "the bytes of another backup": (_other_bytes, "backups.tampered"),
    "encrypted for another": (_encrypted_for_another, "backups.tampered"),
    "encrypted anew for us": (_encrypted_anew, "backups.tampered"),
    "another database's backup whole": (_another_server, "backups.forged"),
    "an old one under a new name": (_old_under_a_new_name, "backups.forged"),
    "another environment's": (_other_environment, "backups.forged"),
    "a manifest that was swapped": (lambda published: published.claim(published.other), "backups.forged"),
    "a manifest that was edited": (_edited, "backups.forged"),
    "a manifest without a signature": (_unsigned, "backups.forged"),
    "the signature of another key": (_signed_by_another, "backups.forged"),
    "a file outside of the backup": (_reaching_out, "backups.forged"),
    "a manifest that is no JSON": (lambda published: (published.path / NAME).write_bytes(b"{"), "backups.forged"),
    "a manifest that is empty": (lambda published: (published.path / NAME).write_bytes(b""), "backups.forged"),
    "a manifest of a list": (lambda published: (published.path / NAME).write_bytes(b"[1]"), "backups.forged"),
    "a manifest that is huge": (lambda published: (published.path / NAME).write_bytes(bytes(2_000_000)), "backups.forged"),
}  # fmt: skip


@pytest.mark.parametrize("way", TAMPERED)
async def test_a_tampered_backup_is_refused_before_any_program(published: Published, way: str) -> None:
    tamper, code = TAMPERED[way]
    tamper(published)
    programs = RecordingFinder()
    with pytest.raises(Permanent) as raised:
        await _restored(published, programs)
    assert raised.value.code == code
    assert raised.value.remedy
    assert programs.asked == []
    assert not (published.folder / "restored").exists()
    assert [path for path in published.folder.iterdir() if path.name.startswith(".")] == []


async def test_a_key_that_fits_none_of_the_recipients_is_told(published: Published, keys: Keys, tmp_path: Path) -> None:
    stranger = new_keys(tmp_path / "stranger")
    repository = new_repository(tmp_path, replace(keys, folder=stranger.folder))
    with pytest.raises(Permanent) as raised:
        await repository.fetch(backup_place(ORDER.id), published.manifest.files[0], tmp_path / "restored")
    assert raised.value.code == "backups.key"
    assert not (tmp_path / "restored").exists()


async def test_bytes_that_are_not_what_was_dumped_are_refused(published: Published, tmp_path: Path) -> None:
    """The encrypted bytes are right, what comes out isn't: the manifest's other half."""
    file = published.manifest.files[0]
    lying: StoredFile = replace(file, plain=replace(file.plain, sha256="0" * 64))
    with pytest.raises(Permanent) as raised:
        await published.repository.fetch(backup_place(ORDER.id), lying, tmp_path / "restored")
    assert raised.value.code == "backups.tampered"
    assert not (tmp_path / "restored").exists()


@pytest.mark.parametrize("way", ["cut", "a bit of the body", "bytes more", "empty"])
async def test_tampered_bytes_are_not_confirmed(published: Published, way: str) -> None:
    TAMPERED[way][0](published)
    made = made_of(published.manifest.files[0], published.repository)
    assert not await published.repository.confirm(ORDER, made)


async def test_publishing_over_a_forged_manifest_is_refused(published: Published) -> None:
    _signed_by_another(published)
    with pytest.raises(Permanent) as raised:
        await published.repository.publish(published.manifest)
    assert raised.value.code == "backups.forged"
