"""The recorded series: their names are fixed here, for the rules that are shipped, the guards and the gates.

A recording rule is named `forge:<metric>:<window>` and carries the labels `service`, `env`, `track`.
"""

from __future__ import annotations

REQUEST_RATE = "request_rate"  # requests per second
ERROR_RATE = "error_rate"  # failed requests per second: 5xx and domain failures
ERROR_RATIO = "error_ratio"  # failed requests / requests, in [0, 1]
DURATION_BUCKETS = "request_duration_seconds_bucket"  # requests per second by upper bound `le`, in seconds
LATENCY_P50 = "latency_p50_seconds"
LATENCY_P95 = "latency_p95_seconds"
LATENCY_P99 = "latency_p99_seconds"
READINESS_RATIO = "readiness_ratio"  # ready replicas / wanted replicas, in [0, 1]

SHIPPED = (
    REQUEST_RATE,
    ERROR_RATE,
    ERROR_RATIO,
    DURATION_BUCKETS,
    LATENCY_P50,
    LATENCY_P95,
    LATENCY_P99,
    READINESS_RATIO,
)
"""What the rules that are shipped record."""


def recorded(metric: str, window: str) -> str:
    """The rule's name, such as `forge:error_ratio:1m`."""
    return f"forge:{metric}:{window}"
