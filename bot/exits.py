"""The command line's exit codes: a promise to scripts. Documented in docs/cli.md."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    OK = 0
    REFUSED = 1
    USAGE = 2
    NEEDS_SLACK = 3
    NOT_RUNNING = 4
    CHECK_FAILED = 5
    FAULT = 6


MEANING = {
    Exit.OK: "done, or answered",
    Exit.REFUSED: "refused: not allowed or not possible now",
    Exit.USAGE: "not understood, or the configuration can't be used",
    Exit.NEEDS_SLACK: "a decision: only a person can make it, in Slack",
    Exit.NOT_RUNNING: "no running bot answers",
    Exit.CHECK_FAILED: "a check failed (doctor, audit verify)",
    Exit.FAULT: "something went wrong in forge itself",
}


def of_answer(kind: str, code: str) -> Exit:
    """The exit code of an answer, by its kind and its reason code."""
    if kind in ("done", "info"):
        return Exit.OK
    if kind == "fault":
        return Exit.FAULT
    if code == "authority.slack_only":
        return Exit.NEEDS_SLACK
    return Exit.USAGE if code.startswith("parse.") else Exit.REFUSED
