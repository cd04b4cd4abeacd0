"""Registry credentials as Docker keeps them: `config.json`'s auths, and the helpers that it names.

Read anew each time (they rotate), kept nowhere, in no error and no `repr`.
Source: docs.docker.com, "docker login", credential stores; github.com/docker/docker-credential-helpers.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from integrations.programs import run_program
from runbook.errors import Permanent

SYSTEM = "registry"
DOCKER_HUB_KEY = "https://index.docker.io/v1/"
_HELPER = re.compile(r"[A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class Login:
    """user: empty with an identity token (OAuth2 refresh token), which is then the secret."""

    user: str
    secret: str = field(repr=False)

    @property
    def basic(self) -> str:
        """The value of an `Authorization` header."""
        return "Basic " + base64.b64encode(f"{self.user}:{self.secret}".encode()).decode()


def docker_config_path() -> Path:
    """Where Docker looks: `$DOCKER_CONFIG/config.json`, else `~/.docker/config.json`."""
    folder = os.environ.get("DOCKER_CONFIG")
    return Path(folder) / "config.json" if folder else Path.home() / ".docker" / "config.json"


async def login_for(host: str, config: Path, timeout_s: float = 10.0) -> Login | None:
    """The login for a registry's host (`docker.io` for Docker Hub), or None: then it is asked anonymously.

    Raises Permanent for a config or a helper that can't be read: asking anonymously instead would hide the fault.
    """
    settings = await asyncio.to_thread(_read, config)
    key = DOCKER_HUB_KEY if host == "docker.io" else host
    helper = _mapping(settings, "credHelpers").get(key) or _mapping(settings, "credHelpers").get(host)
    stored = _stored(_mapping(settings, "auths"), host, key, config)
    helper = helper or settings.get("credsStore")
    if helper:
        return await _from_helper(str(helper), key, timeout_s) or stored
    return stored


def _read(config: Path) -> dict[str, Any]:
    try:
        settings = json.loads(config.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError):
        remedy = "Make it readable for forge, or log in again with `docker login`"
        raise Permanent(SYSTEM, "credentials", f"Docker's configuration {config} can't be read", remedy) from None
    return settings if isinstance(settings, dict) else {}


def _mapping(settings: dict[str, Any], key: str) -> dict[str, Any]:
    value = settings.get(key)
    return value if isinstance(value, dict) else {}


def _stored(auths: dict[str, Any], host: str, key: str, config: Path) -> Login | None:
    for name in (key, host, f"https://{host}", f"https://{host}/", f"https://{host}/v1/", f"https://{host}/v2/"):
        entry = auths.get(name)
        if not isinstance(entry, dict):
            continue
        if entry.get("identitytoken"):
            return Login("", str(entry["identitytoken"]))
        if entry.get("username") and entry.get("password"):
            return Login(str(entry["username"]), str(entry["password"]))
        if entry.get("auth"):
            return _decoded(str(entry["auth"]), host, config)
    return None


def _decoded(auth: str, host: str, config: Path) -> Login:
    try:
        user, colon, secret = base64.b64decode(auth, validate=True).decode().partition(":")
    except ValueError:
        colon = ""
    if not colon:
        remedy = f"Log in again: docker login {host}"
        raise Permanent(SYSTEM, "credentials", f"the login for {host} in {config} can't be read", remedy)
    return Login(user, secret.rstrip("\0"))


async def _from_helper(helper: str, server: str, timeout_s: float) -> Login | None:
    if not _HELPER.fullmatch(helper):
        raise Permanent(
            SYSTEM, "credentials", "Docker's configuration names a credential helper that is no program's name"
        )
    program = f"docker-credential-{helper}"
    remedy = f"Install {program}, or take it out of Docker's config.json"
    finished = await run_program(SYSTEM, [program, "get"], remedy=remedy, stdin=server.encode(), timeout_s=timeout_s)
    if finished.code != 0:
        if b"credentials not found" in finished.output + finished.errors:
            return None
        # Its words are not quoted: helpers have been seen to print what they were given.
        raise Permanent(SYSTEM, "credentials", f"{program} failed for {server}", f"Try `echo {server} | {program} get`")
    try:
        answer = json.loads(finished.output)
        user, secret = str(answer["Username"]), str(answer["Secret"])
    except (ValueError, KeyError, TypeError):
        raise Permanent(SYSTEM, "credentials", f"{program} gave no credentials that can be read", remedy) from None
    return Login("" if user == "<token>" else user, secret)
