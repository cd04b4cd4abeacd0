import math

from hypothesis import given
from hypothesis import strategies as st

from runbook.plan import from_json, to_json
from runbook.policy import HealthPolicy
from runbook.rules.health import Probe, Record, judge_record, judge_whole, next_record, window_size
from runbook.verdicts import Outcome, Verdict

POLICY = HealthPolicy()
GOOD, SLOW = Probe(True, 0.01), Probe(True, 0.3)
BAD, REFUSED = Probe(False, 0.01, "HTTP 503"), Probe(False, None, "connection refused")


def run(probes: list[Probe], policy: HealthPolicy = POLICY, planned: int = 1800) -> tuple[Record, int, Verdict | None]:
    """(record, probes until the verdict, the first FAIL)."""
    size, record = window_size(policy, planned), Record()
    for count, probe in enumerate(probes, 1):
        record = next_record(record, probe, size)
        if (verdict := judge_record("/health/ready", record, policy, size)) is not None:
            return record, count, verdict
    return record, len(probes), None


def test_three_failures_in_a_window_of_300_are_accepted() -> None:
    record, _, verdict = run([BAD] * 3 + [GOOD] * 1797)
    assert verdict is None
    whole = judge_whole("/health/ready", record, POLICY, 300)
    assert whole.outcome is Outcome.PASS
    assert {e.name: e.value for e in whole.evidence}["health success"] == 0.99


def test_the_fourth_failure_is_certain_at_once_and_names_numbers_and_the_last_error() -> None:
    _, count, verdict = run([GOOD] * 60 + [BAD] * 4)
    assert verdict is not None
    assert (count, verdict.code) == (64, "health.success_ratio")
    assert "4 of 64 probes of /health/ready failed" in verdict.reason
    assert "HTTP 503" in verdict.reason


def test_four_failures_more_than_a_window_apart_are_accepted() -> None:
    assert run(([BAD] + [GOOD] * 299) * 6)[2] is None


def test_any_rolling_window_counts_not_only_the_aligned_ones() -> None:
    assert run([GOOD] * 298 + [BAD] * 4 + [GOOD] * 298)[2] is not None


def test_a_p95_at_the_limit_fails() -> None:
    _, _, verdict = run([Probe(True, 0.25)] * 300)
    assert verdict is not None
    assert verdict.code == "health.latency_p95"


def test_fifteen_slow_probes_in_300_are_accepted_and_sixteen_are_not() -> None:
    assert run([SLOW] * 15 + [GOOD] * 285)[2] is None
    _, count, verdict = run([SLOW] * 16 + [GOOD] * 284)
    assert verdict is not None
    assert (count, verdict.code) == (16, "health.latency_p95")


def test_refused_connections_are_quick_failures_and_no_latency() -> None:
    _, _, verdict = run([REFUSED] * 4)
    assert verdict is not None
    assert verdict.code == "health.success_ratio"
    assert "connection refused" in verdict.reason


def test_an_observation_shorter_than_the_window_is_its_own_window() -> None:
    policy = HealthPolicy(interval_s=0.5)
    record, _, verdict = run([GOOD] * 40, policy, planned=40)
    assert verdict is None
    assert judge_whole("/health/live", record, policy, 40).outcome is Outcome.PASS


def test_too_few_probes_are_no_data() -> None:
    record, _, _ = run([GOOD] * 10)
    assert judge_whole("/health/live", record, POLICY, 300).outcome is Outcome.NO_DATA


def test_a_record_survives_its_json_and_stays_small() -> None:
    record, _, _ = run([GOOD, SLOW, GOOD] * 100 + [GOOD] * 300)
    assert from_json(Record, to_json(record)) == record
    assert len(str(to_json(record))) < 4000


def naive_fails(probes: list[Probe], policy: HealthPolicy, size: int) -> bool:
    """Any full window below the success ratio, or with a nearest-rank p95 at or above the limit."""
    for end in range(size, len(probes) + 1):
        window = probes[end - size : end]
        if sum(p.good for p in window) < policy.success_ratio * size - 1e-9:
            return True
        latencies = sorted(p.latency_s for p in window if p.latency_s is not None)
        if latencies and latencies[math.ceil(0.95 * len(latencies) - 1e-9) - 1] >= policy.p95_s:
            return True
    return False


@given(
    st.lists(st.sampled_from([GOOD] * 12 + [SLOW, BAD, REFUSED]), max_size=90),
    st.sampled_from([0.9, 0.95, 0.99]),
    st.integers(1, 40),
)
def test_an_early_verdict_never_differs_from_the_definition(probes: list[Probe], ratio: float, size: int) -> None:
    """Completed with good probes to a full window, what was failed early would have failed all the same."""
    policy = HealthPolicy(success_ratio=ratio, window_s=float(size))
    whole = probes + [GOOD] * max(0, size - len(probes))
    assert (run(whole, policy, planned=10_000)[2] is not None) == naive_fails(whole, policy, size)
    _, count, verdict = run(probes, policy, planned=10_000)
    if verdict is not None:
        assert naive_fails(probes[:count] + [GOOD] * size, policy, size)
