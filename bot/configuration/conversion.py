"""The validated file as the frozen values that the program works with. Pure; relative paths are the file's folder's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from bot.configuration import connections as inside
from bot.configuration import schema
from bot.configuration.policy_schema import Policy as PolicySection
from bot.configuration.postgres_schema import BackupsSection, DatabaseSection, RestoreServerSection, RestoresSection
from bot.configuration.secret_schema import SecretReference
from integrations.kubernetes.quantities import quantity
from runbook.commands import DEFAULT_COMMAND_ROLES
from runbook.criteria import DEFAULT_CRITERIA, Criterion, Weight
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
from runbook.values import Environment

GITHUB_API = "https://api.github.com"
PAGERDUTY_API = "https://api.pagerduty.com"
SLACK_API = "https://slack.com/api/"

RECIPIENTS_VARIABLE, IDENTITY_VARIABLE = "FORGE_BACKUP_RECIPIENTS", "FORGE_BACKUP_IDENTITY"
IDENTITY_MARK = "AGE-SECRET-KEY-"
SYSTEM = "system"
"""As `sslrootcert`: the certificate authorities that the machine trusts (libpq 16 and newer)."""


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
            dev_validated=Weight(staging.dev_validated),
        ),
        dev=section.dev.policy(),
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
        backups=section.backups.policy(),
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
        branch=section.branch,
        image_tag=section.image_tag,
        dev_suites=tuple(section.dev_suites),
        release_file=section.release_file,
        migrations=tuple(migration.migration() for migration in section.migrations),
        verification=None if section.verification is None else section.verification.template(),
        suites=tuple(Suite(suite.name, suite.kind, suite.job.template()) for suite in section.suites),
        performance=None if section.performance is None else _performance(section.performance),
        without=tuple(section.without),
        database=section.database,
        expressions=dict(section.expressions),
        canary_urls={env: url.rstrip("/") for env, url in section.canary_urls.items()},
        restore_checks=section.restore_checks.checks(),
        restore_switch=None if section.restore_switch is None else section.restore_switch.template(),
        restore_sanitise=None if section.restore_sanitise is None else section.restore_sanitise.template(),
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


def _is_pem(text: str) -> bool:
    return text.lstrip().startswith("-----BEGIN")


def recipients_of(section: BackupsSection, environ: Mapping[str, str]) -> tuple[str, ...]:
    """As configured, else as the variable says; unchecked in that case."""
    named = section.recipients or [part.strip() for part in environ.get(RECIPIENTS_VARIABLE, "").split(",")]
    return tuple(dict.fromkeys(part for part in named if part))


def destination_of(section: BackupsSection, folder: Path) -> str:
    """folder: the file's. An absolute path, or an address of object storage."""
    if "://" in section.destination:
        return section.destination.rstrip("/")
    return str((folder / Path(section.destination).expanduser()).absolute())


def scratch_of(section: BackupsSection, folder: Path, data_dir: Path) -> Path:
    return (folder / Path(section.scratch).expanduser() if section.scratch else data_dir / "scratch").absolute()


