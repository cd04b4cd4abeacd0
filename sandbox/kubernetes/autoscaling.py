"""HorizontalPodAutoscalers: what the API server fills in and refuses, and what kubectl shows."""

from __future__ import annotations

from sandbox.kubernetes.columns import AGE, NAME, Column
from sandbox.kubernetes.objects import Obj, at
from sandbox.kubernetes.status import Cause, invalid_value, required

CPU_80 = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}


def defaults(obj: Obj) -> None:
    """pkg/apis/autoscaling/v2/defaults.go: at least one pod, 80 % of the CPU that is asked for."""
    spec = obj.setdefault("spec", {})
    if spec.get("minReplicas") is None:
        spec["minReplicas"] = 1
    if not spec.get("metrics"):
        spec["metrics"] = [CPU_80]


def validate(new: Obj, _: Obj | None) -> list[Cause]:
    """pkg/apis/autoscaling/validation."""
    spec, causes = new["spec"], []
    least, most = spec["minReplicas"], spec.get("maxReplicas") or 0
    if least < 1:
        causes.append(invalid_value("spec.minReplicas", least, "must be greater than or equal to 1"))
    if most < 1:
        causes.append(invalid_value("spec.maxReplicas", most, "must be greater than 0"))
    elif most < least:
        causes.append(invalid_value("spec.maxReplicas", most, "must be greater than or equal to `minReplicas`"))
    target = spec.get("scaleTargetRef") or {}
    return causes + [required(f"spec.scaleTargetRef.{name}") for name in ("kind", "name") if not target.get(name)]


def _reference(obj: Obj) -> str:
    target = obj["spec"]["scaleTargetRef"]
    return f"{target['kind']}/{target['name']}"


def _targets(obj: Obj) -> str:
    current = {at(each, "resource.name"): each for each in at(obj, "status.currentMetrics") or ()}
    shown = []
    for metric in obj["spec"]["metrics"]:
        name = at(metric, "resource.name")
        now = at(current.get(name) or {}, "resource.current.averageUtilization")
        wanted = at(metric, "resource.target.averageUtilization")
        shown.append(f"{name}: {'<unknown>' if now is None else f'{now}%'}/{wanted}%")
    return ", ".join(shown)


COLUMNS = (
    NAME,
    Column("Reference", _reference),
    Column("Targets", _targets),
    Column("MinPods", lambda obj: str(obj["spec"]["minReplicas"])),
    Column("MaxPods", lambda obj: obj["spec"]["maxReplicas"], type="integer"),
    Column("Replicas", lambda obj: at(obj, "status.currentReplicas") or 0, type="integer"),
    AGE,
)
