"""The audit key was changed: what the earlier one signed is believed where its public half is configured, and nowhere else."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bot.audit_keys import earlier_keys, known_keys
from bot.checks.findings import State
from bot.checks.machine import check_audit_key
from bot.configuration.connections import AuditConnection, Secret
from bot.configuration.loading import Configuration, load
from bot.databases import signer_of
from bot.serve import _audit_problem
from engine.records import Entry
from integrations.backups.manifests import signed, verified
from runbook.backups import Digest, Manifest, StoredFile, manifest_of
from runbook.errors import Permanent
from state.checkpointer import Checkpointer
from state.checkpoints import key_id, load_private_key, new_private_key, public_pem
from state.places import DirectoryPlace
from state.store import SqlStore, open_store
from tests.integrations.backups.repositories import ORDER, Keys, made_of, new_keys, new_repository

OLD, NEW, STRANGE = new_private_key(), new_private_key(), new_private_key()
EXAMPLE = Path("examples/forge.yaml")


def public(private: str) -> str:
    return public_pem(load_private_key(private))


def fingerprint(private: str) -> str:
    return key_id(load_private_key(private).public_key())


def audit(key: str, *earlier: Path | str, checkpoints: tuple[Path, ...] = ()) -> AuditConnection:
    return AuditConnection(Secret("KEY", None, {"KEY": key}), checkpoints, earlier)


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return new_keys(tmp_path / "keys")


@pytest.fixture
def manifest(tmp_path: Path, keys: Keys) -> Manifest:
    file = StoredFile("dump-00000001.age", Digest(9, "00"), Digest(10, "11"))
    return manifest_of(ORDER, "shop", made_of(file, new_repository(tmp_path, keys)))


def test_a_manifest_of_before_the_key_was_changed_is_believed_where_that_key_is_configured(
    tmp_path: Path, manifest: Manifest
) -> None:
    content = signed(manifest, signer_of(audit(OLD)))
    (tmp_path / "old.pub").write_text(public(STRANGE) + public(OLD))
    for earlier in ((public(OLD),), (tmp_path / "old.pub",)):
        signer = signer_of(audit(NEW, *earlier))
        assert verified(content, manifest.id, signer) == manifest
        assert verified(signed(manifest, signer), manifest.id, signer_of(audit(NEW))) == manifest


def test_a_key_that_was_taken_out_again_is_unknown_and_the_remedy_names_the_setting(manifest: Manifest) -> None:
    content = signed(manifest, signer_of(audit(OLD)))
    for signer in (signer_of(audit(NEW)), signer_of(audit(NEW, public(STRANGE)))):
        with pytest.raises(Permanent) as caught:
            verified(content, manifest.id, signer)
        assert caught.value.code == "backups.forged"
        assert fingerprint(OLD) in caught.value.cause
        assert "audit.earlier_keys" in caught.value.remedy


def test_whoever_names_a_known_key_without_having_it_is_told_nothing_of_settings(manifest: Manifest) -> None:
    forged = signed(manifest, signer_of(audit(STRANGE))).replace(
        fingerprint(STRANGE).encode(), fingerprint(NEW).encode()
    )
    with pytest.raises(Permanent) as caught:
        verified(forged, manifest.id, signer_of(audit(NEW, public(OLD))))
    assert caught.value.code == "backups.forged"
    assert "earlier_keys" not in caught.value.remedy


async def test_the_audit_log_is_proven_across_a_change_of_the_key(tmp_path: Path) -> None:
    places = tmp_path / "outside"
    places.mkdir()
    alone = _configuration(audit(NEW, checkpoints=(places,)), tmp_path)
    both = _configuration(audit(NEW, public(OLD), checkpoints=(places,)), tmp_path)
    with open_store("", data_dir=tmp_path) as store:
        await _entry_and_checkpoint(store, OLD, places)
        assert f"signed with key {fingerprint(OLD)}" in await _audit_problem(store, alone)
        assert await _audit_problem(store, both) == ""
        await _entry_and_checkpoint(store, NEW, places)
        assert await _audit_problem(store, both) == ""


async def _entry_and_checkpoint(store: SqlStore, key: str, place: Path) -> None:
    at = datetime.now(UTC)
    await store.write(lambda ledger: ledger.audit(Entry(actor="forge", action="test", subject="it"), at))
    made = await Checkpointer(store, load_private_key(key), [DirectoryPlace(place)], now=lambda: at).make("decision")
    assert not made.failures


def _configuration(connection: AuditConnection, folder: Path) -> Configuration:
    found = load(EXAMPLE, {"FORGE_AUDIT_KEY": NEW, "FORGE_DATA_DIR": str(folder)})
    return replace(found, connections=replace(found.connections, audit=connection))


@pytest.mark.parametrize(
    ("entry", "told"),
    [("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", "number 1"), ("missing.pub", "can't be read"), ("empty.pub", "no public key")],
)  # fmt: skip
async def test_an_earlier_key_that_cannot_be_used_is_named(tmp_path: Path, entry: str, told: str) -> None:
    (tmp_path / "empty.pub").write_text("")
    broken = audit(NEW, entry if entry.startswith("-----") else tmp_path / entry)
    with pytest.raises(ValueError, match=r"audit\.earlier_keys") as caught:
        known_keys(broken)
    assert told in str(caught.value)
    connections = _configuration(broken, tmp_path).connections
    bad = [finding async for finding in check_audit_key(connections) if finding.state is State.FAIL]
    assert [finding.check for finding in bad] == ["earlier audit keys"]


def test_a_private_key_among_the_earlier_ones_is_refused_and_not_repeated() -> None:
    with pytest.raises(ValueError, match=r"audit\.earlier_keys") as caught:
        known_keys(audit(NEW, OLD))
    assert OLD.splitlines()[1] not in str(caught.value)


def test_earlier_keys_are_files_beside_the_configuration_or_pem(tmp_path: Path) -> None:
    (tmp_path / "old.pub").write_text(public(OLD))
    keys = json.dumps(["old.pub", public(STRANGE)])
    text = EXAMPLE.read_text().replace("  checkpoints: [", f"  earlier_keys: {keys}\n  checkpoints: [")
    (tmp_path / "forge.yaml").write_text(text)
    found = load(tmp_path / "forge.yaml", {"FORGE_AUDIT_KEY": NEW})
    assert [key_id(key) for key in earlier_keys(found.connections.audit)] == [fingerprint(OLD), fingerprint(STRANGE)]
