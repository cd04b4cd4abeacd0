"""`forge runbook`: the runbook in force as Markdown, rendered from the very plans that are executed, so that the two can't differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from bot.runbook_backups import backup_chapter
from bot.runbook_lines import CHECKS, guard_words, step_lines, trigger_words
from runbook.criteria import Promotion
from runbook.durations import duration_text
from runbook.jobs import JobTemplate, Migration, Migrations, Stage
from runbook.plan import Guard, Plan, RatioGuard, canonical, step_from_json
from runbook.policy import ChangeWindow, Service, Setting
from runbook.ports import Released
from runbook.procedures.committed import SHOWN, dev_jobs, image_tag
from runbook.procedures.contract import contract_plan
from runbook.procedures.dev import dev_plan
from runbook.procedures.preparing import Candidate, jobs_of, nothing_of_dev
from runbook.procedures.production import production_plan
from runbook.procedures.return_to_previous import return_to_previous
from runbook.procedures.rollback import WAYS, rollback
from runbook.procedures.rollback_release import Target, rollback_plan
from runbook.procedures.staging import staging_plan
from runbook.values import Environment, FrozenImage, Release

__all__ = ["CHECKS", "guard_words", "render_runbook"]

_FINAL = "v1.2.3"
_CANDIDATE = f"{_FINAL}-rc.1"
_THEN = datetime(2026, 1, 1, tzinfo=UTC)


def render_runbook(setting: Setting) -> str:
    """The Promotion Criteria Summary, then one chapter for each service and procedure, in the order of execution."""
    parts = ["# The runbook in force", "", f"Configuration {setting.hash[:12]}. Versions and digests are examples.", ""]
    if setting.notice:
        parts += [f"**{setting.notice}**", ""]
    parts += _criteria(setting)
    for service in setting.services.values():
        if Environment.DEV in service.urls:
            parts += _dev(service, setting)
        if Environment.STAGING in service.urls:
            parts += _staging(service, setting)
        if Environment.PROD in service.urls:
            parts += _production(service, setting)
        if service.database:
            parts += backup_chapter(service, setting)
    return "\n".join(_one_blank(parts)).rstrip() + "\n"


def _one_blank(lines: list[str]) -> Iterator[str]:
    """Never two empty lines in a row."""
    before = ""
    for line in lines:
        if line or before:
            yield line
        before = line


def _criteria(setting: Setting) -> Iterator[str]:
    yield "## Promotion Criteria Summary"
    yield ""
    yield "| Criterion | dev → staging | staging → prod |"
    yield "|---|---|---|"
    for row in setting.policy.criteria:
        yield f"| {row.title} | {row.words(Promotion.TO_STAGING)} | {row.words(Promotion.TO_PROD)} |"
    yield ""


def _dev(service: Service, setting: Setting) -> Iterator[str]:
    plan = dev_plan(_commit(service, setting), setting.policy)
    yield f"## Development Deployment: {service.name}"
    yield ""
    by_itself = "by itself once its CI is green, or " if setting.policy.dev.auto_deploy else ""
    yield f"A commit of `{service.branch}`: {by_itself}by `/forge deploy dev [commit]`. No guard watches it, and on-call is not called."
    yield ""
    yield from step_lines(plan)
    yield from _return(service, plan, "what ran in dev before")


def _staging(service: Service, setting: Setting) -> Iterator[str]:
    candidate = replace(_example(service, _CANDIDATE), after_dev=Environment.DEV in service.urls)
    plan = staging_plan(candidate, setting.policy)
    yield f"## Staging Deployment: {service.name}"
    yield ""
    if not candidate.after_dev:
        yield f"Before it {nothing_of_dev(service.name)}."
        yield ""
    yield from step_lines(plan)
    yield from _return(service, plan, "the previous state")
    yield f"### Contract migrations of {service.name}"
    yield ""
    yield "By `/forge migrate`, when the version has its go and runs."
    yield ""
    yield from step_lines(contract_plan(candidate, Environment.STAGING, setting.policy))


def _return(service: Service, plan: Plan, where: str) -> Iterator[str]:
    back = return_to_previous(plan, _previous(service))
    if back is not None:
        yield f"### Return of {service.name} to {where}"
        yield ""
        yield "What was begun is undone; what was not begun is left out."
        yield ""
        yield from step_lines(back)


# --- production -------------------------------------------------------------------------------------------------------


def _production(service: Service, setting: Setting) -> Iterator[str]:
    final = _example(service, _FINAL)
    plan = production_plan(final, setting.policy)
    yield f"## Production Deployment: {service.name}"
    yield ""
    yield f"By `/forge promote {_FINAL} prod`, for a version whose candidate got its go in staging. Change windows:"
    yield ""
    windows = setting.policy.prod.windows
    yield from (f"- {_window(window)}" for window in windows)
    if not windows:
        yield "- none is configured, so that nothing is released"
    yield ""
    yield from step_lines(plan, brief_guards=True)
    yield from _triggers(service, plan)
    yield from _rollback(service, plan, final, setting)


def _window(window: ChangeWindow) -> str:
    when = f"from {window.starts} to {window.ends}" if window.starts and window.ends else window.rrule
    length = "" if window.starts and window.ends else f", for {duration_text(window.duration_s)}"
    return f"{window.name}: {when}{length} ({window.zone})"


def _triggers(service: Service, plan: Plan) -> Iterator[str]:
    yield f"### Rollback Triggers of {service.name}"
    yield ""
    yield "Missing data never rolls back: it is told, and escalates. Beside what a gate fails by:"
    yield ""
    guards: dict[str, Guard | RatioGuard] = {}
    for _, _, span in plan.spans():
        guards.update({guard.name: guard for guard in span.guards})
        guards.update({ratio.name: ratio for ratio in span.ratios})
    yield from (f"- {trigger_words(guard)}" for guard in guards.values())
    yield ""


def _rollback(service: Service, plan: Plan, final: Candidate, setting: Setting) -> Iterator[str]:
    facts = _previous(service)
    yield f"### Rollback Procedure of {service.name}"
    yield ""
    yield "By a trigger, or at any time by `/forge rollback prod`: neither approval nor freeze nor lock holds it up. What was not begun is left out."
    yield ""
    if (back := rollback(plan, facts)) is not None:
        yield from step_lines(back)
    risky = production_plan(_irreversible(final), setting.policy)
    if (asked := rollback(risky, facts)) is not None:
        yield "Where a migration had begun that the previous version can't work with, somebody decides first:"
        yield ""
        yield from step_lines(asked)
        yield from _ways(asked)
    yield "After the release, by the same command:"
    yield ""
    released = Released("prod-1", _FINAL, final.release, canonical(plan), facts, _THEN)
    yield from step_lines(rollback_plan(released, Target("", facts["previous"]), setting))


def _ways(asked: Plan) -> Iterator[str]:
    """What follows each answer: the steps that are its own, the others are those above."""
    ways = {name: [step_from_json(step) for step in steps] for name, steps in asked.about[WAYS].items()}
    shared = set.intersection(*({step.title for step in steps} for steps in ways.values()))
    labels = {option.procedure: option.label for step in asked.steps() for option in getattr(step, "options", ())}
    for name, steps in ways.items():
        own = [step.title for step in steps if step.title not in shared]
        yield f"- {labels[name]}: {', '.join(own) or 'nothing more'}"
    yield ""


def _irreversible(final: Candidate) -> Candidate:
    changed = tuple(replace(m, backward_compatible=False) for m in final.migrations.migrations)
    return replace(final, migrations=replace(final.migrations, migrations=changed))


# --- an example of a release ------------------------------------------------------------------------------------------


def _previous(service: Service) -> Mapping[str, Any]:
    images: dict[str, dict[str, str]] = {}
    for workload in service.workloads:
        images.setdefault(workload.name, {})[workload.container] = workload.image
    return {"previous": images}


def _example(service: Service, version: str) -> Candidate:
    digest = "sha256:" + "0" * 64
    images = tuple(FrozenImage(w.name, w.container, w.image, _CANDIDATE, digest) for w in service.workloads)
    release = Release(service.name, version, "0" * 40, "0" * 40, "a configured signer", images)
    migrations = _example_migrations(service)
    repositories = [job.image for job in jobs_of(service, migrations).values() if job.image]
    return Candidate(service, release, migrations, dict.fromkeys(repositories, digest))


def _commit(service: Service, setting: Setting) -> Candidate:
    """An example of what dev runs."""
    sha, digest = "0" * 40, "sha256:" + "0" * 64
    tag = image_tag(service, sha)
    images = tuple(FrozenImage(w.name, w.container, w.image, tag, digest) for w in service.workloads)
    release = Release(service.name, sha[:SHOWN], "", sha, "", images)
    migrations = _example_migrations(service)
    repositories = [job.image for job in dev_jobs(service, migrations, setting.policy).values() if job.image]
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
