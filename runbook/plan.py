"""Plans: a procedure of the runbook as plain frozen data, and its one canonical JSON form.

The engine executes a plan, Slack shows it, approvals are bound to the hash of its stored bytes. The vocabulary of control is small on
purpose: steps, spans with guards, `on_fail`, `Choice`, `Replan`. It must not grow into a workflow language.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field, is_dataclass
from dataclasses import fields as dataclass_fields
from datetime import datetime
from typing import Any, ClassVar

from pydantic import TypeAdapter

from runbook.charts import Chart
from runbook.ports import Ports
from runbook.values import Environment
from runbook.verdicts import Outcome, Verdict, decided

STOP, HOLD, CONTINUE, PROMPT = "stop", "hold", "continue", "prompt"
"""What a FAIL does, beside `procedure:<name>`. NO_DATA and ERROR always hold, whatever stands here, but in a way back (CONTINUE).

PROMPT: on-call is asked whether to roll back; unanswered for `policy.prod.mitigate_s` it is done.
"""


BEGUN = "begun"
"""The fact that a continuation is given: places in the plan that was left of the steps that were begun, finished or not."""


def procedure(name: str) -> str:
    """The `on_fail` that leaves the plan for another procedure, such as the return to the previous state."""
    return f"procedure:{name}"


@dataclass(frozen=True)
class Result:
    """What a step found and recorded. facts: JSON values by key, merged into the run's facts for later steps and procedures.

    charts: drawn and shown in the run's thread.
    """

    verdicts: tuple[Verdict, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    charts: tuple[Chart, ...] = ()

    @property
    def outcome(self) -> Outcome:
        """A step without a verdict has done what it says."""
        return decided(self.verdicts)


@dataclass(kw_only=True)
class Scene:
    """What a step may see and use while it is performed; made anew for every attempt.

    run, index: make names that a repeat finds again. begun_at: when this attempt's first performance began; it survives a restart.
    progress: what this step saved before a restart, or None. save: keeps progress durably. paused: the run is paused now.
    doing: says what the step does now, for the headline (not durable). requester: `Actor.id` of who asked for the run.
    """

    ports: Ports
    run: str
    index: int
    attempt: int
    environment: Environment
    facts: Mapping[str, Any]
    begun_at: datetime
    progress: Any
    save: Callable[[Any], Awaitable[None]]
    paused: Callable[[], bool]
    doing: Callable[[str], None]
    annotation_prefix: str = "forge"
    requester: str = ""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One line of a plan. kind: its name in stored plans, never reused. effect: it changes something outside Slack and our database.

    on_fail: STOP, HOLD, CONTINUE or `procedure(name)`. retries: how often an ERROR is asked again before it holds, `retry_wait_s` apart.
    """

    kind: ClassVar[str] = ""
    effect: ClassVar[bool] = False
    kinds: ClassVar[dict[str, type[Step]]] = {}

    title: str
    on_fail: str = STOP
    retries: int = 2
    retry_wait_s: float = 5.0

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "kind" in cls.__dict__:
            Step.kinds[cls.kind] = cls

    @property
    def sentence(self) -> str:
        """What the step does, in one sentence of the runbook's language."""
        return self.title


@dataclass(frozen=True, kw_only=True)
class Work(Step, ABC):
    """A step that is performed through ports. Performing it again is harmless: effects set, they never add."""

    @abstractmethod
    async def perform(self, scene: Scene) -> Result:
        """Raises `runbook.errors` when it could not ask or do; the engine turns that into an ERROR verdict."""


AUTO = "auto"
"""What a guard's breach does: leave for the way back at once. `PROMPT` asks on-call first. Runbook: Automatic/Manual Rollback Triggers."""


@dataclass(frozen=True)
class Guard:
    """Watched from its span's first to its last step. See `policy.Threshold` for the fields; `metric` is the recorded series' full name.

    name: unique within the span. action: AUTO or PROMPT. mitigate_s: how long a prompt waits for an answer before it rolls back.
    trigger: the line of Rollback Triggers it stands for, such as `critical_alert`, for people and reports. optional: where nobody measures
    it (no series at all since the span began) nothing is said.
    """

    name: str
    metric: str
    above: bool
    limit: float
    for_s: float
    unit: str = "ratio"
    track: str = "stable"
    action: str = AUTO
    mitigate_s: float = 900.0
    trigger: str = "critical_alert"
    optional: bool = False


@dataclass(frozen=True)
class RatioGuard:
    """Canary against stable by a sequential test (`runbook.rules.canary_ratio`). Runbook: Rollback Triggers.


    requests, errors: full names of the recorded rates per second of both tracks; each sample stands for one interval of the guards.
    ratio, alpha, minimum_requests, floor: `canary_ratio.RatioLimits`. state carries over to the next span's guard of the same name in the
    same run: the error is controlled over the whole roll-out.
    """

    name: str
    requests: str
    errors: str
    ratio: float
    alpha: float
    minimum_requests: int
    floor: float
    design_effect: float = 1.0
    action: str = AUTO
    mitigate_s: float = 900.0
    trigger: str = "canary_ratio"


