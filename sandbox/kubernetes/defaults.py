"""What the API server fills in when an object leaves it open (pkg/apis/core/v1/defaults.go, apps/v1/defaults.go)."""

from __future__ import annotations

import base64

from sandbox.kubernetes.objects import Obj, labels_of, safe_hash

PROBE_KINDS = ("livenessProbe", "readinessProbe", "startupProbe")


def deployment(obj: Obj) -> None:
    spec = obj.setdefault("spec", {})
    spec.setdefault("replicas", 1)
    spec.setdefault("revisionHistoryLimit", 10)
    spec.setdefault("progressDeadlineSeconds", 600)
    strategy = spec.setdefault("strategy", {})
    if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", "25%")
        rolling.setdefault("maxSurge", "25%")
    _template(spec)


def replica_set(obj: Obj) -> None:
    spec = obj.setdefault("spec", {})
    spec.setdefault("replicas", 1)
    _template(spec)
    template_labels = labels_of(spec["template"])
    if template_labels and not obj["metadata"].get("labels"):
        obj["metadata"]["labels"] = dict(template_labels)


def _template(spec: Obj) -> None:
    template = spec.setdefault("template", {})
    template.setdefault("metadata", {}).setdefault("creationTimestamp", None)
    pod_spec(template.setdefault("spec", {}))


def pod(obj: Obj) -> None:
    spec = obj.setdefault("spec", {})
    pod_spec(spec)
    spec.setdefault("enableServiceLinks", True)
    spec.setdefault("preemptionPolicy", "PreemptLowerPriority")
    spec.setdefault("priority", 0)
    spec.setdefault("serviceAccountName", "default")
    spec.setdefault("serviceAccount", spec["serviceAccountName"])
    obj.setdefault("status", {}).setdefault("phase", "Pending")
    obj["status"].setdefault("qosClass", _qos_class(spec))


def pod_spec(spec: Obj) -> None:
    for part in ("containers", "initContainers"):
        for entry in spec.get(part) or ():
            if isinstance(entry, dict):
                _container(entry)
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("schedulerName", "default-scheduler")
    spec.setdefault("securityContext", {})
    spec.setdefault("terminationGracePeriodSeconds", 30)
    for volume in spec.get("volumes") or ():
        for source in ("configMap", "secret"):
            if source in volume:
                volume[source].setdefault("defaultMode", 420)
        if len(volume) == 1:
            volume["emptyDir"] = {}


def _container(entry: Obj) -> None:
    image = str(entry.get("image", ""))
    floating = "@" not in image and (":" not in image.rsplit("/", 1)[-1] or image.endswith(":latest"))
    entry.setdefault("imagePullPolicy", "Always" if floating else "IfNotPresent")
    entry.setdefault("resources", {})
    entry.setdefault("terminationMessagePath", "/dev/termination-log")
    entry.setdefault("terminationMessagePolicy", "File")
    for port in entry.get("ports") or ():
        port.setdefault("protocol", "TCP")
    for variable in entry.get("env") or ():
        field_ref = (variable.get("valueFrom") or {}).get("fieldRef")
        if field_ref is not None:
            field_ref.setdefault("apiVersion", "v1")
    for kind in PROBE_KINDS:
        if kind in entry:
            _probe(entry[kind])


def _probe(probe: Obj) -> None:
    for name, value in (("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)):
        if not probe.get(name):
            probe[name] = value
    if "httpGet" in probe:
        probe["httpGet"].setdefault("path", "/")
        probe["httpGet"].setdefault("scheme", "HTTP")


def _qos_class(spec: Obj) -> str:
    resources = [entry.get("resources") or {} for entry in spec.get("containers") or ()]
    if all(not entry.get("requests") and not entry.get("limits") for entry in resources):
        return "BestEffort"
    guaranteed = all(
        set(entry.get("limits") or {}) >= {"cpu", "memory"}
        and (entry.get("requests") or entry["limits"]) == entry["limits"]
        for entry in resources
    )
    return "Guaranteed" if guaranteed else "Burstable"


def service(obj: Obj) -> None:
    spec = obj.setdefault("spec", {})
    spec.setdefault("type", "ClusterIP")
    spec.setdefault("sessionAffinity", "None")
    spec.setdefault("internalTrafficPolicy", "Cluster")
    spec.setdefault("ipFamilies", ["IPv4"])
    spec.setdefault("ipFamilyPolicy", "SingleStack")
    identity = [obj["metadata"].get("namespace"), obj["metadata"].get("name")]
    last = sum(safe_hash(identity, 8).encode()) % 250 + 2
    spec.setdefault("clusterIP", f"10.96.{len(str(identity)) % 250}.{last}")
    spec.setdefault("clusterIPs", [spec["clusterIP"]])
    for port in spec.get("ports") or ():
        port.setdefault("protocol", "TCP")
        port.setdefault("targetPort", port.get("port"))
    obj.setdefault("status", {}).setdefault("loadBalancer", {})


def namespace(obj: Obj) -> None:
    name = obj["metadata"].get("name", "")
    obj["metadata"].setdefault("labels", {}).setdefault("kubernetes.io/metadata.name", name)
    obj.setdefault("spec", {}).setdefault("finalizers", ["kubernetes"])
    obj.setdefault("status", {}).setdefault("phase", "Active")


def secret(obj: Obj) -> None:
    obj.setdefault("type", "Opaque")
    plain = obj.pop("stringData", None)
    for key, value in (plain or {}).items():
        obj.setdefault("data", {})[key] = base64.b64encode(str(value).encode()).decode()