def slot_of(service: str, section: DatabaseSection) -> str:
    """Empty where no WAL is received."""
    return (section.slot or f"forge_{service.replace('-', '_')}") if section.wal else ""


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
                webhook_secret=self._optional(github.webhook_secret, "GITHUB_WEBHOOK_SECRET"),
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
                self._secret(file.audit.key),
                tuple(self._folder / path for path in file.audit.checkpoints),
                tuple(key if _is_pem(key) else self._folder / key for key in file.audit.earlier_keys),
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
            postgres=self._postgres(data_dir),
            dev=self._dev(),
        )

    def _dev(self) -> inside.DevBounds:
        section = self._file.environments.get(Environment.DEV)
        if section is None:
            return inside.DevBounds()
        shared, profile = section.isolation, section.profile
        return inside.DevBounds(
            profile=None
            if profile is None
            else inside.Profile(
                profile.max_replicas, quantity(profile.max_cpu) or 0.0, quantity(profile.max_memory) or 0.0
            ),
            shared_secrets=tuple(shared.shared_secrets),
            production_hosts=tuple(shared.production_hosts),
        )

    def _pagerduty(self) -> inside.PagerdutyConnection | None:
        section = self._file.integrations.pagerduty
        if section is None:
            return None
        api_url = section.api_url or PAGERDUTY_API
        return inside.PagerdutyConnection(section.schedule, self._secret(section.token), api_url)

    def _postgres(self, data_dir: Path) -> inside.PostgresConnections:
        section = self._file.integrations.postgres
        return inside.PostgresConnections(
            databases={
                (service, env): self._database(service, env, database)
                for env, databases in section.databases.items()
                for service, database in databases.items()
            },
            programs=tuple(self._folder / Path(path).expanduser() for path in section.programs),
            backups=None if section.backups is None else self._backups(section.backups, data_dir),
            restores={env: self._restores(env, each) for env, each in section.restores.items()},
        )

    def _restores(self, env: Environment, section: RestoresSection) -> inside.RestoreServer | inside.RestoreCluster:
        if section.server is not None:
            return self._restore_server(env, section.server)
        found = section.kubernetes
        assert found is not None  # noqa: S101 - the form has refused it
        return inside.RestoreCluster(
            environment=env,
            template=self._folder / Path(found.template).expanduser(),
            host=found.host or f"$NAME.{self._file.environments[env].kubernetes.namespace}.svc",
            port=found.port,
            user=found.user,
            database=found.database,
            sslmode=found.sslmode,
            sslrootcert=self._authority(found.sslrootcert),
            ready_s=found.ready,
        )

    def _restore_server(self, env: Environment, section: RestoreServerSection) -> inside.RestoreServer:
        return inside.RestoreServer(
            environment=env,
            host=section.host.strip("[]"),
            port=section.port,
            database=section.database,
            user=section.user,
            password=self._secret(section.password) if section.password else None,
            sslmode=section.mode,
            sslrootcert=self._authority(section.sslrootcert),
            create_roles=section.create_roles,
        )

    def _authority(self, sslrootcert: str | None) -> Path | None:
        return Path(SYSTEM) if sslrootcert == SYSTEM else self._path(sslrootcert)

    def _database(self, service: str, env: Environment, section: DatabaseSection) -> inside.DatabaseConnection:
        reader = section.reader
        return inside.DatabaseConnection(
            service=service,
            environment=env,
            host=section.host.strip("[]"),
            port=section.port,
            name=section.name,
            user=section.user,
            password=self._secret(section.password) if section.password else None,
            sslmode=section.mode,
            sslrootcert=self._authority(section.sslrootcert),
            wal=section.wal,
            slot=slot_of(service, section),
            reader=None
            if reader is None
            else inside.DatabaseReader(reader.user, self._secret(reader.password) if reader.password else None),
        )

    def _backups(self, section: BackupsSection, data_dir: Path) -> inside.BackupsConnection:
        s3 = section.s3
        return inside.BackupsConnection(
            destination=destination_of(section, self._folder),
            recipients=recipients_of(section, self._environ),
            scratch=scratch_of(section, self._folder, data_dir),
            identity=self._identity(section.identity),
            s3=inside.S3Connection()
            if s3 is None
            else inside.S3Connection(
                s3.endpoint or "",
                s3.region or "",
                self._secret(s3.access_key_id) if s3.access_key_id else None,
                self._secret(s3.secret_access_key) if s3.secret_access_key else None,
            ),
        )

    def _identity(self, reference: SecretReference | None) -> inside.Secret | None:
        """The variable holds the key itself, or the path of its file."""
        if reference is not None:
            return self._secret(reference)
        value = self._environ.get(IDENTITY_VARIABLE, "").strip()
        if not value or IDENTITY_MARK in value:
            return inside.Secret(IDENTITY_VARIABLE, None, self._environ) if value else None
        return inside.Secret(file=self._folder / Path(value).expanduser(), environ=self._environ)

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

    def _secret(self, reference: SecretReference) -> inside.Secret:
        return inside.Secret(reference.env or "", self._path(reference.file), self._environ)

    def _optional(self, reference: SecretReference | None, variable: str) -> inside.Secret | None:
        """Without a reference the usual variable counts, where it is set."""
        if reference is not None:
            return self._secret(reference)
        return inside.Secret(variable, None, self._environ) if self._environ.get(variable) else None

    def _path(self, text: str | None) -> Path | None:
        return None if text is None else self._folder / Path(text).expanduser()
