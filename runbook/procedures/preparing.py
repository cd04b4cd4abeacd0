"""What is looked at before a candidate's plan is made: its name, tag, images, migrations and Jobs, and what configuration must say.

Everything that can refuse a release is told at once, while nothing has changed.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field

from runbook.artifacts import JobImage, job_image, look_at_job_images, look_at_release
from runbook.criteria import Promotion, Weight, criterion
from runbook.errors import Permanent, Temporary
from runbook.jobs import JobTemplate, Migrations, Stage, SuiteKind
from runbook.policy import Policy, Service, Setting
from runbook.ports import Ports
from runbook.procedures.base import Request
from runbook.release_file import look_at_migrations
from runbook.rules.versions import check_candidate_name
from runbook.values import Environment, Release
from runbook.verdicts import Evidence, Outcome, Verdict
from runbook.wording import listing


@dataclass(frozen=True)
class Candidate:
    """A release as it was found, with what it declares. digests: of the repositories that its Jobs name. changes_url: may be empty."""

    service: Service
    release: Release
    migrations: Migrations = field(default_factory=Migrations)
    digests: Mapping[str, str | None] = field(default_factory=dict)
    changes_url: str = ""
    after_dev: bool = False
    """Whether dev is asked before it goes to staging."""

    def image(self, job: JobTemplate) -> JobImage:
        """What the Job will run, by digest."""
        return job_image(job, self.service, self.release, self.digests)


async def look_at_candidate(
    request: Request, setting: Setting, ports: Ports
) -> tuple[Candidate | None, tuple[Verdict, ...]]:
    """The candidate, or None with every obstacle. Raises `runbook.errors` when an outside system gave no answer: that is no refusal."""
    service = setting.services.get(request.service)
    if service is None:
        return None, (unknown_service(request.service, setting),)
    configured = check_service(service, request.environment, setting.policy, ports)
    name = await _check_name(request.version, service, ports)
    if name.outcome != Outcome.PASS:
        return None, (name, *configured)
    release, found = await look_at_release(ports, service, request.version)
    verdicts = (name, *configured, *found)
    if release is None:
        return None, verdicts
    candidate, declared = await _look_at_jobs(ports, service, release, setting.policy)
    verdicts += declared
    if candidate is None or any(v.outcome != Outcome.PASS and v.binding for v in verdicts):
        return None, verdicts
    return candidate, verdicts


async def _look_at_jobs(
    ports: Ports, service: Service, release: Release, policy: Policy
) -> tuple[Candidate | None, tuple[Verdict, ...]]:
    migrations, verdicts = await look_at_migrations(ports, service, release.commit)
    if migrations is None:
        return None, verdicts
    verdicts += _check_verification(service, migrations, policy)
    digests, images = await look_at_job_images(ports, jobs_of(service, migrations), release.version)
    changes_url = await _changes_url(service, release, ports)
    return Candidate(service, release, migrations, digests, changes_url), (*verdicts, *images)


def has_dev(service: Service, ports: Ports) -> bool:
    """Whether dev is configured for the service: only then something is asked of it before staging."""
    return bool(service.urls.get(Environment.DEV)) and Environment.DEV in ports.clusters


def nothing_of_dev(service: str) -> str:
    return f"nothing is asked of dev: {service} has none (services.{service}.urls.dev and environments.dev)"


def jobs_of(service: Service, migrations: Migrations) -> dict[str, JobTemplate]:
    """Every Job that a release may run, by what people call it."""
    jobs = migration_jobs(migrations)
    jobs |= {f"suite {suite.name}": suite.job for suite in service.suites}
    if service.performance is not None:
        jobs["performance"] = service.performance.job
    return jobs


def migration_jobs(migrations: Migrations) -> dict[str, JobTemplate]:
    """Of the schema alone."""
    jobs: dict[str, JobTemplate] = {}
    for migration in migrations.migrations:
        jobs[f"migration {migration.name}"] = migration.up
        if migration.down is not None:
            jobs[f"way back of {migration.name}"] = migration.down
    if migrations.verification is not None:
        jobs["verification"] = migrations.verification
    return jobs


def _check_verification(service: Service, migrations: Migrations, policy: Policy) -> tuple[Verdict, ...]:
    """Runbook: Staging Deployment 4, "migration verification and backward-compatibility checks": a change of schema comes with both."""
    if not migrations.of(Stage.EXPAND):
        return ()
    missing = _missing_suites(service, policy, (SuiteKind.MIGRATION, SuiteKind.COMPATIBILITY))
    return (*missing, *check_verified(migrations))


def check_verified(migrations: Migrations) -> tuple[Verdict, ...]:
    """Where migrations would run, a Job verifies the data after them; empty when nothing is missing."""
    names = [m.name for m in migrations.of(Stage.EXPAND)]
    if not names or migrations.verification is not None:
        return ()
    reason = f"{listing(names)} would run, and no Job verifies the data afterwards"
    remedy = f"Declare `verification` in {migrations.source}"
    return (Verdict.failed("migrations", "migration.no_verification", reason, remedy=remedy),)


async def _check_name(version: str, service: Service, ports: Ports) -> Verdict:
    """A wrong name is refused also when GitHub doesn't say which names would be right."""
    verdict = check_candidate_name(version, ())
    if verdict.outcome == Outcome.PASS:
        return verdict
    try:
        return check_candidate_name(version, await ports.code.tag_names(service.repository, "v"))
    except (Temporary, Permanent):
        return verdict


