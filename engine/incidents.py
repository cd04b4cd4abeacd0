"""Incidents: opened, updated and resolved by people and by a run's way back; each has one card in the incident channel and its words beneath it.

One that is open and grave holds releases up (`runbook.rules.calm`). Nothing here rolls back, and no rollback waits for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from engine.answers import Answer, done, info, refused
from engine.intents import Intent
from engine.journal import Turn
from engine.naming import no_such_service
from engine.notes import Note, Tone
from engine.ports import Ledger
from engine.records import IncidentRow, Outgoing, Posted
from engine.views import IncidentsView, IncidentUpdate, IncidentView
from runbook.commands import BY_NAME
from runbook.plan import to_json
from runbook.ports import Incident
from runbook.rules.calm import GRAVE
from runbook.values import FORGE, Actor, Environment, Role
from runbook.wording import shortened

SERIES = "incidents"
"""Of the ledger's numbers."""

VIEW, NOTE = "incident", "incident_note"
"""Kinds of `Outgoing`: the card, drawn again in place, and words in its thread. They have a lane and a channel of their own."""

MAX_TITLE = 200
MOST_LISTED = 20


def open_rows(ledger: Ledger, **equals: Any) -> list[IncidentRow]:
    """Unresolved ones, the gravest first, of those the oldest."""
    rows = ledger.find(IncidentRow, resolved_at=None, **equals)
    return sorted(rows, key=lambda row: (row.severity, row.number))


def incidents_for(ledger: Ledger, service: str, environment: Environment) -> tuple[Incident, ...]:
    """Open ones that concern this service there: its own and those of the whole environment, the gravest first."""
    rows = open_rows(ledger, environment=environment.value)
    return tuple(
        Incident(
            row.id, row.service, row.environment, row.severity, row.title, row.opened_by_name or row.opened_by,
            row.opened_at, row.run, row.resolved_at,
        )
        for row in rows
        if row.service in ("", service)
    )  # fmt: skip


# --- what people do ---------------------------------------------------------------------------------------------------


def carry_out(turn: Turn, intent: Intent, actor: Actor) -> Answer:
    match intent.options.get("verb"):
        case "open":
            return _open(turn, intent, actor)
        case "update":
            return _update(turn, intent, actor)
        case "resolve":
            return _resolve(turn, intent, actor)
        case "list":
            return listing(turn, intent)
    return refused("incident.verb", "Say what to do: open, update, resolve or list.", BY_NAME["incident"].usage)


CARRIERS: Mapping[str, Callable[[Turn, Intent, Actor], Answer]] = {"incident": carry_out}


def _open(turn: Turn, intent: Intent, actor: Actor) -> Answer:
    severity = _severity(intent)
    if intent.environment is None or severity is None or not intent.reason:
        return refused(
            "incident.incomplete",
            "An incident needs an environment, a severity and a title.",
            BY_NAME["incident"].usage,
        )
    if intent.service and intent.service not in turn.setting.services:
        return no_such_service(intent.service, turn.setting.services)
    row = open_incident(turn, intent.environment.value, intent.service, severity, intent.reason, actor)
    what = f"{intent.service} on {row.environment}" if intent.service else row.environment
    held = f"No release of {what} passes its gate while it is open; rollbacks go on."
    effect = held if holds_releases(row) else "It holds no release up."
    return done(
        "incident.opened",
        f"{row.id} is open: severity {severity}, {what}. {effect} `/forge incident resolve {row.id}` resolves it.",
    )


def _update(turn: Turn, intent: Intent, actor: Actor) -> Answer:
    row = _named(turn, intent)
    if isinstance(row, Answer):
        return row
    severity = _severity(intent)
    changed = severity is not None and severity != row.severity
    if not changed and not intent.reason:
        return info("incident.same", f"{row.id} has severity {row.severity} already.")
    words = f"Severity {row.severity} → {severity}. {intent.reason}".strip() if changed else intent.reason
    if changed:
        row = replace(row, severity=severity or row.severity)
    row = add_update(turn, row, words, actor)
    return done("incident.updated", f"{row.id} (severity {row.severity}) is updated.")


def _resolve(turn: Turn, intent: Intent, actor: Actor) -> Answer:
    row = _named(turn, intent)
    if isinstance(row, Answer):
        return row
    row = replace(row, resolved_at=turn.now, resolved_by=actor.id)
    words = f"Resolved. {intent.reason}".strip()
    add_update(turn, row, words, actor, tone=Tone.GOOD, title=f"{row.id} is resolved", broadcast=True)
    turn.audit("incident.resolved", row.id, actor, what=row.title, why=intent.reason)
    others = [other for other in open_rows(turn.ledger, environment=row.environment) if other.severity <= GRAVE]
    left = f" Still open in {row.environment}: {', '.join(other.id for other in others)}." if others else ""
    return done("incident.resolved", f"{row.id} is resolved.{left}")


