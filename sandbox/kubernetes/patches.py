"""The four patch types of the API: JSON patch, JSON merge patch, strategic merge patch, and a simple server-side apply.

A strategic merge must never lose a list element that the patch doesn't name: lists merge by key as the Go types say.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jsonpatch
import jsonpointer

from sandbox.kubernetes.objects import Obj, clone
from sandbox.kubernetes.status import ApiError, bad_request

# Field name -> merge key, from the `patchMergeKey` tags of k8s.io/api (core/v1, apps/v1, meta/v1).
MERGE_KEYS: Mapping[str, str] = {
    "conditions": "type",
    "containers": "name",
    "env": "name",
    "ephemeralContainers": "name",
    "hostAliases": "ip",
    "imagePullSecrets": "name",
    "initContainers": "name",
    "ownerReferences": "uid",
    "podIPs": "ip",
    "ports": "containerPort",
    "resourceClaims": "name",
    "topologySpreadConstraints": "topologyKey",
    "volumeDevices": "devicePath",
    "volumeMounts": "mountPath",
    "volumes": "name",
}
MERGED_PRIMITIVES = frozenset({"finalizers"})
ORDER, DELETE_PRIMITIVE = "$setElementOrder/", "$deleteFromPrimitiveList/"


def json_patch(target: Obj, operations: Any) -> Obj:
    """RFC 6902. Raises ApiError 422 where an operation can't be applied, 400 where the patch is malformed."""
    if not isinstance(operations, list):
        raise bad_request("error decoding patch: json: cannot unmarshal object into Go value of type jsonpatch.Patch")
    try:
        patched: Obj = jsonpatch.apply_patch(target, operations)
    except (jsonpatch.JsonPatchConflict, jsonpatch.JsonPatchTestFailed, jsonpointer.JsonPointerException) as error:
        message = "the server rejected our request due to an error in our request"
        raise ApiError(422, "Invalid", message, {"causes": [{"message": str(error)}]}) from error
    except jsonpatch.InvalidJsonPatch as error:
        raise bad_request(f"error decoding patch: {error}") from error
    return patched


def merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7386: null deletes, lists are replaced whole."""
    if not isinstance(patch, dict):
        return clone(patch)
    result = clone(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge_patch(result.get(key), value)
    return result


def strategic_merge(target: Obj, patch: Obj, keys: Mapping[str, str] | None = None) -> Obj:
    """Kubernetes' own merge of maps. keys: merge keys of the resource that differ from the usual (Service ports)."""
    return _merge_map(target, patch, {**MERGE_KEYS, **(keys or {})})


def _merge_map(target: Obj, patch: Obj, keys: Mapping[str, str]) -> Obj:
    directive = patch.get("$patch")
    if directive == "replace":
        return {key: clone(value) for key, value in patch.items() if key != "$patch"}
    if directive == "delete":
        return {}
    result: Obj = clone(target)
    if "$retainKeys" in patch:
        result = {key: value for key, value in result.items() if key in patch["$retainKeys"]}
    for key, value in patch.items():
        if key.startswith(DELETE_PRIMITIVE):
            field = key.removeprefix(DELETE_PRIMITIVE)
            result[field] = [item for item in result.get(field) or [] if item not in value]
        elif key.startswith("$"):
            continue
        elif value is None:
            result.pop(key, None)
        else:
            result[key] = _merge_value(key, result.get(key), value, keys)
    for key, order in patch.items():
        if key.startswith(ORDER):
            field = key.removeprefix(ORDER)
            if isinstance(result.get(field), list):
                result[field] = _ordered(result[field], order, keys.get(field))
    return result


def _merge_value(field: str, old: Any, new: Any, keys: Mapping[str, str]) -> Any:
    if isinstance(new, dict):
        return _merge_map(old if isinstance(old, dict) else {}, new, keys)
    if not isinstance(new, list):
        return new
    if field in MERGED_PRIMITIVES:
        return [*(old or []), *(item for item in new if item not in (old or []))]
    if field in keys and all(isinstance(item, dict) for item in new):
        return _merge_list(field, list(old or []), new, keys)
    return clone(new)


def _merge_list(field: str, old: list[Obj], new: list[Obj], keys: Mapping[str, str]) -> list[Obj]:
    key = keys[field]
    if any(item.get("$patch") == "replace" for item in new):
        return [clone(item) for item in new if item.get("$patch") != "replace"]
    result = [clone(item) for item in old]
    for item in new:
        if key not in item:
            raise bad_request(f"map: {item} does not contain declared merge key: {key}")
        index = next((i for i, known in enumerate(result) if known.get(key) == item[key]), None)
        if item.get("$patch") == "delete":
            if index is not None:
                del result[index]
        elif index is None:
            result.append(_merge_map({}, item, keys))
        else:
            result[index] = _merge_map(result[index], item, keys)
    return result


def _ordered(items: list[Any], order: list[Any], key: str | None) -> list[Any]:
    """Named elements in the named order; those the patch doesn't know stay behind them."""

    def identity(item: Any) -> Any:
        return item.get(key) if key is not None and isinstance(item, dict) else item

    wanted = [identity(item) for item in order]
    known = sorted((i for i in items if identity(i) in wanted), key=lambda i: wanted.index(identity(i)))
    return known + [item for item in items if identity(item) not in wanted]
