"""The recording rules that are shipped, as text for Prometheus: `rules.yaml` has them for a window of one minute."""

from __future__ import annotations

import re
from pathlib import Path

_DURATION = re.compile(r"[1-9][0-9]{0,4}[smh]")
_SHIPPED = Path(__file__).with_name("rules.yaml")


def rules_text(window: str = "1m", interval: str = "15s") -> str:
    """The rules file for another window or interval of evaluation, such as `5m`. Raises ValueError for what is no duration."""
    for duration in (window, interval):
        if not _DURATION.fullmatch(duration):
            raise ValueError(f"{duration!r} is no duration such as 30s, 1m or 2h")
    text = _SHIPPED.read_text(encoding="utf-8")
    text = re.sub(r"(forge:(?:[a-z_0-9]+:)?)1m\b", rf"\g<1>{window}", text)
    return text.replace("[1m]", f"[{window}]").replace("interval: 15s", f"interval: {interval}")
