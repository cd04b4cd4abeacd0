"""What the form can't see: names in the file that must agree with each other, and what is allowed but probably not meant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bot.configuration.conversion import policy_of
from bot.configuration.schema import File, ServiceSection
from bot.configuration.units import ratio_text
from integrations.prometheus.replacing import check_expressions
from runbook import series
from runbook.criteria import Criterion, Weight
from runbook.documents.job_sections import JobSection
from runbook.documents.problems import Problem, suggest
from runbook.documents.tree import Path, Tree
from runbook.durations import duration_text
from runbook.jobs import SuiteKind
from runbook.policy import DevPolicy, HealthPolicy, ProdPolicy, StagingPolicy
from runbook.values import Environment, Role


def contradictions(file: File, tree: Tree) -> Iterator[Problem]:
    """References to what isn't there, and things named twice."""
    for name, service in file.services.items():
        yield from _service(file, tree, ("services", name), service)
    for env, environment in file.environments.items():
        if environment.prometheus is None and file.integrations.prometheus is None:
            path = ("environments", env.value, "prometheus")
            remedy = "Add `prometheus: {url: …}` here or beneath `integrations`"
            yield tree.problem(path, "no Prometheus is named for this environment", remedy)
        for key in ("profile", "isolation"):
            if env is not Environment.DEV and key in environment.model_fields_set:
                cause = f"`{key}` is dev's: nothing looks at it in {env}"
                yield tree.problem(("environments", env.value, key), cause, "Remove it", key=True)


def _service(file: File, tree: Tree, path: Path, service: ServiceSection) -> Iterator[Problem]:
    known = [env.value for env in file.environments]
    for env in service.urls:
        if env not in file.environments:
            cause = f"the environment {env} is not configured"
            yield tree.problem((*path, "urls", env.value), cause, suggest(env.value, known), key=True)
    yield from _service_jobs(tree, path, service)
    seen: set[tuple[str, str]] = set()
    for index, workload in enumerate(service.workloads):
        if (workload.name, workload.container) in seen:
            cause = f"the container {workload.container} of {workload.name} is named twice"
            yield tree.problem((*path, "workloads", index), cause, "Keep one of them")
        seen.add((workload.name, workload.container))
    for index, request in enumerate(service.smoke):
        if request.token is not None and request.token not in service.secrets:
            cause = f"the service has no secret named {request.token}"
            remedy = suggest(request.token, service.secrets) if service.secrets else "Add it beneath `secrets`"
            yield tree.problem((*path, "smoke", index, "token"), cause, remedy)
        for header in request.headers:
            if header.lower() == "authorization":
                cause = "a secret must not stand in this file"
                remedy = "Name it beneath the service's `secrets` and use `token`"
                yield tree.problem((*path, "smoke", index, "headers", header), cause, remedy, key=True)


def _jobs(service: ServiceSection) -> Iterator[tuple[Path, JobSection]]:
    """Every Job of the service with its place in the section."""
    for index, migration in enumerate(service.migrations):
        yield ("migrations", index, "up"), migration.up
        if migration.down is not None:
            yield ("migrations", index, "down"), migration.down
    if service.verification is not None:
        yield ("verification",), service.verification
    for index, suite in enumerate(service.suites):
        yield ("suites", index, "job"), suite.job
    if service.performance is not None:
        yield ("performance", "job"), service.performance.job
    if service.restore_switch is not None:
        yield ("restore_switch",), service.restore_switch
    if service.restore_sanitise is not None:
        yield ("restore_sanitise",), service.restore_sanitise


