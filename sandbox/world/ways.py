"""How a candidate can be bad: each way by the one word that tests and the page use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sandbox.shop import Spoil


@dataclass(frozen=True)
class Way:
    """group, words: for people. shop: how its pods behave. jobs: program -> how it misbehaves (`sandbox.jobs.image`).

    unschedulable: the cluster has no room for its Jobs. critical: the scanner has found something new.
    """

    group: str
    words: str
    shop: Spoil | None = None
    jobs: Mapping[str, str] = field(default_factory=dict)
    unschedulable: bool = False
    critical: bool = False

    @property
    def is_of_pods(self) -> bool:
        """Whether nothing but the behaviour of its pods is meant, which can differ from place to place."""
        return not (self.jobs or self.unschedulable or self.critical)


TRAFFIC, JOBS, METRICS, SCAN = "Behaviour", "Its Jobs", "Key metrics", "Security"
SLOW_LOAD_S = 0.6
"""Slower than the load's target, and faster than what a guard would interrupt the run for."""

SPOILS: dict[str, Way] = {
    "good": Way(TRAFFIC, "good"),
    "errors": Way(TRAFFIC, "a fifth of the answers are errors", Spoil(error_ratio=0.2)),
    "latency": Way(TRAFFIC, "slow: 1.5 s an answer", Spoil(latency_s=1.5)),
    "crash loop": Way(TRAFFIC, "crashes again and again", Spoil(crash_loop=True)),
    "never ready": Way(TRAFFIC, "never becomes ready", Spoil(never_ready=True)),
    "migration fails": Way(JOBS, "the migration fails", jobs={"migrate": "fails"}),
    "verification fails": Way(JOBS, "the data are not whole after it", jobs={"verify": "fails"}),
    "integration fails": Way(JOBS, "an API integration test fails", jobs={"integration": "fails"}),
    "workflow fails": Way(JOBS, "an end-to-end test fails", jobs={"e2e": "fails"}),
    "schema fails": Way(JOBS, "a migration test fails", jobs={"migration": "fails"}),
    "compatibility fails": Way(JOBS, "the version before can't use the schema", jobs={"compatibility": "fails"}),
    "suite hangs": Way(JOBS, "the API integration suite hangs", jobs={"integration": "hangs"}),
    "job never starts": Way(JOBS, "its Jobs never start", unschedulable=True),
    "long log": Way(JOBS, "a suite prints 50 MB", jobs={"integration": "floods"}),
    "garbage": Way(JOBS, "the load prints garbage", jobs={"load": "garbage"}),
    "slow under load": Way(JOBS, f"slow under load: {SLOW_LOAD_S:g} s an answer", Spoil(latency_s=SLOW_LOAD_S)),
    "orders fail": Way(METRICS, "nobody can order", Spoil(order_fails=True)),
    "some orders fail": Way(METRICS, "a third of the orders fail", Spoil(order_error_ratio=0.34)),
    "dependency time-outs": Way(
        METRICS, "a third of its calls to others time out", Spoil(dependency_timeout_ratio=0.34)
    ),
    "queue backlog": Way(METRICS, "orders wait in their queue", Spoil(queue_backlog=True)),
    "job failures": Way(METRICS, "half of the background jobs fail", Spoil(job_failure_ratio=0.5)),
    "memory": Way(METRICS, "uses nearly all of its memory", Spoil(memory_ratio=0.96)),
    "critical finding": Way(SCAN, "its scan finds something critical", critical=True),
}
