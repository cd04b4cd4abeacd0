"""What becomes of a committed Slack payload: who it is, what they want, and then the engine's answer.

Called by the inbox's worker, perhaps again after a crash; the engine makes a second call harmless. It never acts for
somebody whom Slack couldn't be asked about.
"""

from __future__ import annotations

import re

import structlog

from engine.answers import Answer, refused
from engine.candidates import wants_candidate
from engine.intents import Intent, Operations
from engine.records import Received
from handlers.parser import MAX_KEPT_TEXT, clean_reason, parse_argv, parse_command
from handlers.payloads import CLICK, COMMAND, VIEW, Kept
from handlers.ports import Directory
from messages.candidates import CANDIDATES
from messages.restore_dialog import RESTORE
from runbook.errors import ForgeError, StoreUnavailable
from runbook.values import Environment

log = structlog.get_logger(__name__)

ACTIONS = ("approve", "signoff", "reject", "withdraw", "pause", "resume", "abort", "retry", "cancel", "override")
"""The buttons' `action_id`s that this version answers."""

WITH_DIALOG = ("reject", "abort", "override")
"""Those that ask for a reason in a dialog first; the dialog's `callback_id` is the same name."""

ON_PROMPTS = ("rollback", "extend", "continue")
"""The buttons with which on-call answers a prompt."""

ON_CHECKLISTS = ("tick",)
"""One button for each open line."""

PROMPTS_WITH_DIALOG = ("continue",)

CHOICE = re.compile(r"choose:[a-z0-9_-]{1,100}")
"""The buttons of a choice, one for each of its options."""


class SlackConsumer:
    """Fulfils `engine.intents.Consumer` for the kinds `command`, `click` and `view`. Raises `StoreUnavailable`: called again then."""

    def __init__(self, operations: Operations, directory: Directory) -> None:
        self._operations = operations
        self._directory = directory

    async def __call__(self, received: Received) -> None:
        kept = Kept.load(received.payload)
        intent = intent_of(received.kind, kept)
        try:
            actor = await self._directory.actor(kept.team, kept.user)
        except StoreUnavailable:
            raise
        except ForgeError as error:
            log.warning("could not look a person up", user=kept.user, code=error.code)
            await self._operations.answer(received, unknown_person(error))
            return
        if isinstance(intent, Intent):
            await self._operations.act(intent, actor, received=received)
        elif actor.refusal:
            await self._operations.answer(received, not_a_member(actor.refusal), actor)
        else:
            # Without the actor: a slip of the pen is nobody's business but the writer's, and no entry of the audit log.
            await self._operations.answer(received, intent)


def intent_of(kind: str, kept: Kept) -> Intent | Answer:
    """What a payload asks for, or why it can't be understood."""
    if kind == COMMAND:
        return parse_command(kept.text, (kept.command or "/forge") + " ")
    if kind == VIEW and kept.action == RESTORE:
        return _restore(kept)
    if kind == VIEW and kept.action == CANDIDATES:
        return _candidate(kept)
    if not _is_answered(kind, kept.action):
        return retired_button()
    reason = clean_reason(kept.reason)
    if isinstance(reason, Answer):
        return reason
    text = f"button {kept.action}" + (f": {reason}" if reason else "")
    return Intent(name=kept.action, button=kept.button, reason=reason, text=text[:MAX_KEPT_TEXT])


def opens_a_dialog(intent: Intent | Answer) -> bool:
    """A restore that names neither a backup nor a moment asks for one."""
    return isinstance(intent, Intent) and intent.name == RESTORE and not {"backup", "at"} & intent.options.keys()


def offers_candidates(intent: Intent | Answer) -> bool:
    """A deployment to staging that names no candidate offers those that there are."""
    return isinstance(intent, Intent) and intent.name == "deploy" and wants_candidate(intent)


def _candidate(kept: Kept) -> Intent | Answer:
    """The dialog's submission says what the command would: it is read by the same grammar, and always of staging."""
    words = ["deploy", Environment.STAGING.value, *([kept.version] if kept.version else [])]
    for name, value in {"service": kept.service, "reason": kept.reason}.items():
        words += [f"--{name}={value}"] if value.strip() else []
    return parse_argv(words, "/forge ")


def _restore(kept: Kept) -> Intent | Answer:
    """The dialog's submission says what the command would: it is read by the same grammar."""
    words = [RESTORE, kept.environment]
    given = {"service": kept.service, "backup": kept.backup, "at": kept.at, "reason": kept.reason}
    for name, value in given.items():
        words += [f"--{name}={value}"] if value.strip() else []
    return parse_argv(words, "/forge ")


def asks_for_a_reason(action: str) -> bool:
    """Whether its button opens a dialog, and only the dialog's submission does something."""
    return action in (*WITH_DIALOG, *PROMPTS_WITH_DIALOG)


def _is_answered(kind: str, action: str) -> bool:
    if kind == VIEW:
        return asks_for_a_reason(action)
    known = action in (*ACTIONS, *ON_PROMPTS, *ON_CHECKLISTS) or CHOICE.fullmatch(action) is not None
    return kind == CLICK and known and not asks_for_a_reason(action)


def unknown_person(error: ForgeError) -> Answer:
    return refused(
        "actor.unknown",
        f"I could not check who you are ({error.cause}), so nothing was done.",
        error.remedy or "Try again in a minute.",
    )


def not_a_member(refusal: str) -> Answer:
    return refused("authority.refused", f"You can't use forge: {refusal}.", "Ask a member of the release team.")


def retired_button() -> Answer:
    return refused(
        "button.retired",
        "This button belongs to another version of forge and does nothing any more.",
        "Use /forge status to see what can be done now.",
    )
