"""Durations as people write them: `30m`, `1h30m`, `90s`, `250ms`, plain seconds."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

_SECONDS = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|d|h|m|s)\s*")

_REMEDY = "Write 30m, 90s, 1h30m, 250ms, or a number of seconds"
_LONGEST_S = 366 * 86_400.0


def parse_duration(value: Any) -> float:
    """Seconds, more than zero and at most a year."""
    seconds = _seconds(value)
    if seconds is None:
        raise PydanticCustomError("duration", "{value} is no duration", {"value": repr(value), "remedy": _REMEDY})
    if not 0 < seconds <= _LONGEST_S:
        cause = "a duration must be more than zero" if seconds <= 0 else "a duration can't be longer than a year"
        raise PydanticCustomError("duration", "{cause}", {"cause": cause, "remedy": _REMEDY})
    return seconds


def _seconds(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value)
    if not isinstance(value, str):
        return None
    text = value.strip()
    negative = text.startswith("-")
    text = text.removeprefix("-").strip()
    parts = _PART.findall(text)
    if not parts or _PART.sub("", text):
        return None
    total = sum(float(number) * _SECONDS[unit] for number, unit in parts)
    return -total if negative else total


def duration_text(seconds: float) -> str:
    """The shortest way to write it: `30m`, `1h30m`, `250ms`."""
    if seconds < 1:
        return f"{seconds * 1000:g}ms"
    rest, text = seconds, ""
    for unit in ("d", "h", "m"):
        count = int(rest // _SECONDS[unit])
        if count:
            text, rest = f"{text}{count}{unit}", rest - count * _SECONDS[unit]
    return f"{text}{rest:g}s" if rest or not text else text


Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    WithJsonSchema({"type": ["string", "number"], "format": "duration", "examples": ["30m", "90s", "1h30m", 45]}),
]
"""Seconds."""
