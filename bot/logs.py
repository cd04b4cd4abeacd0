"""Logging: one JSON object a line to standard error, with correlation ids, and without any secret that is known here."""

from __future__ import annotations

import logging
import re
import secrets
import sys
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from typing import Any, TextIO

import structlog

HIDDEN = "[hidden]"
_SHORTEST = 6  # characters; a shorter "secret" would blot out ordinary words
_NAMES = re.compile(r"token|secret|password|authorization|cookie|private_key|response_url", re.IGNORECASE)
_SHAPES = re.compile(
    r"xox[a-z]-[A-Za-z0-9-]{8,}|xapp-[A-Za-z0-9-]{8,}|gh[a-z]_[A-Za-z0-9]{16,}|github_pat_\w{16,}"
    r"|(?<=[Bb]earer )[^\s\"',]{6,}|(?<=://)[^\s/@:]*:[^\s/@]+(?=@)"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
    r"|https://hooks\.slack\.com/\S+"
    r"|AGE-SECRET-KEY-1[0-9A-Za-z]+"
)
_QUIET = ("aiohttp.access", "slack_sdk", "slack_bolt", "urllib3", "kubernetes_asyncio", "asyncio")

Event = MutableMapping[str, Any]


class Redaction:
    """A processor that hides secrets' values wherever they stand: known ones, things named like one, things shaped like one.

    values: asked at each line, because secrets are rotated; their reading must be cheap.
    """

    def __init__(self, values: Callable[[], Iterable[str]]) -> None:
        self._values = values

    def __call__(self, _logger: object, _method: str, event: Event) -> Event:
        known = sorted({v for v in self._values() if len(v) >= _SHORTEST}, key=len, reverse=True)
        return {name: self._clean(name, value, known) for name, value in event.items()}

    def _clean(self, name: str, value: Any, known: list[str]) -> Any:
        if _NAMES.search(name) and isinstance(value, str | bytes):
            return HIDDEN
        match value:
            case str():
                return _blotted(value, known)
            case None | bool() | int() | float():
                return value
            case Mapping():
                return {str(key): self._clean(str(key), item, known) for key, item in value.items()}
            case list() | tuple() | set() | frozenset():
                return [self._clean("", item, known) for item in value]
        return _blotted(repr(value), known)


def _blotted(text: str, known: list[str]) -> str:
    for secret in known:
        text = text.replace(secret, HIDDEN)
    return _SHAPES.sub(HIDDEN, text)


def configure_logging(
    values: Callable[[], Iterable[str]] = tuple, *, level: str = "INFO", stream: TextIO | None = None
) -> None:
    """For structlog and for the standard library's logging, which the libraries use. values: the secrets that are known now."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        Redaction(values),
    ]
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[
            *(p for p in shared if not isinstance(p, structlog.stdlib.ExtraAdder)),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(stream or sys.stderr),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    last: list[Any] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta, structlog.processors.JSONRenderer()]
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=last))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(number)
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(number, logging.WARNING))


def silence() -> None:
    """For commands whose output is the answer: only errors are logged."""
    configure_logging(level="CRITICAL")


def bind_correlation(**about: str) -> str:
    """Gives everything that is logged from here in this task a correlation id, and returns it; people quote it."""
    correlation = secrets.token_hex(4)
    structlog.contextvars.bind_contextvars(correlation=correlation, **about)
    return correlation
