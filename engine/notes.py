"""Notes: messages that are posted once, in a run's thread or in the release channel, about something that happened."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from runbook.verdicts import Verdict


class Tone(StrEnum):
    """INFO: progress. GOOD: done. BAD: failed or returned. WARN: held or without data. ASK: a person must act."""

    INFO = "info"
    GOOD = "good"
    BAD = "bad"
    WARN = "warn"
    ASK = "ask"


@dataclass(frozen=True, kw_only=True)
class Note:
    """title: one line that stands alone on a phone. text: more, may be empty. mention: Slack ids of those who must act, and nobody else.

    verdicts: shown with their evidence. It is the JSON payload of an `Outgoing` of kind `note`.
    """

    tone: Tone
    title: str
    text: str = ""
    verdicts: tuple[Verdict, ...] = ()
    mention: tuple[str, ...] = ()
