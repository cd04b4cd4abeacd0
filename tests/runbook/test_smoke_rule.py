from dataclasses import replace

import pytest

from runbook.policy import SmokeRequest
from runbook.ports import HttpAnswer
from runbook.rules.smoke import judge_answer, redacted
from runbook.verdicts import Outcome

URL = "http://shop/api/orders"
REQUEST = SmokeRequest(name="order", path="/api/orders", method="POST", json_subset={"ok": True}, body_contains="paid")
BODY = '{"ok": true, "state": "paid"}'


def judged(answer: HttpAnswer, request: SmokeRequest = REQUEST) -> tuple[Outcome, str]:
    verdict = judge_answer(request, answer, URL)
    return verdict.outcome, verdict.code


def test_the_expected_answer_passes() -> None:
    assert judged(HttpAnswer(200, 0.02, BODY)) == (Outcome.PASS, "ok")


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (HttpAnswer(None, 5.0, error="timed out"), "smoke.no_answer"),
        (HttpAnswer(500, 0.1, "oops"), "smoke.status"),
        (HttpAnswer(302, 0.1, ""), "smoke.status"),
        (HttpAnswer(404, 0.1, ""), "smoke.status"),
        (HttpAnswer(200, 0.1, "<html>paid</html>"), "smoke.json"),
        (HttpAnswer(200, 0.1, '["paid"]'), "smoke.json"),
        (HttpAnswer(200, 0.1, '{"state": "paid"}'), "smoke.json"),
        (HttpAnswer(200, 0.1, '{"ok": 1, "state": "paid"}'), "smoke.json"),
        (HttpAnswer(200, 0.1, '{"ok": true}'), "smoke.body"),
    ],
)
def test_every_other_answer_has_its_own_name(answer: HttpAnswer, code: str) -> None:
    assert judged(answer) == (Outcome.FAIL, code)


def test_a_health_endpoint_that_is_optional_may_answer_404_and_nothing_else() -> None:
    request = SmokeRequest(name="startup", path="/health/startup", optional=True)
    assert judged(HttpAnswer(404, 0.1), request) == (Outcome.PASS, "smoke.not_there")
    assert judged(HttpAnswer(503, 0.1), request) == (Outcome.FAIL, "smoke.status")
    assert judged(HttpAnswer(None, 0.1, error="refused"), request) == (Outcome.FAIL, "smoke.no_answer")


def test_whole_numbers_equal_their_floats() -> None:
    request = replace(REQUEST, json_subset={"n": 1}, body_contains="")
    assert judged(HttpAnswer(200, 0.1, '{"n": 1.0}'), request)[0] is Outcome.PASS


def test_the_body_in_the_evidence_is_short() -> None:
    verdict = judge_answer(REQUEST, HttpAnswer(500, 0.1, "x" * 60_000), URL)
    assert max(len(str(e.value)) for e in verdict.evidence) == 200
    assert len(verdict.reason) < 400


@pytest.mark.parametrize(
    "echo",
    [
        "Authorization: Bearer s3cr3t-value",
        '{"access_token": "s3cr3t-value", "ok": true}',
        '{"password":"s3cr3t-value"}',
        '{"api_key": "s3cr3t-value',
    ],
)
def test_a_secret_that_the_service_echoes_is_not_quoted(echo: str) -> None:
    assert "s3cr3t-value" not in redacted(echo)
    assert "s3cr3t-value" not in str(judge_answer(REQUEST, HttpAnswer(500, 0.1, echo), URL))
