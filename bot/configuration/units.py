"""Ratios as people write them: `1 %` or `0.01`."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

_PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s*%")

_RATIO_REMEDY = "Write 1 %, or 0.01: a ratio between 0 and 1"


def parse_ratio(value: Any) -> float:
    """A number in [0, 1]."""
    ratio: float | None = None
    if isinstance(value, int | float) and not isinstance(value, bool):
        ratio = float(value)
    elif isinstance(value, str) and (match := _PERCENT.fullmatch(value.strip())):
        ratio = float(match.group(1)) / 100
    if ratio is None or not 0 <= ratio <= 1:
        raise PydanticCustomError("ratio", "{value} is no ratio", {"value": repr(value), "remedy": _RATIO_REMEDY})
    return ratio


def ratio_text(ratio: float) -> str:
    return f"{ratio * 100:g} %"


Ratio = Annotated[
    float,
    BeforeValidator(parse_ratio),
    WithJsonSchema({"type": ["string", "number"], "format": "ratio", "examples": ["1 %", 0.01]}),
]
"""In [0, 1]."""
