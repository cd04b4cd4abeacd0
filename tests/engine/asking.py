"""Plans and people for the tests of prompts: guards that ask on-call before anything is rolled back, and steps whose failure does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from engine.answers import Answer
from engine.records import Button, Prompt
from runbook.plan import PROMPT, Guard, Plan, RatioGuard, Span
from runbook.policy import Setting
from runbook.ports import Sample, Series
from runbook.procedures.base import Request
from runbook.steps.control import Approval
from runbook.values import Actor, Role
from tests.engine.harness import Act, Bench, Look

ONA = Actor("T1:UONA", "Ona", frozenset({Role.ON_CALL}))
VAL = Actor("T1:UVAL", "Val", frozenset({Role.PRODUCT}))
SHELL = Actor("os:ada", "ada", frozenset({Role.ON_CALL, Role.RELEASE_ENGINEER}), can_decide=False)

MITIGATE_S = 900.0
ERRORS = Guard("error rate", "forge:error_ratio:1m", True, 0.03, 300.0)
ASKING = Guard("error rate", "forge:error_ratio:1m", True, 0.03, 300.0, action=PROMPT, mitigate_s=MITIGATE_S)
SLOW = Guard(
    "slow queries", "forge:postgres_slow_queries:1m", True, 5.0, 300.0, unit="count", action=PROMPT,
    mitigate_s=MITIGATE_S, trigger="migration_regression", optional=True,
)  # fmt: skip

Answers = Callable[[str, datetime], list[Series]]
Planner = Callable[[Request, Setting, str, Mapping[str, Any]], Plan]


def watched_by(*guards: Guard, ratios: Sequence[RatioGuard] = (), on_fail: str = "stop") -> Planner:
    """Two steps under these guards, the second of which waits for a go."""

    def plan(request: Request, setting: Setting, world: str, numbers: Mapping[str, Any]) -> Plan:
        return Plan(
            procedure="staging", service=request.service, environment=request.environment, version=request.version,
            nodes=(
                Look(title="look", world=world),
                Span(
                    guards=guards, ratios=tuple(ratios), on_breach="return_to_previous",
                    steps=(
                        Act(title="deploy one", world=world, on_fail=on_fail),
                        Approval(
                            title="go or no-go", roles=(Role.PRODUCT, Role.SERVICE_OWNER), expires_s=86400.0, purpose="go",
                            on_fail="procedure:return_to_previous",
                        ),
                    ),
                ),
            ),
        )  # fmt: skip

    return plan


def following(*phases: tuple[Guard, ...]) -> Planner:
    """Spans one after another, each with its guards and a step."""

    def plan(request: Request, setting: Setting, world: str, numbers: Mapping[str, Any]) -> Plan:
        spans = tuple(
            Span(guards=guards, on_breach="return_to_previous", steps=(Act(title=f"phase {place}", world=world),))
            for place, guards in enumerate(phases, start=1)
        )
        return Plan(
            procedure="staging", service=request.service, environment=request.environment, version=request.version,
            nodes=(Look(title="look", world=world), *spans),
        )  # fmt: skip

    return plan


def prompts(b: Bench, run: str, **equals: Any) -> list[Prompt]:
    return sorted(b.rows(Prompt, run=run, **equals), key=lambda p: p.number)


def open_prompt(b: Bench, run: str) -> Prompt:
    (prompt,) = prompts(b, run, state="open")
    return prompt


async def asked(b: Bench, run: str) -> Prompt:
    """Waits until on-call is asked."""
    await b.clock.run_until(lambda: bool(prompts(b, run, state="open")), timedelta(hours=2))
    await b.clock.settle()
    return open_prompt(b, run)


def button_of(b: Bench, prompt: Prompt, action: str) -> str:
    (button,) = [
        x for x in b.rows(Button, run=prompt.run, action=action) if (x.argument or {}).get("prompt") == prompt.id
    ]
    return button.id


async def press(b: Bench, prompt: Prompt, action: str, who: Actor = ONA, reason: str = "") -> Answer:
    return await b.act(action, who, button=button_of(b, prompt, action), reason=reason)


def notes(b: Bench) -> list[str]:
    return [m.message.text for m in b.chat.messages]


def card(b: Bench, number: int = 1) -> Any:
    """The prompt's card as it stands in Slack."""
    (kept,) = [m for m in b.chat.messages if f"prompt:staging-1:{number}#" in m.message_id]
    return kept


def offered(b: Bench, number: int = 1) -> list[str]:
    blocks = [block for block in card(b, number).message.blocks if block["type"] == "actions"]
    return [element["action_id"] for block in blocks for element in block["elements"]]


def recorded(metric: str, value: float, at: datetime, track: str = "stable") -> Series:
    return Series({"service": "shop", "env": "staging", "track": track}, (Sample(at, value),))


def bad_between(begin: datetime, *spans: tuple[float, float], bad: float = 0.2, good: float = 0.0) -> Answers:
    """The error ratio is bad in these spans of seconds from the beginning; good else."""

    def value(metric: str, at: datetime) -> list[Series]:
        s = (at - begin).total_seconds()
        return [recorded(metric, bad if any(a <= s < z for a, z in spans) else good, at)]

    return value
