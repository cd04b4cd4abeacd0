"""What a rollback's evidence points to: by a table of stories, each with the words that must be there and what speaks against it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook.hypothesis import GUARD, Case, Finding, hypothesis
from runbook.verdicts import Evidence, Outcome, Verdict


def breach(name: str, metric: str, reason: str = "above its limit", track: str = "the canary") -> Finding:
    fact = Evidence(name=name, value=0.2, limit=0.03, unit="ratio", source=f"forge:{metric}:1m", window_s=300.0)
    gate = f"{name} of {track}" if track else name
    return Finding(GUARD, gate, Verdict.failed(gate, "guard.breached", f"{gate} was {reason}", fact))


def ratio(own: float = 0.041, other: float = 0.01) -> Finding:
    verdict = Verdict.failed(
        "canary errors against stable's", "ratio.worse", "more than twice stable's",
        Evidence(name="canary's error ratio", value=own, unit="ratio", source="forge:error_rate:30s"),
        Evidence(name="baseline's error ratio", value=other, unit="ratio", source="forge:error_rate:30s"),
    )  # fmt: skip
    return Finding(GUARD, verdict.gate, verdict)


def rollout(kind: str, words: str = "Error: exit code 1", log: str = "") -> Finding:
    facts = [Evidence(name="available", value=2, limit=3, unit="count"), Evidence(name=kind, value=words)]
    facts += [Evidence(name="last lines of the log", value=log)] if log else []
    verdict = Verdict.failed("rollout of web", f"rollout.{kind}", f"2 of 3; web-1 {kind} ({words})", *facts)
    return Finding("start_canary", "Start the canary", verdict)


def failed(kind: str, title: str, code: str, reason: str, *facts: Evidence) -> Finding:
    return Finding(kind, title, Verdict.failed(title, code, reason, *facts))


ENDPOINTS = failed(
    "gate", "Canary gate", "endpoints.crash_loop", "1 of 2 pods of web-canary are Available",
    Evidence(name="crash_loop", value="OOMKilled"), Evidence(name="last lines of the log", value="cache full"),
)  # fmt: skip
DEPENDENCY = failed(
    "gate", "Canary gate", "dependencies.timeouts", "time-outs of payments rose to 12 %",
    Evidence(name="payments", value=0.12, limit=0.02, unit="ratio", source="forge:dependency_timeout_ratio:1m"),
)  # fmt: skip
SATURATED = breach("CPU utilization", "cpu_utilization_ratio")
SLOW = failed("gate", "Canary gate", "phase.latency_p95", "p95 is 900 ms, the limit is 400 ms")


@pytest.mark.parametrize(
    ("findings", "migrations", "code", "words", "against"),
    [
        ([rollout("crash_loop", log="boot\nKeyError: 'DB_URL'\n")], (), "start.version",
         ("the new version doesn't start", "Error: exit code 1", "KeyError: 'DB_URL'"), "2 of 3 replicas did become"),
        ([rollout("liveness", "Unhealthy: HTTP 500")], (), "start.version", ("doesn't start", "HTTP 500"), "2 of 3"),
        ([rollout("image_pull", "ErrImagePull: not found")], (), "start.image", ("can't be pulled", "never ran"), ""),
        ([rollout("config", "secret shop not found")], (), "start.config", ("lacks a secret", "secret shop"), ""),
        ([rollout("unschedulable", "0/3 nodes")], (), "start.room", ("no room", "says nothing of the version"), ""),
        ([ENDPOINTS], (), "start.version", ("starts, but doesn't stay up", "OOMKilled", "cache full"), ""),
        ([failed("gate", "Canary gate", "endpoints.missing", "the Deployment web-canary is gone")], (), "start.foreign",
         ("somebody else changed the Deployment", "is gone"), ""),
        ([ratio()], (), "version.errors", ("the new version itself", "4.1 times stable's", "4.1 % against 1 %"), "stable's own error rate was 1 %"),
        ([ratio(0.2, 0.0)], (), "version.errors", ("its error rate is 20 %", "stable's is zero"), ""),
        ([ratio(0.2, 0.002)], (), "version.errors", ("100 times stable's",), ""),
        ([breach("error rate", "error_ratio")], (), "version.errors", ("itself answers with errors",), "not held against stable's"),
        ([breach("core transaction success", "core_transaction_success_ratio", "below 98 %")], (), "version.errors",
         ("breaks core transactions", "below 98 %"), ""),
        ([ratio(), breach("error rate", "error_ratio", track="stable")], (), "both",
         ("not (only) the new version", "stable suffers too", "dependencies and the database"), "4.1 times stable's"),
        ([breach("API p95 latency", "latency_p95_seconds", track="stable")], (), "both", ("not (only) the new version",), ""),
        ([SLOW, SATURATED], (), "resources", ("runs short of resources", "makes it slow"), ""),
        ([breach("OOM kills", "oom_kills"), ratio()], (), "resources", ("needs more memory than it is allowed",), "4.1 times stable's"),
        ([SLOW], (), "version.slow", ("slower", "don't explain it", "900 ms"), ""),
        ([DEPENDENCY, ratio()], (), "dependency", ("a dependency answers too late (payments)", "12 %"), "would hurt stable as well"),
        ([failed("migrate", "Migration 0007-currency", "job.failed", "exited with code 1")], ("0007-currency",),
         "migration.failed", ("migration 0007-currency failed", "exited with code 1"), ""),
        ([failed("verify_migrations", "Verify the data", "job.failed", "12 orders lost")], ("0007-currency",),
         "migration.data", ("0007-currency harmed the data", "or the verification itself is wrong", "12 orders lost"), ""),
        ([breach("slow queries", "postgres_slow_queries", track="")], ("0007-currency",), "migration.slow",
         ("0007-currency makes the database slow",), "own queries may do the same"),
        ([breach("waits for locks", "postgres_lock_waits", track="")], (), "version.queries",
         ("the new version's queries",), "no migration ran"),
        ([failed("shift_traffic", "Shift 5 %", "traffic.foreign_weights", "somebody else has changed it")], (), "router",
         ("says nothing of the version", "somebody else"), ""),
        ([failed("smoke_test", "Journeys at 5 %", "smoke.status", "GET /basket answered 500")], (), "version.journeys",
         ("fails what users do", "answered 500"), ""),
        ([breach("readiness success", "readiness_ratio")], (), "version.journeys", ("fails what users do",), ""),
    ],
)  # fmt: skip
def test_the_evidence_points_to_a_cause_in_words(
    findings: list[Finding], migrations: tuple[str, ...], code: str, words: tuple[str, ...], against: str
) -> None:
    found = hypothesis(
        Case(version="v1.4.0", code="guard.breached", reason="", findings=tuple(findings), migrations=migrations)
    )
    assert found.code == code
    for word in words:
        assert word in found.text
    assert found.rests_on
    assert any(against in words for words in found.against) if against else True


def test_what_fails_besides_stands_beside_the_explanation() -> None:
    found = hypothesis(Case(version="v1", code="", reason="", findings=(rollout("crash_loop"), DEPENDENCY)))
    assert any("payments" in words for words in found.against)
    assert not any("payments" in words for words in found.rests_on)


def test_without_a_failed_check_nothing_is_invented() -> None:
    passed = Finding("gate", "Canary gate", Verdict.passed("error rate", "fine"))
    asked = hypothesis(Case(version="v1", code="rollback.asked", reason="orders fail", findings=(passed,)))
    assert (asked.code, asked.rests_on) == ("person", ())
    assert "no check had failed when a person decided it (orders fail)" in asked.text
    unknown = hypothesis(Case(version="v1", code="prompt.unanswered", reason="nobody answered"))
    assert unknown.code == "unknown"
    assert "nothing that was measured points to a cause" in unknown.text


def test_what_is_unknown_is_no_evidence() -> None:
    silent = Finding("gate", "Canary gate", Verdict.no_data("error rate", "metrics.absent", "no series"))
    assert hypothesis(Case(version="v1", code="x", reason="y", findings=(silent,))).code == "unknown"


_VERDICTS = st.builds(
    Verdict,
    st.text(max_size=30),
    st.sampled_from(Outcome),
    st.sampled_from(["ratio.worse", "rollout.crash_loop", "smoke.status", "dependencies.timeouts", "traffic.x", "y"]),
    st.text(max_size=300),
    st.lists(
        st.builds(
            Evidence,
            name=st.sampled_from(["canary's error ratio", "available", "last lines of the log", "x"]),
            value=st.one_of(st.none(), st.text(max_size=50), st.floats(), st.integers(), st.booleans()),
            source=st.sampled_from(["", "forge:error_ratio:1m", "forge:oom_kills:1m", 'x{track="stable"}']),
        ),
        max_size=3,
    ).map(tuple),
)


@given(
    st.lists(
        st.builds(Finding, st.sampled_from(["guard", "migrate", "gate"]), st.text(max_size=20), _VERDICTS), max_size=6
    )
)
def test_any_findings_give_a_sentence(findings: list[Finding]) -> None:
    found = hypothesis(Case(version="v1.4.0", code="guard.breached", reason="x", findings=tuple(findings)))
    assert found.code
    assert 0 < len(found.text) < 1_500
    assert all(len(words) < 700 for words in (*found.rests_on, *found.against))
