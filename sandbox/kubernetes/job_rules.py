"""What the API server fills into a Job and what it refuses (pkg/apis/batch/v1/defaults.go, batch/validation, registry/batch/job)."""

from __future__ import annotations

from typing import Any

from sandbox.kubernetes import defaults as pods
from sandbox.kubernetes import validation
from sandbox.kubernetes.objects import Obj, at, labels_of
from sandbox.kubernetes.status import Cause, invalid_value, required, unsupported_value

CONTROLLER_UID, JOB_NAME = "batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name"
IMMUTABLE = ("completions", "selector", "template", "completionMode", "podReplacementPolicy")
NOT_SERVED = ("podFailurePolicy", "successPolicy", "backoffLimitPerIndex", "maxFailedIndexes", "managedBy")


def defaults(obj: Obj) -> None:
    spec = obj.setdefault("spec", {})
    if spec.get("completions") is None and spec.get("parallelism") is None:
        spec["completions"] = 1
    spec.setdefault("parallelism", 1)
    spec.setdefault("backoffLimit", 6)
    spec.setdefault("completionMode", "NonIndexed")
    spec.setdefault("suspend", False)
    spec.setdefault("podReplacementPolicy", "TerminatingOrFailed")
    template = spec.setdefault("template", {})
    template.setdefault("metadata", {}).setdefault("creationTimestamp", None)
    pods.pod_spec(template.setdefault("spec", {}))
    _selector(obj, spec, template)
    if not obj["metadata"].get("labels"):
        obj["metadata"]["labels"] = dict(template["metadata"]["labels"])


def _selector(obj: Obj, spec: Obj, template: Obj) -> None:
    """Pods are found by the Job's uid; the older names of the same labels are still set."""
    uid, name = obj["metadata"]["uid"], obj["metadata"].get("name", "")
    labels = template["metadata"].setdefault("labels", {})
    for key, value in ((CONTROLLER_UID, uid), (JOB_NAME, name), ("controller-uid", uid), ("job-name", name)):
        labels.setdefault(key, value)
    spec.setdefault("selector", {"matchLabels": {CONTROLLER_UID: uid}})


def validate(new: Obj, old: Obj | None) -> list[Cause]:
    spec = new["spec"]
    causes = [
        invalid_value(f"spec.{name}", spec[name], f"must be greater than or equal to {least}")
        for name, least in (
            ("parallelism", 0), ("completions", 0), ("backoffLimit", 0), ("ttlSecondsAfterFinished", 0), ("activeDeadlineSeconds", 1),
        )
        if isinstance(spec.get(name), int) and spec[name] < least
    ]  # fmt: skip
    if spec["selector"] != {"matchLabels": {CONTROLLER_UID: new["metadata"]["uid"]}}:
        causes.append(invalid_value("spec.selector", spec["selector"], "`selector` not auto-generated"))
    template = spec["template"]
    causes += validation.labels(labels_of(template), "spec.template.metadata.labels")
    causes += validation.pod_spec(template["spec"], "spec.template.spec")
    causes += _policy(at(template, "spec.restartPolicy"))
    if old is not None:
        causes += [
            invalid_value(f"spec.{name}", spec.get(name) or "", "field is immutable")
            for name in IMMUTABLE
            if spec.get(name) != old["spec"].get(name)
        ]
    return causes + _not_served(spec)


def _policy(policy: Any) -> list[Cause]:
    if policy == "Always":
        return [required("spec.template.spec.restartPolicy", 'valid values: "OnFailure", "Never"')]
    if policy not in ("OnFailure", "Never"):
        return [unsupported_value("spec.template.spec.restartPolicy", policy, ("OnFailure", "Never"))]
    return []


def _not_served(spec: Obj) -> list[Cause]:
    """What a real cluster can do and this one can't is refused rather than ignored."""
    said = "is not served by the sandbox's Job controller"
    causes = [invalid_value(f"spec.{name}", spec[name], said) for name in NOT_SERVED if spec.get(name) is not None]
    if spec["suspend"]:
        causes.append(invalid_value("spec.suspend", spec["suspend"], said))
    if spec["completionMode"] != "NonIndexed":
        causes.append(unsupported_value("spec.completionMode", spec["completionMode"], ("NonIndexed",)))
    return causes
