"""The signed manifest beside every backup: how it is written, and what must be right before anybody believes it.

File `manifest.json`: {"manifest": canonical JSON as a text, "signature": Ed25519 of that text's UTF-8 bytes as base64, "key": the
fingerprint of the key}.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from integrations.backups.address import SYSTEM
from runbook.backups import Manifest, manifest_from, manifest_text
from runbook.errors import Permanent

NAME: Final = "manifest.json"
LARGEST: Final = 1024 * 1024
FORMAT: Final = 1
_ID: Final = re.compile(r"(?P<service>[a-z0-9][a-z0-9-]*)-(?P<environment>dev|staging|prod)-\d{8}T\d{6}Z-[0-9a-z]+")
_FINGERPRINT: Final = re.compile(r"[0-9a-f]{16}")
_FILE: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")


@dataclass(frozen=True, slots=True)
class Signer:
    """The key that manifests are signed with. key: its fingerprint. verify: text, signature -> whether it is good, by this key or one of
    before it. known: fingerprints of all these; empty: nobody says."""

    key: str
    sign: Callable[[bytes], bytes]
    verify: Callable[[bytes, bytes], bool]
    known: frozenset[str] = frozenset()


def is_backup_id(text: str) -> bool:
    return _ID.fullmatch(text) is not None


def backup_place(backup_id: str) -> str:
    """The folder of a backup within the repository: `shop/prod/shop-prod-20260302T020000Z-1f3a`. Raises Permanent("backups.id")."""
    match = _ID.fullmatch(backup_id)
    if match is None:
        raise Permanent(SYSTEM, "id", f"{backup_id[:80]!r} is not the name of a backup")
    return f"{match['service']}/{match['environment']}/{backup_id}"


def wal_place(service: str, environment: str, system_identifier: str) -> str:
    """The folder of a server's WAL within the repository: two servers' segments have the same names."""
    return f"{service}/{environment}/wal/{system_identifier}"


def manifest_key(manifest: Manifest) -> str:
    """Where it is published. Raises Permanent("backups.id") where its name and its place would be different."""
    place = backup_place(manifest.id)
    if not place.startswith(f"{manifest.service}/{manifest.environment}/"):
        raise Permanent(
            SYSTEM, "id", f"{manifest.id} is not the name of a backup of {manifest.service} on {manifest.environment}"
        )
    return f"{place}/{NAME}"


def signed(manifest: Manifest, signer: Signer) -> bytes:
    text = manifest_text(manifest)
    signature = base64.b64encode(signer.sign(text.encode())).decode()
    return json.dumps({"manifest": text, "signature": signature, "key": signer.key}, sort_keys=True).encode()


def verified(content: bytes, backup_id: str, signer: Signer) -> Manifest:
    """What a manifest says, after its signature was found good. Raises Permanent("backups.forged")."""
    if len(content) > LARGEST:
        raise _forged(backup_id, f"its manifest has more than {LARGEST} bytes")
    try:
        envelope = json.loads(content)
        text, signature = envelope["manifest"].encode(), base64.b64decode(envelope["signature"], validate=True)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, binascii.Error):
        raise _forged(backup_id, "its manifest can't be read") from None
    if not signer.verify(text, signature):
        raise _badly_signed(backup_id, envelope.get("key"), signer)
    try:
        manifest = manifest_from(text.decode())
    except ValueError:
        raise _forged(backup_id, "its manifest says something that this version doesn't know") from None
    _check(manifest, backup_id)
    return manifest


def _check(manifest: Manifest, backup_id: str) -> None:
    """A good signature says that forge wrote it, not that it was for this place."""
    if manifest.format != FORMAT:
        raise _forged(backup_id, f"its manifest has format {manifest.format}, which this version doesn't know")
    here = f"{manifest.service}/{manifest.environment}/{manifest.id}"
    if manifest.id != backup_id or here != backup_place(backup_id):
        raise _forged(backup_id, f"its manifest is the one of {manifest.id}")
    if not manifest.files or not all(_FILE.fullmatch(file.key) and file.key != NAME for file in manifest.files):
        raise _forged(backup_id, "its manifest names files that can't be its own")


def _badly_signed(backup_id: str, key: object, signer: Signer) -> Permanent:
    """key: which one it names. Nothing vouches for that, so it is good for a hint alone."""
    if not isinstance(key, str) or not _FINGERPRINT.fullmatch(key) or key in signer.known:
        return _forged(backup_id, "its manifest isn't signed with forge's key")
    why = f"its manifest is signed with the key {key}, which forge doesn't know"
    remedy = (
        "If that was forge's audit key before it was changed, name its public half in audit.earlier_keys. "
        "Otherwise don't use it, and find out who can write to the repository"
    )
    return _forged(backup_id, why, remedy)


def _forged(backup_id: str, why: str, remedy: str = "") -> Permanent:
    usual = "Don't use it; restore another backup, and find out who can write to the repository"
    return Permanent(SYSTEM, "forged", f"{backup_id} is not to be trusted: {why}", remedy or usual)
