"""What the API server refuses with 422 Invalid (pkg/apis/apps/validation, pkg/apis/core/validation)."""

from __future__ import annotations

import re
from typing import Any

from sandbox.kubernetes.objects import Obj, at, labels_of
from sandbox.kubernetes.selectors import selector_matches
from sandbox.kubernetes.status import (
    Cause,
    bad_request,
    duplicate,
    forbidden_field,
    invalid_value,
    required,
    unsupported_value,
)

DNS_LABEL = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
DNS_SUBDOMAIN = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
LABEL_VALUE = re.compile(r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$")
LABEL_KEY = re.compile(r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$")
SUBDOMAIN_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    r"'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
LABEL_RULE = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with "
    "an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
VALUE_RULE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
INTEGERS = (  # path, whose Go type is int32
    "spec.replicas", "spec.minReadySeconds", "spec.progressDeadlineSeconds", "spec.revisionHistoryLimit",
    "spec.parallelism", "spec.completions", "spec.backoffLimit", "spec.activeDeadlineSeconds", "spec.ttlSecondsAfterFinished",
)  # fmt: skip


def metadata(obj: Obj) -> list[Cause]:
    """The rules for every kind's metadata."""
    meta, causes = obj["metadata"], []
    name = meta.get("name")
    if not name:
        causes.append(required("metadata.name", "name or generateName is required"))
    elif not DNS_SUBDOMAIN.match(name) or len(name) > 253:
        causes.append(invalid_value("metadata.name", name, SUBDOMAIN_RULE))
    return causes + labels(labels_of(obj), "metadata.labels")


def labels(given: dict[str, Any], field: str) -> list[Cause]:
    causes = []
    for key, value in given.items():
        if not LABEL_KEY.match(key):
            causes.append(
                invalid_value(field, key, "name part must consist of alphanumeric characters, '-', '_' or '.'")
            )
        if not isinstance(value, str) or not LABEL_VALUE.match(value):
            causes.append(invalid_value(field, value, VALUE_RULE))
        elif len(value) > 63:
            causes.append(invalid_value(field, value, "must be no more than 63 characters"))
    return causes


def check_types(obj: Obj) -> None:
    """Raise ApiError 400 for a value that Go's decoder would not take."""
    if obj.get("kind") not in ("Deployment", "ReplicaSet", "Job"):
        return
    for path in INTEGERS:
        value = at(obj, path)
        if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
            kind = "string" if isinstance(value, str) else "number" if isinstance(value, float) else "bool"
            raise bad_request(
                f'{obj["kind"]} in version "v1" cannot be handled as a {obj["kind"]}: json: cannot unmarshal {kind} '
                f"into Go struct field {obj['kind']}Spec.{path} of type int32"
            )


def deployment(new: Obj, old: Obj | None) -> list[Cause]:
    causes = _workload(new, old)
    strategy = at(new, "spec.strategy") or {}
    rolling = strategy.get("rollingUpdate") or {}
    if strategy.get("type") not in ("RollingUpdate", "Recreate"):
        field = "spec.strategy.type"
        causes.append(unsupported_value(field, strategy.get("type"), ("Recreate", "RollingUpdate")))
    if strategy.get("type") == "Recreate" and rolling:
        detail = "may not be specified when strategy `type` is 'Recreate'"
        causes.append(forbidden_field("spec.strategy.rollingUpdate", detail))
    elif strategy.get("type") == "RollingUpdate" and all(
        _is_zero(rolling.get(k)) for k in ("maxUnavailable", "maxSurge")
    ):
        detail = "may not be 0 when `maxSurge` is 0"
        causes.append(invalid_value("spec.strategy.rollingUpdate.maxUnavailable", 0, detail))
    deadline, ready = at(new, "spec.progressDeadlineSeconds"), at(new, "spec.minReadySeconds") or 0
    if deadline is not None and deadline <= ready:
        causes.append(invalid_value("spec.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds"))
    return causes


def replica_set(new: Obj, old: Obj | None) -> list[Cause]:
    return _workload(new, old)


def _is_zero(value: Any) -> bool:
    return value in (0, "0", "0%")


def _workload(new: Obj, old: Obj | None) -> list[Cause]:
    spec = new["spec"]
    causes: list[Cause] = []
    causes += [
        invalid_value(f"spec.{name}", spec[name], "must be greater than or equal to 0")
        for name in ("replicas", "minReadySeconds", "revisionHistoryLimit")
        if isinstance(spec.get(name), int) and spec[name] < 0
    ]
    selector, template_labels = spec.get("selector"), labels_of(spec["template"])
    if not selector:
        causes.append(required("spec.selector"))
    elif not selector.get("matchLabels") and not selector.get("matchExpressions"):
        detail = f"empty selector is invalid for {new['kind'].lower()}"
        causes.append(invalid_value("spec.selector", selector, detail))
    elif not selector_matches(selector, template_labels):
        detail = "`selector` does not match template `labels`"
        causes.append(invalid_value("spec.template.metadata.labels", template_labels, detail))
    if old is not None and old["spec"].get("selector") != selector:
        causes.append(invalid_value("spec.selector", selector or {}, "field is immutable"))
    causes += labels(template_labels, "spec.template.metadata.labels")
    causes += pod_spec(spec["template"]["spec"], "spec.template.spec")
    policy = at(spec, "template.spec.restartPolicy")
    if policy != "Always":
        causes.append(unsupported_value("spec.template.spec.restartPolicy", policy, ("Always",)))
    return causes


def pod(new: Obj, old: Obj | None) -> list[Cause]:
    causes = pod_spec(new["spec"], "spec")
    if old is not None and _frozen(new["spec"]) != _frozen(old["spec"]):
        detail = (
            "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
            "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
            "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
        )
        causes.append(forbidden_field("spec", detail))
    return causes


def _frozen(spec: Obj) -> Obj:
    frozen = {k: v for k, v in spec.items() if k not in ("activeDeadlineSeconds", "tolerations")}
    for part in ("containers", "initContainers"):
        frozen[part] = [{k: v for k, v in entry.items() if k != "image"} for entry in spec.get(part) or ()]
    return frozen


def pod_spec(spec: Obj, field: str) -> list[Cause]:
    """The rules for a pod's spec that a deployer can break."""
    containers, causes = spec.get("containers") or [], []
    if not containers:
        causes.append(required(f"{field}.containers"))
    names: set[str] = set()
    volumes = {volume.get("name") for volume in spec.get("volumes") or ()}
    for index, entry in enumerate(containers):
        causes += _container(entry, f"{field}.containers[{index}]", names, volumes)
    return causes


def _container(entry: Obj, field: str, names: set[str], volumes: set[Any]) -> list[Cause]:
    causes, name, image = [], entry.get("name"), entry.get("image")
    if not name:
        causes.append(required(f"{field}.name"))
    elif not DNS_LABEL.match(name):
        causes.append(invalid_value(f"{field}.name", name, LABEL_RULE))
    elif name in names:
        causes.append(duplicate(f"{field}.name", name))
    names.add(str(name))
    if not image:
        causes.append(required(f"{field}.image"))
    elif image != image.strip():
        causes.append(invalid_value(f"{field}.image", image, "must not have leading or trailing whitespace"))
    return [*causes, *_container_parts(entry, field, volumes)]


def _container_parts(entry: Obj, field: str, volumes: set[Any]) -> list[Cause]:
    causes = []
    for index, port in enumerate(entry.get("ports") or ()):
        number = port.get("containerPort")
        if not number:
            causes.append(required(f"{field}.ports[{index}].containerPort"))
        elif not 0 < number < 65536:
            detail = "must be between 1 and 65535, inclusive"
            causes.append(invalid_value(f"{field}.ports[{index}].containerPort", number, detail))
    causes += [
        Cause("FieldValueNotFound", f"{field}.volumeMounts[{index}].name", f'Not found: "{mount.get("name")}"')
        for index, mount in enumerate(entry.get("volumeMounts") or ())
        if mount.get("name") not in volumes
    ]
    causes += [
        invalid_value(f"{field}.{kind}.successThreshold", entry[kind]["successThreshold"], "must be 1")
        for kind in ("livenessProbe", "startupProbe")
        if (entry.get(kind) or {}).get("successThreshold", 1) != 1
    ]
    return causes
