"""Who owns a Deployment's image: a GitOps controller would set it back, so forge must not change it.

Pure: reads the object's metadata alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ARGO_CD = "Argo CD"
FLUX = "Flux"

_ARGO_TRACKING = ("argocd.argoproj.io/tracking-id", "argocd.argoproj.io/instance")
_ARGO_MANAGERS = ("argocd-controller", "argocd-application-controller")
_FLUX_NAMES = ("kustomize.toolkit.fluxcd.io/name", "helm.toolkit.fluxcd.io/name")


def image_owner(metadata: Mapping[str, Any]) -> str:
    """ "Argo CD", "Flux", the kind and name of another controller that owns the object, or empty.

    Sources: Argo CD "Resource Tracking" (the annotation `tracking-id`, the label `app.kubernetes.io/instance`, which Helm sets
    too and which therefore counts only beside another trace of Argo CD); Flux "Kustomization", `metadata.labels` of applied
    objects and the annotations `reconcile: disabled` and `ssa: Ignore|IfNotPresent`, by which it leaves an object alone.
    """
    labels = metadata.get("labels") or {}
    annotations = metadata.get("annotations") or {}
    if any(key in labels or key in annotations for key in _ARGO_TRACKING):
        return ARGO_CD
    if "app.kubernetes.io/instance" in labels and _argo_was_here(metadata, annotations):
        return ARGO_CD
    if any(key in labels for key in _FLUX_NAMES) and not _flux_looks_away(labels, annotations):
        return FLUX
    return _controller(metadata)


def _argo_was_here(metadata: Mapping[str, Any], annotations: Mapping[str, str]) -> bool:
    managers = {field.get("manager") for field in metadata.get("managedFields") or [] if isinstance(field, dict)}
    return bool(managers.intersection(_ARGO_MANAGERS)) or any("argocd.argoproj.io/" in key for key in annotations)


def _flux_looks_away(labels: Mapping[str, str], annotations: Mapping[str, str]) -> bool:
    marks = {**labels, **annotations}
    return marks.get("kustomize.toolkit.fluxcd.io/reconcile") == "disabled" or str(
        marks.get("kustomize.toolkit.fluxcd.io/ssa", "")
    ).lower() in ("ignore", "ifnotpresent")


def _controller(metadata: Mapping[str, Any]) -> str:
    for owner in metadata.get("ownerReferences") or []:
        group = str(owner.get("apiVersion", "")).partition("/")[0]
        if group == "argoproj.io":
            return ARGO_CD
        if group.endswith("toolkit.fluxcd.io"):
            return FLUX
        if owner.get("controller"):
            return f"{owner.get('kind', 'controller')} {owner.get('name', '')}".strip()
    return ""
