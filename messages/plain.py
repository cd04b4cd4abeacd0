"""Answers for the terminal and for machines: text with tables, and JSON. Pure; `rich` is imported when a text is asked for."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Any

from engine.answers import Answer, AnswerKind
from engine.backup_views import BackupsView
from engine.candidates import CandidateLine, CandidatesView, ProposalView
from engine.lanes import place_word
from engine.oncall_lookup import PeopleView
from engine.views import (
    AuditView,
    FreezeView,
    HelpView,
    IncidentsView,
    IncidentView,
    PlaceView,
    PlanView,
    RunLine,
    RunView,
    StatusView,
    StepView,
)
from messages import backups, candidates, incidents, status, words
from messages.blocks import plain, plain_line
from messages.changes import change_texts
from messages.metrics import metric_tables
from messages.people import people_tables
from runbook.metric_report import MetricReport
from runbook.verdicts import Outcome, Verdict

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

MAX_CELL = 400
_SIGNS = {AnswerKind.DONE: "✔", AnswerKind.INFO: "i", AnswerKind.REFUSED: "✘", AnswerKind.FAULT: "‼"}


def to_json(answer: Answer) -> dict[str, Any]:
    """`{kind, code, text, remedy, run, verdicts, view}`; view has `type`, its class's name, beside its fields."""
    view = answer.view
    shown = {"type": type(view).__name__, **_jsonable(view)} if dataclasses.is_dataclass(view) else None
    return {
        "kind": str(answer.kind),
        "code": answer.code,
        "text": answer.text,
        "remedy": answer.remedy,
        "run": answer.run,
        "verdicts": [_jsonable(verdict) for verdict in answer.verdicts],
        "view": shown,
    }


def _jsonable(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _jsonable(getattr(value, field.name)) for field in dataclasses.fields(value)}
    match value:
        case Enum():
            return value.value
        case datetime():
            return value.isoformat()
        case Mapping():
            return {str(key): _jsonable(item) for key, item in value.items()}
        case list() | tuple():
            return [_jsonable(item) for item in value]
        case set() | frozenset():
            return sorted(str(item) for item in value)
        case float() if value != value or value in (float("inf"), float("-inf")):
            return str(value)
        case str() | int() | float() | bool() | None:
            return value
    return str(value)


def to_text(answer: Answer, *, width: int = 100, color: bool = False) -> str:
    """As the terminal shows it. width: in columns. Untrusted text can't send control sequences."""
    from rich.console import Console

    file = io.StringIO()
    console = Console(
        file=file,
        width=max(40, min(width, 400)),
        force_terminal=color,
        no_color=not color,
        highlight=False,
        markup=False,
    )
    if answer.text:
        console.print(f"{_SIGNS[answer.kind]} {plain(answer.text, 2_000)}")
    if answer.remedy:
        console.print(f"  {plain(answer.remedy, 2_000)}")
    for verdict in answer.verdicts:
        _print_verdict(console, verdict)
    _print_view(console, answer.view)
    return file.getvalue()


def _print_verdict(console: Console, verdict: Verdict) -> None:
    sign, reason, evidence = words.verdict(verdict)
    console.print(f"  {sign.char} {plain(verdict.gate, 100)} – {sign.word}: {plain(reason, MAX_CELL)}")
    if evidence:
        console.print(f"      {plain(evidence, MAX_CELL)}")
    if verdict.remedy and verdict.outcome is not Outcome.PASS:
        console.print(f"      → {plain(verdict.remedy, MAX_CELL)}")


def _print_view(console: Console, view: Any) -> None:
    shown = _PRINTERS.get(type(view))
    if shown is not None:
        shown(console, view)


