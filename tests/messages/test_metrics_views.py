"""`/forge metrics` in Slack, in the terminal and as JSON."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.answers import info
from messages import plain
from messages.blocks import MAX_BLOCKS, MAX_CHARACTERS, size
from messages.metrics import sparkline
from messages.render import Messages
from messages.words import quantity
from runbook import series
from runbook.metric_report import CANARY, MetricReport, summary
from runbook.series import METRICS
from sandbox.slack.blocks import check_message_blocks
from tests.runbook.test_metric_report import recorded, reported

FEW = reported(
    recorded(series.AVAILABILITY, 0.99951),
    recorded(series.LATENCY_P95, 0.6),
    recorded(series.ERROR_RATIO, lambda place: 0.04 if place > 200 else 0.001),
    recorded(series.ERROR_RATIO, 0.002, CANARY, points=30),
    recorded(series.CPU, float("nan")),
    recorded(series.MEMORY_BYTES, 5e8),
)
ALL = reported(*(recorded(name, 0.97, track) for name in METRICS for track in ("stable", CANARY)))
NOTHING = reported()


def texts(report: MetricReport) -> str:
    message = Messages().answer(info("metrics", summary(report), view=report))
    blocks = [dict(block) for block in message.blocks]
    check_message_blocks(blocks)
    assert len(blocks) <= MAX_BLOCKS
    assert size(blocks) <= MAX_CHARACTERS
    return "\n".join(str(block) for block in blocks)


@pytest.mark.parametrize("report", [FEW, ALL, NOTHING], ids=["few", "all", "nothing"])
def test_slack_takes_the_card_and_nothing_is_cut(report: MetricReport) -> None:
    shown = texts(report)
    assert "There is more" not in shown
    for line in report.lines:
        assert line.title in shown
    for name in report.missing:
        assert f"`forge:{name}:" in shown


def test_the_card_says_targets_limits_history_and_what_is_missing() -> None:
    shown = texts(FEW)
    for words in (
        ":white_check_mark: *availability* kept: 99.951 % over 30d; wanted: at least 99.9 %",
        ":x: *API p95 latency* missed: 600 ms over the last hour; wanted: under 400 ms",
        ":rotating_light: *error rate* *4 %* `▁▁▁▁▁▁▁▁▁▁██` – beyond critical: warning above 1 % for 10 min; critical above 3 % for 5 min",
        "*error rate* (canary) *0.2 %* `··········██`",
        ":grey_question: *CPU utilization* *not a number now*",
        "*memory working set* *500 MB*",
        "`forge rules`",
    ):
        assert words in shown


@pytest.mark.parametrize("report", [FEW, ALL, NOTHING], ids=["few", "all", "nothing"])
@pytest.mark.parametrize("width", [40, 100])
def test_the_terminal_shows_the_same(report: MetricReport, width: int) -> None:
    text = plain.to_text(info("metrics", summary(report), view=report), width=width)
    assert "\x1b" not in text
    assert "availability" in text
    if width == 100:
        for line in report.lines:
            assert line.title in text
        for name in report.missing:
            assert f"forge:{name}:" in text


def test_the_terminal_has_a_sparkline_and_the_limits() -> None:
    text = plain.to_text(info("metrics", "", view=FEW), width=200)
    assert "▁▁▁▁▁▁▁▁▁▁██" in text
    assert "beyond critical: warning above 1 % for 10 min; critical above 3 % for 5 min" in text


def test_machines_get_every_value() -> None:
    answer = plain.to_json(info("metrics", summary(FEW), view=FEW))
    assert json.loads(json.dumps(answer, allow_nan=False)) == answer
    view = answer["view"]
    assert (view["type"], view["service"], view["environment"]) == ("MetricReport", "shop", "staging")
    assert [(t["title"], t["kept"]) for t in view["targets"]] == [
        ("availability", True),
        ("API p95 latency", False),
        ("error rate", None),
    ]
    (stable, canary) = (each for each in view["lines"] if each["metric"] == "error_ratio")
    assert (stable["value"], len(stable["history"]), canary["track"]) == (0.04, 12, "canary")
    assert stable["bounds"][0]["crossed"] is True
    assert "queue_depth" in view["missing"]


def test_availability_is_told_by_its_nines() -> None:
    assert quantity(0.9996, "ratio") == "99.96 %"
    assert quantity(1.0, "ratio") == "100 %"
    assert quantity(0.034, "ratio") == "3.4 %"


def test_rates_say_that_they_are_rates() -> None:
    assert [quantity(value, "per_s") for value in (0.0, 4.25, 12345.6)] == ["0/s", "4.25/s", "12,346/s"]


@settings(deadline=None)
@given(st.lists(st.none() | st.floats(-1e12, 1e12), max_size=30))
def test_a_sparkline_has_one_sign_for_each_part(history: list[float | None]) -> None:
    drawn = sparkline(history)
    assert len(drawn) == (len(history) if any(value is not None for value in history) else 0)
    assert set(drawn) <= set("▁▂▃▄▅▆▇█·")


def test_a_sparkline_begins_at_zero() -> None:
    assert sparkline([0, 1, 2, None, 4]) == "▁▃▅·█"
    assert sparkline([100, 101, 100]) == "███"
    assert sparkline([0, 0]) == "▁▁"
