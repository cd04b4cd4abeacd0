"""How the checks of a gate ask: one question's error never hides another's answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from runbook.errors import Permanent, Temporary
from runbook.rules.readings import read_error
from runbook.verdicts import Outcome, Verdict

Verdicts = tuple[Verdict, ...]


async def asked(gate: str, question: Awaitable[Verdicts]) -> tuple[Verdicts, bool]:
    """(verdicts, whether it failed by an error that may pass): one question's error never hides another's answer."""
    try:
        return await question, False
    except Temporary as error:
        return (read_error(gate, error),), True
    except Permanent as error:
        return (read_error(gate, error),), False


async def all_asked(*questions: tuple[str, Awaitable[Verdicts]]) -> tuple[Verdicts, bool]:
    """All at once. The second value: every error among them may pass."""
    answers = await asyncio.gather(*(asked(gate, question) for gate, question in questions))
    verdicts = tuple(verdict for found, _ in answers for verdict in found)
    errors = sum(1 for verdict in verdicts if verdict.outcome == Outcome.ERROR)
    return verdicts, errors == sum(1 for _, passing in answers if passing)
