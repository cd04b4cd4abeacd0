"""The real Prometheus scrapes the shop and sees a spoilt version's errors."""

from typing import Any

from sandbox.prometheus import LocalPrometheus, Target
from sandbox.serving import until
from sandbox.shop import Shop, Spoil

DIGEST = "sha256:" + "c" * 64
RULES = """
groups:
  - name: shop
    rules:
      - record: forge:error_ratio:5s
        expr: |
          sum by (service, env, track) (rate(http_requests_total{code=~"5.."}[5s]))
          / sum by (service, env, track) (rate(http_requests_total[5s]))
      - record: forge:latency_p95_seconds:5s
        expr: |
          histogram_quantile(0.95, sum by (service, env, track, le) (rate(http_request_duration_seconds_bucket[5s])))
"""


def pod(workload: str, track: str) -> dict[str, Any]:
    labels = {"app": workload, "forge/track": track}
    name = f"{workload}-{track}-1-a"
    container = {"name": workload, "image": f"registry.test/acme/{workload}@{DIGEST}"}
    return {
        "metadata": {"name": name, "namespace": "staging", "uid": name, "labels": labels},
        "spec": {"containers": [container]},
    }


async def value(prometheus: LocalPrometheus, metric: str) -> float | None:
    found = await prometheus.query(f'{metric}{{service="shop", env="staging", track="stable"}}')
    return found[0][1] if found else None


async def test_an_error_ratio_and_a_latency_rise_after_a_spoil_and_fall_after_a_heal() -> None:
    shop = Shop(environments=("staging",))
    await shop.start()
    for workload in shop.workloads:
        await shop.start_pod(pod(workload, "stable"))
    traffic = shop.traffic("staging", requests_per_s=40)
    address, path = shop.metrics_target("staging")
    prometheus = LocalPrometheus([Target(address, path=path)], RULES)

    async def calm() -> bool:
        return await value(prometheus, "forge:error_ratio:5s") == 0

    async def bad() -> bool:
        ratio = await value(prometheus, "forge:error_ratio:5s") or 0
        latency = await value(prometheus, "forge:latency_p95_seconds:5s") or 0
        return 0.3 < ratio < 0.7 and latency > 0.25

    try:
        await prometheus.start()
        await traffic.start()
        await until(calm, 60, "there is traffic without an error", every_s=0.2)
        shop.know("v1.4.0-rc.2", DIGEST)
        shop.spoil("v1.4.0-rc.2", Spoil(error_ratio=0.5, latency_s=0.3))
        await until(bad, 60, "half of the answers are errors and slow", every_s=0.2)
        shop.heal()
        await until(calm, 60, "there is no error any more", every_s=0.2)
    finally:
        await traffic.stop()
        await prometheus.discard()
        await shop.stop()
