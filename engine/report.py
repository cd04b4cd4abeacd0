"""The report of a run: everything that is on record of it, gathered for one page. It changes nothing, and nothing in it is computed anew."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from engine import present
from engine.answers import Answer, info, refused
from engine.changes import changes_of
from engine.checklists import checklists_of
from engine.journal import Turn, plan_of, segment_of
from engine.lifecycle import verdicts_of
from engine.lookups import Asking, Finish, saying
from engine.naming import no_such_run
from engine.notes import Note, Tone
from engine.pictures import PICTURE
from engine.records import Click, IncidentRow, Outgoing, Override, Prompt, Received, Run, Sealed, StepRow
from engine.views import ChangesView, ChecklistView, RunView
from runbook.charts import Chart, chart_from_json
from runbook.verdicts import Verdict
from runbook.wording import duration

REPORT = "report"
"""The kind of its row in the outbox."""

MOST_CHARTS = 40
MOST_ENTRIES = 2000


@dataclass(frozen=True, kw_only=True)
class StepReport:
    """One step as it went. duration_s: from its beginning to its end, or None. verdicts: all of them, with their evidence."""

    index: int
    title: str
    sentence: str
    state: str
    outcome: str
    reason: str
    attempt: int
    segment: int
    started_at: datetime | None
    finished_at: datetime | None
    duration_s: float | None
    verdicts: tuple[Verdict, ...]


@dataclass(frozen=True, kw_only=True)
class SegmentReport:
    """One plan of the run and its steps. procedure: why there are several: a way back has its own."""

    number: int
    procedure: str
    hash: str
    replaced: bool
    steps: tuple[StepReport, ...]


@dataclass(frozen=True, kw_only=True)
class ReportView:
    """made_at: when it was asked for. about: of the first plan. seconds_back: workload -> from the decision to weight 0 accepted."""

    run: RunView
    about: dict[str, Any]
    segments: tuple[SegmentReport, ...]
    clicks: tuple[Click, ...]
    prompts: tuple[Prompt, ...]
    overrides: tuple[Override, ...]
    checklists: tuple[ChecklistView, ...]
    incidents: tuple[IncidentRow, ...]
    entries: tuple[Sealed, ...]
    charts: tuple[Chart, ...]
    made_at: datetime
    duration_s: float
    decided_at: str = ""
    seconds_back: dict[str, float] = field(default_factory=dict)
    changes: ChangesView | None = None


def gather(turn: Turn, run: Run) -> ReportView:
    """Everything on record. A run that hasn't ended is reported as far as it is."""
    rows = turn.steps(run.id)
    segments = tuple(_segment(turn, run, number, rows) for number in range(1, run.segment + 1))
    weights = run.facts.get("weight_zero")
    return ReportView(
        run=present.headline(turn, run),
        about=dict(plan_of(segment_of(turn, run, 1)).about),
        segments=segments,
        clicks=tuple(turn.ledger.find(Click, run=run.id, order="id")),
        prompts=tuple(turn.ledger.find(Prompt, run=run.id, order="number")),
        overrides=tuple(turn.ledger.find(Override, run=run.id, order="id")),
        checklists=checklists_of(turn, run),
        incidents=tuple(turn.ledger.find(IncidentRow, run=run.id, order="number")),
        entries=_entries(turn, run, rows),
        charts=tuple(_charts(turn, run)),
        made_at=turn.now,
        duration_s=((run.ended_at or turn.now) - run.created_at).total_seconds(),
        decided_at=str(run.facts.get("decided_at") or ""),
        seconds_back=_seconds(weights),
        changes=changes_of(turn, run.id),
    )


def _segment(turn: Turn, run: Run, number: int, rows: list[StepRow]) -> SegmentReport:
    segment = segment_of(turn, run, number)
    steps = list(plan_of(segment).steps())
    mine = [row for row in rows if row.segment == number]
    return SegmentReport(
        number=number,
        procedure=segment.procedure,
        hash=segment.hash,
        replaced=segment.replaced_at is not None,
        steps=tuple(_step(row, steps[row.index - segment.first_index].sentence) for row in mine),
    )


