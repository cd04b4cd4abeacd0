"""The queries for key metrics, judged by the real promtool on series as the recording rules leave them."""

from __future__ import annotations

from pathlib import Path

import pytest

from runbook import series
from runbook.rules.dependencies import timeouts_query
from runbook.rules.idle import rate_query
from runbook.rules.key_metrics import metric_query
from runbook.rules.observed import Observation
from runbook.series import METRICS, Windows
from tests.runbook.test_steady_queries import LABELS, judged

OBSERVATION = Observation(service="shop", env="staging", windows=Windows(), length_s=1800)


def asked(folder: Path, name: str, values: str, expected: list[float]) -> None:
    given = {f"forge:{name}:1m{{{LABELS}}}": values}
    # Prometheus 2 counts the samples at both ends of a range, 3 does not.
    judged(folder, given, {f"round({metric_query(METRICS[name], OBSERVATION)}, 0.1)": expected})


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        # 120 samples of half an hour: four of them see the one kill, as a window of a minute does.
        (series.OOM_KILLS, "0x60 1x3 0x60", [1.0]),
        (series.RESTARTS, "0x20 1x3 0x30 2x3 0x70", [3.0]),
        (series.CPU, "0.5x59 0.7x61", [0.6]),
        # recorded for less than half of the observation
        (series.CPU, "0.5x40 stale _x90", []),
        (series.JOB_FAILURE_RATIO, "_x100 0.5x20", [0.5]),
        # the lag was never below 8 s for a quarter of an hour, and once at 50 s for a moment
        (series.QUEUE_LAG, "1x30 8x62 50x1 1x30", [8.0]),
        (series.QUEUE_LAG, "1x30 80x20 1x30 80x45", [1.0]),
        (series.QUEUE_LAG, "1x10 stale _x120", []),
    ],
)
def test_promtool_gives_the_sum_the_mean_and_what_lasted(
    tmp_path: Path, name: str, values: str, expected: list[float]
) -> None:
    asked(tmp_path, name, values, expected)


def test_time_outs_are_averaged_over_the_observation(tmp_path: Path) -> None:
    given = {f"forge:{series.DEPENDENCY_TIMEOUTS}:1m{{{LABELS}}}": "0.01x59 0.03x61"}
    judged(tmp_path, given, {f"round({timeouts_query(OBSERVATION)}, 0.01)": [0.02]})


@pytest.mark.parametrize(
    ("done", "failed", "expected"),
    [
        ("0x120", "0x120", [0.0]),
        # one job ended, in the middle
        ("0x60 0.1x3 0x60", "0x120", [0.1]),
        ("0x60 0.1x3 0x60", "0x20 0.2x3 0x100", [0.3]),
        # a rate that covers too little, or is missing, tells nothing
        ("_x90 0x30", "_x90 0x30", []),
        ("0x120", "_x120", []),
    ],
)
def test_only_rates_that_are_recorded_and_0_tell_that_nothing_happened(
    tmp_path: Path, done: str, failed: str, expected: list[float]
) -> None:
    given = {
        f"forge:{series.JOB_SUCCESS_RATE}:1m{{{LABELS}}}": done,
        f"forge:{series.JOB_FAILURE_RATE}:1m{{{LABELS}}}": failed,
    }
    judged(tmp_path, given, {f"round({rate_query(series.JOB_FAILURE_RATIO, OBSERVATION)}, 0.1)": expected})
