"""Names of images and challenges of registries, taken apart and judged: pure rules, no I/O."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import urlsplit

from integrations.http_calls import is_loopback
from runbook.errors import Permanent

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")  # OCI distribution specification, "Pulling manifests"
_HOST = re.compile(r"(?:\[[0-9a-fA-F:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?)(?::[0-9]{1,5})?")
_PARAMETER = re.compile(r'([A-Za-z_]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')


@dataclass(frozen=True, slots=True)
class ImageName:
    """host: as people and Docker's config write it (`docker.io` for Docker Hub). path: the repository at that host."""

    host: str
    path: str

    @classmethod
    def parse(cls, repository: str) -> ImageName | None:
        """None for what is no name. Source: github.com/distribution/reference, normalize.go."""
        head, slash, rest = repository.partition("/")
        if slash and (head == "localhost" or any(sign in head for sign in ".:[") or head != head.lower()):
            host, path = head, rest
        else:
            host, path = "docker.io", repository
        if host in ("index.docker.io", "registry-1.docker.io"):
            host = "docker.io"
        if host == "docker.io" and "/" not in path:
            path = f"library/{path}"
        if not _HOST.fullmatch(host) or not _PATH.fullmatch(path) or len(path) > 255:
            return None
        return cls(host, path)

    @property
    def api_host(self) -> str:
        return "registry-1.docker.io" if self.host == "docker.io" else self.host


def parse_challenge(header: str) -> tuple[str, dict[str, str]]:
    """The scheme, in lower case, and parameters of a `WWW-Authenticate` header; ("", {}) where there is none."""
    scheme, _, rest = header.strip().partition(" ")
    found = {key.lower(): quoted.replace('\\"', '"') or bare for key, quoted, bare in _PARAMETER.findall(rest)}
    return scheme.lower(), found


def check_realm(realm: str, image: ImageName, insecure: bool, with_login: bool, trusted: Collection[str]) -> None:
    """Raises Permanent where a token server must not be asked: a registry's answer decides where a login would go.

    insecure: the registry itself is asked by plain HTTP. trusted: hosts that may get the login though their domain is another.
    """
    parts = urlsplit(realm)
    host, registry = parts.hostname or "", urlsplit(f"//{image.api_host}").hostname or ""
    if parts.scheme not in ("https", "http") or not host or parts.username is not None or parts.fragment:
        raise Permanent("registry", "realm", f"{image.host} names a token server that is no address")
    if parts.scheme == "http" and not (insecure and (host == registry or is_loopback(host))):
        raise Permanent("registry", "insecure", f"{image.host} names a token server without TLS", "Serve it by HTTPS")
    if host != registry and _is_private(host) and not _is_private(registry):
        raise Permanent("registry", "realm", f"{image.host} names a token server at a private address, {host}")
    if with_login and host not in trusted and _domain(host) != _domain(registry):
        remedy = f"List {host} under trusted_realms if it is the token server of {image.host}"
        raise Permanent("registry", "realm", f"{image.host} wants its login sent to {host}", remedy)


def _is_private(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return False


def _domain(host: str) -> str:
    """The last two labels of a name (the sites that share `co.uk` count as one), an IP address whole."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return ".".join(host.lower().split(".")[-2:])
