"""The validated file as the frozen values that the program works with. Pure; relative paths are the file's folder's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from bot.configuration import connections as inside
from bot.configuration import schema
from bot.configuration.policy_schema import Policy as PolicySection
from runbook.commands import DEFAULT_COMMAND_ROLES
from runbook.criteria import DEFAULT_CRITERIA, Criterion
from runbook.jobs import Performance, PerformanceTarget, Suite
from runbook.policy import (
    HealthPaths,
    HealthPolicy,
    JobsPolicy,
    MetricsPolicy,
    MigrationsPolicy,
    PerformancePolicy,
    Policy,
    ScanPolicy,
    Service,
    Setting,
    SloTargets,
    SmokeRequest,
    StagingPolicy,
    WaitingPolicy,
    Workload,
)

GITHUB_API = "https://api.github.com"
PAGERDUTY_API = "https://api.pagerduty.com"
SLACK_API = "https://slack.com/api/"


def setting_of(file: schema.File, digest: str) -> Setting:
    """digest: the hash of the file's content."""
    return Setting(
        policy=policy_of(file.policy),
        services={name: _service(name, section) for name, section in file.services.items()},
        hash=digest,
        roles={role: tuple(members) for role, members in file.roles.items()},
        annotation_prefix=file.integrations.kubernetes.annotation_prefix,
        notice=file.notice,
    )


def policy_of(section: PolicySection) -> Policy:
    staging, health, waiting, metrics = section.staging, section.health, section.waiting, section.metrics
    return Policy(
        commands={**DEFAULT_COMMAND_ROLES, **{name: tuple(roles) for name, roles in section.commands.items()}},
        staging=StagingPolicy(
            approvers=tuple(staging.approvers),
            go_approvers=tuple(staging.go_approvers),
            observation_s=staging.observation,
            max_error_ratio=staging.max_error_ratio,
            max_latency_p95_s=staging.max_latency_p95,
            min_requests=staging.min_requests,
            smoke_every_s=staging.smoke_every,
            rollout_timeout_s=staging.rollout_timeout,
            trouble_within_s=staging.trouble_within,
            traffic_wait_s=staging.traffic_wait,
            ci_wait_s=staging.ci_wait,
        ),
        prod=section.prod.policy(),
        health=HealthPolicy(health.success_ratio, health.window, health.p95, health.interval, health.timeout),
        waiting=WaitingPolicy(waiting.approval_expires, waiting.hold_remind, waiting.hold_escalate),
        metrics=MetricsPolicy(
            window=metrics.window,
            interval_s=metrics.interval,
            baseline=metrics.baseline,
            month=metrics.month,
            dependency_timeouts_over=metrics.dependency_timeouts_over,
            dependency_timeouts_floor=metrics.dependency_timeouts_floor,
            queue_lag_for_s=metrics.queue_lag_for,
            fast=metrics.fast,
        ),
        critical=tuple(critical.threshold() for critical in section.critical),
        warning=tuple(warning.threshold() for warning in section.warning),
        observed=tuple(observed.threshold() for observed in section.observed),
        slo=SloTargets(section.slo.availability, section.slo.latency_p95, section.slo.error_ratio),
        performance=PerformancePolicy(section.performance.tolerance, section.performance.max_failed_ratio),
        scans=ScanPolicy(section.scans.max_age, section.scans.wait, section.scans.code_scanning),
        jobs=JobsPolicy(section.jobs.log_tail_bytes, section.jobs.shown_lines),
        migrations=MigrationsPolicy(tuple(section.migrations.contract_approvers)),
        criteria=tuple(_criterion(row, section) for row in DEFAULT_CRITERIA),
    )


def _criterion(row: Criterion, section: PolicySection) -> Criterion:
    """The table says who approves by this policy, and weighs as it is configured."""
    if row.name == "approvals":
        return replace(row, staging_words=" and ".join(r.replace("_", " ").title() for r in section.staging.approvers))
    return section.criteria[row.name].applied_to(row) if row.name in section.criteria else row


def _service(name: str, section: schema.ServiceSection) -> Service:
    return Service(
        name=name,
        repository=section.repository,
        workloads=tuple(_workload(w) for w in section.workloads),
        urls={env: url.rstrip("/") for env, url in section.urls.items()},
        health=HealthPaths(section.health.live, section.health.ready, section.health.startup),
        smoke=tuple(_smoke(request) for request in section.smoke),
        required_checks=tuple(section.required_checks),
        release_file=section.release_file,
        migrations=tuple(migration.migration() for migration in section.migrations),
        verification=None if section.verification is None else section.verification.template(),
        suites=tuple(Suite(suite.name, suite.kind, suite.job.template()) for suite in section.suites),
        performance=None if section.performance is None else _performance(section.performance),
        without=tuple(section.without),
        database=section.database,
        expressions=dict(section.expressions),
        canary_urls={env: url.rstrip("/") for env, url in section.canary_urls.items()},
    )


