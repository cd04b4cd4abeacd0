"""What an operation answers to its caller: shown to them alone, in Slack as an ephemeral message, on the command line as text or JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from runbook.verdicts import Verdict


class AnswerKind(StrEnum):
    """DONE: it happened. INFO: an answer to a question. REFUSED: not allowed, not possible, or not understood. FAULT: ours; has a correlation id."""

    DONE = "done"
    INFO = "info"
    REFUSED = "refused"
    FAULT = "fault"


@dataclass(frozen=True)
class Answer:
    """code: a stable reason code. text: plain text, one or more sentences. remedy: what to do next. verdicts: every obstacle at once.

    view: a value of `engine.views` that is shown beneath the text, or None. run: the run that it is about.
    """

    kind: AnswerKind
    code: str
    text: str
    remedy: str = ""
    verdicts: tuple[Verdict, ...] = ()
    view: Any = field(default=None, compare=False)
    run: str = ""

    @property
    def ok(self) -> bool:
        return self.kind in (AnswerKind.DONE, AnswerKind.INFO)


def done(code: str, text: str, *, run: str = "", view: Any = None) -> Answer:
    return Answer(AnswerKind.DONE, code, text, run=run, view=view)


def info(code: str, text: str, *, run: str = "", view: Any = None) -> Answer:
    return Answer(AnswerKind.INFO, code, text, run=run, view=view)


def refused(code: str, text: str, remedy: str = "", *, verdicts: tuple[Verdict, ...] = (), run: str = "") -> Answer:
    return Answer(AnswerKind.REFUSED, code, text, remedy, verdicts, run=run)
