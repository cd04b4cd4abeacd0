"""Where a repository lies and who can decrypt it. Nothing here is a secret but what is left out of representations."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from runbook.errors import Permanent

SYSTEM: Final = "backups"
SCHEMES: Final = ("s3", "gs", "az")


@dataclass(frozen=True, slots=True)
class RepositoryAddress:
    """destination: an absolute folder, or `s3://bucket/prefix`, `gs://bucket/prefix`, `az://account/container/prefix`.

    recipients: age public keys (`age1…`) that everything is encrypted to. identity_file: with the age secret key; None where nothing is
    ever decrypted. options: obstore's settings of that storage (`endpoint`, `region`, `access_key_id`, `secret_access_key`, …); what is
    missing comes from the provider's usual environment. scratch: a folder for what is downloaded and decrypted, 0700.
    """

    destination: str
    recipients: tuple[str, ...]
    scratch: Path
    identity_file: Path | None = None
    options: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def scheme(self) -> str:
        """Of object storage; empty for a local folder."""
        return urlsplit(self.destination).scheme if "://" in self.destination else ""

    @property
    def folder(self) -> Path | None:
        return None if self.scheme else Path(self.destination)

    @property
    def endpoint(self) -> str:
        return self.options.get("endpoint", "")

    @property
    def plain_endpoint(self) -> bool:
        """Its endpoint is without TLS."""
        return self.endpoint.lower().startswith("http://")

    @property
    def in_transit(self) -> bool:
        """Bytes are encrypted on their way, or don't leave this machine."""
        return not self.plain_endpoint or _is_loopback(urlsplit(self.endpoint).hostname or "")

    def checked(self) -> RepositoryAddress:
        """Itself. Raises Permanent("backups.settings") and Permanent("backups.insecure")."""
        if self.scheme not in ("", *SCHEMES) or (self.folder is not None and not self.folder.is_absolute()):
            cause = "the destination of backups is neither an absolute folder nor s3://, gs:// or az://"
            raise Permanent(SYSTEM, "settings", cause, "Correct integrations.postgres.backups.destination")
        if not self.in_transit:
            cause = "the endpoint of the object storage is without TLS"
            raise Permanent(SYSTEM, "insecure", cause, "Use an https:// endpoint")
        return self


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
