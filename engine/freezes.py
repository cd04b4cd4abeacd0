"""Freezes: nothing is released in an environment for a while. Rows with their audit entries; what is under way goes on, and no rollback asks.

A freeze may be made longer by anybody who may set one. To make it shorter it is lifted first: two people's freezes never undercut each other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from engine.answers import Answer, done, info, refused
from engine.intents import Intent
from engine.journal import Turn
from engine.lanes import is_of_database
from engine.naming import no_such_service
from engine.notes import Note, Tone
from engine.ports import Ledger
from engine.queue import ANY_SERVICE
from engine.records import FreezeRow, Outgoing, Run, RunState
from engine.views import FreezeView
from runbook.commands import BY_NAME
from runbook.moments import Unclear, parse_until, told
from runbook.plan import to_json
from runbook.ports import Freeze
from runbook.rules.calm import lift_command
from runbook.values import Actor, Environment


def freezes_of(ledger: Ledger, now: datetime) -> list[FreezeRow]:
    """Those in force: one that has ended is none any more, lifted or not."""
    return [row for row in ledger.find(FreezeRow) if is_in_force(row, now)]


def is_in_force(row: FreezeRow, now: datetime) -> bool:
    return row.until is None or row.until > now


def freezes_for(ledger: Ledger, now: datetime, service: str, environment: Environment) -> tuple[Freeze, ...]:
    """Those that concern this service there: its own, and the one of the whole environment."""
    found = [
        row
        for row in freezes_of(ledger, now)
        if row.environment == environment and row.service in (service, ANY_SERVICE)
    ]
    return tuple(
        Freeze(row.environment, row.service, row.owner_name or row.owner, row.reason, row.at, row.until) for row in found
    )  # fmt: skip


def freeze(turn: Turn, intent: Intent, actor: Actor) -> Answer:
    place = _place(turn, intent)
    if isinstance(place, Answer):
        return place
    environment, service = place
    until = _until(intent, turn.now)
    if isinstance(until, Answer):
        return until
    held = _held(turn, environment, service)
    row = FreezeRow(
        environment=environment, service=service, owner=actor.id, owner_name=actor.name, reason=intent.reason,
        at=turn.now, until=until,
    )  # fmt: skip
    if held is not None and (no := _not_shorter(turn, held, row)) is not None:
        return no
    turn.ledger.save(row)
    ends = "until it is lifted" if until is None else f"until {told(until)}"
    evidence = {"until": None if until is None else until.isoformat(), "instead_of": _kept(held)}
    action = "freeze.set" if held is None else "freeze.extended"
    turn.audit(action, f"{environment}/{service}", actor, what=ends, why=intent.reason, evidence=evidence)
    what, verb = _named(environment, service), "stays frozen" if held is not None else "is frozen"
    _tell(turn, row, Note(tone=Tone.WARN, title=f"{what} {verb} {ends}", text=_because(actor, intent.reason)))
    text = f"{what} {verb} {ends}: nothing is released there. Rollbacks go on.{_under_way(turn, environment, service)}"
    return done(action, f"{text} {lift_command(environment, service)} lifts it.", view=view_of(row))


def unfreeze(turn: Turn, intent: Intent, actor: Actor) -> Answer:
    place = _place(turn, intent)
    if isinstance(place, Answer):
        return place
    environment, service = place
    held, what = _held(turn, environment, service), _named(environment, service)
    if held is None:
        others = [row for row in freezes_of(turn.ledger, turn.now) if row.environment == environment]
        hint = f" There is one: {lift_command(environment, others[0].service)} lifts it." if others else ""
        return info("freeze.none", f"{what} isn't frozen.{hint}")
    turn.ledger.remove(FreezeRow, environment=environment, service=service)
    turn.audit("freeze.lifted", f"{environment}/{service}", actor, why=intent.reason, evidence=_kept(held))
    _tell(turn, held, Note(tone=Tone.GOOD, title=f"{what} is no longer frozen", text=_because(actor, intent.reason)))
    rest = [row for row in freezes_of(turn.ledger, turn.now) if row.environment == environment]
    still = (
        f" {_named(environment, rest[0].service)} still is: {lift_command(environment, rest[0].service)} lifts that."
        if rest
        else ""
    )
    why = held.reason or "no reason given"
    return done("freeze.lifted", f"{what} is no longer frozen. {held.owner_name} had frozen it: {why}.{still}")


CARRIERS: Mapping[str, Callable[[Turn, Intent, Actor], Answer]] = {"freeze": freeze, "unfreeze": unfreeze}


def view_of(row: FreezeRow) -> FreezeView:
    return FreezeView(
        environment=row.environment,
        service="" if row.service == ANY_SERVICE else row.service,
        owner_name=row.owner_name or row.owner,
        reason=row.reason,
        at=row.at,
        until=row.until,
        undo=lift_command(row.environment, row.service).strip("`"),
    )


def _place(turn: Turn, intent: Intent) -> tuple[str, str] | Answer:
    if intent.environment is None:
        return refused("freeze.environment", "Name the environment.", BY_NAME[intent.name].usage)
    if intent.service and intent.service not in turn.setting.services:
        return no_such_service(intent.service, turn.setting.services)
    return intent.environment.value, intent.service or ANY_SERVICE


def _until(intent: Intent, now: datetime) -> datetime | Answer | None:
    text = intent.options.get("until", "")
    if not text:
        return None
    found = parse_until(text, now)
    return refused(found.code, found.cause, found.remedy) if isinstance(found, Unclear) else found


def _held(turn: Turn, environment: str, service: str) -> FreezeRow | None:
    row = turn.ledger.get(FreezeRow, environment, service)
    return row if row is not None and is_in_force(row, turn.now) else None


def _not_shorter(turn: Turn, held: FreezeRow, wanted: FreezeRow) -> Answer | None:
    longer = wanted.until is None or (held.until is not None and wanted.until > held.until)
    if longer and not (wanted.until is None and held.until is None):
        return None
    ends = "until it is lifted" if held.until is None else f"until {told(held.until)}"
    what, lift = _named(held.environment, held.service), lift_command(held.environment, held.service)
    why = held.reason or "no reason given"
    text = f"{what} is frozen already, by {held.owner_name} since {told(held.at)} {ends}: {why}."
    return refused("freeze.held", text, f"A later --until makes it longer; {lift} lifts it.")


def _named(environment: str, service: str) -> str:
    return environment if service == ANY_SERVICE else f"{service} on {environment}"


def _because(actor: Actor, reason: str) -> str:
    return f"By {actor.name}: {reason or 'no reason given'}"


def _kept(row: FreezeRow | None) -> object:
    """What stood there before, for the audit log."""
    if row is None:
        return None
    return {"owner": row.owner, "reason": row.reason, "until": None if row.until is None else row.until.isoformat()}


def _under_way(turn: Turn, environment: str, service: str) -> str:
    states = [RunState.RUNNING, RunState.WAITING, RunState.HELD]
    runs = turn.ledger.find(Run, environment=environment, state=states)
    mine = [
        run.id
        for run in runs
        if service in (run.service, ANY_SERVICE)
        and run.first_effect_at is not None
        and not is_of_database(run.procedure)
    ]
    if not mine:
        return ""
    return f" {', '.join(mine)} {'go' if len(mine) > 1 else 'goes'} on: `/forge pause {mine[0]}` stops it."


def _tell(turn: Turn, row: FreezeRow, note: Note) -> None:
    """In the release channel, for whoever wonders why nothing goes on."""
    subject = f"note:freeze:{row.environment}/{row.service}:{turn.now.isoformat()}"
    if not turn.ledger.count(Outgoing, subject=subject):
        turn.ledger.add(Outgoing(subject=subject, kind="note", payload=to_json(note), created_at=turn.now))
