"""What people ask of the audit log: the newest entries about a run, by a person, since a time, or with a word in them."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime

from sqlalchemy import ColumnElement, Text, cast, or_, select

from engine.ports import Ledger
from engine.records import Sealed
from state.ledger import SqlLedger
from state.schema import audit


@dataclass(frozen=True)
class AuditQuery:
    """Empty means any. subject: a run or whatever else entries are about, its parts included (`prod-7` finds `approval:prod-7:3`).

    actor: an `Actor.id`. action: a word such as `run.created`, or its beginning up to a dot (`run`). text: found anywhere, whatever its case.
    since, until: aware. limit: the newest so many.
    """

    subject: str = ""
    actor: str = ""
    action: str = ""
    text: str = ""
    since: datetime | None = None
    until: datetime | None = None
    limit: int = 50


def find_entries(ledger: Ledger, query: AuditQuery) -> list[Sealed]:
    """The newest entries that fit, in their order. Give it to `Store.read`."""
    if not isinstance(ledger, SqlLedger):
        raise TypeError("the audit log is searched in the store's own ledger")
    names = [field.name for field in fields(Sealed)]
    statement = (
        select(*(audit.c[name] for name in names))
        .where(*_conditions(query))
        .order_by(audit.c.seq.desc())
        .limit(query.limit)
    )
    rows = ledger.session.rows(statement)
    return [Sealed(**dict(zip(names, row, strict=True))) for row in reversed(rows)]


def _conditions(query: AuditQuery) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if query.subject:
        column, part = audit.c.subject, query.subject
        conditions.append(
            or_(
                column == part,
                column.startswith(f"{part}:", autoescape=True),
                column.endswith(f":{part}", autoescape=True),
                column.contains(f":{part}:", autoescape=True),
            )
        )
    if query.actor:
        conditions.append(audit.c.actor == query.actor)
    if query.action:
        beginning = query.action.removesuffix(".") + "."
        conditions.append(or_(audit.c.action == query.action, audit.c.action.startswith(beginning, autoescape=True)))
    if query.since is not None:
        conditions.append(audit.c.at >= query.since)
    if query.until is not None:
        conditions.append(audit.c.at <= query.until)
    if query.text:
        places: list[ColumnElement[str]] = [
            audit.c[name] for name in ("actor", "role", "action", "subject", "what", "why")
        ]
        places.append(cast(audit.c.evidence, Text))
        conditions.append(or_(*(place.icontains(query.text, autoescape=True) for place in places)))
    return conditions
