"""Whether a Deployment can be deployed to, and whether its rollout goes well. Runbook: Required Endpoints, Staging Deployment 2."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from runbook.policy import HealthPaths, Workload
from runbook.ports import ContainerSpec, Deployment, PodTrouble, Rollout
from runbook.redaction import redacted
from runbook.values import FrozenImage
from runbook.verdicts import Evidence, Verdict
from runbook.wording import duration, listing, shortened

DEPLOYABLE_GATE = "workloads deployable"
_LOG_LIMIT = 500
_MESSAGE_LIMIT = 300
SURE_AT_ONCE_RESTARTS = 2  # one restart may be a blip: a dependency that came up later

_SHARE_OF_LIMIT = {"crash_loop": 1 / 3, "image_pull": 1 / 3, "config": 1 / 3, "liveness": 3 / 4, "not_ready": 3 / 4}
"""How long a trouble must have lasted, as a share of trouble_within_s, to be no blip; the rest is for noticing and naming it.

An unschedulable pod, and one that merely is not ready yet, say nothing of the release: for them the time-out is enough.
"""

_WORDS = {
    "crash_loop": "crashes again and again",
    "image_pull": "can't pull its image",
    "config": "can't be started",
    "liveness": "fails its liveness probe",
    "not_ready": "is not ready",
    "unschedulable": "can't be scheduled",
}
_REMEDIES = {
    "image_pull": "Check that the digest exists in the registry and that the cluster may pull it",
    "config": "Check the secrets, config maps, volumes and quotas that the pod names",
}


def judge_deployable(workload: Workload, deployment: Deployment | None, health: HealthPaths) -> tuple[Verdict, ...]:
    """Every obstacle is a verdict of its own; without one, a single PASS."""
    name = workload.name
    if deployment is None:
        remedy = "Create it once by hand or by its manifests; forge changes images only"
        return (_no("workload.missing", f"the Deployment {name} doesn't exist", name, remedy=remedy),)
    obstacles = []
    if deployment.owner:
        reason = f"{deployment.owner} owns the image of {name} and would undo every change"
        remedy = f"Deploy it by way of {deployment.owner}, or take {name} out of its care"
        obstacles.append(_no("workload.gitops_owned", reason, name, deployment.owner, remedy))
    if deployment.replicas < 1:
        remedy = f"Scale it up: kubectl scale deployment/{shlex.quote(name)} --replicas=1"
        obstacles.append(_no("workload.no_replicas", f"{name} is scaled to 0 replicas", name, 0, remedy))
    container = next((c for c in deployment.containers if c.name == workload.container), None)
    if container is None:
        reason = (
            f"{name} has no container {workload.container}; it has {listing(c.name for c in deployment.containers)}"
        )
        remedy = "Correct the container's name in the service's configuration"
        obstacles.append(_no("workload.no_container", reason, name, workload.container, remedy))
    else:
        obstacles.extend(_probe_obstacles(name, container, health))
    if obstacles:
        return tuple(obstacles)
    evidence = Evidence(name=name, value=deployment.replicas, unit="count", source=f"deployment/{name}")
    return (Verdict.passed(DEPLOYABLE_GATE, f"{name} has both probes and {deployment.replicas} replicas", evidence),)


def _no(code: str, reason: str, name: str, value: str | int | None = None, remedy: str = "") -> Verdict:
    evidence = Evidence(name=name, value=value, source=f"deployment/{name}")
    return Verdict.failed(DEPLOYABLE_GATE, code, reason, evidence, remedy=remedy)


def _probe_obstacles(name: str, container: ContainerSpec, health: HealthPaths) -> list[Verdict]:
    """The probes are the runbook's failure actions: restart the pod; take it from the load balancer."""
    obstacles = []
    for probe, found, wanted in (
        ("livenessProbe", container.live_path, health.live),
        ("readinessProbe", container.ready_path, health.ready),
    ):
        if found == wanted:
            continue
        what = f"no {probe} by httpGet" if found is None else f"its {probe} on {found}"
        reason = f"{name}, container {container.name}, has {what}; the runbook asks for {wanted}"
        remedy = f"Add to the container: {probe}: {{httpGet: {{path: {wanted}, port: …}}}}"
        code = "workload.no_probe" if found is None else "workload.probe_path"
        evidence = Evidence(name=probe, value=found, limit=wanted, source=f"deployment/{name}")
        obstacles.append(Verdict.failed(DEPLOYABLE_GATE, code, reason, evidence, remedy=remedy))
    return obstacles


