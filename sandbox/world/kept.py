"""What a second start on the same folder needs to find the same world: ports, keys, the time it began, what the cluster ran."""

from __future__ import annotations

import json
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pyrage import x25519  # type: ignore[import-untyped]

from sandbox.signing import SshSigner


def new_key() -> str:
    """An Ed25519 private key as PEM."""
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return Ed25519PrivateKey.generate().private_bytes(encoding, form, serialization.NoEncryption()).decode()


def signer(principal: str, pem: str) -> SshSigner:
    key = serialization.load_pem_private_key(pem.encode(), None)
    if not isinstance(key, Ed25519PrivateKey):
        raise TypeError("not an Ed25519 key")
    return SshSigner(principal, key)


@dataclass
class Kept:
    """Stored in `sandbox.json`, readable by its owner alone. manifests: Deployments and HTTPRoutes as they were asked for last.

    migrations: environment -> names of the migrations that its database has had. backup_identity: an age private key. development: what
    developers did, see `Development`.
    """

    began: str
    release_key: str
    stranger_key: str
    audit_key: str
    ports: dict[str, int] = field(default_factory=dict)
    manifests: list[dict[str, Any]] = field(default_factory=list)
    migrations: dict[str, list[str]] = field(default_factory=dict)
    ci_token: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    hook_secret: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    development: list[dict[str, Any]] = field(default_factory=list)
    backup_identity: str = field(default_factory=lambda: str(x25519.Identity.generate()))

    @property
    def began_at(self) -> datetime:
        return datetime.fromisoformat(self.began)

    @classmethod
    def of(cls, folder: Path) -> Kept:
        """What the folder remembers; a new world where it remembers nothing."""
        path = folder / "sandbox.json"
        if path.exists():
            known = {each.name for each in fields(cls)}
            found = json.loads(path.read_text(encoding="utf-8"))
            return cls(**{name: value for name, value in found.items() if name in known})
        now = datetime.now(UTC).replace(microsecond=0)
        return cls(now.isoformat(), new_key(), new_key(), new_key())

    def save(self, folder: Path) -> None:
        path = folder / "sandbox.json"
        path.touch(mode=0o600)
        path.write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")

    async def listen(self, name: str, start: Callable[[int], Awaitable[str]], wanted: int = 0) -> str:
        """Start where it listened before, so that addresses in stored plans stay right; else where there is room.

        Raises OSError when a wanted port is taken.
        """
        port = wanted or self.ports.get(name, 0)
        try:
            url = await start(port)
        except OSError:
            if wanted or not port:
                raise
            url = await start(0)
        self.ports[name] = int(url.rpartition(":")[2])
        return url
