"""The keys that forge's signatures are believed from: the one that signs now, and those that signed before it was changed.

An earlier key is public, verifies and never signs.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bot.configuration.connections import AuditConnection

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def known_keys(audit: AuditConnection) -> tuple[Ed25519PublicKey, ...]:
    """The present key first. Raises Permanent where it has no value, and ValueError that names what can't be used."""
    from state.checkpoints import load_private_key

    return (load_private_key(audit.key.reveal()).public_key(), *earlier_keys(audit))


def earlier_keys(audit: AuditConnection) -> tuple[Ed25519PublicKey, ...]:
    """Raises ValueError that names the entry which can't be used."""
    from state.checkpoints import load_public_keys

    found: list[Ed25519PublicKey] = []
    for number, entry in enumerate(audit.earlier_keys, 1):
        where = str(entry) if isinstance(entry, Path) else f"number {number}"
        try:
            text = entry.read_text(encoding="utf-8") if isinstance(entry, Path) else entry
            found += load_public_keys(text)
        except OSError as error:
            raise ValueError(f"audit.earlier_keys: {where} can't be read: {error.strerror}") from None
        except ValueError as error:
            raise ValueError(f"audit.earlier_keys: in {where} {error}") from None
    return tuple(found)
