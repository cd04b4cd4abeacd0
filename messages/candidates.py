"""Candidates for staging: the list, the proposal of the next one, and the modal that asks which. Pure; what is chosen is authorised again."""

from __future__ import annotations

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
    preformatted,
)
from messages.changes import change_lines
from messages.dialogs import DialogMemory, plain_text, reason_input

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


def loading_dialog() -> dict[str, Any]:
    """Opened at once, since a trigger lives for three seconds and GitHub may take longer."""
    return {
        "type": "modal",
        "callback_id": CANDIDATES,
        "title": plain_text("Deploy to staging", MAX_MODAL_TITLE),
        "close": plain_text("Go back", MAX_MODAL_TITLE),
        "blocks": paragraphs([Markup(":hourglass_flowing_sand: Looking for candidates …")]),
    }


def candidates_dialog(view: CandidatesView, memory: DialogMemory, reason: str = "") -> dict[str, Any]:
    """Takes the loading dialog's place. Nothing happens before its submission, which does what the typed command would.

    reason: that was typed already.
    """
    return {
        "type": "modal",
        "callback_id": CANDIDATES,
        "private_metadata": memory.dump(),
        "title": plain_text("Deploy to staging", MAX_MODAL_TITLE),
        "submit": plain_text("Deploy", MAX_MODAL_TITLE),
        "close": plain_text("Go back", MAX_MODAL_TITLE),
        "blocks": [
            *paragraphs([join(esc(_said(view)), esc(more_words(view)))]),
            {
                "type": "input", "block_id": VERSION_BLOCK, "label": plain_text("Candidate", 100),
                "element": {
                    "type": "static_select", "action_id": VERSION_INPUT,
                    "options": [_option(line, view.now) for line in view.lines[:MAX_OPTIONS]],
                },
            },
            reason_input(is_optional=True, given=reason),
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
        "text": plain_text(f"{line.version} · {dev_words(line)}{age}", MAX_OPTION),
        "description": plain_text(staging_words(line), MAX_OPTION),
        "value": line.version[:MAX_VALUE],
    }
