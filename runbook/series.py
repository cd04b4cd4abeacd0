"""The recorded series: their names are fixed here, for the rules that are shipped, the guards, the gates and what people look at.

A recording rule is named `forge:<metric>:<window>` and carries the labels `service`, `env`, `track`. Runbook: Key Metrics.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

REQUEST_RATE = "request_rate"
ERROR_RATE = "error_rate"
ERROR_RATIO = "error_ratio"
DURATION_BUCKETS = "request_duration_seconds_bucket"  # requests per second by upper bound `le`, in seconds
LATENCY_P50 = "latency_p50_seconds"
LATENCY_P95 = "latency_p95_seconds"
LATENCY_P99 = "latency_p99_seconds"
READINESS_RATIO = "readiness_ratio"
CORE_RATE = "core_transaction_rate"
CORE_SUCCESS = "core_transaction_success_ratio"
QUEUE_DEPTH = "queue_depth"
QUEUE_LAG = "queue_lag_seconds"
QUEUE_LAG_BASELINE = "queue_lag_baseline_seconds"
JOB_SUCCESS_RATE = "job_success_rate"
JOB_FAILURE_RATE = "job_failure_rate"
JOB_FAILURE_RATIO = "job_failure_ratio"
DEPENDENCY_RATE = "dependency_request_rate"
DEPENDENCY_TIMEOUTS = "dependency_timeout_ratio"
DEPENDENCY_TIMEOUTS_BASELINE = "dependency_timeout_baseline_ratio"
AVAILABILITY = "availability_ratio"
CPU = "cpu_utilization_ratio"
MEMORY = "memory_working_set_ratio"
MEMORY_BYTES = "memory_working_set_bytes"
OOM_KILLS = "oom_kills"
RESTARTS = "container_restarts"
DISK_LATENCY = "disk_io_latency_seconds"
DISK_SATURATION = "disk_io_saturation_ratio"
NETWORK_RETRANSMITS = "network_retransmit_ratio"
NETWORK_TIMEOUTS = "network_timeout_rate"
DB_CONNECTIONS = "postgres_connection_ratio"
DB_REPLICATION_LAG = "postgres_replication_lag_seconds"
DB_DEADLOCKS = "postgres_deadlock_rate"
DB_SLOW_QUERIES = "postgres_slow_queries"
DB_LOCK_WAITS = "postgres_lock_waits"
DB_WAL_GROWTH = "postgres_wal_growth_bytes_per_second"
DB_CHECKPOINT = "postgres_checkpoint_duration_seconds"

Unit = Literal["ratio", "s", "bytes", "bytes_per_s", "count", "per_s"]
Section = Literal["application", "infrastructure", "database", "baseline"]
Over = Literal["window", "baseline", "month"]


@dataclass(frozen=True, slots=True)
class Metric:
    """One recorded metric. over: which window its name carries: the rules' (`1m`), the baselines' (`1d`) or the month of the
    availability target (`30d`). unit "count" with over "window": so many within the window, or now (a depth)."""

    name: str
    title: str
    unit: Unit
    section: Section
    over: Over = "window"


_METRICS = (
    Metric(REQUEST_RATE, "request rate", "per_s", "application"),
    Metric(ERROR_RATE, "failed requests", "per_s", "application"),
    Metric(ERROR_RATIO, "error rate", "ratio", "application"),
    Metric(LATENCY_P50, "latency p50", "s", "application"),
    Metric(LATENCY_P95, "latency p95", "s", "application"),
    Metric(LATENCY_P99, "latency p99", "s", "application"),
    Metric(READINESS_RATIO, "readiness", "ratio", "application"),
    Metric(AVAILABILITY, "availability", "ratio", "application", "month"),
    Metric(CORE_RATE, "core transactions", "per_s", "application"),
    Metric(CORE_SUCCESS, "core transaction success", "ratio", "application"),
    Metric(QUEUE_DEPTH, "queue depth", "count", "application"),
    Metric(QUEUE_LAG, "queue lag", "s", "application"),
    Metric(JOB_SUCCESS_RATE, "background jobs done", "per_s", "application"),
    Metric(JOB_FAILURE_RATE, "background jobs failed", "per_s", "application"),
    Metric(JOB_FAILURE_RATIO, "background job failures", "ratio", "application"),
    Metric(DEPENDENCY_RATE, "requests to dependencies", "per_s", "application"),
    Metric(DEPENDENCY_TIMEOUTS, "dependency time-outs", "ratio", "application"),
    Metric(CPU, "CPU utilization", "ratio", "infrastructure"),
    Metric(MEMORY, "memory working set of its limit", "ratio", "infrastructure"),
    Metric(MEMORY_BYTES, "memory working set", "bytes", "infrastructure"),
    Metric(OOM_KILLS, "OOM kills", "count", "infrastructure"),
    Metric(RESTARTS, "container restarts", "count", "infrastructure"),
    Metric(DISK_LATENCY, "disk I/O latency", "s", "infrastructure"),
    Metric(DISK_SATURATION, "disk I/O saturation", "ratio", "infrastructure"),
    Metric(NETWORK_RETRANSMITS, "network retransmits", "ratio", "infrastructure"),
    Metric(NETWORK_TIMEOUTS, "network time-outs", "per_s", "infrastructure"),
    Metric(DB_CONNECTIONS, "PostgreSQL connection utilization", "ratio", "database"),
    Metric(DB_REPLICATION_LAG, "PostgreSQL replication lag", "s", "database"),
    Metric(DB_DEADLOCKS, "PostgreSQL deadlocks", "per_s", "database"),
    Metric(DB_SLOW_QUERIES, "PostgreSQL slow queries", "count", "database"),
    Metric(DB_LOCK_WAITS, "PostgreSQL lock waits", "count", "database"),
    Metric(DB_WAL_GROWTH, "PostgreSQL WAL growth", "bytes_per_s", "database"),
    Metric(DB_CHECKPOINT, "PostgreSQL checkpoint duration", "s", "database"),
    Metric(QUEUE_LAG_BASELINE, "normal queue lag", "s", "baseline", "baseline"),
    Metric(DEPENDENCY_TIMEOUTS_BASELINE, "normal dependency time-outs", "ratio", "baseline", "baseline"),
)

METRICS: Mapping[str, Metric] = {metric.name: metric for metric in _METRICS}
"""Every metric that people see, in the order in which they are shown."""

SHIPPED = (*METRICS, DURATION_BUCKETS)
"""What the rules that are shipped record."""


@dataclass(frozen=True, slots=True)
class Windows:
    """The windows in the recording rules' names, such as `1m`, `1d`, `30d`."""

    window: str = "1m"
    baseline: str = "1d"
    month: str = "30d"


@dataclass(frozen=True, slots=True)
class ProdWindows:
    """Windows that some metrics are recorded over beside `Windows`, for production. fast: what the canary's sequential test reads, two
    scrapes long. short, long: of the error budget's burn."""

    fast: str = "30s"
    short: str = "5m"
    long: str = "1h"


def recorded_beside(windows: ProdWindows) -> Mapping[str, str]:
    """The names of the rules that record a metric once more, over another window -> the metric."""
    fast = {recorded(metric, windows.fast): metric for metric in (REQUEST_RATE, ERROR_RATE)}
    return fast | {recorded(ERROR_RATIO, window): ERROR_RATIO for window in (windows.short, windows.long)}


def recorded(metric: str, window: str) -> str:
    """The rule's name, such as `forge:error_ratio:1m`."""
    return f"forge:{metric}:{window}"


def recorded_as(metric: str, windows: Windows) -> str:
    """The same, with the window that this metric is recorded over. Raises KeyError for an unknown metric."""
    over = METRICS[metric].over if metric in METRICS else "window"
    return recorded(metric, {"window": windows.window, "baseline": windows.baseline, "month": windows.month}[over])
