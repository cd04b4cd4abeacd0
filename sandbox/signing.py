"""SSH signatures as git makes them, without ssh-keygen or gpg.

Ed25519 alone, by OpenSSH's PROTOCOL.sshsig and the key format of RFC 4253 and RFC 8709. For the sandbox's own tags:
its keys live in memory, and it must never be given anybody's real key.
"""

from __future__ import annotations

import base64
import hashlib
import struct
import textwrap
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

BEGIN, END = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"
_MAGIC = b"SSHSIG"
_KEY_TYPE = b"ssh-ed25519"


def _string(value: bytes) -> bytes:
    return struct.pack(">I", len(value)) + value


def _to_be_signed(payload: bytes, namespace: str, hash_name: str) -> bytes:
    digest = hashlib.new(hash_name, payload).digest()
    return _MAGIC + _string(namespace.encode()) + _string(b"") + _string(hash_name.encode()) + _string(digest)


@dataclass(frozen=True)
class SshSigner:
    """A person's signing key. principal: who they are in an allowed_signers file, usually an e-mail address."""

    principal: str
    key: Ed25519PrivateKey

    @classmethod
    def generate(cls, principal: str) -> SshSigner:
        return cls(principal, Ed25519PrivateKey.generate())

    @property
    def _blob(self) -> bytes:
        raw = self.key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        return _string(_KEY_TYPE) + _string(raw)

    @property
    def public_line(self) -> str:
        """`ssh-ed25519 AAAA…`, as in a `.pub` file; `<principal> <public_line>` is a line of allowed_signers."""
        return f"{_KEY_TYPE.decode()} {base64.b64encode(self._blob).decode()}"

    @property
    def allowed_signer(self) -> str:
        return f"{self.principal} {self.public_line}"

    @property
    def fingerprint(self) -> str:
        """`SHA256:…` as `ssh-keygen -l` shows it."""
        return fingerprint(self._blob)

    def sign(self, payload: bytes, namespace: str = "git") -> str:
        """The armoured signature, with a newline at its end, as `ssh-keygen -Y sign` writes it."""
        raw = self.key.sign(_to_be_signed(payload, namespace, "sha512"))
        signature = _string(_KEY_TYPE) + _string(raw)
        blob = (
            _MAGIC
            + struct.pack(">I", 1)
            + _string(self._blob)
            + _string(namespace.encode())
            + _string(b"")
            + _string(b"sha512")
            + _string(signature)
        )
        lines = textwrap.wrap(base64.b64encode(blob).decode(), 70)
        return "\n".join([BEGIN, *lines, END, ""])


def fingerprint(key_blob: bytes) -> str:
    return "SHA256:" + base64.b64encode(hashlib.sha256(key_blob).digest()).decode().rstrip("=")


def key_blob(public_line: str) -> bytes:
    """The key of a line `ssh-ed25519 AAAA… [comment]`. Raises ValueError when there is none."""
    parts = public_line.split()
    if len(parts) < 2:
        raise ValueError("an SSH public key has a type and a base64 text")
    return base64.b64decode(parts[1], validate=True)


@dataclass(frozen=True)
class SshSignature:
    """A signature taken apart. key_blob: the signer's public key on the wire."""

    key_blob: bytes
    namespace: str
    hash_name: str
    raw: bytes

    @classmethod
    def read(cls, armoured: str) -> SshSignature:
        """Raises ValueError when it is no SSH signature by an Ed25519 key."""
        text = armoured.strip()
        if not (text.startswith(BEGIN) and text.endswith(END)):
            raise ValueError("not an SSH signature")
        blob = base64.b64decode("".join(text[len(BEGIN) : -len(END)].split()), validate=True)
        if blob[:6] != _MAGIC or blob[6:10] != struct.pack(">I", 1):
            raise ValueError("not version 1 of SSHSIG")
        key, namespace, _reserved, hash_name, signature = _strings(blob[10:])
        kind, raw = _strings(signature)
        if kind != _KEY_TYPE or _strings(key)[0] != _KEY_TYPE or hash_name not in (b"sha256", b"sha512"):
            raise ValueError("not an Ed25519 signature over SHA-2")
        return cls(key, namespace.decode(), hash_name.decode(), raw)

    def verifies(self, payload: bytes, namespace: str = "git") -> bool:
        """Whether the key inside signed this payload; says nothing about whose key it is."""
        if namespace != self.namespace:
            return False
        public = Ed25519PublicKey.from_public_bytes(_strings(self.key_blob)[1])
        try:
            public.verify(self.raw, _to_be_signed(payload, namespace, self.hash_name))
        except InvalidSignature:
            return False
        return True


def _strings(data: bytes) -> list[bytes]:
    found = []
    while data:
        length = int.from_bytes(data[:4], "big")
        if len(data) < 4 + length:
            raise ValueError("cut off")
        found.append(data[4 : 4 + length])
        data = data[4 + length :]
    return found
