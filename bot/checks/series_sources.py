"""Where the recorded series come from, and so what to do when some are missing. docs/metrics.md says the same at length."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from runbook import series

_LABELLED = "with the labels service and env"
_OR_FORGE = "; or let forge measure it (`integrations.postgres.databases`), and scrape forge with honor_labels: true"


@dataclass(frozen=True, slots=True)
class Source:
    """metrics: of `runbook.series`. remedy: how they come to be there."""

    metrics: tuple[str, ...]
    remedy: str


SOURCES = (
    Source(
        (series.REQUEST_RATE, series.ERROR_RATE, series.ERROR_RATIO, series.AVAILABILITY),
        f"Expose http_requests_total {_LABELLED}, and let Prometheus scrape it",
    ),
    Source(
        (series.DURATION_BUCKETS, series.LATENCY_P50, series.LATENCY_P95, series.LATENCY_P99),
        f"Expose the histogram http_request_duration_seconds {_LABELLED}",
    ),
    Source(
        (series.READINESS_RATIO,),
        "Run kube-state-metrics with --metric-labels-allowlist=deployments=[forge/service,forge/env,forge/track], "
        "and label the Deployments",
    ),
    Source((series.CORE_RATE, series.CORE_SUCCESS), f"Expose core_transactions_total{{outcome}} {_LABELLED}"),
    Source((series.QUEUE_DEPTH, series.QUEUE_LAG), f"Expose queue_depth and queue_lag_seconds {_LABELLED}"),
    Source(
        (series.JOB_SUCCESS_RATE, series.JOB_FAILURE_RATE, series.JOB_FAILURE_RATIO),
        f"Expose jobs_total{{outcome}} {_LABELLED}",
    ),
    Source(
        (series.DEPENDENCY_RATE, series.DEPENDENCY_TIMEOUTS),
        f"Expose dependency_requests_total{{outcome}} {_LABELLED}",
    ),
    Source(
        (series.CPU, series.MEMORY, series.MEMORY_BYTES),
        "Scrape the kubelet's cAdvisor, give the containers limits, and run kube-state-metrics with "
        "--metric-labels-allowlist=pods=[forge/service,forge/env,forge/track] for labelled pods",
    ),
    Source(
        (series.OOM_KILLS, series.RESTARTS),
        "Run kube-state-metrics with --metric-labels-allowlist=pods=[forge/service,forge/env,forge/track], "
        "and label the pods",
    ),
    Source(
        (series.DISK_LATENCY, series.DISK_SATURATION, series.NETWORK_RETRANSMITS, series.NETWORK_TIMEOUTS),
        "Run node_exporter on the nodes, and kube-state-metrics, which knows whose pods they carry",
    ),
    Source(
        (series.DB_CONNECTIONS, series.DB_REPLICATION_LAG, series.DB_DEADLOCKS),
        f"Run postgres_exporter, and scrape it {_LABELLED}{_OR_FORGE}",
    ),
    Source(
        (series.DB_SLOW_QUERIES, series.DB_LOCK_WAITS),
        f"Run postgres_exporter 0.17 or newer with the role pg_monitor, and scrape it {_LABELLED}{_OR_FORGE}",
    ),
    Source(
        (series.DB_WAL_GROWTH,),
        f"Run postgres_exporter with its collector wal and the role pg_monitor, and scrape it {_LABELLED}",
    ),
    Source(
        (series.DB_CHECKPOINT,),
        f"Run postgres_exporter, for PostgreSQL 17 and newer with --collector.stat_checkpointer, and scrape it {_LABELLED}{_OR_FORGE}",
    ),
    Source(
        (series.QUEUE_LAG_BASELINE, series.DEPENDENCY_TIMEOUTS_BASELINE),
        "They come minutes after the series that they are the normal of",
    ),
)

OF_RATE: Mapping[str, str] = {
    series.ERROR_RATIO: series.REQUEST_RATE,
    series.LATENCY_P50: series.REQUEST_RATE,
    series.LATENCY_P95: series.REQUEST_RATE,
    series.LATENCY_P99: series.REQUEST_RATE,
    series.CORE_SUCCESS: series.CORE_RATE,
    series.JOB_FAILURE_RATIO: series.JOB_SUCCESS_RATE,
    series.DEPENDENCY_TIMEOUTS: series.DEPENDENCY_RATE,
}
"""What has no sample while this rate is 0."""
