"""The columns of `kubectl get`, computed by the server as in pkg/printers/internalversion."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sandbox.kubernetes.objects import Obj, at, condition, is_deleting, moment_of, name_of
from sandbox.kubernetes.selectors import selector_text


@dataclass(frozen=True)
class Column:
    """One column. priority: 0 is always shown, 1 only with `-o wide`."""

    name: str
    value: Callable[[Obj], Any]
    priority: int = 0
    type: str = "string"
    format: str = ""


def table(columns: Sequence[Column], objects: Sequence[Obj], metadata: Obj, include: str) -> Obj:
    """A meta.k8s.io/v1 Table. include: `Metadata` (default), `Object` or `None`: what each row carries along."""
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": [
            {"name": c.name, "type": c.type, "format": c.format, "description": c.name, "priority": c.priority}
            for c in columns
        ],
        "rows": [{"cells": [c.value(obj) for c in columns], **_carried(obj, include)} for obj in objects],
    }


def partial(obj: Obj) -> Obj:
    """A PartialObjectMetadata."""
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": obj["metadata"]}


def _carried(obj: Obj, include: str) -> Obj:
    match include:
        case "Object":
            return {"object": obj}
        case "None":
            return {}
        case _:
            return {"object": partial(obj)}


def age(text: str | None) -> str:
    """The time since then as kubectl shortens it (k8s.io/apimachinery/pkg/util/duration.HumanDuration)."""
    return shortened(datetime.now(UTC) - moment_of(text)) if text else "<unknown>"


def shortened(duration: timedelta) -> str:
    seconds = int(duration.total_seconds())
    if seconds < 120:
        return f"{max(seconds, 0)}s"
    minutes = seconds // 60
    if minutes < 10:
        return f"{minutes}m{seconds % 60}s" if seconds % 60 else f"{minutes}m"
    if minutes < 180:
        return f"{minutes}m"
    hours = minutes // 60
    if hours < 8:
        return f"{hours}h{minutes % 60}m" if minutes % 60 else f"{hours}h"
    return f"{hours}h" if hours < 48 else f"{hours // 24}d"


def _created(obj: Obj) -> str:
    return age(obj["metadata"].get("creationTimestamp"))


def _path(path: str, missing: Any = "<none>") -> Callable[[Obj], Any]:
    def value(obj: Obj) -> Any:
        found = at(obj, path)
        return missing if found is None else found

    return value


def _containers(field: str) -> Callable[[Obj], str]:
    return lambda obj: ",".join(str(c.get(field, "")) for c in at(obj, "spec.template.spec.containers") or ())


NAME = Column("Name", name_of, format="name")
AGE = Column("Age", _created)
NAME_AND_AGE = (NAME, Column("Created At", lambda obj: obj["metadata"].get("creationTimestamp")))
WORKLOAD = (
    Column("Containers", _containers("name"), 1),
    Column("Images", _containers("image"), 1),
    Column("Selector", lambda obj: selector_text(at(obj, "spec.selector")), 1),
)
DEPLOYMENT = (
    NAME,
    Column("Ready", lambda obj: f"{at(obj, 'status.readyReplicas') or 0}/{at(obj, 'spec.replicas') or 0}"),
    Column("Up-to-date", _path("status.updatedReplicas", 0), type="integer"),
    Column("Available", _path("status.availableReplicas", 0), type="integer"),
    AGE,
    *WORKLOAD,
)
REPLICA_SET = (
    NAME,
    Column("Desired", _path("spec.replicas", 0), type="integer"),
    Column("Current", _path("status.replicas", 0), type="integer"),
    Column("Ready", _path("status.readyReplicas", 0), type="integer"),
    AGE,
    *WORKLOAD,
)


def _pod_ready(pod: Obj) -> str:
    ready = sum(1 for status in at(pod, "status.containerStatuses") or () if status.get("ready"))
    return f"{ready}/{len(pod['spec']['containers'])}"


def pod_status(pod: Obj) -> str:
    """What kubectl shows as STATUS: the most telling of phase, waiting and terminated reasons."""
    reason = at(pod, "status.reason") or at(pod, "status.phase") or "Unknown"
    has_running = False
    for status in reversed(at(pod, "status.containerStatuses") or []):
        state = status.get("state") or {}
        if (state.get("waiting") or {}).get("reason"):
            reason = state["waiting"]["reason"]
        elif "terminated" in state:
            reason = state["terminated"].get("reason") or f"ExitCode:{state['terminated']['exitCode']}"
        elif status.get("ready") and "running" in state:
            has_running = True
    if reason == "Completed" and has_running:
        reason = "Running"
    return "Terminating" if is_deleting(pod) else str(reason)


def _restarts(pod: Obj) -> str:
    statuses = at(pod, "status.containerStatuses") or ()
    count = sum(status.get("restartCount", 0) for status in statuses)
    ends = [at(status, "lastState.terminated.finishedAt") for status in statuses]
    last = max((end for end in ends if end), default=None)
    return f"{count} ({age(last)} ago)" if count and last else str(count)


POD = (
    NAME,
    Column("Ready", _pod_ready),
    Column("Status", pod_status),
    Column("Restarts", _restarts),
    AGE,
    Column("IP", _path("status.podIP"), 1),
    Column("Node", _path("spec.nodeName"), 1),
    Column("Nominated Node", _path("status.nominatedNodeName"), 1),
    Column("Readiness Gates", lambda _: "<none>", 1),
)
EVENT = (
    Column("Last Seen", lambda obj: age(obj.get("lastTimestamp"))),
    Column("Type", _path("type", "")),
    Column("Reason", _path("reason", "")),
    Column("Object", lambda obj: f"{at(obj, 'involvedObject.kind').lower()}/{at(obj, 'involvedObject.name')}"),
    Column("Subobject", _path("involvedObject.fieldPath", ""), 1),
    Column("Source", _path("source.component", ""), 1),
    Column("Message", lambda obj: str(obj.get("message", "")).strip()),
    Column("First Seen", lambda obj: age(obj.get("firstTimestamp")), 1),
    Column("Count", _path("count", 1), 1, type="integer"),
    Column("Name", name_of, 1, format="name"),
)


def job_status(job: Obj) -> str:
    """What kubectl shows as STATUS (pkg/printers/internalversion, printJob)."""
    held = {entry["type"] for entry in at(job, "status.conditions") or () if entry["status"] == "True"}
    if "Complete" in held or "Failed" in held:
        return "Complete" if "Complete" in held else "Failed"
    if is_deleting(job):
        return "Terminating"
    return next((kind for kind in ("Suspended", "FailureTarget", "SuccessCriteriaMet") if kind in held), "Running")


def _job_duration(job: Obj) -> str:
    started, completed = at(job, "status.startTime"), at(job, "status.completionTime")
    if not started:
        return ""
    return shortened(moment_of(completed) - moment_of(started)) if completed else age(started)


JOB = (
    NAME,
    Column("Status", job_status),
    Column("Completions", lambda obj: f"{at(obj, 'status.succeeded') or 0}/{at(obj, 'spec.completions') or 1}"),
    Column("Duration", _job_duration),
    AGE,
    *WORKLOAD,
)


def _ports(service: Obj) -> str:
    ports = at(service, "spec.ports") or ()
    return ",".join(f"{port['port']}/{port.get('protocol', 'TCP')}" for port in ports) or "<none>"


def _service_selector(service: Obj) -> str:
    pairs = sorted((at(service, "spec.selector") or {}).items())
    return ",".join(f"{key}={value}" for key, value in pairs) or "<none>"


SERVICE = (
    NAME,
    Column("Type", _path("spec.type")),
    Column("Cluster-IP", _path("spec.clusterIP")),
    Column("External-IP", lambda _: "<none>"),
    Column("Port(s)", _ports),
    AGE,
    Column("Selector", _service_selector, 1),
)
NAMESPACE = (NAME, Column("Status", _path("status.phase")), AGE)
CONFIG_MAP = (NAME, Column("Data", lambda obj: len(obj.get("data") or {}), type="integer"), AGE)
SECRET = (NAME, Column("Type", _path("type")), Column("Data", lambda o: len(o.get("data") or {}), type="integer"), AGE)
LEASE = (NAME, Column("Holder", _path("spec.holderIdentity")), AGE)


# Columns of custom resources (additionalPrinterColumns) show JSON, and nothing where their path leads nowhere.


def _hostnames(route: Obj) -> str | None:
    found = at(route, "spec.hostnames")
    return None if found is None else json.dumps(found, separators=(",", ":"))


def _programmed(gateway: Obj) -> str | None:
    found = condition(gateway, "Programmed")
    return None if found is None else str(found["status"])


def _address(gateway: Obj) -> str | None:
    return next((str(each["value"]) for each in at(gateway, "status.addresses") or ()), None)


HTTP_ROUTE = (NAME, Column("Hostnames", _hostnames), AGE)
GATEWAY = (
    NAME,
    Column("Class", _path("spec.gatewayClassName", None)),
    Column("Address", _address),
    Column("Programmed", _programmed),
    AGE,
)
