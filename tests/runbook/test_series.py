"""The catalogue of recorded metrics: names that the rules, the gates and people share."""

from __future__ import annotations

import re

import pytest

from runbook import series
from runbook.policy import CRITICAL, OBSERVED, WARNING, Threshold
from runbook.series import DURATION_BUCKETS, METRICS, SHIPPED, Windows, recorded, recorded_as


def test_every_name_of_the_module_is_a_metric_of_the_catalogue() -> None:
    names = {value for key, value in vars(series).items() if key.isupper() and isinstance(value, str)}
    assert names == set(SHIPPED)
    assert set(SHIPPED) == {*METRICS, DURATION_BUCKETS}


@pytest.mark.parametrize("metric", METRICS.values(), ids=lambda metric: metric.name)
def test_a_metrics_name_says_its_unit(metric: series.Metric) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9_]+", metric.name)
    endings = {
        "ratio": "_ratio", "s": "_seconds", "bytes": "_bytes", "bytes_per_s": "_bytes_per_second", "per_s": "_rate", "count": "",
    }  # fmt: skip
    assert metric.name.endswith(endings[metric.unit])
    assert not metric.title.endswith(".")


def test_titles_are_told_apart() -> None:
    assert len({metric.title for metric in METRICS.values()}) == len(METRICS)


@pytest.mark.parametrize("threshold", [*WARNING, *CRITICAL, *OBSERVED], ids=lambda threshold: threshold.metric)
def test_every_threshold_is_of_a_recorded_metric_in_its_unit(threshold: Threshold) -> None:
    assert METRICS[threshold.metric].unit == threshold.unit


def test_a_series_carries_the_window_that_it_is_recorded_over() -> None:
    windows = Windows("5m", "12h", "7d")
    assert recorded("error_ratio", "1m") == "forge:error_ratio:1m"
    assert recorded_as("error_ratio", windows) == "forge:error_ratio:5m"
    assert recorded_as(DURATION_BUCKETS, windows) == "forge:request_duration_seconds_bucket:5m"
    assert recorded_as("queue_lag_baseline_seconds", windows) == "forge:queue_lag_baseline_seconds:12h"
    assert recorded_as("availability_ratio", windows) == "forge:availability_ratio:7d"


def test_the_runbooks_metrics_are_all_there() -> None:
    sections = {
        section: [m.name for m in METRICS.values() if m.section == section]
        for section in ("infrastructure", "database")
    }
    assert set(sections["infrastructure"]) >= {
        "cpu_utilization_ratio", "memory_working_set_bytes", "oom_kills", "disk_io_latency_seconds",
        "disk_io_saturation_ratio", "network_retransmit_ratio", "network_timeout_rate",
    }  # fmt: skip
    assert set(sections["database"]) >= {
        "postgres_connection_ratio", "postgres_replication_lag_seconds", "postgres_deadlock_rate",
        "postgres_slow_queries", "postgres_wal_growth_bytes_per_second", "postgres_checkpoint_duration_seconds",
    }  # fmt: skip
