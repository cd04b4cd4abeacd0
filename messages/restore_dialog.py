"""The modal of a restore: which backup, or to which moment, and why. A pure view within Slack's limits; what is chosen is looked up again."""

from __future__ import annotations

from typing import Any

from engine.backup_views import BackupLine, RestoreChoices
from messages import backups, words
from messages.blocks import MAX_MODAL_TITLE, Block, esc, paragraphs
from messages.dialogs import DialogMemory, plain_text, reason_input
from runbook.moments import PAST_FORMS, told
from runbook.wording import size

RESTORE = "restore"
"""Its `callback_id`."""

BACKUP_BLOCK, BACKUP_INPUT = "backup", "chosen"
AT_BLOCK, AT_INPUT = "at", "text"
MAX_OPTION, MAX_VALUE, MAX_HINT = 75, 150, 2_000


def restore_dialog(choices: RestoreChoices, memory: DialogMemory) -> dict[str, Any]:
    """Nothing happens before its submission; in production a second person approves it after that."""
    name = f"{choices.service} on {choices.environment}"
    return {
        "type": "modal",
        "callback_id": RESTORE,
        "private_metadata": memory.dump(),
        "title": plain_text(f"Restore {choices.service}", MAX_MODAL_TITLE),
        "submit": plain_text("Restore", MAX_MODAL_TITLE),
        "close": plain_text("Go back", MAX_MODAL_TITLE),
        "blocks": [
            *paragraphs([esc(_said(name)), esc(_window(choices))]),
            *([_backup(choices)] if choices.lines else []),
            _at(),
            reason_input(is_optional=False),
        ],
    }


def _said(name: str) -> str:
    return (
        f"The database of {name} is restored beside the one in use. Everything is checked, and the Database Owner signs it off, "
        "before any traffic goes there. Choose a backup, or name a moment: what was committed after it is not in the restored one."
    )


def _window(choices: RestoreChoices) -> str:
    if choices.window is None:
        return "There is no unbroken WAL: only what a backup itself holds can be restored."
    return f"Any moment from {told(choices.window.since)} until {told(choices.window.until)} can be recovered."


def _backup(choices: RestoreChoices) -> Block:
    options = [
        {"text": plain_text(_option(line, choices), MAX_OPTION), "value": line.id}
        for line in choices.lines
        if len(line.id) <= MAX_VALUE
    ]
    return {
        "type": "input", "block_id": BACKUP_BLOCK, "optional": True, "label": plain_text("Backup", 100),
        "element": {"type": "static_select", "action_id": BACKUP_INPUT, "options": options},
    }  # fmt: skip


def _option(line: BackupLine, choices: RestoreChoices) -> str:
    kind, sign = backups.KINDS.get(line.kind, line.kind), backups.state_sign(line)
    return f"{line.at:%d %b %H:%M} UTC, {kind}, {size(line.plain_bytes)}, {words.since(line.at, choices.now)} old, {sign.word}"


def _at() -> Block:
    return {
        "type": "input", "block_id": AT_BLOCK, "optional": True, "label": plain_text("Or recover to this moment", 100),
        "hint": plain_text(f"{PAST_FORMS}; UTC where no zone stands behind it", MAX_HINT),
        "element": {"type": "plain_text_input", "action_id": AT_INPUT, "max_length": 60},
    }  # fmt: skip
