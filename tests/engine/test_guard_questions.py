"""What the guards ask Prometheus about a few services alone: the recorded series' name, also within an expression over it."""

from __future__ import annotations

import pytest

from engine.guard_answers import _of_services

LOOP = "sum_over_time(forge:oom_kills:1m[10m:1m])"


@pytest.mark.parametrize(
    ("metric", "services", "query"),
    [
        ("forge:error_ratio:1m", (), "forge:error_ratio:1m"),
        ("forge:error_ratio:1m", ("shop",), 'forge:error_ratio:1m{service="shop"}'),
        ("forge:error_ratio:1m", ("shop", "desk"), 'forge:error_ratio:1m{service=~"desk|shop"}'),
        (LOOP, (), LOOP),
        (LOOP, ("shop",), 'sum_over_time(forge:oom_kills:1m{service="shop"}[10m:1m])'),
    ],
)
def test_a_few_services_are_asked_for_by_name(metric: str, services: tuple[str, ...], query: str) -> None:
    assert _of_services(metric, services) == query