def judge_running(image: FrozenImage, deployment: Deployment | None, rollout: Rollout | None) -> Verdict:
    """The Deployment is told to run this very digest, its rollout is over, and no pod of an older ReplicaSet is left."""
    gate = f"running: {image.workload}"
    found = None if deployment is None else deployment.image_of(image.container)
    evidence = Evidence(name="image", value=found, limit=image.reference, source=f"deployment/{image.workload}")
    remedy = f"Deploy {image.tag} first, and wait until it is complete"
    if found != image.reference:
        reason = f"{image.workload} runs {found or 'nothing'}, not {image.tag}"
        return Verdict.failed(gate, "running.other", reason, evidence, remedy=remedy)
    if rollout is None or not rollout.complete:
        reason = f"{image.workload} still has pods of another version, or too few of {image.tag}"
        return Verdict.failed(gate, "running.incomplete", reason, evidence, remedy=remedy)
    return Verdict.passed(gate, f"{image.workload} runs {image.tag} and nothing else", evidence)


def judge_rollout(
    name: str, rollout: Rollout, elapsed_s: float, timeout_s: float, trouble_within_s: float
) -> Verdict | None:
    """None: go on waiting. elapsed_s: since the image was set.

    A crash loop, an image that can't be pulled or failing probes are named well within trouble_within_s of their beginning, in
    Kubernetes' own words; a single restart is not enough. Source: reference/progressive-delivery, "direct evidence".
    """
    gate = f"rollout of {name}"
    evidence = (
        Evidence(name="available", value=rollout.available, limit=rollout.desired, unit="count", source=f"deployment/{name}"),
        Evidence(name="updated", value=rollout.updated, limit=rollout.desired, unit="count", source=f"deployment/{name}"),
        Evidence(name="elapsed", value=round(elapsed_s, 1), limit=timeout_s, unit="s"),
    )  # fmt: skip
    counts = f"{rollout.available} of {rollout.desired} replicas are Available"
    if rollout.complete:
        if rollout.desired < 1:
            return Verdict.failed(
                gate, "rollout.no_replicas", f"{name} is scaled to 0 replicas: nothing runs", *evidence
            )
        return Verdict.passed(gate, f"{counts} after {duration(elapsed_s)}", *evidence)
    sure = [t for t in rollout.troubles if is_sure(t, trouble_within_s)]
    if sure:
        trouble = max(sure, key=lambda t: (t.restarts, t.since_s))
        reason = f"{counts}; {trouble_words(trouble)}"
        remedy = _REMEDIES.get(trouble.kind, "Read the log, mend the cause and tag the next candidate")
        return Verdict.failed(
            gate, f"rollout.{trouble.kind}", reason, *evidence, *trouble_evidence(sure), remedy=remedy
        )
    known = f"; {trouble_words(rollout.troubles[0])}" if rollout.troubles else ""
    said = trouble_evidence(rollout.troubles)
    if rollout.observed and rollout.deadline_exceeded:
        reason = f"{counts}; Kubernetes gave up waiting (ProgressDeadlineExceeded) after {duration(elapsed_s)}{known}"
        return Verdict.failed(gate, "rollout.deadline_exceeded", reason, *evidence, *said)
    if elapsed_s >= timeout_s:
        reason = f"{counts} after {duration(elapsed_s)}, the limit is {duration(timeout_s)}{known}"
        return Verdict.failed(gate, "rollout.timeout", reason, *evidence, *said)
    return None


def is_sure(trouble: PodTrouble, trouble_within_s: float) -> bool:
    """Whether it tells of the release, and has lasted too long for a blip."""
    share = _SHARE_OF_LIMIT.get(trouble.kind)
    if share is None or (trouble.kind == "not_ready" and not trouble.container):
        return False
    if trouble.kind in ("crash_loop", "liveness") and trouble.restarts >= SURE_AT_ONCE_RESTARTS:
        return True
    return trouble.since_s >= share * trouble_within_s


def trouble_words(trouble: PodTrouble) -> str:
    """One sentence with Kubernetes' own reason and message."""
    where = listing([w for w in (trouble.pod, trouble.container) if w]) or "the workload"
    message = shortened(redacted(trouble.message.strip()), _MESSAGE_LIMIT)
    own = ": ".join(part for part in (trouble.reason, message) if part)
    lasting = f" for {duration(trouble.since_s)}" if trouble.since_s >= 1 else ""
    times = f", {trouble.restarts} restarts" if trouble.restarts > 1 else ""
    return f"{where} {_WORDS.get(trouble.kind, trouble.kind)}{lasting}{times} ({own or 'no reason given'})"


def trouble_evidence(troubles: Sequence[PodTrouble]) -> tuple[Evidence, ...]:
    """The first three, each with the last lines of its log."""
    facts = []
    for trouble in troubles[:3]:
        words = ": ".join(w for w in (trouble.reason, shortened(redacted(trouble.message), _MESSAGE_LIMIT)) if w)
        facts.append(Evidence(name=trouble.kind, value=words, source=f"pod/{trouble.pod}", samples=trouble.restarts))
        if trouble.log_tail:
            tail = redacted(trouble.log_tail)[-_LOG_LIMIT:]
            facts.append(Evidence(name="last lines of the log", value=tail, source=f"pod/{trouble.pod}"))
    return tuple(facts)