def listing(turn: Turn, intent: Intent) -> Answer:
    """What is open, for whoever asks: it changes nothing."""
    where: dict[str, Any] = {} if intent.environment is None else {"environment": intent.environment.value}
    rows = open_rows(turn.ledger, **where)
    if intent.service:
        rows = [row for row in rows if row.service in ("", intent.service)]
    place = "" if intent.environment is None else f" in {intent.environment.value}"
    if not rows:
        return info("incident.list", f"No incident is open{place}.")
    view = IncidentsView(
        incidents=tuple(view_of(turn, row) for row in rows[:MOST_LISTED]), total=len(rows), now=turn.now
    )
    return info(
        "incident.list", f"{len(rows)} {'incident is' if len(rows) == 1 else 'incidents are'} open{place}.", view=view
    )


def _severity(intent: Intent) -> int | None:
    text = intent.options.get("severity", "")
    return int(text) if text in ("1", "2", "3", "4") else None


def _named(turn: Turn, intent: Intent) -> IncidentRow | Answer:
    """The open incident that is meant."""
    name = intent.options.get("incident", "")
    row = turn.ledger.get(IncidentRow, name)
    is_open = [other.id for other in open_rows(turn.ledger)]
    remedy = f"Open are {', '.join(is_open[:5])}." if is_open else "No incident is open."
    if row is None:
        return refused("incident.unknown", f"There is no incident {name}.", remedy)
    if row.resolved_at is not None:
        by = row.updates[-1]["by_name"] if row.updates else row.resolved_by
        at = f"{row.resolved_at:%Y-%m-%d %H:%M}"
        return refused("incident.resolved", f"{name} is resolved, by {by} at {at} UTC: nothing was changed.", remedy)
    return row


# --- rows and what is shown of them -----------------------------------------------------------------------------------


def open_incident(
    turn: Turn, environment: str, service: str, severity: int, title: str, actor: Actor = FORGE, *, run: str = ""
) -> IncidentRow:
    """service: empty for all of the environment. run: whose way back opens it."""
    number = turn.ledger.next_number(SERIES)
    row = IncidentRow(
        id=f"incident-{number}", number=number, service=service, environment=environment, severity=severity,
        title=shortened(title, MAX_TITLE), opened_by=actor.id, opened_by_name=actor.name, opened_at=turn.now, run=run,
    )  # fmt: skip
    turn.ledger.add(row)
    evidence = {"severity": severity, "environment": environment, "service": service, "run": run}
    turn.audit("incident.opened", row.id, actor, what=row.title, evidence=evidence)
    show(turn, row)
    return row


def add_update(
    turn: Turn,
    row: IncidentRow,
    text: str,
    actor: Actor = FORGE,
    *,
    tone: Tone = Tone.INFO,
    title: str = "",
    broadcast: bool = False,
    note: Note | None = None,
) -> IncidentRow:
    """Keeps what is known now, draws the card again, and tells it in the card's thread. note: in place of the words alone."""
    update = {"at": turn.now.isoformat(), "by": actor.id, "by_name": actor.name, "text": text}
    row = replace(row, updates=[*row.updates, update])
    turn.ledger.save(row)
    turn.audit("incident.updated", row.id, actor, what=text[:300], evidence={"severity": row.severity})
    show(turn, row)
    said = note or Note(tone=tone, title=title or f"{row.id}: update by {actor.name}", text=text)
    turn.ledger.add(
        Outgoing(
            subject=f"note:{row.id}:{len(row.updates)}", kind=NOTE, payload=to_json(said), broadcast=broadcast,
            created_at=turn.now,
        )
    )  # fmt: skip
    return row


def show(turn: Turn, row: IncidentRow) -> None:
    """The card must be drawn again; several wishes become one."""
    subject = f"{VIEW}:{row.id}"
    if not turn.ledger.count(Outgoing, subject=subject, state="pending"):
        turn.ledger.add(Outgoing(subject=subject, kind=VIEW, created_at=turn.now))


def thread_of(outgoing: Outgoing) -> str:
    """The subject whose message an incident's note belongs beneath; empty for what is no such note."""
    return f"{VIEW}:{outgoing.subject.split(':')[1]}" if outgoing.kind == NOTE else ""


def view_of(turn: Turn, row: IncidentRow) -> IncidentView:
    posted = turn.ledger.get(Posted, f"{VIEW}:{row.id}")
    updates = tuple(
        IncidentUpdate(at=update["at"], by_name=update["by_name"], text=update["text"]) for update in row.updates
    )
    return IncidentView(
        id=row.id,
        service=row.service,
        environment=row.environment,
        severity=row.severity,
        title=row.title,
        opened_by_name=row.opened_by_name or row.opened_by,
        opened_at=row.opened_at,
        run=row.run,
        updates=updates,
        resolved_at=row.resolved_at,
        resolved_by_name=updates[-1].by_name if row.resolved_at is not None and updates else "",
        holds_releases=holds_releases(row),
        who=turn.members(Role.ON_CALL) if row.severity <= GRAVE and row.resolved_at is None else (),
        permalink=posted.permalink if posted is not None else "",
    )


def holds_releases(row: IncidentRow) -> bool:
    """Production's gate alone asks for incidents."""
    return row.severity <= GRAVE and row.resolved_at is None and row.environment == Environment.PROD


def card(turn: Turn, incident_id: str) -> IncidentView | None:
    row = turn.ledger.get(IncidentRow, incident_id)
    return None if row is None else view_of(turn, row)
