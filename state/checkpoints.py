"""Signed checkpoints: what the audit log was at one entry, in a line that nobody without the private key can make.

A checkpoint is one line of canonical JSON: {v, instance, seq, hash, at, key_id, signature}; the signature (Ed25519, base64) covers the
canonical JSON of the others. The private key must never reach a log, an error or a file.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any, Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from state.columns import canonical_json, iso_time

VERSION: Final = 1
_PEM: Final = re.compile(r"-----BEGIN PUBLIC KEY-----.+?-----END PUBLIC KEY-----", re.DOTALL)


@dataclass(frozen=True)
class Checkpoint:
    """instance: the database it speaks of. seq, hash: its newest entry then. signature: base64."""

    instance: str
    seq: int
    hash: str
    at: datetime
    key_id: str
    signature: str

    def content(self) -> dict[str, Any]:
        """What is signed."""
        return {
            "v": VERSION,
            "instance": self.instance,
            "seq": self.seq,
            "hash": self.hash,
            "at": iso_time(self.at),
            "key_id": self.key_id,
        }

    def line(self) -> str:
        """As it is kept, and as it can be posted for people."""
        return canonical_json({**self.content(), "signature": self.signature})


class NoCheckpoint(Exception):
    """The text is no checkpoint: cut short, or something else."""


def parse_checkpoint(text: str) -> Checkpoint:
    """Reads a line as `Checkpoint.line` wrote it; the signature is not judged here. Raises NoCheckpoint."""
    try:
        found = json.loads(text)
        at = datetime.fromisoformat(found["at"])
        checkpoint = Checkpoint(found["instance"], found["seq"], found["hash"], at, found["key_id"], found["signature"])
        if canonical_json(found) != checkpoint.line() or type(checkpoint.seq) is not int:
            raise NoCheckpoint("it holds more or other things than a checkpoint")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise NoCheckpoint("it is no line of a checkpoint") from error
    return checkpoint


def key_id(key: Ed25519PublicKey) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of the raw public key."""
    return sha256(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()[:16]


def sign(key: Ed25519PrivateKey, instance: str, seq: int, entry_hash: str, at: datetime) -> Checkpoint:
    unsigned = Checkpoint(instance, seq, entry_hash, at, key_id(key.public_key()), "")
    signature = base64.b64encode(key.sign(canonical_json(unsigned.content()).encode())).decode()
    return Checkpoint(instance, seq, entry_hash, at, unsigned.key_id, signature)


def check_signature(checkpoint: Checkpoint, keys: Iterable[Ed25519PublicKey]) -> str:
    """Empty when one of the keys signed it; else `unknown_key` or `signature`."""
    key = next((each for each in keys if key_id(each) == checkpoint.key_id), None)
    if key is None:
        return "unknown_key"
    try:
        signature = base64.b64decode(checkpoint.signature, validate=True)
        key.verify(signature, canonical_json(checkpoint.content()).encode())
    except (InvalidSignature, binascii.Error, ValueError):
        return "signature"
    return ""


def load_private_key(pem: str) -> Ed25519PrivateKey:
    """The key of FORGE_AUDIT_KEY; line ends may be written `\\n`, as some environments do. Raises ValueError without quoting it."""
    try:
        key = load_pem_private_key(pem.replace("\\n", "\n").encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError("the audit key is no Ed25519 private key in PEM without a password") from None
    return key


def load_public_keys(pem: str) -> tuple[Ed25519PublicKey, ...]:
    """One or several public keys, one PEM block after the other. Raises ValueError."""
    keys = []
    for block in _PEM.findall(pem):
        try:
            key = load_pem_public_key(block.encode())
        except (ValueError, UnsupportedAlgorithm):
            key = None
        if not isinstance(key, Ed25519PublicKey):
            raise ValueError("there is a public key that is no Ed25519 key in PEM") from None
        keys.append(key)
    if not keys:
        raise ValueError("there is no public key in PEM")
    return tuple(keys)


def new_private_key() -> str:
    """A new private key in PEM."""
    return Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def public_pem(key: Ed25519PrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
