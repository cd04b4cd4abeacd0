"""Incidents and freezes as people see them: a card that is drawn again in place, lists, and lines of the status. Pure: views in, blocks out."""

from __future__ import annotations

from datetime import datetime

from engine.ports import Message
from engine.views import FreezeView, IncidentsView, IncidentUpdate, IncidentView
from messages import words
from messages.blocks import (
    Block,
    Markup,
    bold,
    code,
    context,
    esc,
    fit,
    italic,
    join,
    link,
    mention,
    moment,
    paragraphs,
    plain,
    section,
    top_text,
)

SHOWN_UPDATES = 5
MAX_MENTIONS = 10


def incident_card(view: IncidentView) -> Message:
    """The one message of an incident: what, how grave, since when, what was told last, and how it ends."""
    sign = words.severity_sign(view.severity, is_resolved=view.resolved_at is not None)
    title = join(sign.emoji, bold(esc(view.id)), "·", bold(esc(sign.word)), "·", esc(_where(view), 120))
    head = [section(title), section(bold(esc(view.title, 300))), context(*_origin(view))]
    middle = paragraphs(_update_lines(view))
    tail: list[Block] = []
    if view.resolved_at is None:
        who = join(*(mention(member) for member in view.who[:MAX_MENTIONS]))
        if view.holds_releases:
            held = join(":no_entry_sign:", "No release passes its gate here while it is open; rollbacks go on.")
            tail.append(section(join(held, who, "– please look." if who else "")))
        commands = (f"/forge incident update {view.id} --reason …", f"/forge incident resolve {view.id}")
        tail.append(context(join("To go on:", *(code(command) for command in commands))))
    text = top_text(
        join(*(mention(member) for member in view.who[:MAX_MENTIONS])),
        esc(f"{view.id}, {sign.word}, {_where(view)}: {view.title}", 400),
    )
    return Message(text, fit(head, middle, tail, more="More is in the thread, and in the audit log: /forge audit"))


def _where(view: IncidentView) -> str:
    return f"{view.service} on {view.environment}" if view.service else view.environment


def _origin(view: IncidentView) -> list[Markup]:
    parts = [join("Opened by", esc(view.opened_by_name, 80), moment(view.opened_at))]
    if view.run:
        parts.append(join("Run", esc(view.run, 40)))
    if view.resolved_at is not None:
        took = words.since(view.opened_at, view.resolved_at)
        parts.append(join("Resolved by", esc(view.resolved_by_name, 80), moment(view.resolved_at), f"after {took}"))
    return parts


def _update_lines(view: IncidentView) -> list[Markup]:
    """The newest updates, oldest of them first, each in a few lines: the whole stands in the thread."""
    earlier = len(view.updates) - SHOWN_UPDATES
    lines = (
        [italic(esc(f"{earlier} earlier {'update is' if earlier == 1 else 'updates are'} in the thread"))]
        if earlier > 0
        else []
    )
    return lines + [update_line(update) for update in view.updates[-SHOWN_UPDATES:]]


def update_line(update: IncidentUpdate) -> Markup:
    first, _, rest = update.text.partition("\n")
    more = " …" if rest.strip() else ""
    return join("•", moment(datetime.fromisoformat(update.at)), esc(update.by_name, 60) + ":", esc(first, 400) + more)


# --- beneath answers --------------------------------------------------------------------------------------------------


def incident_line(view: IncidentView) -> Markup:
    sign = words.severity_sign(view.severity, is_resolved=view.resolved_at is not None)
    return join(
        sign.emoji,
        bold(link(view.permalink, view.id)),
        italic(esc(sign.word)) + ",",
        esc(_where(view), 120) + ":",
        esc(view.title, 250),
        f"({esc(view.opened_by_name, 60)},",
        moment(view.opened_at) + ")",
    )


def incidents_blocks(view: IncidentsView) -> list[Block]:
    lines: list[Markup] = []
    for incident in view.incidents:
        lines.append(incident_line(incident))
        lines += [update_line(update) for update in incident.updates[-1:]]
    blocks = paragraphs(lines)
    if view.total > len(view.incidents):
        blocks.append(context(esc(f"The gravest {len(view.incidents)} of {view.total}.")))
    return blocks


def freeze_line(view: FreezeView) -> Markup:
    what = f"{view.environment}, {view.service or 'every service'}:"
    until = join("until", moment(view.until)) if view.until is not None else "until it is lifted"
    return join(
        ":snowflake:",
        esc(what, 120),
        f"frozen {until} by",
        esc(view.owner_name, 80),
        "–",
        esc(view.reason or "no reason given", 300),
        code(view.undo),
    )


def freeze_blocks(view: FreezeView) -> list[Block]:
    return paragraphs([freeze_line(view)])


# --- the terminal -----------------------------------------------------------------------------------------------------


def incident_cells(view: IncidentView) -> tuple[str, ...]:
    """As `INCIDENT_COLUMNS`."""
    last = plain(view.updates[-1].text, 200) if view.updates else ""
    opened = f"{view.opened_at:%Y-%m-%d %H:%M} by {view.opened_by_name}"
    return f"{view.id} ({view.severity})", _where(view), view.title, opened, last


def freeze_cells(view: FreezeView) -> tuple[str, ...]:
    """As `FREEZE_COLUMNS`."""
    until = f"{view.until:%Y-%m-%d %H:%M} UTC" if view.until is not None else "lifted"
    undo = view.undo.removeprefix("/")
    return view.environment, view.service or "every service", view.owner_name, until, view.reason, undo


INCIDENT_COLUMNS = ("incident (severity)", "where", "title", "opened", "last update")
FREEZE_COLUMNS = ("environment", "service", "owner", "until", "reason", "undo")
