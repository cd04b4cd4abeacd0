"""Whether every pod of a canary serves: Available by its readiness probe, alive by its liveness probe, without a crash.

Runbook: Required Endpoints, Production Deployment 5.
"""

from __future__ import annotations

from runbook.ports import Deployment, Rollout
from runbook.rules.workloads import is_sure, trouble_evidence, trouble_words
from runbook.verdicts import Evidence, Verdict
from runbook.wording import listing

GATE = "readiness and liveness"


def judge_endpoints(
    name: str, deployment: Deployment | None, rollout: Rollout | None, trouble_within_s: float
) -> Verdict:
    """name: of the canary's Deployment. trouble_within_s: how long a trouble may last before it is one.

    FAIL `endpoints.<kind of trouble>`, `endpoints.no_pods`, `endpoints.missing`. NO_DATA `endpoints.not_available` while pods that say
    nothing of the release (being moved, not scheduled) are missing, or a trouble is too young.
    """
    gate, source = f"{GATE}: {name}", f"deployment/{name}"
    if deployment is None or rollout is None:
        return Verdict.failed(
            gate, "endpoints.missing", f"the Deployment {name} is gone", Evidence(name=name, value=None, source=source)
        )
    evidence = (
        Evidence(name="Available", value=rollout.available, limit=rollout.desired, unit="count", source=source),
        *_probes(deployment),
    )
    counts = f"{rollout.available} of {rollout.desired} pods of {name} are Available"
    if sure := [trouble for trouble in rollout.troubles if is_sure(trouble, trouble_within_s)]:
        worst = max(sure, key=lambda t: (t.restarts, t.since_s))
        reason = f"{counts}; {trouble_words(worst)}"
        return Verdict.failed(gate, f"endpoints.{worst.kind}", reason, *evidence, *trouble_evidence(sure))
    if rollout.desired < 1:
        return Verdict.failed(gate, "endpoints.no_pods", f"{name} is scaled to 0 replicas: nothing runs", *evidence)
    if rollout.complete and not rollout.troubles:
        return Verdict.passed(gate, f"{counts}: {_asked(deployment)}", *evidence)
    known = f"; {trouble_words(rollout.troubles[0])}" if rollout.troubles else ""
    remedy = "Look whether the cluster moves or can't place its pods"
    said = trouble_evidence(rollout.troubles)
    return Verdict.no_data(gate, "endpoints.not_available", f"{counts}{known}", *evidence, *said, remedy=remedy)


def _asked(deployment: Deployment) -> str:
    """The probes whose answers Kubernetes goes by."""
    probed = [c for c in deployment.containers if c.live_path or c.ready_path]
    words = [
        f"{what} by GET {path}"
        for what, path in (
            ("alive", next((c.live_path for c in probed if c.live_path), None)),
            ("ready", next((c.ready_path for c in probed if c.ready_path), None)),
        )
        if path
    ]
    return listing(words) or "without probes by HTTP"


def _probes(deployment: Deployment) -> list[Evidence]:
    found = []
    for container in deployment.containers:
        for probe, path in (("livenessProbe", container.live_path), ("readinessProbe", container.ready_path)):
            if path:
                source = f"deployment/{deployment.name}, container {container.name}"
                found.append(Evidence(name=probe, value=f"GET {path}", source=source))
    return found
