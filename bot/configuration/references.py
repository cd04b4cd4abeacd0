"""What the form can't see: names in the file that must agree with each other, and what is allowed but probably not meant."""

from __future__ import annotations

from collections.abc import Iterator

from bot.configuration.schema import File, ServiceSection
from bot.configuration.units import ratio_text
from runbook.documents.problems import Problem, suggest
from runbook.documents.tree import Path, Tree
from runbook.durations import duration_text
from runbook.policy import HealthPolicy, StagingPolicy
from runbook.values import Role


def contradictions(file: File, tree: Tree) -> Iterator[Problem]:
    """References to what isn't there, and things named twice."""
    for name, service in file.services.items():
        yield from _service(file, tree, ("services", name), service)
    for env, environment in file.environments.items():
        if environment.prometheus is None and file.integrations.prometheus is None:
            path = ("environments", env.value, "prometheus")
            remedy = "Add `prometheus: {url: …}` here or beneath `integrations`"
            yield tree.problem(path, "no Prometheus is named for this environment", remedy)


def _service(file: File, tree: Tree, path: Path, service: ServiceSection) -> Iterator[Problem]:
    known = [env.value for env in file.environments]
    for env in service.urls:
        if env not in file.environments:
            cause = f"the environment {env} is not configured"
            yield tree.problem((*path, "urls", env.value), cause, suggest(env.value, known), key=True)
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


def doubts(file: File, tree: Tree) -> Iterator[Problem]:
    """Warnings: the bot starts, but something can't work or is weaker than the runbook."""
    for field in ("approvers", "go_approvers"):
        roles: list[Role] = getattr(file.policy.staging, field)
        for role in dict.fromkeys(roles):
            if not any(not member.startswith("os:") for member in file.roles.get(role, [])):
                cause = f"staging needs an approval by {role}, a role that nobody holds"
                yield tree.problem(("policy", "staging", field), cause, f"Add members to `roles.{role}`")
    for name in file.services:
        if not file.services[name].smoke:
            remedy = "Add at least one authenticated transaction beneath `smoke`"
            yield tree.problem(("services", name, "smoke"), "the service has no smoke requests", remedy)
    signers = file.integrations.signers
    if not signers.ssh and not signers.gpg:
        cause = "no signer is configured, so that every tag is refused"
        yield tree.problem(("integrations", "signers"), cause, "Add the public keys of those who sign releases")
    if not file.audit.checkpoints:
        cause = "no folder takes signed checkpoints, so that a rewritten audit log can't be told from the true one"
        yield tree.problem(("audit", "checkpoints"), cause, "Name a folder, best on a write-once volume")
    if not file.notice:  # shortened on purpose, and every run says so
        yield from _weaker(file, tree)


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
            cause = f"weaker than the runbook's {runbook_text}"
            remedy = "Remove the line, or say in `notice` why: every run shows it"
            yield tree.problem(("policy", section, key), cause, remedy)
