"""What a gateway does with requests: agreed by the cluster stand-in, which programs routes, and by whoever plays the containers.

Only routes that a gateway has accepted get here. How they are shared out and answered is the affair of who follows them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Backend:
    """One backendRef. selector: of its Service's pods; None where the reference leads nowhere: its share is answered with 500."""

    service: str
    weight: int
    selector: Mapping[str, str] | None


@dataclass(frozen=True)
class Match:
    """What a request has to be like. kind: Exact, PathPrefix or RegularExpression, of the path. method: empty for any.

    headers: (lower-case name, value, whether the value is a regular expression), all of which have to be there.
    """

    path: str = "/"
    kind: str = "PathPrefix"
    method: str = ""
    headers: tuple[tuple[str, str, bool], ...] = ()

    def holds(self, method: str, path: str, headers: Mapping[str, str]) -> bool:
        """headers: by name in any case."""
        return self._is_path(path) and self.method in ("", method) and (not self.headers or self._has(headers))

    def _has(self, headers: Mapping[str, str]) -> bool:
        given = {name.lower(): value for name, value in headers.items()}
        return all(
            name in given and (re.fullmatch(value, given[name]) is not None if is_regex else given[name] == value)
            for name, value, is_regex in self.headers
        )

    def _is_path(self, path: str) -> bool:
        match self.kind:
            case "Exact":
                return path == self.path
            case "RegularExpression":
                return re.fullmatch(self.path, path) is not None
        prefix = self.path.rstrip("/")
        return path == prefix or path.startswith(f"{prefix}/")

    @property
    def precedence(self) -> tuple[bool, int, bool, int]:
        """Gateway API, HTTPRouteRule: exact paths first, then longer ones, then a method, then more headers."""
        return self.kind == "Exact", len(self.path), bool(self.method), len(self.headers)


@dataclass(frozen=True)
class RouteRule:
    """matches: any of them suffices."""

    matches: tuple[Match, ...]
    backends: tuple[Backend, ...]


@dataclass(frozen=True)
class Route:
    """One HTTPRoute as the gateway follows it."""

    namespace: str
    name: str
    rules: tuple[RouteRule, ...]

    def rule_for(self, method: str, path: str, headers: Mapping[str, str]) -> RouteRule | None:
        """The rule of the most telling match, the earlier one among equals; None: nothing here is meant by the request."""
        best: RouteRule | None = None
        found: tuple[bool, int, bool, int] | None = None
        for rule in self.rules:
            for match in rule.matches:
                if match.holds(method, path, headers) and (found is None or match.precedence > found):
                    best, found = rule, match.precedence
        return best
