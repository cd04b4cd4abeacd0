"""`forge runbook`: the runbook in force as Markdown, rendered from the very plans that are executed, so that the two can't differ."""

from __future__ import annotations

from collections.abc import Iterator

from bot.configuration.units import ratio_text
from engine.present import role_words
from runbook.durations import duration_text
from runbook.plan import Guard, Plan, Span, Step
from runbook.policy import Service, Setting
from runbook.procedures.return_to_previous import return_to_previous
from runbook.procedures.staging import staging_plan
from runbook.steps.control import Approval
from runbook.values import Environment, FrozenImage, Release

_EXAMPLE = "v1.2.3-rc.1"


def render_runbook(setting: Setting) -> str:
    """One chapter for each service and procedure, in the order of execution."""
    parts = ["# The runbook in force", "", f"Configuration {setting.hash[:12]}. Versions and digests are examples.", ""]
    if setting.notice:
        parts += [f"**{setting.notice}**", ""]
    for service in setting.services.values():
        if Environment.STAGING in service.urls:
            parts += _staging(service, setting)
    return "\n".join(parts).rstrip() + "\n"


def _staging(service: Service, setting: Setting) -> Iterator[str]:
    plan = staging_plan(service, _example_release(service), setting.policy, "")
    yield f"## Staging Deployment: {service.name}"
    yield ""
    yield from _steps(plan)
    facts = {"previous": {workload.name: {workload.container: workload.image} for workload in service.workloads}}
    back = return_to_previous(plan, facts)
    if back is not None:
        yield f"### Return of {service.name} to the previous images"
        yield ""
        yield from _steps(back)


def _steps(plan: Plan) -> Iterator[str]:
    number = 0
    for node in plan.nodes:
        if isinstance(node, Span):
            yield ""
            yield f"Watched from step {number + 1} to step {number + len(node.steps)}; a breach leads to `{node.on_breach}`:"
            yield ""
            yield from (f"- {guard_words(guard)}" for guard in node.guards)
            yield ""
        for step in node.steps if isinstance(node, Span) else (node,):
            number += 1
            yield _line(number, step)
        if isinstance(node, Span):
            yield ""
    yield ""


def _line(number: int, step: Step) -> str:
    marks = []
    if isinstance(step, Approval):
        marks.append(f"by {', '.join(role_words(role) for role in step.roles)} within {duration_text(step.expires_s)}")
    if step.effect:
        marks.append("changes the environment")
    marks.append(f"on failure: {step.on_fail.replace('procedure:', '')}")
    sentence = "" if step.sentence == step.title else f" {step.sentence}"
    return f"{number}. **{step.title}.**{sentence} ({'; '.join(marks)})"


def guard_words(guard: Guard) -> str:
    """`error rate above 3 % for 5m (forge:error_ratio:1m)`."""
    side = "above" if guard.above else "below"
    match guard.unit:
        case "ratio":
            limit = ratio_text(guard.limit)
        case "s":
            limit = duration_text(guard.limit)
        case _:
            limit = f"{guard.limit:g}"
    return f"{guard.name} {side} {limit} for {duration_text(guard.for_s)} (`{guard.metric}`)"


def _example_release(service: Service) -> Release:
    digest = "sha256:" + "0" * 64
    images = tuple(FrozenImage(w.name, w.container, w.image, _EXAMPLE, digest) for w in service.workloads)
    return Release(service.name, _EXAMPLE, "0" * 40, "0" * 40, "a configured signer", images)
