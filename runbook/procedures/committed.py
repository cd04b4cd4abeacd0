"""What is looked at before a commit's plan is made: that it is on the branch, its images, its migrations, and what configuration must say.

Everything that can refuse it is told at once, while nothing has changed.
"""

from __future__ import annotations

import re
from dataclasses import replace

from runbook.artifacts import look_at_images
from runbook.criteria import Promotion, Weight, criterion
from runbook.jobs import JobTemplate, Migrations, Suite
from runbook.policy import Policy, Service, Setting
from runbook.ports import Ports
from runbook.procedures.base import Request
from runbook.procedures.preparing import (
    Candidate,
    check_place,
    check_verified,
    migration_jobs,
    unknown_service,
)
from runbook.release_file import look_at_migrations
from runbook.source import CommitInfo, Source
from runbook.values import Environment, FrozenImage, Release
from runbook.verdicts import Evidence, Outcome, Verdict
from runbook.wording import listing, shortened

GATE = "commit"
SHOWN = 12
"""Digits of a commit that stand for its version."""

_ABBREVIATED = re.compile(r"[0-9a-fA-F]{7,40}")
_NAMED = 3


async def look_at_commit(
    request: Request, setting: Setting, ports: Ports
) -> tuple[Candidate | None, tuple[Verdict, ...]]:
    """The commit with its images and migrations, or None with every obstacle. An empty version is the newest on the branch.

    Raises `runbook.errors` when an outside system gave no answer: that is no refusal.
    """
    service = setting.services.get(request.service)
    if service is None:
        return None, (unknown_service(request.service, setting),)
    configured = check_place(service, request.environment, ports)
    commit, sight = await _commit(request.version, service, ports.source)
    verdicts = (*configured, sight)
    if commit is None:
        return None, verdicts
    release, found = await _release(service, commit, ports)
    verdicts += found
    candidate, declared = await _declared(service, release, setting.policy, ports)
    verdicts += declared
    if candidate is None or any(v.outcome != Outcome.PASS and v.binding for v in verdicts):
        return None, verdicts
    return candidate, verdicts


def image_tag(service: Service, commit: str) -> str:
    """The tag that a commit's images have in the registry. commit: its full SHA."""
    return service.image_tag.replace("{commit}", commit).replace("{short}", commit[:7])


def dev_suites(service: Service, policy: Policy) -> tuple[Suite, ...]:
    """Those that run in dev: the configured ones, and every one where the table requires them. Promotion Criteria: "optional for early dev"."""
    if criterion(policy.criteria, "suites").weight(Promotion.TO_STAGING) is Weight.REQUIRED:
        return service.suites
    return tuple(suite for suite in service.suites if suite.name in service.dev_suites)


def is_loaded(service: Service, policy: Policy) -> bool:
    """Whether the load runs in dev: only where the table requires a baseline to go on to staging."""
    row = criterion(policy.criteria, "performance")
    return service.performance is not None and row.weight(Promotion.TO_STAGING) is Weight.REQUIRED


# --- which commit -------------------------------------------------------------------------------------------------------


async def _commit(version: str, service: Service, source: Source | None) -> tuple[CommitInfo | None, Verdict]:
    if source is None:
        reason = f"forge can't see what is on {service.branch} of {service.repository}"
        return None, Verdict.failed(GATE, "commit.no_source", reason, remedy="Configure integrations.github")
    if version in ("", service.branch):
        newest = await source.commits(service.repository, service.branch, 1)
        return _newest(newest, service)
    if _ABBREVIATED.fullmatch(version) is None:
        reason = f"dev runs commits of {service.branch}; {shortened(version, 60)} is no commit"
        remedy = f"Name a commit by at least seven of its digits, or none for the newest on {service.branch}"
        return None, Verdict.failed(GATE, "commit.not_a_commit", reason, remedy=remedy)
    found = await source.commit(service.repository, version.lower())
    if found is None:
        reason = f"{service.repository} has no commit {version}, or more than one that begins so"
        return None, Verdict.failed(GATE, "commit.unknown", reason, remedy=await _nearest(service, source))
    if not await source.contains(service.repository, service.branch, found.sha):
        reason = f"{found.sha[:SHOWN]} is not on {service.branch}: dev runs what was merged"
        remedy = f"Merge it into {service.branch} first. {await _nearest(service, source)}"
        return None, Verdict.failed(GATE, "commit.not_on_branch", reason, _evidence(found), remedy=remedy)
    return found, _passed(found, service)


