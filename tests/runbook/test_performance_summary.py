"""Load summaries out of what a program printed: forge's own form and k6's two."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook.reports import load_summary
from runbook.reports.load_summary import LoadSummary, Unreadable, read_load_summary

OWN = {"latency_ms": {"p50": 12.5, "p95": 40, "p99": 80}, "throughput_per_s": 99.8, "requests": 6000, "failed": 3}
EXPORT: dict[str, Any] = {
    "root_group": {"name": "", "groups": {}, "checks": {}},
    "metrics": {
        "http_req_duration": {"avg": 15, "min": 1, "med": 12.5, "max": 300, "p(90)": 30, "p(95)": 40, "p(99)": 80},
        "http_req_duration{expected_response:true}": {"med": 1, "p(95)": 1},
        "http_reqs": {"count": 6000, "rate": 99.8},
        "http_req_failed": {"passes": 3, "fails": 5997, "value": 0.0005},
    },
}
HANDLED = {
    "options": {"summaryTrendStats": ["med", "p(95)", "p(99)"]},
    "state": {"testRunDurationMs": 60000},
    "metrics": {
        "http_req_duration": {"type": "trend", "contains": "time", "values": {"med": 12.5, "p(95)": 40, "p(99)": 80}},
        "http_reqs": {"type": "counter", "contains": "default", "values": {"count": 6000, "rate": 99.8}},
        "http_req_failed": {"type": "rate", "values": {"rate": 0.0005, "passes": 3, "fails": 5997}},
    },
}


def read(data: Any, before: str = "running (1m0s)\n", after: str = "\nbye\n") -> LoadSummary | Unreadable:
    return read_load_summary(before + json.dumps(data, indent=2) + after)


@pytest.mark.parametrize(("data", "source"), [(OWN, "own"), (EXPORT, "k6"), (HANDLED, "k6")])
def test_every_form_says_the_same(data: Any, source: str) -> None:
    assert read(data) == LoadSummary(0.0125, 0.04, 0.08, 99.8, 6000, 0.0005, source)


def test_the_last_summary_counts() -> None:
    first = json.dumps({**OWN, "requests": 1, "failed": 0})
    assert read(OWN, before=first + "\n") == read(OWN)


def test_a_line_of_a_log_after_it_is_no_summary() -> None:
    assert read(OWN, after='\n{"level": "info", "msg": "done", "took": {"s": 60}}\n') == read(OWN)


def test_braces_of_other_programs_do_not_matter() -> None:
    assert read(OWN, before="a { b } {'c': 1} ${HOME} {{ x }}\n", after="\n} { \n") == read(OWN)


def test_what_k6_was_not_asked_for_is_not_said() -> None:
    metrics = {**EXPORT["metrics"], "http_req_duration": {"med": 12.5, "p(95)": 40}}
    found = read({"metrics": metrics})
    assert isinstance(found, LoadSummary)
    assert (found.p95_s, found.p99_s) == (0.04, None)


def test_the_median_may_be_called_by_its_percentile() -> None:
    found = read({"metrics": {"http_req_duration": {"p(50)": 7}}})
    assert found == LoadSummary(p50_s=0.007, source="k6")


def test_the_ratio_of_failed_requests_is_counted_where_it_is_not_given() -> None:
    found = read({"metrics": {"http_req_failed": {"passes": 1, "fails": 3}}})
    assert found == LoadSummary(failed_ratio=0.25, source="k6")


@pytest.mark.parametrize(
    "changes",
    [
        {"latency_ms": {"p50": "fast"}},
        {"latency_ms": {"p50": True}},
        {"latency_ms": {"p95": -1}},
        {"latency_ms": {"p50": 50, "p95": 40, "p99": 80}},
        {"latency_ms": [1, 2, 3]},
        {"throughput_per_s": float("nan")},
        {"throughput_per_s": float("inf")},
        {"requests": 10**400},
        {"requests": 5, "failed": 6},
    ],
)
def test_what_measures_nothing_is_unreadable(changes: dict[str, Any]) -> None:
    assert isinstance(read({**OWN, **changes}), Unreadable)


@pytest.mark.parametrize(
    "text",
    ["", "no braces", "{", "}{", "[1, 2]", '{"some": "thing"}', '{"metrics": 5}', '{"metrics": {"http_reqs": 5}}', "\x00\ufffd{",
     json.dumps(EXPORT).replace("99.8", "NaN"), json.dumps(OWN)[:-5], json.dumps(HANDLED, indent=1)[:200]],
)  # fmt: skip
def test_garbage_is_unreadable(text: str) -> None:
    assert isinstance(read_load_summary(text), Unreadable)


def test_a_summary_that_breaks_off_is_not_replaced_by_an_earlier_one() -> None:
    whole = json.dumps(OWN, indent=1)
    assert isinstance(read_load_summary(f"{whole}\nround two\n{whole[:60]}"), Unreadable)


class CountingDecoder(json.JSONDecoder):
    """given: characters in all of its attempts together."""

    def __init__(self) -> None:
        super().__init__()
        self.given = self.attempts = 0

    def raw_decode(self, s: str, idx: int = 0) -> tuple[Any, int]:
        self.given += len(s)
        self.attempts += 1
        return super().raw_decode(s, idx)


@pytest.mark.parametrize(
    "text",
    ['{"a":' * 200_000, "{" * 1_000_000, '{"a":[' * 150_000, '{"a":"' * 150_000, "{} " * 300_000, "[" * 1_000_000 + "{", "9" * 900_000 + "{1"],
    ids=["nested", "braces", "nested lists", "strings", "empty objects", "brackets", "digits"],
)  # fmt: skip
def test_a_megabyte_of_anything_is_read_with_bounded_work(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    counting = CountingDecoder()
    monkeypatch.setattr(load_summary, "_DECODER", counting)
    assert isinstance(read_load_summary(text), Unreadable)
    assert counting.given <= 300 * len(text)  # each brace by itself would be given half of it
    assert counting.attempts <= len(text)


_json = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["latency_ms", "metrics", "values", "http_reqs", "p50", "rate", "requests"]), inner
        )
    ),
    max_leaves=12,
)


@given(_json, st.text(max_size=20), st.text(max_size=20))
def test_whatever_is_printed_is_read_without_an_error(data: Any, before: str, after: str) -> None:
    found = read_load_summary(before + json.dumps(data) + after)
    if isinstance(found, LoadSummary):
        numbers = [found.p50_s, found.p95_s, found.p99_s, found.throughput, found.requests, found.failed_ratio]
        assert all(number is None or 0 <= number < float("inf") for number in numbers)
