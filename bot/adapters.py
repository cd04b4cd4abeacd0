"""The one place where integrations are built from the configuration's addresses and secrets: lazily, closed together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Protocol, TypeVar

from bot.configuration.connections import ClusterConnection, Connections, RestoreCluster, Secret
from bot.databases import DatabaseAdapters
from runbook.database_ports import BackupLedger, RepositoryMemory
from runbook.ports import Backups, Clock, Memory, NoBackups, NoPeople, People, Ports, ScanReports
from runbook.values import Environment, Role

if TYPE_CHECKING:
    from integrations.github import GitHub
    from integrations.http_probes import AiohttpProbes
    from integrations.kubernetes import Credentials, KubernetesCluster
    from integrations.kubernetes.restore_objects import RestoreObjects
    from integrations.pagerduty import PagerDutySchedule
    from integrations.prometheus import PrometheusMetrics
    from integrations.registry import OciRegistry
    from integrations.scan_folder import ScanFolder
    from integrations.signatures.git_signatures import GitSignatures
    from integrations.slack.directory import SlackDirectory
    from integrations.slack.web import SlackWeb
    from integrations.sql_linter import SquawkLinter


class _Closing(Protocol):
    async def aclose(self) -> None: ...


class LedgerOfBackups(BackupLedger, RepositoryMemory, Backups, Protocol):
    """forge's own record of backups, as the procedures write it and as gates ask it."""


C = TypeVar("C", bound=_Closing)


class Adapters:
    """Each integration is made when it is first asked for. Use inside a running event loop; `aclose` ends them all."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._open: list[_Closing] = []
        self.postgres = DatabaseAdapters(connections.postgres, connections.audit, self._restore_objects)

    @cached_property
    def clusters(self) -> dict[Environment, KubernetesCluster]:
        from integrations.kubernetes import PRODUCTION_RIGHTS, RESTORE_RIGHTS, RIGHTS, KubernetesCluster

        more = {Environment.PROD: PRODUCTION_RIGHTS}
        restores = self._connections.postgres.restores
        making = {env: RESTORE_RIGHTS for env, found in restores.items() if isinstance(found, RestoreCluster)}
        return {
            env: self._kept(
                KubernetesCluster(
                    credentials_of(cluster),
                    cluster.namespace,
                    rights=tuple(dict.fromkeys((*RIGHTS, *more.get(env, ()), *making.get(env, ())))),
                )
            )
            for env, cluster in self._connections.clusters.items()
        }

    def _restore_objects(self, environment: Environment) -> RestoreObjects:
        from integrations.kubernetes.restore_objects import RestoreObjects

        cluster = self._connections.clusters[environment]
        return self._kept(RestoreObjects(credentials_of(cluster), cluster.namespace))

    @cached_property
    def metrics(self) -> dict[Environment, PrometheusMetrics]:
        """Environments with the same Prometheus share its connections."""
        from integrations.prometheus import PrometheusMetrics

        distinct = {
            place: self._kept(PrometheusMetrics(place.url, _reader(place.token)))
            for place in dict.fromkeys(self._connections.prometheus.values())
        }
        return {env: distinct[place] for env, place in self._connections.prometheus.items()}

    @cached_property
    def code(self) -> GitHub:
        from integrations.github import GitHub

        github = self._connections.github
        return self._kept(GitHub(github.api_url, _reader(github.token), web_url=github.web_url))

    @cached_property
    def images(self) -> OciRegistry:
        from integrations.registry import OciRegistry

        registry = self._connections.registry
        return self._kept(
            OciRegistry(
                docker_config=registry.docker_config,
                insecure_hosts=registry.insecure_hosts,
                trusted_realms=registry.trusted_realms,
            )
        )

    @cached_property
    def signatures(self) -> GitSignatures:
        """Raises Permanent for a signer's key that is none."""
        from integrations.signatures.git_signatures import GitSignatures

        return GitSignatures(ssh=self._connections.signers.ssh, gpg=self._connections.signers.gpg)

    @cached_property
    def probes(self) -> AiohttpProbes:
        from integrations.http_probes import AiohttpProbes

        return self._kept(AiohttpProbes(self._connections.service_token))

    @cached_property
    def linter(self) -> SquawkLinter:
        from integrations.sql_linter import SquawkLinter

        return SquawkLinter()

    @cached_property
    def slack(self) -> SlackWeb:
        """Raises Permanent where the bot token has no value."""
        from integrations.slack.web import SlackWeb

        slack = self._connections.slack
        return SlackWeb(slack.bot_token.reveal(), api_url=slack.api_url)

    @cached_property
    def schedule(self) -> PagerDutySchedule | None:
        """None where none is configured."""
        from integrations.pagerduty import PagerDutySchedule

        found = self._connections.pagerduty
        return (
            None if found is None else self._kept(PagerDutySchedule(found.schedule, found.token.reveal, found.api_url))
        )

    def directory(self, roles: Callable[[], Mapping[Role, tuple[str, ...]]]) -> SlackDirectory:
        """roles: members as configured now. Raises Permanent where the bot token has no value."""
        from integrations.slack.directory import SlackDirectory

        team = self._connections.slack.team
        return SlackDirectory(self.slack, team_id=team, roles=roles, schedule=self.schedule)

    def scan_folder(self, now: Callable[[], datetime]) -> ScanFolder | None:
        """None where none is configured."""
        from integrations.scan_folder import ScanFolder

        folder = self._connections.scan_folder
        return None if folder is None else ScanFolder(folder, now)

    def ports(
        self,
        clock: Clock,
        memory: Memory,
        kept_scans: ScanReports | None = None,
        people: People | None = None,
        backups: LedgerOfBackups | None = None,
    ) -> Ports:
        """Everything that the domain asks of the outside world. backups: None where nothing is on record, as for plans without a store."""
        postgres = self.postgres
        postgres.memory = backups
        scans = (kept_scans, self.scan_folder(clock.now))
        return Ports(
            clock=clock,
            clusters=self.clusters,
            metrics=self.metrics,
            code=self.code,
            source=self.code,
            images=self.images,
            signatures=self.signatures,
            probes=self.probes,
            memory=memory,
            scans=tuple(each for each in scans if each is not None),
            linter=self.linter,
            people=people or NoPeople(),
            backups=backups if backups is not None and postgres.databases else NoBackups(),
            databases=postgres.databases,
            archived=postgres.archived,
            repository=postgres.repository,
            restore_host=None if backups is None else postgres.restore_host(backups.segments),
            backup_ledger=backups if postgres.databases else None,
            database_metrics=postgres.measuring,
        )

    async def aclose(self) -> None:
        closing = [adapter.aclose() for adapter in self._open]
        if "slack" in self.__dict__:
            closing.append(self.slack.close())
        await asyncio.gather(*closing, return_exceptions=True)
        self._open.clear()

    def _kept(self, adapter: C) -> C:
        self._open.append(adapter)
        return adapter


def credentials_of(cluster: ClusterConnection) -> Credentials:
    from integrations.kubernetes import Direct, InCluster, Kubeconfig

    if cluster.in_cluster:
        return InCluster()
    if cluster.host:
        return Direct(cluster.host, _reader(cluster.token), cluster.ca_file)
    return Kubeconfig(cluster.kubeconfig, cluster.context)


def _reader(secret: Secret | None) -> Callable[[], str] | None:
    return None if secret is None else secret.reveal
