"""Who may read what in a registry, and the token flow that tells the registry so.

After the token specification of CNCF Distribution: a 401 names the realm, the client asks there with basic
credentials or none, and comes back with a bearer token for its scopes.
"""

from __future__ import annotations

import base64
import binascii
import fnmatch
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from aiohttp import web

Mode = Literal["token", "basic", "none"]


@dataclass(frozen=True)
class Grant:
    """What one token opens, until when (in `now`'s seconds). user: empty for anonymous."""

    user: str
    repositories: frozenset[str]
    until: float


@dataclass
class Access:
    """users: name -> password. readable: name -> patterns of repositories; a user not in it reads everything.

    public: patterns of repositories that need no credentials. token_s: how long a token is good.
    """

    mode: Mode = "token"
    users: Mapping[str, str] = field(default_factory=dict)
    readable: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    public: tuple[str, ...] = ()
    token_s: float = 300.0
    now: Callable[[], float] = field(default=time.monotonic)
    grants: dict[str, Grant] = field(default_factory=dict)

    def basic_user(self, request: web.Request) -> str | None:
        """The user of right basic credentials, empty without any; None when they are wrong."""
        kind, _, value = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() != "basic":
            return ""
        try:
            name, _, password = base64.b64decode(value, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        known = self.users.get(name)
        return name if known is not None and secrets.compare_digest(known.encode(), password.encode()) else None

    def may_read(self, user: str, repository: str) -> bool:
        patterns = self.readable.get(user, ("*",)) if user else ()
        return any(fnmatch.fnmatchcase(repository, each) for each in (*patterns, *self.public))

    def grant(self, user: str, scopes: list[str]) -> str:
        """A token for those of the scopes (`repository:name:pull`) that this user may have, which may be none."""
        asked = {scope.split(":")[1] for scope in scopes if scope.count(":") >= 2}
        allowed = frozenset(name for name in asked if self.may_read(user, name))
        token = secrets.token_urlsafe(24)
        self.grants[token] = Grant(user, allowed, self.now() + self.token_s)
        return token

    def grant_of(self, request: web.Request) -> Grant | None:
        """The grant of a good bearer token; None when it is absent, unknown or too old."""
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        grant = self.grants.get(token) if kind.lower() == "bearer" else None
        return grant if grant and grant.until > self.now() else None

    def revoke_all(self) -> None:
        """Every token is invalid from now on."""
        self.grants.clear()
