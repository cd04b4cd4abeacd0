"""The shop's Prometheus metrics: a registry an environment, a set of series a pod, and what postgres_exporter tells of its database.

Health checks are not counted: they would dilute the errors. A pod's series start at 0 and end with it.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from sandbox.shop.pods import ShopPod

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.4, 0.5, 1.0, 2.5, 5.0)
LABELS = ("service", "env", "track", "workload", "pod")
EXPECTED = (("200", "GET"), ("500", "GET"), ("201", "POST"), ("500", "POST"))
DEPENDENCIES = ("stock", "payment", "carrier")
JOB = "shipping"
CONNECTIONS_PER_POD, OTHER_CONNECTIONS, MOST_CONNECTIONS = 4, 3, 100


class Meters:
    """One environment's metrics. database: its connections, replication lag and deadlocks may be set as a test likes."""

    def __init__(self, service: str) -> None:
        self.service = service
        self.registry = CollectorRegistry()
        self.answered = self._counter("http_requests", "Answered requests of the API.", "code", "method")
        self.duration = Histogram(
            "http_request_duration_seconds",
            "Duration of the API's answers.",
            LABELS,
            buckets=BUCKETS,
            registry=self.registry,
        )
        self.transactions = self._counter("core_transactions", "Orders, by how they ended.", "outcome")
        self.jobs = self._counter("jobs", "Ended background jobs.", "job_name", "outcome")
        self.dependencies = self._counter("dependency_requests", "Requests to others.", "dependency", "outcome")
        self.queue_depth = self._gauge("queue_depth", "Orders that wait to be shipped.", "queue")
        self.queue_lag = self._gauge("queue_lag_seconds", "How long the oldest of them has waited.", "queue")
        self.ready = self._gauge("shop_pod_ready", "1 while the pod gets requests.")
        self.database = Database(service, self.registry)
        self._pods: set[str] = set()

    def _counter(self, name: str, words: str, *labels: str) -> Counter:
        return Counter(name, words, (*LABELS, *labels), registry=self.registry)

    def _gauge(self, name: str, words: str, *labels: str) -> Gauge:
        return Gauge(name, words, (*LABELS, *labels), registry=self.registry)

    def _labels(self, pod: ShopPod) -> dict[str, str]:
        return {
            "service": self.service,
            "env": pod.env,
            "track": pod.track,
            "workload": pod.workload,
            "pod": pod.name,
        }

    def open(self, pod: ShopPod) -> None:
        """Begin its series at 0, else `rate()` would miss the first failure of each kind."""
        self.close(pod)
        labels = self._labels(pod)
        for code, method in EXPECTED:
            self.answered.labels(**labels, code=code, method=method)
        for outcome in ("success", "failure"):
            self.transactions.labels(**labels, outcome=outcome)
            self.jobs.labels(**labels, job_name=JOB, outcome=outcome)
        for name in DEPENDENCIES:
            for outcome in ("success", "timeout"):
                self.dependencies.labels(**labels, dependency=name, outcome=outcome)
        self.duration.labels(**labels)
        self.set_ready(pod, pod.in_rotation)
        self._pods.add(pod.uid)
        self.database.connect(pod.env, len(self._pods))

    def close(self, pod: ShopPod) -> None:
        counted = (self.answered, self.duration, self.transactions, self.jobs, self.dependencies)
        for metric in (*counted, self.queue_depth, self.queue_lag, self.ready):
            metric.remove_by_labels({"pod": pod.name, "workload": pod.workload})
        self._pods.discard(pod.uid)
        self.database.connect(pod.env, len(self._pods))

    def count(self, pod: ShopPod, code: int, method: str, duration_s: float) -> None:
        labels = self._labels(pod)
        self.answered.labels(**labels, code=str(code), method=method).inc()
        self.duration.labels(**labels).observe(duration_s)
        pod.requests += 1

    def count_transaction(self, pod: ShopPod, *, succeeded: bool) -> None:
        self.transactions.labels(**self._labels(pod), outcome=_outcome(succeeded)).inc()

    def count_job(self, pod: ShopPod, *, succeeded: bool) -> None:
        self.jobs.labels(**self._labels(pod), job_name=JOB, outcome=_outcome(succeeded)).inc()

    def count_dependency(self, pod: ShopPod, name: str, outcome: str) -> None:
        """outcome: `success` or `timeout`."""
        self.dependencies.labels(**self._labels(pod), dependency=name, outcome=outcome).inc()

    def set_queue(self, pod: ShopPod, queue: str, depth: int, lag_s: float) -> None:
        self.queue_depth.labels(**self._labels(pod), queue=queue).set(depth)
        self.queue_lag.labels(**self._labels(pod), queue=queue).set(lag_s)

    def set_ready(self, pod: ShopPod, ready: bool) -> None:
        self.ready.labels(**self._labels(pod)).set(float(ready))

    def exposition(self) -> bytes:
        return generate_latest(self.registry)


class Database:
    """What postgres_exporter would tell of the environment's database; connections follow the number of pods."""

    def __init__(self, service: str, registry: CollectorRegistry) -> None:
        def gauge(name: str, words: str, *labels: str) -> Gauge:
            return Gauge(name, words, ("service", "env", *labels), registry=registry)

        self._service = service
        self.connections = gauge("pg_stat_database_numbackends", "Connections.", "datname")
        self.most_connections = gauge("pg_settings_max_connections", "Limit of connections.")
        self.replication_lag = gauge("pg_replication_lag_seconds", "Lag behind the primary.")
        # a counter that the exporter names without _total
        self.deadlocks = gauge("pg_stat_database_deadlocks", "Deadlocks.", "datname")

    def connect(self, env: str, pods: int) -> None:
        of = {"service": self._service, "env": env}
        self.connections.labels(**of, datname="shop").set(CONNECTIONS_PER_POD * pods + OTHER_CONNECTIONS)
        self.most_connections.labels(**of).set(MOST_CONNECTIONS)
        self.replication_lag.labels(**of)
        self.deadlocks.labels(**of, datname="shop")


def _outcome(succeeded: bool) -> str:
    return "success" if succeeded else "failure"