def _step(row: StepRow, sentence: str) -> StepReport:
    both = row.started_at is not None and row.finished_at is not None
    return StepReport(
        index=row.index,
        title=row.title,
        sentence=sentence,
        state=row.state,
        outcome=row.outcome or "",
        reason=row.reason,
        attempt=row.attempt,
        segment=row.segment,
        started_at=row.started_at,
        finished_at=row.finished_at,
        duration_s=(row.finished_at - row.started_at).total_seconds()
        if both and row.finished_at and row.started_at
        else None,
        verdicts=tuple(verdicts_of(row.verdicts)),
    )


def _entries(turn: Turn, run: Run, rows: list[StepRow]) -> tuple[Sealed, ...]:
    subjects = [run.id, *(f"{run.id}/{row.index}" for row in rows)]
    return tuple(turn.ledger.find(Sealed, order="seq", limit=MOST_ENTRIES, subject=subjects))


def _charts(turn: Turn, run: Run) -> list[Chart]:
    """Those that were drawn into the thread; what could not be drawn then may be drawn now."""
    rows = turn.ledger.find(Outgoing, run=run.id, kind=PICTURE, order="id")
    return [chart_from_json(row.payload["chart"]) for row in rows[-MOST_CHARTS:]]


def _seconds(weights: Any) -> dict[str, float]:
    if not isinstance(weights, dict):
        return {}
    found = {name: fact.get("seconds") for name, fact in weights.items() if isinstance(fact, dict)}
    return {name: float(seconds) for name, seconds in found.items() if isinstance(seconds, int | float)}


# --- the command ------------------------------------------------------------------------------------------------------


async def report(asking: Asking) -> Finish:
    """`/forge report <run>`: the page goes into the run's thread, the summary to the caller."""
    run = await asking.store.read(lambda ledger: ledger.get(Run, asking.intent.run))
    if run is None:
        return lambda turn, _received: no_such_run(turn, asking.intent.run)
    if run.segment == 0:
        return saying(refused("report.empty", f"{run.id} has no plan on record.", run=run.id))

    def finish(turn: Turn, received: Received | None) -> Answer:
        current = turn.run(run.id) or run
        asked = str(received.id) if received is not None else turn.now.isoformat()
        row = Outgoing(subject=f"report:{run.id}:{asked}", kind=REPORT, run=run.id, payload={}, created_at=turn.now)
        if not turn.ledger.count(Outgoing, subject=row.subject):
            turn.ledger.add(row)
            turn.audit("report.asked", run.id, asking.actor)
        view = gather(turn, current)
        note = Note(tone=Tone.INFO, title=f"Report of {run.id}", text="\n".join(summary(view)))
        turn.note(current, f"report:{asked}", note)
        return info("report", f"The report of {run.id} is on its way into its thread.", view=view, run=run.id)

    return finish


def summary(view: ReportView) -> list[str]:
    """A few lines for a message: what it was, how it ended, how long it took, what was overridden."""
    run = view.run
    lines = [
        f"{run.service} {run.version} on {run.environment}: {run.ending or run.state}, "
        f"after {duration(round(view.duration_s))}"
    ]
    if run.ending_reason:
        lines.append(run.ending_reason)
    steps = sum(len(segment.steps) for segment in view.segments if not segment.replaced)
    lines.append(
        f"{steps} steps, {len(view.charts)} charts, {len(view.clicks)} decisions, {len(view.prompts)} prompts to on-call"
    )
    lines += [f"{name}: weight 0 accepted {duration(s)} after the decision" for name, s in view.seconds_back.items()]
    granted = [each for each in view.overrides if each.state == "granted"]
    lines += [f"Overridden: {each.gate}, by {each.asked_by_name} and {each.decided_by_name}" for each in granted]
    return lines
