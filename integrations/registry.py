"""Container registries by the OCI distribution specification: which digest a tag names now. Never pulls, never pushes.

Credentials go to the registry they belong to, or to a token server of its own domain, over TLS; plain HTTP only to this machine
and to hosts that were configured so.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode, urljoin, urlsplit

from integrations.docker_credentials import Login, docker_config_path, login_for
from integrations.http_calls import Answer, HttpCalls, Limits, garbage, is_loopback, retrying, status_error
from integrations.registry_names import ImageName, check_realm, parse_challenge
from runbook.errors import ForgeError, Permanent
from runbook.values import is_digest

SYSTEM = "registry"
ACCEPT = ", ".join((
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
))  # fmt: skip
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")  # OCI distribution specification, "Pulling manifests"
_LARGEST_MANIFEST = 4 * 1024 * 1024  # bytes; the specification asks registries for at least that
_MOST_REDIRECTS = 3
_MOST_TOKENS = 500
_SHORTEST_TOKEN_S = 60.0  # token specification: what counts where expires_in is missing


@dataclass(slots=True)
class _Bearer:
    """A token and until when it is used, by the injected clock."""

    header: str = field(repr=False)
    until: float


class OciRegistry:
    """Fulfils `runbook.ports.ImageRegistry` for any number of registries: an image's name says which."""

    def __init__(
        self,
        *,
        docker_config: Path | None = None,
        insecure_hosts: Collection[str] = (),
        trusted_realms: Collection[str] = (),
        limits: Limits | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """docker_config: None for Docker's own place. insecure_hosts: `host[:port]` that speak plain HTTP, beside this machine.

        trusted_realms: hosts of token servers outside the registry's own domain that may be given its login.
        """
        self._docker_config = docker_config or docker_config_path()
        self._insecure = frozenset(insecure_hosts)
        self._trusted = frozenset(trusted_realms)
        self._limits = limits or Limits(timeout_s=10.0, deadline_s=25.0)
        self._clock = clock
        self._calls = HttpCalls(SYSTEM, self._limits, largest_body=_LARGEST_MANIFEST)
        self._bearers: dict[tuple[str, str], _Bearer] = {}

    async def aclose(self) -> None:
        await self._calls.aclose()

    async def digest(self, repository: str, tag: str) -> str | None:
        """See the port. repository: with or without a host, as in a manifest; without one it is Docker Hub's."""
        image = ImageName.parse(repository)
        if image is None or not _TAG.fullmatch(tag):
            raise Permanent(SYSTEM, "bad_name", f"{repository[:200]}:{tag[:130]} is no name of an image")

        async def attempt() -> str | None:
            return await self._attempt(image, tag)

        return await retrying("registry head", self._limits, attempt)

    async def _attempt(self, image: ImageName, tag: str) -> str | None:
        answer = await self._manifest("HEAD", image, tag)
        if answer.status == 404:
            return None
        if answer.status == 200 and "Docker-Content-Digest" in answer.headers:
            return self._checked(image, answer.headers["Docker-Content-Digest"])
        if answer.status not in (200, 405):
            raise self._refused(image, tag, answer)
        return await self._hashed(image, tag)

    async def _hashed(self, image: ImageName, tag: str) -> str | None:
        """The digest of the manifest's bytes, for registries whose HEAD doesn't tell it: it is defined so."""
        answer = await self._manifest("GET", image, tag)
        if answer.status == 404:
            return None
        if answer.status != 200:
            raise self._refused(image, tag, answer)
        document = answer.json(SYSTEM, image.host)
        if not isinstance(document, dict) or "schemaVersion" not in document:
            raise garbage(SYSTEM, image.host, "manifest")
        digest = "sha256:" + hashlib.sha256(answer.body).hexdigest()
        if answer.headers.get("Docker-Content-Digest", digest) != digest:
            raise Permanent(SYSTEM, "digest_mismatch", f"{image.host} names another digest than its manifest has")
        return digest

    def _checked(self, image: ImageName, digest: str) -> str:
        if not is_digest(digest):
            raise garbage(SYSTEM, image.host, "sha256 digest")
        return digest

    # --- requests ---------------------------------------------------------------------------------------------------

    async def _manifest(self, method: str, image: ImageName, tag: str) -> Answer:
        url = f"{self._scheme(image.host)}://{image.api_host}/v2/{image.path}/manifests/{tag}"
        known = self._bearers.get((image.host, image.path))
        authorization = known.header if known and known.until > self._clock() else ""
        answer = await self._followed(method, url, authorization)
        if answer.status != 401:
            return answer
        authorization = await self._authorize(image, answer)
        return await self._followed(method, url, authorization) if authorization else answer

    async def _followed(self, method: str, url: str, authorization: str) -> Answer:
        """Follows redirects itself, so that the authorization stays with the host that asked for it."""
        origin = urlsplit(url)
        for _ in range(_MOST_REDIRECTS + 1):
            here = urlsplit(url)
            headers = {"Accept": ACCEPT}
            if authorization and (here.scheme, here.netloc) == (origin.scheme, origin.netloc):
                headers["Authorization"] = authorization
            answer = await self._calls.ask(method, url, headers=headers)
            if answer.status not in (301, 302, 303, 307, 308) or "Location" not in answer.headers:
                return answer
            url = urljoin(url, answer.headers["Location"])
            self._check_plain(url)
        raise Permanent(SYSTEM, "redirects", f"{origin.hostname} redirects more than {_MOST_REDIRECTS} times")

    def _scheme(self, host: str) -> str:
        return "http" if host in self._insecure or is_loopback(urlsplit(f"//{host}").hostname or "") else "https"

    def _check_plain(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme != "https" and not (parts.scheme == "http" and self._scheme(parts.netloc) == "http"):
            cause = f"the registry sends forge on to {parts.hostname} without TLS"
            raise Permanent(SYSTEM, "insecure", cause, "Serve it by HTTPS, or list the host under insecure_hosts")

    # --- the token flow: distribution.github.io/distribution/spec/auth/token -----------------------------------------

    async def _authorize(self, image: ImageName, refusal: Answer) -> str:
        """The `Authorization` that the registry's challenge asks for; empty where nothing can be offered."""
        scheme, parameters = parse_challenge(refusal.headers.get("WWW-Authenticate", ""))
        login = await login_for(image.host, self._docker_config)
        if scheme == "basic":
            return login.basic if login is not None and login.user else ""
        if scheme != "bearer" or not parameters.get("realm"):
            return ""
        bearer = await self._bearer(image, parameters, login)
        while len(self._bearers) >= _MOST_TOKENS:
            self._bearers.pop(next(iter(self._bearers)))
        self._bearers[(image.host, image.path)] = bearer
        return bearer.header

    async def _bearer(self, image: ImageName, parameters: Mapping[str, str], login: Login | None) -> _Bearer:
        realm = parameters["realm"]
        check_realm(realm, image, self._scheme(image.host) == "http", login is not None, self._trusted)
        query = {"scope": f"repository:{image.path}:pull"}  # what we need, not what the answer would have us ask for
        if service := parameters.get("service"):
            query["service"] = service
        if login is not None and not login.user:
            form = {"grant_type": "refresh_token", "refresh_token": login.secret, "client_id": "forge", **query}
            answer = await self._calls.ask("POST", realm, form=form)
        else:
            headers = {"Authorization": login.basic} if login is not None else {}
            separator = "&" if "?" in realm else "?"
            answer = await self._calls.ask("GET", f"{realm}{separator}{urlencode(query)}", headers=headers)
        return self._read_token(image, answer)

    def _read_token(self, image: ImageName, answer: Answer) -> _Bearer:
        if answer.status != 200:
            cause = f"the token server of {image.host} answered {answer.status}"
            status = 401 if answer.status == 400 else answer.status  # some say 400 to a wrong password
            raise status_error(SYSTEM, status, cause, self._remedy(status, image), answer.headers)
        body = answer.json(SYSTEM, f"the token server of {image.host}")
        token = (body.get("token") or body.get("access_token")) if isinstance(body, dict) else None
        if not isinstance(token, str) or not token.isprintable():
            raise garbage(SYSTEM, f"the token server of {image.host}", "token")
        life_s = body.get("expires_in")
        seconds = float(life_s) if isinstance(life_s, int | float) and life_s > 0 else _SHORTEST_TOKEN_S
        return _Bearer(f"Bearer {token}", self._clock() + seconds * 0.9)

    # --- refusals ---------------------------------------------------------------------------------------------------

    def _refused(self, image: ImageName, tag: str, answer: Answer) -> ForgeError:
        if answer.status in (401, 403):
            self._bearers.pop((image.host, image.path), None)
        cause = f"{image.host} answered {answer.status} for {image.path}:{tag}"
        return status_error(SYSTEM, answer.status, cause, self._remedy(answer.status, image), answer.headers)

    def _remedy(self, status: int, image: ImageName) -> str:
        login = f"`docker login {image.host}` for {self._docker_config}"
        remedies = {
            401: f"Give forge a login that may pull {image.path}: {login}",
            403: f"Give the account in {self._docker_config} the right to pull {image.path}",
            429: f"The registry's pull limit is used up: wait, or log in: {login}",
        }
        return remedies.get(status, "")