def _newest(found: tuple[CommitInfo, ...], service: Service) -> tuple[CommitInfo | None, Verdict]:
    if found:
        return found[0], _passed(found[0], service)
    reason = f"{service.repository} has no branch {service.branch}, or nothing is on it"
    remedy = f"Correct services.{service.name}.branch"
    return None, Verdict.failed(GATE, "commit.no_branch", reason, remedy=remedy)


def _passed(found: CommitInfo, service: Service) -> Verdict:
    return Verdict.passed(GATE, f"{found.sha[:SHOWN]} is on {service.branch}", _evidence(found))


def _evidence(found: CommitInfo) -> Evidence:
    return Evidence(name="commit", value=found.sha, source=shortened(found.title, 100), at=found.at)


async def _nearest(service: Service, source: Source) -> str:
    newest = await source.commits(service.repository, service.branch, _NAMED)
    if not newest:
        return f"Nothing is on {service.branch} yet"
    return f"The newest on {service.branch}: {listing(commit.sha[:SHOWN] for commit in newest)}"


# --- what it brings -----------------------------------------------------------------------------------------------------


async def _release(service: Service, commit: CommitInfo, ports: Ports) -> tuple[Release, tuple[Verdict, ...]]:
    """Its images by digest; an image that is missing has none, and is a verdict that says which tag was looked for."""
    tag = image_tag(service, commit.sha)
    asked = [(workload.name, workload.image) for workload in service.workloads]
    digests, verdicts = await look_at_images(ports, asked, tag)
    release = Release(
        service=service.name,
        version=commit.sha[:SHOWN],
        tag_object="",
        commit=commit.sha,
        signer="",
        images=tuple(FrozenImage(w.name, w.container, w.image, tag, digests[w.image] or "") for w in service.workloads),
    )
    return release, _for_dev(verdicts, service)


async def _declared(
    service: Service, release: Release, policy: Policy, ports: Ports
) -> tuple[Candidate | None, tuple[Verdict, ...]]:
    migrations, verdicts = await look_at_migrations(ports, service, release.commit)
    if migrations is None:
        return None, verdicts
    verdicts += check_verified(migrations)
    jobs = dev_jobs(service, migrations, policy)
    asked = [(name, job.image) for name, job in jobs.items() if job.image and "@" not in job.image]
    digests: dict[str, str | None] = {}
    images: tuple[Verdict, ...] = ()
    if asked:
        digests, images = await look_at_images(ports, asked, image_tag(service, release.commit))
    changes_url = await _changes_url(service, release, ports)
    return Candidate(service, release, migrations, digests, changes_url), (*verdicts, *_for_dev(images, service))


def dev_jobs(service: Service, migrations: Migrations, policy: Policy) -> dict[str, JobTemplate]:
    """Every Job that a deployment to dev may run, by what people call it."""
    jobs = migration_jobs(migrations)
    jobs |= {f"suite {suite.name}": suite.job for suite in dev_suites(service, policy)}
    if service.performance is not None and is_loaded(service, policy):
        jobs["performance"] = service.performance.job
    return jobs


def _for_dev(verdicts: tuple[Verdict, ...], service: Service) -> tuple[Verdict, ...]:
    """The remedy of a missing image is CI's to bring about, and not the next tag."""
    remedy = f"Let CI push it once it is green, or correct services.{service.name}.image_tag ({service.image_tag})"
    return tuple(replace(v, remedy=remedy) if v.code == "image.missing" else v for v in verdicts)


async def _changes_url(service: Service, release: Release, ports: Ports) -> str:
    """Against the last commit that was validated; empty when none was, or when it is this very one."""
    last = await ports.memory.last_go(service.name, Environment.DEV)
    if last is None or last.commit == release.commit:
        return ""
    return ports.code.compare_url(service.repository, last.commit, release.commit)