def _service_jobs(tree: Tree, path: Path, service: ServiceSection) -> Iterator[Problem]:
    workloads = {workload.name for workload in service.workloads}
    for place, job in _jobs(service):
        if job.workload is not None and job.workload not in workloads:
            cause = f"{job.workload} is no workload of this service"
            yield tree.problem((*path, *place, "workload"), cause, suggest(job.workload, workloads))
    seen: set[str] = set()
    for index, suite in enumerate(service.suites):
        if suite.name in seen:
            yield tree.problem((*path, "suites", index, "name"), f"the suite {suite.name} is named twice", "Rename one")
        seen.add(suite.name)
    for index, name in enumerate(service.dev_suites):
        if name not in seen:
            remedy = suggest(name, seen) if seen else "Add it beneath `suites`"
            yield tree.problem((*path, "dev_suites", index), f"the service has no suite named {name}", remedy)
    performance = service.performance
    if performance is not None and performance.job.timeout <= performance.duration:
        cause = "the Job is ended before its load is over"
        remedy = f"Set a timeout well above {duration_text(performance.duration)}"
        yield tree.problem((*path, "performance", "job", "timeout"), cause, remedy)
    try:
        check_expressions({"expressions": service.expressions})
    except ValueError as error:
        cause = str(error).partition(": ")[2]
        yield tree.problem((*path, "expressions"), cause, "Write both expressions, or neither")
    for index, metric in enumerate(service.without):
        if metric in (series.REQUEST_RATE, series.ERROR_RATIO, series.LATENCY_P95, series.READINESS_RATIO):
            cause = f"without {metric} no release can be judged"
            yield tree.problem((*path, "without", index), cause, "Record it by a rule of your own, see `expressions`")


def doubts(file: File, tree: Tree) -> Iterator[Problem]:
    """Warnings: the bot starts, but something can't work or is weaker than the runbook."""
    for field in ("approvers", "go_approvers"):
        roles: list[Role] = getattr(file.policy.staging, field)
        for role in dict.fromkeys(roles):
            if not any(not member.startswith("os:") for member in file.roles.get(role, [])):
                cause = f"staging needs an approval by {role}, a role that nobody holds"
                yield tree.problem(("policy", "staging", field), cause, f"Add members to `roles.{role}`")
    if Environment.PROD in file.environments:
        yield from _production_people(file, tree)
    rows = {row.name: row for row in policy_of(file.policy).criteria}
    for name in file.services:
        if not file.services[name].smoke:
            remedy = "Add at least one authenticated transaction beneath `smoke`"
            yield tree.problem(("services", name, "smoke"), "the service has no smoke requests", remedy)
        yield from _unproven(file, tree, name, rows)
    signers = file.integrations.signers
    if not signers.ssh and not signers.gpg:
        cause = "no signer is configured, so that every tag is refused"
        yield tree.problem(("integrations", "signers"), cause, "Add the public keys of those who sign releases")
    if not file.audit.checkpoints:
        cause = "no folder takes signed checkpoints, so that a rewritten audit log can't be told from the true one"
        yield tree.problem(("audit", "checkpoints"), cause, "Name a folder, best on a write-once volume")
    if not file.notice:  # shortened on purpose, and every run says so
        yield from _weaker_dev(file, tree)
        yield from _weaker(file, tree)
        yield from _weaker_production(file, tree)


def _production_people(file: File, tree: Tree) -> Iterator[Problem]:
    """Whom a release to production waits for in vain."""
    prod = policy_of(file.policy).prod
    for slot in (*((role,) for role in prod.approvers), *((prod.approvers_any_of,) if prod.approvers_any_of else ())):
        if not any(_in_slack(file, role) for role in slot):
            names = " or ".join(slot)
            cause = f"production needs an approval by {names}, and nobody holds the role"
            yield tree.problem(("policy", "prod", "approvers"), cause, f"Add members to `roles.{slot[0]}`")
    if file.integrations.pagerduty is None and not _in_slack(file, Role.ON_CALL):
        cause = "nobody is on call, so that nothing can be released to production"
        yield tree.problem(("roles", "on_call"), cause, "Add members, or a schedule beneath `integrations.pagerduty`")


def _in_slack(file: File, role: Role) -> bool:
    """Whether somebody could hold the role who can approve and be mentioned."""
    return any(not member.startswith("os:") for member in file.roles.get(role, []))


def _unproven(file: File, tree: Tree, name: str, rows: Mapping[str, Criterion]) -> Iterator[Problem]:
    """What the Promotion Criteria Summary requires and the service doesn't have: no candidate of it can be deployed."""
    service = file.services[name]
    kinds = {suite.kind for suite in service.suites}
    tested = {SuiteKind.INTEGRATION, SuiteKind.END_TO_END} <= kinds
    for row, has, remedy in (
        ("suites", tested, "Add suites of the kinds integration and end_to_end beneath `suites`"),
        ("performance", service.performance is not None, "Add the load and its target beneath `performance`"),
    ):
        if not has and Environment.STAGING in service.urls and rows[row].to_prod is Weight.REQUIRED:
            cause = f"the runbook requires {rows[row].title}, and something of it is missing"
            yield tree.problem(("services", name, row), cause, f"{remedy}, or weigh it in `policy.criteria.{row}`")


