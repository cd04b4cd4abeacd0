"""What the server says about itself: version, groups, resources, and as much OpenAPI as kubectl asks for."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from sandbox.kubernetes.objects import Obj
from sandbox.kubernetes.resources import Resource

REVIEWS = {  # kinds that are answered, never stored: (group, plural) -> kind
    ("authorization.k8s.io", "selfsubjectaccessreviews"): "SelfSubjectAccessReview",
    ("authorization.k8s.io", "selfsubjectrulesreviews"): "SelfSubjectRulesReview",
    ("authentication.k8s.io", "selfsubjectreviews"): "SelfSubjectReview",
}
# Strategic merge is served but not announced here: kubectl would take its merge keys from the schemas, which are left
# open, where otherwise it uses its own.
PATCHES = ("application/json-patch+json", "application/merge-patch+json", "application/apply-patch+yaml")


def version(git_version: str) -> Obj:
    major, minor = git_version.removeprefix("v").split(".")[:2]
    return {
        "major": major,
        "minor": minor,
        "gitVersion": git_version,
        "gitCommit": hashlib.sha256(git_version.encode()).hexdigest()[:40],
        "gitTreeState": "clean",
        "buildDate": "2025-09-09T19:43:15Z",
        "goVersion": "go1.24.6",
        "compiler": "gc",
        "platform": "linux/amd64",
    }


def _groups(resources: Iterable[Resource]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for group, name in [*((r.group, r.version) for r in resources), *((group, "v1") for group, _ in REVIEWS)]:
        if group and name not in found.setdefault(group, []):
            found[group].append(name)
    return found


def core_versions() -> Obj:
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}


def group_list(resources: Iterable[Resource]) -> Obj:
    groups = [_group(name, versions) for name, versions in _groups(resources).items()]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def group(resources: Iterable[Resource], name: str) -> Obj | None:
    versions = _groups(resources).get(name)
    return None if versions is None else {"kind": "APIGroup", "apiVersion": "v1", **_group(name, versions)}


def _group(name: str, versions: list[str]) -> Obj:
    entries = [{"groupVersion": f"{name}/{entry}", "version": entry} for entry in versions]
    return {"name": name, "versions": entries, "preferredVersion": entries[0]}


def resource_list(resources: Iterable[Resource], group_name: str, version_name: str) -> Obj | None:
    """The APIResourceList of one group and version; None where nothing is served under it."""
    entries: list[Obj] = []
    for resource in resources:
        if (resource.group, resource.version) == (group_name, version_name):
            entries += _entries(resource)
    for (group_of, plural), kind in REVIEWS.items():
        if (group_of, "v1") == (group_name, version_name):
            entry = {"name": plural, "singularName": kind.lower(), "namespaced": False, "kind": kind}
            entries.append({**entry, "verbs": ["create"]})
    if not entries:
        return None
    group_version = f"{group_name}/{version_name}" if group_name else version_name
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": entries}


def _entries(resource: Resource) -> list[Obj]:
    main: Obj = {
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": list(resource.verbs),
    }
    if resource.short_names:
        main["shortNames"] = list(resource.short_names)
    if resource.categories:
        main["categories"] = list(resource.categories)
    entries = [main]
    for name in resource.subresources:
        entry: Obj = {
            "name": f"{resource.plural}/{name}",
            "singularName": "",
            "namespaced": resource.namespaced,
            "kind": "Scale" if name == "scale" else resource.kind,
            "verbs": ["get"] if name == "log" else ["get", "patch", "update"],
        }
        if name == "scale":
            entry.update(group="autoscaling", version="v1")
        entries.append(entry)
    return entries


def openapi_index(resources: Iterable[Resource]) -> Obj:
    """/openapi/v3: where each group's document is."""
    paths = {_path(resource) for resource in resources}
    return {"paths": {path: {"serverRelativeURL": f"/openapi/v3/{path}"} for path in sorted(paths)}}


def _path(resource: Resource) -> str:
    return f"apis/{resource.api_version}" if resource.group else f"api/{resource.version}"


def openapi(resources: Iterable[Resource], path: str) -> Obj | None:
    """/openapi/v3/<path>: the operations with the parameters that kubectl looks for; schemas are left open."""
    chosen = [resource for resource in resources if _path(resource) == path]
    if not chosen:
        return None
    paths: Obj = {}
    schemas: Obj = {}
    for resource in chosen:
        kind = {"group": resource.group, "version": resource.version, "kind": resource.kind}
        where = (
            f"/{path}/namespaces/{{namespace}}/{resource.plural}"
            if resource.namespaced
            else f"/{path}/{resource.plural}"
        )
        paths[where] = {"post": _operation(kind, "post")}
        paths[where + "/{name}"] = {verb: _operation(kind, verb) for verb in ("get", "put", "patch", "delete")}
        schemas[f"io.k8s.{resource.api_version.replace('/', '.')}.{resource.kind}"] = {
            "type": "object",
            "x-kubernetes-group-version-kind": [kind],
            "x-kubernetes-preserve-unknown-fields": True,
        }
    info = {"title": "Kubernetes", "version": "unversioned"}
    return {"openapi": "3.0.0", "info": info, "paths": paths, "components": {"schemas": schemas}}


def _operation(kind: Obj, verb: str) -> Obj:
    operation: Obj = {
        "x-kubernetes-action": verb,
        "x-kubernetes-group-version-kind": kind,
        "responses": {"200": {"description": "OK"}},
        "parameters": [
            {"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": True}}
            for name in ("dryRun", "fieldManager", "fieldValidation")
        ],
    }
    if verb == "patch":
        operation["requestBody"] = {"content": {name: {"schema": {"type": "object"}} for name in PATCHES}}
    return operation
