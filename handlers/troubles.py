"""What a person is told where their payload could not be kept, or a dialog could not be opened: cause, and what to type instead. Pure."""

from __future__ import annotations

from enum import Enum

from engine.answers import Answer, refused
from engine.backup_views import RestoreChoices
from runbook.commands import BY_NAME
from runbook.errors import ForgeError


class Fate(Enum):
    """What became of a payload at the inbox. UNSURE: the commit took too long to wait for; it may yet succeed."""

    KEPT = "kept"
    KNOWN = "known"
    LOST = "lost"
    UNSURE = "unsure"


def not_kept(fate: Fate) -> Answer:
    """The inbox could not be written, or not in time."""
    if fate is Fate.UNSURE:
        return refused(
            "inbox.slow",
            "forge is slow at writing its records; it may yet carry this out.",
            "Look at /forge status before you try again.",
        )
    return refused(
        "inbox.unavailable",
        "forge can't write its records now, so it takes no commands; nothing was started.",
        "Try again in a few minutes; whoever runs forge sees why in /health/ready.",
    )


def no_restore_dialog(choices: RestoreChoices, error: ForgeError) -> Answer:
    """What to type instead of choosing a backup."""
    where = f"{choices.environment} --service {choices.service}"
    return refused(
        "dialog.failed",
        f"Slack didn't open the dialog ({error.cause}); nothing was done.",
        f"Try again, or type /forge restore {where} --backup {choices.lines[0].id}",
    )


def no_candidates_dialog(error: ForgeError) -> Answer:
    """What to type instead of choosing a candidate."""
    return refused(
        "dialog.failed",
        f"Slack didn't open the dialog ({error.cause}); nothing was done.",
        "Try again, or type /forge deploy staging vX.Y.Z-rc.N; /forge plan staging shows which there are.",
    )


def no_dialog(action: str, error: ForgeError) -> Answer:
    """What to type instead of giving a reason. action: the button's `action_id`."""
    return refused(
        "dialog.failed",
        f"Slack didn't open the dialog ({error.cause}); nothing was done.",
        f'Click again, or type /forge {action} <run> --reason "why".' if action in BY_NAME else "Click again.",
    )
