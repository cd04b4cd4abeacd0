"""Prompts and choices as people see them: made from the stored rows, whenever their card is sent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from engine.choices import closing_of as choice_closing
from engine.journal import Turn, plan_of, segment_of
from engine.lifecycle import verdicts_of, way_back
from engine.prompts import OPEN, closing_of, mitigate_s_of
from engine.records import Button, Prompt, Run, RunState, Segment, StepState
from runbook.plan import BEGUN, Plan
from runbook.procedures import CONTINUATIONS
from runbook.steps.control import Choice, Option
from runbook.steps.jobs import Migrate
from runbook.values import Role
from runbook.verdicts import Verdict
from runbook.wording import duration, listing

MOST_STEPS = 12


@dataclass(frozen=True, kw_only=True)
class PromptView:
    """A prompt's card. state: a `Prompt.state`. way_back: what a rollback would do, one sentence a line, while it is open.

    since: when the condition began. closing: the sentence that takes the buttons' place. mitigate: what *Give me …* gives, in words.
    who: Slack ids of on-call. is_held: the run waits for the answer. recovers: it closes by itself once the condition has gone.
    """

    id: str
    run: str
    number: int
    service: str
    environment: str
    version: str
    trigger: str
    reason: str
    state: str
    since: datetime
    opened_at: datetime
    deadline: datetime
    mitigate: str
    verdicts: tuple[Verdict, ...] = ()
    way_back: tuple[str, ...] = ()
    extended: int = 0
    is_held: bool = False
    recovers: bool = False
    closing: str = ""
    answered_at: datetime | None = None
    who: tuple[str, ...] = ()
    buttons: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class OptionView:
    """One answer. text: what it means. button: its opaque id, or empty. leaves: it ends what the run does now."""

    name: str
    label: str
    text: str = ""
    button: str = ""
    leaves: bool = False


@dataclass(frozen=True, kw_only=True)
class ChoiceView:
    """A choice's card. role: who must choose. default: the label of what is taken at the deadline, or empty. closing: as for a prompt."""

    run: str
    index: int
    title: str
    service: str
    environment: str
    version: str
    role: str
    who: tuple[str, ...]
    options: tuple[OptionView, ...]
    is_open: bool
    opened_at: datetime | None
    deadline: datetime | None
    default: str = ""
    closing: str = ""
    why: str = ""


def prompt_view(turn: Turn, run: Run, number: int) -> PromptView | None:
    prompt = turn.ledger.get(Prompt, f"{run.id}/p{number}")
    if prompt is None:
        return None
    is_open = prompt.state == OPEN
    buttons = {b.action: b.id for b in turn.ledger.find(Button, run=run.id, index=-number)} if is_open else {}
    return PromptView(
        id=prompt.id, run=run.id, number=number, service=run.service, environment=run.environment, version=run.version,
        trigger=prompt.trigger, reason=prompt.reason, state=prompt.state, since=_since(prompt), opened_at=prompt.opened_at,
        deadline=prompt.deadline, mitigate=duration(mitigate_s_of(turn, run, prompt)),
        verdicts=tuple(verdicts_of(prompt.verdicts)), way_back=tuple(_way_back(turn, run)) if is_open else (),
        extended=prompt.extended, is_held=prompt.kind == "step", recovers=prompt.kind == "guard",
        closing=closing_of(prompt, timed=False), answered_at=prompt.answered_at, who=turn.members(Role.ON_CALL), buttons=buttons,
    )  # fmt: skip


def _since(prompt: Prompt) -> datetime:
    """When the condition began, where the evidence says so."""
    for verdict in verdicts_of(prompt.verdicts):
        for fact in verdict.evidence:
            if fact.at is not None and fact.window_s is not None:
                return fact.at - timedelta(seconds=fact.window_s)
    return prompt.opened_at


def _way_back(turn: Turn, run: Run) -> Iterator[str]:
    """What a rollback would do now: the steps of the way back, as the plan that would be appended has them."""
    segment = segment_of(turn, run)
    plan = plan_of(segment)
    previous = _previous(run)
    if previous:
        yield f"Traffic goes back to {previous}"
    begun = _begun(turn, run, segment)
    yield from _schema(plan, begun)
    continuation = CONTINUATIONS.get(way_back(run))
    back = continuation(plan, {**run.facts, BEGUN: begun}) if continuation is not None else None
    if back is None:
        yield "The run returns to the previous state"
        return
    steps = [step.title for step in back.steps()]
    more = len(steps) - MOST_STEPS
    told = [*steps[:MOST_STEPS], *([f"and {more} more steps"] if more > 0 else [])]
    yield f"In order: {'; '.join(told)}"


def _begun(turn: Turn, run: Run, segment: Segment) -> list[int]:
    rows = turn.steps(run.id)
    return [row.index - segment.first_index for row in rows if row.segment == run.segment and row.attempt]


def _previous(run: Run) -> str:
    """The images that ran before, by their tags or the beginning of their digests."""
    found = run.facts.get("previous")
    if not isinstance(found, Mapping):
        return ""
    images = [
        image for containers in found.values() if isinstance(containers, Mapping) for image in containers.values()
    ]
    return listing(dict.fromkeys(_brief(str(image)) for image in images))


def _brief(image: str) -> str:
    name, at, digest = image.rpartition("@")
    if at:
        return f"{name.rpartition('/')[2]}@{digest[:19]}"
    return image.rpartition("/")[2]


def _schema(plan: Plan, begun: list[int]) -> Iterator[str]:
    """What becomes of each migration that was begun. Runbook: Rollback Procedure 3."""
    for place, step in enumerate(plan.steps()):
        if isinstance(step, Migrate) and place in begun and step.direction == "up":
            if step.backward_compatible:
                yield f"Migration {step.migration} stays: the previous version works with it"
            else:
                taken = (
                    "taken back, kept, or restored from a backup"
                    if step.down is not None
                    else "kept or restored from a backup"
                )
                yield f"Migration {step.migration}: the Database Owner is asked first whether it is {taken}"


def _means(turn: Turn, option: Option) -> str:
    """With the minutes of data at stake, as of now."""
    if not option.since:
        return option.text
    since = datetime.fromisoformat(option.since)
    lost = duration(round(max(0.0, (turn.now - since).total_seconds())))
    return f"{option.text.rstrip('.')}. At stake: what was written since {since:%H:%M} UTC, {lost} by now".lstrip(". ")


def choice_view(turn: Turn, run: Run, index: int, number: int) -> ChoiceView | None:
    segment = turn.ledger.get(Segment, run.id, number)
    row = turn.step(run.id, index)
    if segment is None or row is None or row.segment != number:
        return None
    step = list(plan_of(segment).steps())[index - segment.first_index]
    if not isinstance(step, Choice):
        return None
    is_open = row.state == StepState.WAITING and run.state != RunState.ENDED
    found = {b.action: b.id for b in turn.ledger.find(Button, run=run.id, index=index)} if is_open else {}
    options = tuple(
        OptionView(
            name=option.name, label=option.label, text=_means(turn, option), button=found.get(f"choose:{option.name}", ""),
            leaves=bool(option.procedure),
        )
        for option in step.options
    )  # fmt: skip
    default = next((option.label for option in step.options if option.name == step.default), "")
    return ChoiceView(
        run=run.id, index=index, title=step.title, service=run.service, environment=run.environment, version=run.version,
        role=step.role.value, who=turn.members(step.role), options=options, is_open=is_open, opened_at=row.started_at,
        deadline=row.deadline if is_open else None, default=default,
        closing="" if is_open else choice_closing(run, row), why=run.ending_reason,
    )  # fmt: skip
