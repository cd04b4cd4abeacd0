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
SESSION = ("datname", "state", "usename", "application_name", "backend_type", "wait_event_type", "wait_event")
"""What postgres_exporter tells sessions apart by."""
SEGMENTS, SEGMENT_BYTES = 5, 16 * 1024 * 1024
"""Of the write-ahead log, as a new cluster keeps them."""


class Meters:
    """One environment's metrics. database: what postgres_exporter tells may be set as a test likes."""

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
        self.database.call(pod.env)

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
    """What postgres_exporter 0.20 would tell of the environment's PostgreSQL 17; sessions follow the number of pods.

    It is calm unless a test says otherwise: by the methods here, or by setting a gauge.
    """

    def __init__(self, service: str, registry: CollectorRegistry) -> None:
        def gauge(name: str, words: str, *labels: str) -> Gauge:
            return Gauge(name, words, ("service", "env", *labels), registry=registry)

        def counter(name: str, words: str, *labels: str) -> Counter:
            return Counter(name, words, ("service", "env", *labels), registry=registry)

        self._service = service
        self.connections = gauge("pg_stat_database_numbackends", "Connections.", "datname")
        self.most_connections = gauge("pg_settings_max_connections", "Limit of connections.")
        self.replication_lag = gauge("pg_replication_lag_seconds", "Lag behind the primary.")
        # a counter that the exporter names without _total
        self.deadlocks = gauge("pg_stat_database_deadlocks", "Deadlocks.", "datname")
        self.sessions = gauge("pg_stat_activity_count", "Sessions that are alike.", *SESSION)
        self.transactions = gauge(
            "pg_stat_activity_max_tx_duration", "The longest of their transactions, in s.", *SESSION
        )
        statement = ("datname", "user", "queryid")
        self.calls = counter("pg_stat_statements_calls", "Executions of a statement.", *statement)
        self.seconds = counter("pg_stat_statements_seconds", "Their duration.", *statement)
        self.wal_size = gauge("pg_wal_size_bytes", "Size of the write-ahead log's segments.")
        self.wal_segments = gauge("pg_wal_segments", "Their number.")
        self.checkpoint_writes = counter("pg_stat_checkpointer_write_time", "Checkpoints' time of writing, in ms.")
        self.checkpoint_syncs = counter("pg_stat_checkpointer_sync_time", "Checkpoints' time of syncing, in ms.")
        self._slow: dict[str, list[dict[str, str]]] = {}

    def _of(self, env: str) -> dict[str, str]:
        return {"service": self._service, "env": env}

    def connect(self, env: str, pods: int) -> None:
        of = self._of(env)
        self.connections.labels(**of, datname="shop").set(CONNECTIONS_PER_POD * pods + OTHER_CONNECTIONS)
        self.most_connections.labels(**of).set(MOST_CONNECTIONS)
        self.replication_lag.labels(**of)
        self.deadlocks.labels(**of, datname="shop")
        idle = self._session(env, state="idle", wait_event_type="Client", wait_event="ClientRead")
        self._tell(idle, CONNECTIONS_PER_POD * pods, 0.0)
        # The exporter has a row for each state and database, also where no session is in it.
        self._tell({**idle, **dict.fromkeys(SESSION, ""), "datname": "shop", "state": "active"}, 0, 0.0)
        if env not in self._slow:
            self._slow[env] = []
            self.call(env, calls=0)
            self.grow_wal(env, SEGMENTS)
            self.checkpoint(env, 0.0)

    def run_slowly(self, env: str, sessions: int, *, for_s: float = 5.0, waiting: bool = False) -> None:
        """So many sessions have been in a query for so long, in place of those before. waiting: each waits for another's lock."""
        for labels in self._slow[env]:
            for gauge in (self.sessions, self.transactions):
                gauge.remove(*(labels[name] for name in ("service", "env", *SESSION)))
        waits = {"wait_event_type": "Lock", "wait_event": "relation"} if waiting else {}
        self._slow[env] = [
            self._session(env, state="active", application_name=f"slow-{number}", **waits) for number in range(sessions)
        ]
        for labels in self._slow[env]:
            self._tell(labels, 1, for_s)

    def call(self, env: str, *, calls: int = 1, each_s: float = 0.004, queryid: str = "7001") -> None:
        """A statement was executed so often, each time for so long."""
        labels = {**self._of(env), "datname": "shop", "user": "shop", "queryid": queryid}
        self.calls.labels(**labels).inc(calls)
        self.seconds.labels(**labels).inc(calls * each_s)

    def grow_wal(self, env: str, segments: int) -> None:
        """So many segments more are kept: 16 MiB each."""
        self.wal_segments.labels(**self._of(env)).inc(segments)
        self.wal_size.labels(**self._of(env)).inc(segments * SEGMENT_BYTES)

    def checkpoint(self, env: str, write_s: float, sync_s: float = 0.0) -> None:
        """A checkpoint has ended."""
        self.checkpoint_writes.labels(**self._of(env)).inc(write_s * 1000)
        self.checkpoint_syncs.labels(**self._of(env)).inc(sync_s * 1000)

    def _session(self, env: str, **labels: str) -> dict[str, str]:
        known = {"datname": "shop", "usename": "shop", "backend_type": "client backend"}
        return {**self._of(env), **dict.fromkeys(SESSION, ""), **known, **labels}

    def _tell(self, labels: dict[str, str], count: int, longest_s: float) -> None:
        self.sessions.labels(**labels).set(count)
        self.transactions.labels(**labels).set(longest_s)


def _outcome(succeeded: bool) -> str:
    return "success" if succeeded else "failure"
