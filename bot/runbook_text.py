"""`forge runbook`: the runbook in force as Markdown, rendered from the very plans that are executed, so that the two can't differ."""

from __future__ import annotations

from collections.abc import Iterator

from bot.configuration.units import ratio_text
from engine.present import slot_words
from runbook.criteria import Promotion, Weight
from runbook.durations import duration_text
from runbook.jobs import JobTemplate, Migration, Migrations, Stage
from runbook.plan import Guard, Plan, Span, Step
from runbook.policy import Service, Setting
from runbook.procedures.contract import contract_plan
from runbook.procedures.preparing import Candidate, jobs_of
from runbook.procedures.return_to_previous import return_to_previous
from runbook.procedures.staging import staging_plan
from runbook.steps import Approval, Gate
from runbook.values import Environment, FrozenImage, Release
from runbook.wording import measure

_EXAMPLE = "v1.2.3-rc.1"

CHECKS = {
    "candidate_tag": "the tag is signed and was not moved, and its images still have the frozen digests",
    "ci_green": "CI is green for the commit",
    "deployable": "every workload exists, has its probes, and belongs to no GitOps controller",
    "steady_state": "error rate and latency over the whole observation, with a minimum of requests",
    "clean_scan": "no open critical finding in the newest security scan of every image",
    "key_metrics": "every key metric over the whole observation",
    "dependency_timeouts": "time-outs of dependencies against what was normal before the release",
    "automated_tests": "smoke tests and every suite have passed in this run",
    "migrated": "the expand migrations are done and the data verified",
    "performance_kept": "what the load measured is within the tolerance of the target",
    "canary_ratio": "the canary's errors against stable's, by a sequential test over the whole roll-out",
    "phase_sample": "enough requests reached the canary at this weight",
    "phase_errors": "the canary's error rate at this weight, by more than chance explains",
    "phase_latency": "the canary's p95 at this weight, against the target and against stable's",
    "error_budget_burn": "how fast the error budget burns over a long and a short window, of the canary and of the whole service",
    "saturation": "the canary's CPU, memory, OOM kills and restarts, and the database's connections",
    "endpoints_ready": "every pod of the canary is ready and alive",
    "phases_passed": "every weight's gate has passed, and no rollback trigger was met",
    "no_sustained_alert": "no warning or critical alert was sustained after the full roll-out",
    "traffic_dividable": "stable carries its track, no canary is left from before, and the route has both backends at rest",
    "runs_here": "every workload runs this very release, and no pod of another version is left",
    "final_tag": "the release's tag is signed and was not moved, its images are those that staging proved, and the go stands",
    "on_call_available": "somebody is on call and can be reached",
    "approvers_reachable": "every approval has a reachable person of its own, other than who asked for the release",
    "release_notes": "the version has release notes",
    "rollback_plan": "the images to go back to are known, and every migration has a way back",
    "recent_backup": "the newest backup is young and restorable, and a restore was drilled lately",
    "change_window": "a change window is open",
    "no_freeze": "nobody has frozen the environment or the service in it",
    "no_open_incident": "no incident of severity 1 or 2 is open for the service or the environment",
}
"""What each kind of check asks, for people."""


def render_runbook(setting: Setting) -> str:
    """The Promotion Criteria Summary, then one chapter for each service and procedure, in the order of execution."""
    parts = ["# The runbook in force", "", f"Configuration {setting.hash[:12]}. Versions and digests are examples.", ""]
    if setting.notice:
        parts += [f"**{setting.notice}**", ""]
    parts += _criteria(setting)
    for service in setting.services.values():
        if Environment.STAGING in service.urls:
            parts += _staging(service, setting)
    return "\n".join(parts).rstrip() + "\n"


def _criteria(setting: Setting) -> Iterator[str]:
    yield "## Promotion Criteria Summary"
    yield ""
    yield "| Criterion | dev → staging | staging → prod |"
    yield "|---|---|---|"
    for row in setting.policy.criteria:
        yield f"| {row.title} | {row.words(Promotion.TO_STAGING)} | {row.words(Promotion.TO_PROD)} |"
    yield ""


def _staging(service: Service, setting: Setting) -> Iterator[str]:
    candidate = _example(service)
    plan = staging_plan(candidate, setting.policy)
    yield f"## Staging Deployment: {service.name}"
    yield ""
    yield from _steps(plan)
    facts = {"previous": {workload.name: {workload.container: workload.image} for workload in service.workloads}}
    back = return_to_previous(plan, facts)
    if back is not None:
        yield f"### Return of {service.name} to the previous state"
        yield ""
        yield "What was begun is undone; what was not begun is left out."
        yield ""
        yield from _steps(back)
    yield f"### Contract migrations of {service.name}"
    yield ""
    yield "By `/forge migrate`, when the version has its go and runs."
    yield ""
    yield from _steps(contract_plan(candidate, Environment.STAGING, setting.policy))


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
            if isinstance(step, Gate):
                yield from (f"   - {CHECKS[check.kind]}{_weight(check)}" for check in step.checks)
        if isinstance(node, Span):
            yield ""
    yield ""


def _line(number: int, step: Step) -> str:
    marks = []
    if isinstance(step, Approval):
        marks.append(f"by {', '.join(slot_words(slot) for slot in step.slots)} within {duration_text(step.expires_s)}")
    if step.effect:
        marks.append("changes the environment")
    marks.append(f"on failure: {step.on_fail.replace('procedure:', '')}")
    sentence = "" if step.sentence == step.title else f" {step.sentence}"
    return f"{number}. **{step.title}.**{sentence} ({'; '.join(marks)})"


def _weight(check: object) -> str:
    weight = getattr(check, "weight", Weight.REQUIRED)
    return "" if weight is Weight.REQUIRED else f" ({weight.value}: shown, not decisive)"


def guard_words(guard: Guard) -> str:
    """`error rate above 3 % for 5m (forge:error_ratio:1m)`."""
    side = "above" if guard.above else "below"
    match guard.unit:
        case "ratio":
            limit = ratio_text(guard.limit)
        case "s":
            limit = duration_text(guard.limit)
        case "bytes_per_s":
            limit = measure(guard.limit, guard.unit)
        case _:
            limit = f"{guard.limit:g}"
    return f"{guard.name} {side} {limit} for {duration_text(guard.for_s)} (`{guard.metric}`)"


def _example(service: Service) -> Candidate:
    digest = "sha256:" + "0" * 64
    images = tuple(FrozenImage(w.name, w.container, w.image, _EXAMPLE, digest) for w in service.workloads)
    release = Release(service.name, _EXAMPLE, "0" * 40, "0" * 40, "a configured signer", images)
    migrations = _example_migrations(service)
    repositories = [job.image for job in jobs_of(service, migrations).values() if job.image]
    return Candidate(service, release, migrations, dict.fromkeys(repositories, digest))


def _example_migrations(service: Service) -> Migrations:
    """What forge.yaml declares; where the release file does, one of each kind by the words of it."""
    if service.migrations:
        return Migrations(service.migrations, service.verification, "forge.yaml")
    job = JobTemplate(workload=service.workloads[0].name)
    each = tuple(
        Migration(f"(each {stage} migration of the release)", stage, stage is Stage.EXPAND, job, job) for stage in Stage
    )
    return Migrations(each, service.verification or job, service.release_file)