def unknown_service(name: str, setting: Setting) -> Verdict:
    known = sorted(setting.services)
    near = difflib.get_close_matches(name, known, n=1)
    remedy = f"Did you mean {near[0]}?" if near else f"Configured: {listing(known) or 'none'}"
    return Verdict.failed("service", "service.unknown", f"no service {name} is configured", remedy=remedy)


def check_service(service: Service, here: Environment, policy: Policy, ports: Ports) -> tuple[Verdict, ...]:
    """What the configuration must say of a service for this environment; empty when nothing is missing."""
    return (*check_place(service, here, ports), *_unproven(service, policy))


def check_place(service: Service, here: Environment, ports: Ports) -> tuple[Verdict, ...]:
    """That the service and the environment are configured so that something can be deployed and judged there."""
    verdicts = []
    if not service.urls.get(here):
        reason = f"{service.name} has no address in {here}: nothing can be smoke-tested"
        verdicts.append(unfit("service.no_url", reason, f"Set services.{service.name}.urls.{here}"))
    if not service.workloads:
        remedy = f"Name its Deployments under services.{service.name}.workloads"
        verdicts.append(unfit("service.no_workload", f"{service.name} has no workloads", remedy))
    if not any(request.token for request in service.smoke):
        reason = f"{service.name} has no authenticated transaction among its smoke requests; the runbook asks for one"
        remedy = f"Add a request with `token` to services.{service.name}.smoke"
        verdicts.append(unfit("service.no_transaction", reason, remedy))
    if here not in ports.clusters:
        verdicts.append(unfit("environment.no_cluster", f"{here} has no cluster", f"Configure environments.{here}"))
    if here not in ports.metrics:
        remedy = f"Configure Prometheus for environments.{here}"
        verdicts.append(unfit("environment.no_metrics", f"{here} has no metrics", remedy))
    return tuple(verdicts)


def _unproven(service: Service, policy: Policy) -> tuple[Verdict, ...]:
    """Promotion Criteria Summary: what is required to go on must be there from the beginning."""
    verdicts = _missing_suites(service, policy, (SuiteKind.INTEGRATION, SuiteKind.END_TO_END))
    row = criterion(policy.criteria, "performance")
    if service.performance is None and row.weight(Promotion.TO_PROD) is Weight.REQUIRED:
        reason = f"{service.name} has nothing for {row.title}, which is required to go on to production"
        remedy = f"Configure services.{service.name}.performance, or weigh it in policy.criteria.performance"
        verdicts += (unfit("service.no_performance", reason, remedy),)
    return verdicts


def _missing_suites(service: Service, policy: Policy, kinds: tuple[SuiteKind, ...]) -> tuple[Verdict, ...]:
    row = criterion(policy.criteria, "suites")
    missing = [kind for kind in kinds if kind not in {suite.kind for suite in service.suites}]
    if not missing or row.weight(Promotion.TO_PROD) is not Weight.REQUIRED:
        return ()
    what = listing(kind.replace("_", "-") for kind in missing)
    reason = f"{service.name} has no suite of the kind {what}, which is required to go on to production"
    remedy = f"Configure services.{service.name}.suites, or weigh it in policy.criteria.suites"
    return (unfit("service.no_suites", reason, remedy),)


def unfit(code: str, reason: str, remedy: str) -> Verdict:
    return Verdict.failed("configuration", code, reason, Evidence(name="configured", value=None), remedy=remedy)


async def _changes_url(service: Service, release: Release, ports: Ports) -> str:
    """Against the last candidate that got its go; empty when none did, or when it is this very commit."""
    last = await ports.memory.last_go(service.name, Environment.STAGING)
    if last is None or last.commit == release.commit:
        return ""
    return ports.code.compare_url(service.repository, last.version, release.version)