def _table(*columns: str, title: str = "") -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(title=title or None, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _row(table: Table, *cells: object) -> None:
    table.add_row(*(plain(cell, MAX_CELL) for cell in cells))


def _print_plan(console: Console, view: PlanView) -> None:
    title = f"Plan: {view.service} {view.version} {place_word(view.procedure)} {view.environment}"
    acts = f"on {view.environment}"
    table = _table("#", "step", "more", "acts", title=plain(title))
    for place, step in enumerate(view.steps, start=1):
        _row(table, place, step.title, step.sentence.removeprefix(step.title).lstrip(": "), acts if step.effect else "")
    console.print(table)
    for text in () if view.changes is None else change_texts(view.changes):
        console.print(plain_line(text)[:MAX_CELL])
    for verdict in view.verdicts:
        _print_verdict(console, verdict)
    for migration in view.migrations:
        console.print(plain(f"Migration {migration}"))
    if view.criteria:
        table = _table("criterion", "dev → staging", "staging → prod", title="Promotion criteria")
        for row in view.criteria:
            _row(table, *row)
        console.print(table)
    if view.approvers:
        console.print(plain("Approved by: " + words.listed(words.role(name) for name in view.approvers)))
    for wait in view.waits:
        console.print(plain(f"Takes: {wait}"))
    console.print(plain(f"Nothing was changed. Plan {view.hash}"))


def _print_status(console: Console, view: StatusView) -> None:
    if view.waiting:
        table = _table(*status.WAIT_COLUMNS, title="Waits for somebody")
        for wait in view.waiting:
            _row(table, *status.wait_cells(wait))
        console.print(table)
    for title, runs in (("Now", view.active), ("Queue", view.queued), ("Ended lately", view.recent)):
        if runs:
            _print_runs(console, title, runs)
    if view.locks:
        table = _table("environment", "service", "owner", "for", "reason", "undo", title="Locks")
        for lock in view.locks:
            undo = "" if lock.run else f"forge unlock {lock.environment}"
            owner, age = lock.owner_name or lock.owner, words.since(lock.at, view.now)
            _row(table, lock.environment, lock.service, owner, age, lock.run or lock.reason, undo)
        console.print(table)
    _print_incidents(console, view.incidents, title="Open incidents")
    _print_freezes(console, view.freezes)
    _print_places(console, view.places)
    if results := status.other_results(view):
        table = _table("environment", "service", "version", "result", "when", title="Newest results")
        for result in results:
            word = words.result_sign(result.result).word
            _row(table, result.environment, result.service, result.version, word, _time(result.at))
        console.print(table)
    told = (
        view.active,
        view.queued,
        view.recent,
        view.locks,
        view.decisions,
        view.incidents,
        view.freezes,
        view.places,
    )
    if not any(told):
        console.print("Nothing runs and nothing waits.")


def _print_places(console: Console, places: Sequence[PlaceView]) -> None:
    if places:
        table = _table(*status.PLACE_COLUMNS, title="What runs where")
        for place in places:
            _row(table, *status.place_cells(place))
        console.print(table)


def _print_incidents(console: Console, views: Sequence[IncidentView], *, title: str = "") -> None:
    if views:
        table = _table(*incidents.INCIDENT_COLUMNS, title=title)
        for view in views:
            _row(table, *incidents.incident_cells(view))
        console.print(table)


def _print_backups(console: Console, view: BackupsView) -> None:
    if view.lines:
        table = _table(*backups.COLUMNS, title=plain(f"Backups of {view.service} on {view.environment}"))
        table.columns[0].no_wrap = True  # it is copied into the next command
        for line in view.lines:
            _row(table, *backups.backup_cells(line, view))
        console.print(table)
    for note in (backups.more_words(view), backups.window_words(view), backups.drill_words(view)):
        if note:
            console.print(plain(note, 500))


def _print_candidates(console: Console, view: CandidatesView) -> None:
    _print_candidate_lines(console, view.lines, f"Candidates of {view.service}")
    if more := candidates.more_words(view):
        console.print(more)


def _print_candidate_lines(console: Console, lines: Sequence[CandidateLine], title: str) -> None:
    table = _table(*candidates.COLUMNS, title=plain(title))
    table.columns[0].no_wrap = True  # it is copied into the next command
    for line in lines:
        _row(table, *candidates.candidate_cells(line))
    console.print(table)


def _print_proposal(console: Console, view: ProposalView) -> None:
    told = (
        f"Commit {view.commit[:12]}: {view.title}",
        f"This commit: {view.basis}",
        f"This number: {view.why}",
        view.note,
    )
    for text in (*told, *(() if view.changes is None else change_texts(view.changes))):
        if text:
            console.print(plain_line(text)[:MAX_CELL])
    console.print("In a clone of the repository, by somebody whose key is configured:")
    for command in view.commands:
        console.print(f"  {plain(command)}", soft_wrap=True)  # it is copied as it stands
    console.print(f"Then: {plain(view.deploy)}")
    if view.candidates:
        _print_candidate_lines(console, view.candidates, "Candidates so far")


def _print_freezes(console: Console, views: Sequence[FreezeView]) -> None:
    if views:
        table = _table(*incidents.FREEZE_COLUMNS, title="Freezes")
        for view in views:
            _row(table, *incidents.freeze_cells(view))
        console.print(table)


def _print_runs(console: Console, title: str, runs: tuple[RunLine, ...]) -> None:
    table = _table("run", "service", "version", "state", "why", "asked for by", "since", title=title)
    for run in runs:
        word = words.run_sign(run.state, run.ending, procedure=run.procedure).word
        _row(table, run.id, run.service, run.version, word, run.why, run.requester_name, _time(run.created_at))
    console.print(table)


def _print_run(console: Console, view: RunView) -> None:
    sign = words.run_sign(view.state, view.ending, paused=view.paused_at is not None, procedure=view.procedure)
    what = f"{view.service} {view.version} {place_word(view.procedure)} {view.environment}"
    console.print(plain(f"{view.id}: {what} – {sign.word}"))
    told = view.ending_reason if view.ending else view.why
    if told:
        console.print(f"  {plain(told, 2_000)}")
    table = _table("#", "", "step", "state", "why")
    for place, step in enumerate(view.steps, start=1):
        step_sign = words.step_sign(step)
        _row(table, place, step_sign.char, step.title, step_sign.word, _told(step))
    console.print(table)


def _told(step: StepView) -> str:
    return step.doing if step.state in ("running", "waiting", "held") else step.reason


def _print_audit(console: Console, view: AuditView) -> None:
    table = _table("no.", "when", "who", "role", "action", "on", "what and why")
    for entry in view.entries:
        told = " – ".join(part for part in (entry.what, entry.why) if part)
        _row(table, entry.seq, _time(entry.at), entry.actor, words.role(entry.role), entry.action, entry.subject, told)
    console.print(table)
    if view.total > len(view.entries):
        console.print(f"The newest {len(view.entries)} of {view.total:,} entries.")


def _print_help(console: Console, view: HelpView) -> None:
    table = _table("command", "what it does")
    for command in view.commands:
        _row(table, f"forge {command.usage}", command.summary)
    console.print(table)
    if len(view.commands) == 1 and view.commands[0].example:
        console.print(plain(f"For example: forge {view.commands[0].example}"))
    if view.others:
        console.print(plain("Others may also run: " + ", ".join(view.others)))


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}"


def _print_parts(console: Console, parts: Iterable[Any]) -> None:
    for part in parts:
        console.print(part)


_PRINTERS: Mapping[type, Callable[[Any, Any], None]] = {
    PlanView: _print_plan,
    StatusView: _print_status,
    AuditView: _print_audit,
    HelpView: _print_help,
    MetricReport: lambda console, view: _print_parts(console, metric_tables(view)),
    PeopleView: lambda console, view: _print_parts(console, people_tables(view)),
    RunView: _print_run,
    IncidentsView: lambda console, view: _print_incidents(console, view.incidents),
    FreezeView: lambda console, view: _print_freezes(console, (view,)),
    BackupsView: _print_backups,
    CandidatesView: _print_candidates,
    ProposalView: _print_proposal,
}
"""What stands beneath an answer, by the kind of its view."""