@dataclass(frozen=True, kw_only=True)
class Span:
    """guards are active from its first to its last step, waits included; a breach leaves for `on_breach`, a procedure's name.

    Spans that follow each other share what their guards of the same name have seen: a window isn't begun anew between two phases.
    """

    guards: tuple[Guard, ...]
    on_breach: str
    steps: tuple[Step, ...]
    ratios: tuple[RatioGuard, ...] = ()


Node = Step | Span


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One segment of a run.

    about: what approvals and headlines show: release, images, changes (JSON).
    """

    procedure: str
    service: str
    environment: Environment
    version: str
    nodes: tuple[Node, ...]
    about: Mapping[str, Any] = field(default_factory=dict)

    def steps(self) -> Iterator[Step]:
        """All steps in order, those inside spans too: a step's place here is its index within the segment."""
        for node in self.nodes:
            if isinstance(node, Span):
                yield from node.steps
            else:
                yield node

    def spans(self) -> Iterator[tuple[int, int, Span]]:
        """(index of the first step, index of the last, span)."""
        at = 0
        for node in self.nodes:
            if isinstance(node, Span):
                yield at, at + len(node.steps) - 1, node
                at += len(node.steps)
            else:
                at += 1


_ADAPTERS: dict[Any, TypeAdapter[Any]] = {}


def adapter(kind: Any) -> TypeAdapter[Any]:
    """pydantic's adapter of a type, made once."""
    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    return _ADAPTERS[kind]


def to_json(value: Any) -> Any:
    """A frozen dataclass of ours as JSON values."""
    return adapter(type(value)).dump_python(value, mode="json")


def from_json(kind: Any, data: Any) -> Any:
    """Back again. Raises `pydantic.ValidationError` when the data doesn't fit."""
    return adapter(kind).validate_python(data)


LATER = (
    "text",
    "record",
    "action",
    "mitigate_s",
    "trigger",
    "optional",
    "any_of",
    "canary_url",
    "unanswered",
    "checks",
)
"""Fields that came later: left out of the canonical text while they have their default, so that an upgrade voids no approval."""

LATER_WITHIN = ("checksum_rows",)
"""The same, of what a step's fields hold."""


def _trimmed(value: Any) -> dict[str, Any]:
    data: dict[str, Any] = to_json(value)
    _trim(data, value, LATER)
    for each in dataclass_fields(value):
        found = getattr(value, each.name)
        if is_dataclass(found) and isinstance(data.get(each.name), dict):
            _trim(data[each.name], found, LATER_WITHIN)
    return data


def _trim(data: dict[str, Any], value: Any, later: tuple[str, ...]) -> None:
    for each in dataclass_fields(value):
        if each.name in later and getattr(value, each.name) == each.default:
            del data[each.name]


def step_to_json(step: Step) -> dict[str, Any]:
    """A step with its kind, as JSON values."""
    return {"kind": step.kind, **_trimmed(step)}


def step_from_json(data: Mapping[str, Any]) -> Step:
    """Back again. Raises KeyError for a kind that this program doesn't know."""
    fields = dict(data)
    kind = fields.pop("kind")
    step: Step = from_json(Step.kinds[kind], fields)
    return step


def canonical(plan: Plan) -> str:
    """The plan's JSON text: sorted keys, no spaces. Equal plans have equal texts; its SHA-256 is what approvals are bound to."""
    nodes: list[Any] = []
    for node in plan.nodes:
        if isinstance(node, Span):
            inner = [step_to_json(step) for step in node.steps]
            span: dict[str, Any] = {
                "guards": [_trimmed(g) for g in node.guards],
                "on_breach": node.on_breach,
                "steps": inner,
            }
            if node.ratios:
                span["ratios"] = [to_json(ratio) for ratio in node.ratios]
            nodes.append(span)
        else:
            nodes.append(step_to_json(node))
    data = {
        "procedure": plan.procedure,
        "service": plan.service,
        "environment": plan.environment.value,
        "version": plan.version,
        "about": dict(plan.about),
        "nodes": nodes,
    }
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def parse(text: str) -> Plan:
    """A stored plan. Raises KeyError for a step kind that this program doesn't know: kinds are never removed while one may be stored."""
    data = json.loads(text)
    nodes: list[Node] = []
    for node in data["nodes"]:
        if "steps" in node:
            guards = tuple(from_json(Guard, g) for g in node["guards"])
            steps = tuple(step_from_json(s) for s in node["steps"])
            ratios = tuple(from_json(RatioGuard, r) for r in node.get("ratios", ()))
            nodes.append(Span(guards=guards, on_breach=node["on_breach"], steps=steps, ratios=ratios))
        else:
            nodes.append(step_from_json(node))
    return Plan(
        procedure=data["procedure"],
        service=data["service"],
        environment=Environment(data["environment"]),
        version=data["version"],
        nodes=tuple(nodes),
        about=data["about"],
    )


def hash_of(text: str) -> str:
    """Hex SHA-256 of the canonical text."""
    return hashlib.sha256(text.encode()).hexdigest()
