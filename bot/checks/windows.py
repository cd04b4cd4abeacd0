"""Whether production can be released to at all: strict change windows hold everything up where none is configured, or none is left."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime

from bot.checks.findings import Finding, ok, warn
from runbook.policy import Setting
from runbook.rules.change_windows import check_change_window
from runbook.values import Environment

NAME = "policy.prod.windows"


def has_production(setting: Setting) -> bool:
    return any(Environment.PROD in service.urls for service in setting.services.values())


async def check_windows(setting: Setting, now: datetime) -> AsyncIterator[Finding]:
    verdict = check_change_window(setting.policy.prod.windows, now)
    if verdict.code in ("ok", "window.closed"):
        yield ok(NAME, verdict.reason)
    else:
        yield warn(NAME, f"{verdict.reason}: nothing is released to production", verdict.remedy)
