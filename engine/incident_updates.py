"""What a run's way back tells its incident. Runbook: Rollback Procedure 1 and 6. Rows in, one incident with its words out; it decides nothing.

A rollback never waits for any of this, and a person may have resolved the incident meanwhile: it is told all the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from engine.incidents import add_update, open_incident, open_rows
from engine.journal import Turn, plan_of, segment_of
from engine.lanes import RESTORE
from engine.lifecycle import LEFT_BECAUSE, verdicts_of
from engine.notes import Note, Tone
from engine.prompts import GUARD as ASKED_BY_GUARD
from engine.records import IncidentRow, Prompt, Run, Segment, StepRow, StepState
from runbook.aftermath import Aftermath, Moment, Unfinished, next_actions, report_text, timeline_lines
from runbook.hypothesis import GUARD, Case, Finding, hypothesis
from runbook.plan import from_json
from runbook.steps.control import Choice, UpdateIncident
from runbook.steps.people import LeftToPeople
from runbook.values import Environment
from runbook.verdicts import Outcome, Verdict
from runbook.wording import duration, shortened

SEVERITY = 2
"""Of an incident that a rollback opens. Runbook: an active Sev-1/Sev-2 holds releases up."""

CHANGE = 4
"""Of what a restore outside production declares: shown, and holding nothing up."""

OPENED, ROLLED_BACK, RESTORED = "opened", "rolled_back", "restored"
_MOST_WORDS = 6_000


def update_incident(turn: Turn, run: Run, step: UpdateIncident) -> None:
    if run.procedure == RESTORE:
        restoring(turn, run, step.stage)
    elif step.stage == OPENED:
        opened(turn, run)
    else:
        rolled_back(turn, run)


def opened(turn: Turn, run: Run) -> IncidentRow:
    """Opens an incident for the run, or joins the open one of its service; and says there that the roll-out is frozen."""
    row = _incident(turn, run) or open_incident(turn, run.environment, run.service, SEVERITY, _title(run), run=run.id)
    left = LEFT_BECAUSE in run.facts
    title = f"{run.id}: {'the roll-out of ' if left else ''}{_name(run)} is {'frozen and ' if left else 'being '}rolled back"
    why = run.ending_reason if left else _asked(run)
    add_update(turn, row, f"{title}: {why}" if why else title, note=Note(tone=Tone.BAD, title=title, text=why))
    said = Note(
        tone=Tone.INFO, title=f"{run.id} is told in {row.id}", text=f"`/forge incident list` shows it: {row.title}"
    )
    turn.note(run, f"incident:{row.id}", said)
    return row


def rolled_back(turn: Turn, run: Run) -> IncidentRow:
    """What happened, when, the hypothesis with its evidence, and who does what next."""
    row = _incident(turn, run) or open_incident(
        turn, run.environment, run.service, SEVERITY, f"{_name(run)} was rolled back", run=run.id
    )
    behind = _Behind(turn, run)
    found = hypothesis(behind.case())
    after = behind.aftermath(row)
    actions = next_actions(after, found)
    left = len(after.unfinished)
    how = (
        "was rolled back"
        if not left
        else f"was rolled back in part: {left} {'step is' if left == 1 else 'steps are'} left"
    )
    because = behind.because["reason"]
    what = f"{_name(run)} {how}" + (f", because {because}" if because else "")
    text = shortened(report_text(what, timeline_lines(list(behind.moments())), found, actions), _MOST_WORDS)
    title = f"{row.id}: {_name(run)} {how}"
    tone = Tone.ASK if left else Tone.BAD
    summary = f"{run.id}: {_name(run)} {how}. Hypothesis: {found.text}. Next: {actions[0]}"
    note = Note(tone=tone, title=title, text=text)
    if row.run == run.id and row.title == _title(run):
        row = replace(row, title=f"{_name(run)} {how}")
    row = add_update(turn, row, summary, note=note, broadcast=True)
    turn.note(run, f"incident:{row.id}:{ROLLED_BACK}", Note(tone=tone, title=title, text=text))
    return row


def restoring(turn: Turn, run: Run, stage: str) -> IncidentRow:
    """What a restore tells: that it has begun beside the database in use, that the traffic was led to it, or that it was not to be.

    Runbook: Restore Procedure 1, "declare incident/change". In production it is an incident that holds releases up, elsewhere a change.
    """
    name = f"the database of {run.service} on {run.environment}"
    severity = SEVERITY if run.environment == Environment.PROD else CHANGE
    being = f"{name.capitalize()} is being restored"
    row = _incident(turn, run) or open_incident(turn, run.environment, run.service, severity, being, run=run.id)
    tone, how, why = _restore_words(turn, run, stage)
    if row.run == run.id and row.title == being and stage != OPENED:
        row = replace(row, title=f"{name.capitalize()} {how}")
    title = f"{run.id}: {name} {how}"
    note = Note(tone=tone, title=title, text=why)
    row = add_update(turn, row, f"{title}: {why}" if why else title, note=note, broadcast=stage != OPENED)
    said = Note(tone=tone, title=f"{run.id} is told in {row.id}", text=f"`/forge incident list` shows it: {row.title}")
    turn.note(run, f"incident:{row.id}:{stage}", said)
    return row


def _restore_words(turn: Turn, run: Run, stage: str) -> tuple[Tone, str, str]:
    """Tone, what becomes of the database, and why or from what."""
    about = plan_of(segment_of(turn, run, 1)).about
    what = f"{about.get('backup', 'a backup')}" + (f", recovered to {about['until']}" if about.get("until") else "")
    if stage == OPENED:
        return Tone.WARN, "is being restored, beside the one in use", f"{what}; {_asked(run)}"
    if stage == RESTORED:
        return Tone.GOOD, "is restored and signed off", what
    if any(row.kind == LeftToPeople.kind and row.outcome == Outcome.FAIL for row in turn.steps(run.id)):
        return Tone.ASK, "is left between two: the Database Owner decides where the traffic goes", run.ending_reason
    return Tone.BAD, "was not restored: the one in use is the one from before", run.ending_reason


def _incident(turn: Turn, run: Run) -> IncidentRow | None:
    """The run's own, resolved or not; else the gravest open one of its service, else of the whole environment."""
    own = turn.ledger.find(IncidentRow, run=run.id, order="-number", limit=1)
    if own:
        return own[0]
    is_open = open_rows(turn.ledger, environment=run.environment)
    for service in (run.service, ""):
        mine = [row for row in is_open if row.service == service]
        if mine:
            return mine[0]
    return None


