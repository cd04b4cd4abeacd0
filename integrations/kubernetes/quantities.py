"""Kubernetes' quantities of CPU and memory as numbers. Pure. Source: apimachinery `resource.Quantity`."""

from __future__ import annotations

import re
from decimal import Decimal

_FORM = re.compile(r"([+-]?(?:\d+(?:\.\d*)?|\.\d+))(?:[eE]([+-]?\d{1,3})|(n|u|m|k|[MGTPE]i?|Ki))?")
_BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
_DECIMAL = {"n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}


def quantity(text: object) -> float | None:
    """`500m` is 0.5, `1Gi` is 1073741824; None for what is no quantity."""
    found = _FORM.fullmatch(str(text).strip()) if isinstance(text, str | int | float) else None
    if found is None or isinstance(text, bool):
        return None
    number, exponent, suffix = found.groups()
    value = Decimal(number)
    if suffix in _BINARY:
        value *= 1024 ** _BINARY[suffix]
    elif suffix or exponent:
        value = value.scaleb(_DECIMAL[suffix] if suffix else int(exponent))
    return float(value)
