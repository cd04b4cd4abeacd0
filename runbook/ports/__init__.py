"""The ports: what the domain asks of the outside world. Each is fulfilled by one integration and by one fake in the tests.

Every call is bounded in time and in retries by its integration and raises `runbook.errors` alone: `Temporary`, `Permanent`, `Conflict`.
"Not there" is a value (None or empty), not an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from runbook.database_ports import BackupLedger, BackupRepository, Databases, RestoreHost
from runbook.ports.backups import Backup, Backups, NoBackups
from runbook.ports.clock import Clock
from runbook.ports.cluster import (
    Autoscaler,
    Autoscalers,
    Canaries,
    CanaryOrder,
    Cluster,
    ContainerSpec,
    Deployment,
    JobLog,
    Jobs,
    JobState,
    PodLogs,
    PodOfWorkload,
    PodTrouble,
    Rollout,
    Share,
    Traffic,
    TrafficTarget,
)
from runbook.ports.code_hosting import CiCheck, CodeHost, ImageRegistry, SignatureCheck, Signatures, Tag
from runbook.ports.http_probes import HttpAnswer, HttpProbes, HttpRequest
from runbook.ports.memory import Memory, Released
from runbook.ports.metrics import DatabaseMetrics, Metrics, Sample, Series
from runbook.ports.people import Freeze, Incident, NoPeople, People, Person, Schedule, Shift
from runbook.ports.scans import LintFinding, NoLinter, ScanReport, ScanReports, SqlLinter
from runbook.values import Environment

if TYPE_CHECKING:
    from runbook.source import CiResults, Source

__all__ = [
    "Autoscaler",
    "Autoscalers",
    "Backup",
    "Backups",
    "Canaries",
    "CanaryOrder",
    "CiCheck",
    "Clock",
    "Cluster",
    "CodeHost",
    "ContainerSpec",
    "DatabaseMetrics",
    "Deployment",
    "Freeze",
    "HttpAnswer",
    "HttpProbes",
    "HttpRequest",
    "ImageRegistry",
    "Incident",
    "JobLog",
    "JobState",
    "Jobs",
    "LintFinding",
    "Memory",
    "Metrics",
    "NoBackups",
    "NoLinter",
    "NoPeople",
    "People",
    "Person",
    "PodLogs",
    "PodOfWorkload",
    "PodTrouble",
    "Ports",
    "Released",
    "Rollout",
    "Sample",
    "ScanReport",
    "ScanReports",
    "Schedule",
    "Series",
    "Share",
    "Shift",
    "SignatureCheck",
    "Signatures",
    "SqlLinter",
    "Tag",
    "Traffic",
    "TrafficTarget",
]


@dataclass(frozen=True)
class Ports:
    """The outside world, wired once at start. clusters and metrics: per environment. repository, restore_host, backup_ledger: None where no
    database is configured."""

    clock: Clock
    clusters: Mapping[Environment, Cluster]
    metrics: Mapping[Environment, Metrics]
    code: CodeHost
    images: ImageRegistry
    signatures: Signatures
    probes: HttpProbes
    memory: Memory
    linter: SqlLinter = field(default_factory=lambda: NoLinter())
    scans: tuple[ScanReports, ...] = ()
    people: People = field(default_factory=lambda: NoPeople())
    backups: Backups = field(default_factory=lambda: NoBackups())
    databases: Databases = field(default_factory=dict)
    archived: frozenset[tuple[str, Environment]] = frozenset()
    """Whose WAL is received: a base backup without it recovers to no other moment than its own."""

    repository: BackupRepository | None = None
    restore_host: RestoreHost | None = None
    backup_ledger: BackupLedger | None = None
    database_metrics: DatabaseMetrics | None = None
    source: Source | None = None
    """None where nothing is known of branches: then nothing is deployed by itself, and no changes are told."""

    ci_results: CiResults | None = None
