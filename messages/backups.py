"""A database's backups and the window within which it can be recovered, for Slack and the terminal. Pure: a view in, blocks or cells out."""

from __future__ import annotations

from engine.backup_views import BackupLine, BackupsView
from messages import words
from messages.blocks import Block, Markup, bold, code, context, esc, italic, join, moment, paragraphs
from runbook.moments import told
from runbook.wording import size

KINDS = {"logical": "full", "base": "base"}
STATES = {
    "created": words.Sign(":arrows_counterclockwise:", "▶", "being made"),
    "stored": words.Sign(":grey_question:", "?", "stored, never read back"),
    "decoded": words.Sign(":white_check_mark:", "✔", "read back whole"),
    "restored": words.Sign(":white_check_mark:", "✔", "restored"),
    "verified": words.Sign(":white_check_mark:", "✔", "restored and checked"),
    "failed": words.Sign(":x:", "✘", "failed"),
    "deleted": words.Sign(":heavy_minus_sign:", "–", "deleted"),
}
MAX_FAILURE = 60
"""Characters of a reason in the terminal's list; the run has all of it."""

COLUMNS = ("backup", "kind", "age", "size", "state", "drilled", "held by")


def state_sign(line: BackupLine) -> words.Sign:
    """What was read back but not published is nobody's backup yet."""
    sign = STATES.get(line.state, words.Sign(":grey_question:", "?", line.state))
    if sign.char == "✔" and not line.restorable:
        return words.Sign(":arrows_counterclockwise:", "▶", "not published yet")
    return sign


def window_words(view: BackupsView) -> str:
    """Within which moments the database can be recovered."""
    if view.window is None:
        return "Recoverable to a moment: no, there is no base backup with unbroken WAL behind it."
    found = view.window
    text = f"Recoverable from {told(found.since)} until {told(found.until)}"
    if found.gap:
        return f"{text}; behind that the WAL has a gap ({found.gap}): a new base backup closes it."
    return f"{text}, {words.since(found.until, view.now)} ago."


def drill_words(view: BackupsView) -> str:
    """How the newest one went, and of one that passed what it proved."""
    if view.drilled_at is None:
        return "Restore drill: never."
    ago = f"{words.since(view.drilled_at, view.now)} ago"
    if not view.drill_passed:
        return f"Restore drill: FAILED: {view.drill_reason}, {ago}."
    signed = "signed off" if view.signed_off else "not signed off"
    compared = (
        f"As the source had it: {view.drill_compared}" if view.drill_compared else "Nothing was held against its source"
    )
    return f"Restore drill: passed, {ago}, took {words.duration(view.drill_seconds)}, {signed}. {compared}."


def held_words(line: BackupLine) -> str:
    if not line.held_by:
        return f"in use by {line.busy}" if line.busy else ""
    return f"{line.held_by_name or line.held_by}: {line.held_reason}"


def backup_cells(line: BackupLine, view: BackupsView) -> tuple[str, ...]:
    """Of the terminal's table; see COLUMNS."""
    sign = state_sign(line)
    drilled = f"{words.since(line.drilled_at, view.now)} ago" if line.drilled_at is not None else ""
    state = f"{sign.char} {sign.word}" + (f": {line.failure[:MAX_FAILURE]}" if line.failure else "")
    stored = size(line.stored_bytes) if line.stored_bytes else ""
    kind = KINDS.get(line.kind, line.kind)
    return (line.id, kind, words.since(line.at, view.now), stored, state, drilled, held_words(line))


def more_words(view: BackupsView) -> str:
    more = view.total - len(view.lines)
    return f"The newest {len(view.lines)} of {view.total:,}." if more > 0 else ""


def backups_blocks(view: BackupsView) -> list[Block]:
    lines = [_line(line, view) for line in view.lines]
    blocks = paragraphs([bold(esc(f"Backups of {view.service} on {view.environment}", 150)), *lines])
    notes = [window_words(view), drill_words(view), more_words(view)]
    return [*blocks, context(*(esc(note, 500) for note in notes if note))]


def _line(line: BackupLine, view: BackupsView) -> Markup:
    sign = state_sign(line)
    held = held_words(line)
    return join(
        sign.emoji,
        code(line.id),
        esc(KINDS.get(line.kind, line.kind)),
        f"{size(line.stored_bytes)}," if line.stored_bytes else "",
        moment(line.at),
        "–",
        italic(esc(sign.word)),
        f"(drill passed {esc(words.since(line.drilled_at, view.now))} ago)" if line.drilled_at is not None else "",
        join(":lock:", esc(held, 200)) if held else "",
        f": {esc(line.failure, 200)}" if line.failure else "",
    )
