"""Whether one answer is what a smoke request expects. Runbook: post-deploy smoke tests. Never quotes a secret."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from runbook.policy import SmokeRequest
from runbook.ports import HttpAnswer
from runbook.redaction import redacted
from runbook.verdicts import Evidence, Verdict
from runbook.wording import duration, listing, shortened

BODY_LIMIT = 200


def judge_answer(request: SmokeRequest, answer: HttpAnswer, url: str) -> Verdict:
    """Status, JSON and text are as expected. Codes: `smoke.no_answer`, `smoke.status`, `smoke.json`, `smoke.body`."""
    gate = f"smoke: {request.name}"
    said = f"{request.method} {request.path}"
    evidence = Evidence(
        name="status", value=answer.status, limit=" or ".join(map(str, request.statuses)),
        source=f"{request.method} {url}",
    )  # fmt: skip
    took = Evidence(name="latency", value=round(answer.latency_s, 4), limit=request.timeout_s, unit="s")
    if answer.status is None:
        reason = f"{said} got no answer: {shortened(redacted(answer.error), BODY_LIMIT) or 'no reason known'}"
        return Verdict.failed(gate, "smoke.no_answer", reason, evidence, took)
    if request.optional and answer.status == 404:
        return Verdict.passed(
            gate, f"{said} is not offered (404), and needn't be", evidence, took, code="smoke.not_there"
        )
    body = Evidence(name="body", value=shortened(redacted(answer.body), BODY_LIMIT))
    if answer.status not in request.statuses:
        reason = f"{said} answered {answer.status}, expected {listing(map(str, request.statuses), 'or')}"
        return Verdict.failed(gate, "smoke.status", reason, evidence, took, body)
    if request.json_subset and (differences := _json_differences(request.json_subset, answer.body)):
        reason = f"{said} answered {answer.status}, but {listing(differences)}"
        return Verdict.failed(gate, "smoke.json", reason, evidence, took, body)
    if request.body_contains and request.body_contains not in answer.body:
        wanted = shortened(request.body_contains, BODY_LIMIT)
        reason = f"{said} answered {answer.status}, but without {wanted!r} in its body"
        return Verdict.failed(gate, "smoke.body", reason, evidence, took, body)
    return Verdict.passed(gate, f"{said} answered {answer.status} in {duration(answer.latency_s)}", evidence, took)


def _json_differences(wanted: Mapping[str, object], body: str) -> list[str]:
    try:
        found: Any = json.loads(body)
    except ValueError:
        return ["its body is no JSON"]
    if not isinstance(found, dict):
        return ["its body is no JSON object"]
    differences = []
    for key, value in wanted.items():
        if key not in found:
            differences.append(f"{key!r} is missing")
        elif not _equal(found[key], value):
            shown = shortened(redacted(json.dumps({key: found[key]})), BODY_LIMIT)
            differences.append(f"it has {shown}, expected {key!r} to be {json.dumps(value)}")
    return differences


def _equal(one: object, other: object) -> bool:
    """As JSON: `true` is not 1, though Python says so."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True) or (
        one == other and not isinstance(one, bool) and not isinstance(other, bool)
    )
