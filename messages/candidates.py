"""Candidates for staging: the list, the proposal of the next one, and the modal that asks which. Pure; what is chosen is authorised again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from engine.candidates import CandidateLine, CandidatesView, ProposalView
from messages import words
from messages.blocks import (
    MAX_MODAL_TITLE,
    Block,
    Markup,
    bold,
    code,
    context,
    esc,
    join,
    paragraphs,
    plain,
    preformatted,
)
from messages.changes import change_lines
from messages.dialogs import MAX_REASON, REASON_BLOCK, REASON_INPUT

CANDIDATES = "candidates"
"""The modal's `callback_id`."""

VERSION_BLOCK, VERSION_INPUT = "version", "chosen"
MAX_OPTION, MAX_VALUE, MAX_OPTIONS = 75, 150, 25
COLUMNS = ("candidate", "commit", "dev", "staging")


# --- words ------------------------------------------------------------------------------------------------------------


def dev_words(line: CandidateLine) -> str:
    if line.validated is None:
        return "dev: not known"
    return "dev-validated" if line.validated else "NOT validated in dev"


def staging_words(line: CandidateLine) -> str:
    word = {"go": "got its go", "no_go": "NO go"}.get(line.decided, "no decision yet")
    return f"{word}, runs in staging now" if line.runs_now else word


def candidate_cells(line: CandidateLine) -> tuple[str, ...]:
    at = f" {line.validated_at:%Y-%m-%d %H:%M}" if line.validated_at is not None else ""
    then = f" {line.decided_at:%Y-%m-%d %H:%M}" if line.decided_at is not None else ""
    return line.version, line.commit[:12], dev_words(line) + at, staging_words(line) + then


def more_words(view: CandidatesView) -> str:
    return f"The newest {len(view.lines)} of {view.total:,} candidates." if view.total > len(view.lines) else ""


# --- blocks -----------------------------------------------------------------------------------------------------------


def candidate_line(line: CandidateLine) -> Markup:
    return join(
        "•", code(line.version), code(line.commit[:12]), "–", esc(f"{dev_words(line)}; {staging_words(line)}", 200)
    )


def candidates_blocks(view: CandidatesView) -> list[Block]:
    blocks = paragraphs(candidate_line(line) for line in view.lines)
    more = more_words(view)
    return [*blocks, context(esc(more))] if more else blocks


def proposal_blocks(view: ProposalView) -> list[Block]:
    lines = [
        join(bold(Markup("Next candidate:")), esc(view.service), code(view.version)),
        join(bold(Markup("Commit:")), code(view.commit[:12]), esc(view.title, 150)),
        join(bold(Markup("This commit:")), esc(view.basis, 300)),
        join(bold(Markup("This number:")), esc(view.why, 300)),
    ]
    lines += [join(":warning:", esc(view.note, 400))] if view.note else []
    blocks = paragraphs(lines)
    if view.changes is not None:
        blocks += paragraphs(change_lines(view.changes))
    blocks += paragraphs([bold(Markup("In a clone of the repository, by somebody whose key is configured:"))])
    blocks.append(preformatted("\n".join(view.commands)))
    blocks += paragraphs([join(bold(Markup("Then:")), code(view.deploy))])
    if view.candidates:
        blocks += paragraphs([bold(Markup("Candidates so far")), *(candidate_line(line) for line in view.candidates)])
    return blocks


# --- the modal --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CandidatesMemory:
    """What the dialog carries to its submission. It may come back forged: everything in it is checked and authorised again."""

    service: str
    response_url: str = ""
    channel: str = ""

    def dump(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def load(cls, text: str) -> CandidatesMemory:
        """An empty memory when the text isn't one."""
        try:
            found = json.loads(text)
        except ValueError:
            found = None
        given = found if isinstance(found, Mapping) else {}
        return cls(*(str(given.get(name) or "")[:500] for name in ("service", "response_url", "channel")))


def loading_dialog() -> dict[str, Any]:
    """Opened at once, since a trigger lives for three seconds and GitHub may take longer."""
    return {
        "type": "modal",
        "callback_id": CANDIDATES,
        "title": _text("Deploy to staging", MAX_MODAL_TITLE),
        "close": _text("Go back", MAX_MODAL_TITLE),
        "blocks": paragraphs([Markup(":hourglass_flowing_sand: Looking for candidates …")]),
    }


def candidates_dialog(view: CandidatesView, memory: CandidatesMemory, reason: str = "") -> dict[str, Any]:
    """Takes the loading dialog's place. Nothing happens before its submission, which does what the typed command would.

    reason: that was typed already.
    """
    given = {"initial_value": reason[:MAX_REASON]} if reason else {}
    return {
        "type": "modal",
        "callback_id": CANDIDATES,
        "private_metadata": memory.dump(),
        "title": _text("Deploy to staging", MAX_MODAL_TITLE),
        "submit": _text("Deploy", MAX_MODAL_TITLE),
        "close": _text("Go back", MAX_MODAL_TITLE),
        "blocks": [
            *paragraphs([join(esc(_said(view)), esc(more_words(view)))]),
            {
                "type": "input", "block_id": VERSION_BLOCK, "label": _text("Candidate", 100),
                "element": {
                    "type": "static_select", "action_id": VERSION_INPUT,
                    "options": [_option(line, view.now) for line in view.lines[:MAX_OPTIONS]],
                },
            },
            {
                "type": "input", "block_id": REASON_BLOCK, "optional": True, "label": _text("Reason", 100),
                "element": {
                    "type": "plain_text_input", "action_id": REASON_INPUT, "multiline": True, "max_length": MAX_REASON,
                    **given,
                },
            },
        ],
    }  # fmt: skip


def _said(view: CandidatesView) -> str:
    dev = "" if view.has_dev else " Nothing is validated in dev: it isn't configured."
    return (
        f"Which candidate of {view.service} goes to staging? Its tag, signature, CI and images are checked, and it is approved, before "
        f"anything changes.{dev}"
    )


def _option(line: CandidateLine, now: datetime) -> Block:
    age = f" {words.since(line.validated_at, now)} ago" if line.validated_at is not None else ""
    return {
        "text": _text(f"{line.version} · {dev_words(line)}{age}", MAX_OPTION),
        "description": _text(staging_words(line), MAX_OPTION),
        "value": line.version[:MAX_VALUE],
    }


def _text(text: str, limit: int) -> Block:
    return {"type": "plain_text", "text": plain(text, limit) or "–"}