def _weaker(file: File, tree: Tree) -> Iterator[Problem]:
    """Numbers that let more through than the runbook does."""
    staging, health = file.policy.staging, file.policy.health
    book, health_book = StagingPolicy(), HealthPolicy()
    limits = (
        ("staging", "observation", staging.observation < book.observation_s, duration_text(book.observation_s)),
        (
            "staging",
            "max_error_ratio",
            staging.max_error_ratio > book.max_error_ratio,
            ratio_text(book.max_error_ratio),
        ),
        (
            "staging",
            "max_latency_p95",
            staging.max_latency_p95 > book.max_latency_p95_s,
            duration_text(book.max_latency_p95_s),
        ),
        ("staging", "min_requests", staging.min_requests < book.min_requests, str(book.min_requests)),
        (
            "health",
            "success_ratio",
            health.success_ratio < health_book.success_ratio,
            ratio_text(health_book.success_ratio),
        ),
        ("health", "p95", health.p95 > health_book.p95_s, duration_text(health_book.p95_s)),
        ("health", "interval", health.interval > health_book.interval_s, duration_text(health_book.interval_s)),
    )
    for section, key, is_weaker, runbook_text in limits:
        if is_weaker:
            yield _weak(tree, ("policy", section, key), runbook_text)


def _weaker_dev(file: File, tree: Tree) -> Iterator[Problem]:
    dev, book = policy_of(file.policy).dev, DevPolicy()
    if dev.observation_s < book.observation_s:
        yield _weak(tree, ("policy", "dev", "observation"), duration_text(book.observation_s))
    if dev.max_error_ratio > book.max_error_ratio:
        yield _weak(tree, ("policy", "dev", "max_error_ratio"), ratio_text(book.max_error_ratio))
    if not dev.log_patterns:
        remedy = "Remove the line, or say in `notice` why: every run shows it"
        yield tree.problem(("policy", "dev", "log_patterns"), "without patterns no line of a log is verified", remedy)


def _weak(tree: Tree, path: Path, runbook_text: str) -> Problem:
    remedy = "Remove the line, or say in `notice` why: every run shows it"
    return tree.problem(path, f"weaker than the runbook's {runbook_text}", remedy)


def _weaker_production(file: File, tree: Tree) -> Iterator[Problem]:
    prod, book = policy_of(file.policy).prod, ProdPolicy()
    shorter = (("phase", prod.phase_s, book.phase_s), ("watch", prod.watch_s, book.watch_s))
    for key, given, least in (*shorter, ("quiet", prod.quiet_s, book.quiet_s)):
        if given < least:
            yield _weak(tree, ("policy", "prod", key), duration_text(least))
    older = (
        ("backup_max_age", prod.backup_max_age_s, book.backup_max_age_s),
        ("drill_max_age", prod.drill_max_age_s, book.drill_max_age_s),
        ("mitigate", prod.mitigate_s, book.mitigate_s),
        ("max_latency_p95", prod.max_latency_p95_s, book.max_latency_p95_s),
    )
    for key, given, most in older:
        if given > most:
            yield _weak(tree, ("policy", "prod", key), duration_text(most))
    if prod.max_error_ratio > book.max_error_ratio:
        yield _weak(tree, ("policy", "prod", "max_error_ratio"), ratio_text(book.max_error_ratio))
    if prod.min_requests < book.min_requests:
        yield _weak(tree, ("policy", "prod", "min_requests"), str(book.min_requests))
    if prod.triggers.core_success < book.triggers.core_success:
        yield _weak(tree, ("policy", "prod", "triggers", "core_success"), ratio_text(book.triggers.core_success))
    if prod.triggers.ratio > book.triggers.ratio:
        yield _weak(tree, ("policy", "prod", "triggers", "ratio"), f"{book.triggers.ratio:g}")