def _asked(run: Run) -> str:
    """Why a rollback that left no roll-out was begun."""
    return f"{run.requester_name} asked for it" + (f": {run.reason}" if run.reason else "")


def _title(run: Run) -> str:
    """Of an incident that a rollback opens, until it is done."""
    return f"{_name(run)} is being rolled back"


def _name(run: Run) -> str:
    return f"{run.service} {run.version} on {run.environment}"


class _Behind:
    """What lies behind a way back: the steps before it, why it was left, and how far the way back got."""

    def __init__(self, turn: Turn, run: Run) -> None:
        self._turn, self._run = turn, run
        found = run.facts.get(LEFT_BECAUSE)
        asked = {"at": run.created_at.isoformat(), "code": "rollback.asked", "reason": _asked(run)}
        self.because: Mapping[str, Any] = found if isinstance(found, Mapping) else asked
        procedures = {s.number: s.procedure for s in turn.ledger.find(Segment, run=run.id)}
        rows = turn.steps(run.id)
        left = self._left()
        if left is None:
            self._forward = [row for row in rows if procedures[row.segment] == run.procedure]
            self._back = [row for row in rows if procedures[row.segment] != run.procedure]
        else:
            self._forward, self._back = turn.steps(left.id), rows
        self._facts = {**(left.facts if left is not None else {}), **run.facts}

    def _left(self) -> Run | None:
        """The release that is taken back by a run of its own; None where this run leaves its own plan."""
        name = plan_of(segment_of(self._turn, self._run)).about.get("left_run")
        return self._turn.run(name) if isinstance(name, str) else None

    def case(self) -> Case:
        because, run = self.because, self._run
        return Case(
            version=run.version,
            code=str(because["code"]),
            reason=str(because["reason"]),
            findings=tuple(self._findings()),
            migrations=tuple(_migrations(self._facts, "up", "failed")),
        )

    def _findings(self) -> Iterator[Finding]:
        """What it was left for comes first; a step's own verdicts keep the kind of their step."""
        for verdict in verdicts_of(self.because.get("verdicts", ())):
            row = self._row_of(verdict)
            yield Finding(GUARD if row is None else row.kind, verdict.gate if row is None else row.title, verdict)
        for row in self._forward:
            for verdict in verdicts_of(row.verdicts):
                yield Finding(row.kind, row.title, verdict)

    def _row_of(self, verdict: Verdict) -> StepRow | None:
        """The step that found it; None for what a guard found."""
        same = ((row, stored) for row in self._forward for stored in row.verdicts)
        return next((row for row, stored in same if from_json(Verdict, stored) == verdict), None)

    # --- the timeline

    def moments(self) -> Iterator[Moment]:
        run = self._run
        if run.first_effect_at is not None:
            yield Moment(run.first_effect_at, f"{run.id} began to change {run.environment}")
        sign = self._first_sign()
        if sign is not None:
            yield sign
        for prompt in self._turn.ledger.find(Prompt, run=run.id, order="number"):
            if prompt.kind == ASKED_BY_GUARD or prompt.answered_at is not None:
                yield Moment(prompt.opened_at, f"on-call was asked: {shortened(prompt.reason, 120)}")
        decided = _moment(self.because.get("at")) or _moment(run.facts.get("decided_at"))
        if decided is not None:
            yield Moment(
                decided, f"decided to roll back: {shortened(str(self.because.get('reason') or run.ending_reason), 160)}"
            )
        yield from self._weights()
        validated = [row.finished_at for row in self._checked() if row.finished_at is not None]
        if validated:
            well = "passed" if self._validated() else "failed"
            yield Moment(max(validated), f"health endpoints and user journeys {well}")

    def _first_sign(self) -> Moment | None:
        """When what it was left for began: by the verdict's own time and how long it had lasted, else when the step found it."""
        signs = []
        for verdict in verdicts_of(self.because.get("verdicts", ())):
            if verdict.outcome is not Outcome.FAIL:
                continue
            row = self._row_of(verdict)
            at = row.finished_at if row is not None else None
            fact = next((fact for fact in verdict.evidence if fact.at is not None), None)
            if row is None and fact is not None and fact.at is not None:
                at = datetime.fromtimestamp(fact.at.timestamp() - (fact.window_s or 0.0), fact.at.tzinfo)
            if at is not None:
                signs.append(Moment(at, f"first sign: {verdict.gate}"))
        return min(signs, key=lambda moment: moment.at, default=None)

    def _weights(self) -> Iterator[Moment]:
        zero = self._run.facts.get("weight_zero")
        for workload, fact in zero.items() if isinstance(zero, Mapping) else ():
            at = _moment(fact.get("at")) if isinstance(fact, Mapping) else None
            if at is not None:
                seconds = fact.get("seconds")
                after = f", {duration(seconds)} after the decision" if isinstance(seconds, int | float) else ""
                yield Moment(at, f"weight 0 accepted for {workload}{after}")

    # --- how far it got

    def aftermath(self, row: IncidentRow) -> Aftermath:
        run = self._run
        return Aftermath(
            run=run.id,
            incident=row.id,
            service=run.service,
            environment=run.environment,
            version=run.version,
            unfinished=tuple(self._unfinished()),
            kept=tuple(_migrations(self._facts, "up", "failed")),
            taken_back=tuple(_migrations(self._facts, "down")),
            validated=self._validated(),
            checklist=any(step.kind == "checklist" for step in self._back),
        )

    def _unfinished(self) -> Iterator[Unfinished]:
        for row in self._back:
            if row.state != StepState.DONE or row.outcome in (Outcome.PASS, None) or row.kind == Choice.kind:
                continue  # what was chosen leads on to another way: that isn't a failure of its step
            bad = [v for v in verdicts_of(row.verdicts) if v.binding and v.outcome is not Outcome.PASS]
            remedy = next((v.remedy for v in bad if v.remedy), "")
            yield Unfinished(row.title, row.reason, remedy, by_people=row.kind == LeftToPeople.kind)

    def _checked(self) -> list[StepRow]:
        return [row for row in self._back if row.kind == "smoke_test" and row.state == StepState.DONE]

    def _validated(self) -> bool | None:
        rows = self._checked()
        return None if not rows else all(row.outcome == Outcome.PASS for row in rows)


def _migrations(facts: Mapping[str, Any], *states: str) -> list[str]:
    found = {
        key.removeprefix("migration:"): fact
        for key, fact in facts.items()
        if key.startswith("migration:") and isinstance(fact, Mapping)
    }
    return [name for name, fact in found.items() if fact.get("state") in states]


def _moment(text: object) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if isinstance(text, str) and text else None
    except ValueError:
        return None
