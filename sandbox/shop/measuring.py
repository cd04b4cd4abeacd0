"""The shop's Prometheus metrics: a registry an environment, a set of series a pod.

Health checks are not counted: they would dilute the errors. A pod's series start at 0 and end with it.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from sandbox.shop.pods import ShopPod

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.4, 0.5, 1.0, 2.5, 5.0)
LABELS = ("service", "env", "track", "workload", "pod")
EXPECTED = (("200", "GET"), ("500", "GET"), ("201", "POST"), ("500", "POST"))


class Meters:
    """One environment's metrics."""

    def __init__(self, service: str) -> None:
        self.service = service
        self.registry = CollectorRegistry()
        self.answered = Counter(
            "http_requests", "Answered requests of the API.", (*LABELS, "code", "method"), registry=self.registry
        )
        self.duration = Histogram(
            "http_request_duration_seconds",
            "Duration of the API's answers.",
            LABELS,
            buckets=BUCKETS,
            registry=self.registry,
        )
        self.ready = Gauge("shop_pod_ready", "1 while the pod gets requests.", LABELS, registry=self.registry)

    def _labels(self, pod: ShopPod) -> dict[str, str]:
        return {
            "service": self.service,
            "env": pod.env,
            "track": pod.track,
            "workload": pod.workload,
            "pod": pod.name,
        }

    def open(self, pod: ShopPod) -> None:
        """Begin its series at 0, else `rate()` would miss the first failure of each code."""
        self.close(pod)
        for code, method in EXPECTED:
            self.answered.labels(**self._labels(pod), code=code, method=method)
        self.duration.labels(**self._labels(pod))
        self.set_ready(pod, pod.in_rotation)

    def close(self, pod: ShopPod) -> None:
        for metric in (self.answered, self.duration, self.ready):
            metric.remove_by_labels({"pod": pod.name, "workload": pod.workload})

    def count(self, pod: ShopPod, code: int, method: str, duration_s: float) -> None:
        labels = self._labels(pod)
        self.answered.labels(**labels, code=str(code), method=method).inc()
        self.duration.labels(**labels).observe(duration_s)

    def set_ready(self, pod: ShopPod, ready: bool) -> None:
        self.ready.labels(**self._labels(pod)).set(float(ready))

    def exposition(self) -> bytes:
        return generate_latest(self.registry)