def _workload(section: schema.WorkloadSection) -> Workload:
    return Workload(
        name=section.name,
        container=section.container,
        image=section.image,
        traffic=section.traffic,
        route=section.route or "",
        stable_service=section.stable_service or "",
        canary_service=section.canary_service or "",
        canary=section.canary or "",
    )


def _performance(section: schema.PerformanceSection) -> Performance:
    target = section.target
    return Performance(
        job=section.job.template(),
        target=PerformanceTarget(target.p50, target.p95, target.p99, target.throughput),
        rate=section.rate,
        duration_s=section.duration,
    )


def _smoke(request: schema.Smoke) -> SmokeRequest:
    return SmokeRequest(
        name=request.name,
        path=request.path,
        method=request.method,
        headers=request.headers,
        body=request.body,
        token=request.token or "",
        statuses=tuple(request.statuses),
        json_subset=request.json_subset,
        body_contains=request.body_contains,
        timeout_s=request.timeout,
        optional=request.optional,
    )


class Connecting:
    """Makes the `Connections` of a file. folder: the file's. environ: gives defaults and, later, secrets."""

    def __init__(self, file: schema.File, folder: Path, environ: Mapping[str, str]) -> None:
        self._file, self._folder, self._environ = file, folder, environ

    def connections(self, data_dir: Path, database_url: str) -> inside.Connections:
        file, slack = self._file, self._file.slack
        github, registry = file.integrations.github, file.integrations.registry
        return inside.Connections(
            slack=inside.SlackConnection(
                channel=slack.channel,
                team=slack.team,
                bot_token=self._secret(slack.bot_token),
                app_token=self._secret(slack.app_token),
                signing_secret=self._secret(slack.signing_secret),
                mode=slack.mode,
                api_url=slack.api_url or self._environ.get("SLACK_API_URL") or SLACK_API,
                incident_channel=slack.incident_channel or "",
            ),
            clusters={env: self._cluster(section.kubernetes) for env, section in file.environments.items()},
            prometheus={env: self._prometheus(section) for env, section in file.environments.items()},
            github=inside.GithubConnection(
                api_url=github.api_url or self._environ.get("GITHUB_API_URL") or GITHUB_API,
                web_url=github.web_url or "",
                token=self._optional(github.token, "GITHUB_TOKEN"),
            ),
            registry=inside.RegistryConnection(
                self._path(registry.docker_config), tuple(registry.insecure_hosts), tuple(registry.trusted_realms)
            ),
            signers=inside.Signers(
                ssh=tuple((signer.principal, signer.key) for signer in file.integrations.signers.ssh),
                gpg=tuple(self._folder / path for path in file.integrations.signers.gpg),
            ),
            server=inside.ServerAddress(file.server.host, file.server.port),
            audit=inside.AuditConnection(
                self._secret(file.audit.key), tuple(self._folder / path for path in file.audit.checkpoints)
            ),
            service_secrets={
                name: {key: self._secret(reference) for key, reference in section.secrets.items()}
                for name, section in file.services.items()
            },
            data_dir=data_dir,
            database_url=database_url,
            ci_token=self._optional(file.integrations.ci.token, "FORGE_CI_TOKEN"),
            scan_folder=self._path(file.integrations.scans.folder),
            pagerduty=self._pagerduty(),
        )

    def _pagerduty(self) -> inside.PagerdutyConnection | None:
        section = self._file.integrations.pagerduty
        if section is None:
            return None
        api_url = section.api_url or PAGERDUTY_API
        return inside.PagerdutyConnection(section.schedule, self._secret(section.token), api_url)

    def _cluster(self, section: schema.EnvironmentCluster) -> inside.ClusterConnection:
        kubeconfig = section.kubeconfig or self._file.integrations.kubernetes.kubeconfig
        return inside.ClusterConnection(
            namespace=section.namespace,
            context=section.context or "",
            kubeconfig=self._path(kubeconfig),
            in_cluster=section.in_cluster,
            host=section.host or "",
            token=self._secret(section.token) if section.token else None,
            ca_file=self._path(section.ca_file),
        )

    def _prometheus(self, section: schema.EnvironmentSection) -> inside.PrometheusConnection:
        named = section.prometheus or self._file.integrations.prometheus
        assert named is not None  # noqa: S101 - `references.contradictions` has refused it
        return inside.PrometheusConnection(named.url, self._optional(named.token, "PROMETHEUS_TOKEN"))

    def _secret(self, reference: schema.SecretReference) -> inside.Secret:
        return inside.Secret(reference.env or "", self._path(reference.file), self._environ)

    def _optional(self, reference: schema.SecretReference | None, variable: str) -> inside.Secret | None:
        """Without a reference the usual variable counts, where it is set."""
        if reference is not None:
            return self._secret(reference)
        return inside.Secret(variable, None, self._environ) if self._environ.get(variable) else None

    def _path(self, text: str | None) -> Path | None:
        return None if text is None else self._folder / Path(text).expanduser()
