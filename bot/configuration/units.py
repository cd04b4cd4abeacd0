"""Ratios and rates of bytes as people write them: `1 %` or `0.01`, `16 MB/s` or `16000000`."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from runbook.wording import measure

_PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s*%")

_BYTE_RATE = re.compile(r"(\d+(?:\.\d+)?)\s*([kMGT]?)B/s")
_THOUSANDS = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}

_RATIO_REMEDY = "Write 1 %, or 0.01: a ratio between 0 and 1"

MOST_EXCESS = 100.0
_EXCESS_REMEDY = "Write 20 %, or 0.2: at most 10000 %"


def parse_ratio(value: Any) -> float:
    """A number in [0, 1]."""
    ratio = _number(value)
    if ratio is None or not 0 <= ratio <= 1:
        raise PydanticCustomError("ratio", "{value} is no ratio", {"value": repr(value), "remedy": _RATIO_REMEDY})
    return ratio


def parse_excess(value: Any) -> float:
    """How far something may be over something else: 0.2 for a fifth, and 3 for four times as much."""
    excess = _number(value)
    if excess is None or not 0 <= excess <= MOST_EXCESS:
        raise PydanticCustomError("excess", "{value} is no excess", {"value": repr(value), "remedy": _EXCESS_REMEDY})
    return excess


def _number(value: Any) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    match = _PERCENT.fullmatch(value.strip()) if isinstance(value, str) else None
    return float(match.group(1)) / 100 if match else None


def ratio_text(ratio: float) -> str:
    return f"{ratio * 100:g} %"


def parse_byte_rate(value: Any) -> float:
    """Bytes per second. Raises PydanticCustomError."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, str) and (match := _BYTE_RATE.fullmatch(value.strip())):
        return float(match.group(1)) * _THOUSANDS[match.group(2)]
    remedy = "Write 16 MB/s, or bytes per second as a number"
    raise PydanticCustomError("byte_rate", "{value} is no rate of bytes", {"value": repr(value), "remedy": remedy})


def byte_rate_text(rate: float) -> str:
    return measure(rate, "bytes_per_s")


Ratio = Annotated[
    float,
    BeforeValidator(parse_ratio),
    WithJsonSchema({"type": ["string", "number"], "format": "ratio", "examples": ["1 %", 0.01]}),
]
"""In [0, 1]."""

Excess = Annotated[
    float,
    BeforeValidator(parse_excess),
    WithJsonSchema({"type": ["string", "number"], "format": "ratio", "examples": ["20 %", 0.2]}),
]
"""In [0, 100]: over 100 % is more than twice as much."""
