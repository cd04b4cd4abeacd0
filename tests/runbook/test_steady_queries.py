"""The queries over a whole observation, judged by the real promtool on series as the recording rules leave them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from runbook.rules.steady import SteadyQueries, steady_queries
from sandbox.prometheus import find_or_unpack

LABELS = 'service="shop",env="staging",track="stable"'
OTHER = 'service="mail",env="staging",track="stable"'
HALF_HOUR = "x120"
"""A rate every 15 s for half an hour, and one more."""


def judged(folder: Path, series: dict[str, str], expected: dict[str, list[float]]) -> None:
    """Evaluates at the end of 30 minutes; promtool's own report is the assertion's message."""
    case = {
        "evaluation_interval": "15s",
        "tests": [
            {
                "interval": "15s",
                "input_series": [{"series": name, "values": values} for name, values in series.items()],
                "promql_expr_test": [
                    {
                        "expr": f"round({expression}, 0.001)",
                        "eval_time": "30m",
                        "exp_samples": [{"labels": f"{{{LABELS}}}", "value": value} for value in values],
                    }
                    for expression, values in expected.items()
                ],
            }
        ],
    }
    (folder / "case.json").write_text(json.dumps(case))  # JSON is YAML
    program = find_or_unpack("prometheus")["promtool"]
    run = subprocess.run(
        [str(program), "test", "rules", "case.json"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr


def rates(requests: str, errors: str) -> dict[str, str]:
    return {
        f"forge:request_rate:1m{{{LABELS}}}": requests,
        f"forge:error_rate:1m{{{LABELS}}}": errors,
        f"forge:request_rate:1m{{{OTHER}}}": f"1000{HALF_HOUR}",
        f"forge:error_rate:1m{{{OTHER}}}": f"900{HALF_HOUR}",
    }


@pytest.fixture
def queries() -> SteadyQueries:
    return steady_queries("shop", "staging", "1m", 1800)


def test_rates_are_summed_to_the_number_of_requests_and_errors(tmp_path: Path, queries: SteadyQueries) -> None:
    series = rates(f"2{HALF_HOUR}", f"0.5{HALF_HOUR}")
    judged(tmp_path, series, {queries.requests: [3600.0], queries.errors: [900.0]})


def test_time_without_samples_counts_as_no_requests(tmp_path: Path, queries: SteadyQueries) -> None:
    half = "2x60 stale _x59"
    judged(tmp_path, rates(half, half), {queries.requests: [1800.0]})


def test_the_p95_is_that_of_all_requests_of_the_observation(tmp_path: Path, queries: SteadyQueries) -> None:
    buckets = {"0.1": "9", "0.3": "9.5", "0.5": "10", "+Inf": "10"}
    name = "forge:request_duration_seconds_bucket:1m"
    series = {f'{name}{{{LABELS},le="{le}"}}': f"{rate}{HALF_HOUR}" for le, rate in buckets.items()}
    judged(tmp_path, series, {queries.p95: [0.3]})


def test_an_unknown_service_has_no_series(tmp_path: Path) -> None:
    queries = steady_queries("nobody", "staging", "1m", 1800)
    judged(
        tmp_path, rates(f"2{HALF_HOUR}", f"0{HALF_HOUR}"), {queries.requests: [], queries.errors: [], queries.p95: []}
    )
