import pytest

from runbook.ports import CiCheck
from runbook.rules.ci import judge_ci
from runbook.verdicts import Outcome
from tests.runbook.fakes import COMMIT

GREEN, RED, PENDING = (
    CiCheck("unit", "success"),
    CiCheck("security", "failure", "https://ci/7"),
    CiCheck("e2e", "pending"),
)


@pytest.mark.parametrize(
    ("checks", "required", "outcome", "code"),
    [
        ([GREEN], (), Outcome.PASS, "ok"),
        ([GREEN, RED], (), Outcome.FAIL, "ci.red"),
        ([RED, PENDING], (), Outcome.FAIL, "ci.red"),
        ([GREEN, PENDING], (), Outcome.NO_DATA, "ci.pending"),
        ([], (), Outcome.NO_DATA, "ci.none"),
        ([GREEN], ("unit", "security"), Outcome.NO_DATA, "ci.required_missing"),
        ([], ("unit",), Outcome.NO_DATA, "ci.required_missing"),
        ([GREEN, RED], ("unit",), Outcome.PASS, "ok"),
        ([CiCheck("unit", "stale")], (), Outcome.NO_DATA, "ci.pending"),
    ],
)
def test_only_green_checks_open_the_gate(
    checks: list[CiCheck], required: tuple[str, ...], outcome: Outcome, code: str
) -> None:
    verdict = judge_ci(checks, required, COMMIT)
    assert (verdict.outcome, verdict.code) == (outcome, code)


def test_red_checks_are_named_with_where_to_read_on() -> None:
    verdict = judge_ci([GREEN, RED], (), COMMIT)
    assert "security failed" in verdict.reason
    assert "https://ci/7" in verdict.remedy


def test_the_same_name_must_be_green_as_check_run_and_as_status() -> None:
    assert judge_ci([GREEN, CiCheck("unit", "failure")], ("unit",), COMMIT).code == "ci.red"


def test_a_hundred_red_checks_make_no_endless_sentence() -> None:
    verdict = judge_ci([CiCheck(f"check-{i}", "failure") for i in range(100)], (), COMMIT)
    assert "and 92 more failed" in verdict.reason
