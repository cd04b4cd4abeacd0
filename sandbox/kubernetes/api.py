"""The verbs of the API on stored objects: get, list, watch, create, update, patch, delete, and the subresources."""

from __future__ import annotations

import base64
import json
from typing import Any

from aiohttp import web

from sandbox.kubernetes import patches, status
from sandbox.kubernetes.cluster import Cluster
from sandbox.kubernetes.logs import PodLogs
from sandbox.kubernetes.objects import Obj, clone, name_of, namespace_of, uid_of
from sandbox.kubernetes.scale import apply_scale, scale_of
from sandbox.kubernetes.selectors import Predicate, field_predicate, label_predicate
from sandbox.kubernetes.target import Target
from sandbox.kubernetes.watching import Watches
from sandbox.kubernetes.wire import Form, answer, is_yes, media_type, read_object, read_value

JSON_PATCH, MERGE_PATCH = "application/json-patch+json", "application/merge-patch+json"
STRATEGIC, APPLY = "application/strategic-merge-patch+json", "application/apply-patch+yaml"


class Api:
    def __init__(self, cluster: Cluster, watches: Watches, logs: PodLogs) -> None:
        self._cluster = cluster
        self._watches = watches
        self._logs = logs

    async def serve(self, request: web.Request, target: Target) -> web.StreamResponse:
        """Raises ApiError."""
        if target.subresource == "log":
            return await self._logs.serve(request, target)
        match request.method, bool(target.name):
            case "GET" | "HEAD", True:
                return self._get(request, target)
            case "GET" | "HEAD", False:
                return await self._list_or_watch(request, target)
            case "POST", False if target.resource.namespaced is (target.namespace is not None):
                return await self._create(request, target)
            case "PUT", True:
                return await self._update(request, target)
            case "PATCH", True:
                return await self._patch(request, target)
            case "DELETE", True:
                return await self._delete(request, target)
            case "DELETE", False:
                return await self._delete_many(request, target)
        raise status.method_not_allowed()

    # Reading

    def _get(self, request: web.Request, target: Target) -> web.Response:
        obj = self._cluster.get(target.resource, target.place, target.name)
        return self._shown(request, target, obj)

    def _shown(self, request: web.Request, target: Target, obj: Obj, code: int = 200) -> web.Response:
        if target.subresource == "scale":
            return answer(scale_of(obj), code)
        return answer(Form(request).one(target.resource, obj), code)

    def _selection(self, request: web.Request, target: Target) -> Predicate:
        by_label = label_predicate(request.query.get("labelSelector", ""))
        by_field = field_predicate(request.query.get("fieldSelector", ""), target.resource.selectable_fields)
        return lambda obj: by_label(obj) and by_field(obj)

    async def _list_or_watch(self, request: web.Request, target: Target) -> web.StreamResponse:
        wanted = self._selection(request, target)
        if is_yes(request, "watch"):
            return await self._watches.serve(request, target.resource, target.namespace, wanted)
        version = request.query.get("resourceVersion", "")
        if version.isdigit() and int(version) > self._cluster.store.version:
            raise status.too_large_version(int(version), self._cluster.store.version)
        objects = [obj for obj in self._cluster.store.list(target.resource, target.namespace) if wanted(obj)]
        objects, metadata = self._page(request, objects)
        return answer(Form(request).many(target.resource, objects, metadata))

    def _page(self, request: web.Request, objects: list[Obj]) -> tuple[list[Obj], Obj]:
        """One page by limit and continue. Raises ApiError 400, and 410 for a token older than the history."""
        store, token = self._cluster.store, request.query.get("continue", "")
        version, after = store.version, ["", ""]
        if token:
            try:
                version, after = json.loads(base64.urlsafe_b64decode(token))
            except ValueError as error:
                raise status.bad_request(f"continue key is not valid: {error}") from error
            if version < store.oldest:
                raise status.continue_expired()
            objects = [obj for obj in objects if [namespace_of(obj), name_of(obj)] > after]
        metadata: Obj = {"resourceVersion": str(version)}
        text = request.query.get("limit") or "0"
        if not text.isdigit():
            raise status.bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax')
        limit = int(text)
        if limit and len(objects) > limit:
            last = objects[limit - 1]
            raw = json.dumps([version, [namespace_of(last), name_of(last)]]).encode()
            metadata["continue"] = base64.urlsafe_b64encode(raw).decode()
            metadata["remainingItemCount"] = len(objects) - limit
        return objects[: limit or None], metadata

    # Writing

    async def _create(self, request: web.Request, target: Target) -> web.Response:
        obj = await read_object(request)
        self._check_identity(target, obj)
        created = self._cluster.create(target.resource, obj, dry_run=_is_dry(request))
        return self._shown(request, target, created, 201)

    async def _update(self, request: web.Request, target: Target) -> web.Response:
        obj = await read_object(request)
        if target.subresource == "scale":
            current = self._cluster.get(target.resource, target.place, target.name)
            return self._written(request, target, apply_scale(current, obj), subresource="")
        self._check_identity(target, obj)
        if target.resource.is_custom and not obj["metadata"].get("resourceVersion"):
            raise status.unversioned(target.resource, target.name)
        return self._written(request, target, obj, subresource=target.subresource)

    def _written(self, request: web.Request, target: Target, obj: Obj, *, subresource: str) -> web.Response:
        dry = _is_dry(request)
        written = self._cluster.replace(target.resource, target.place, obj, subresource=subresource, dry_run=dry)
        return self._shown(request, target, written)

    def _check_identity(self, target: Target, obj: Obj) -> None:
        """The body is of the kind, name and namespace of the URL. Fills what the body leaves open."""
        resource = target.resource
        given = (obj.get("apiVersion") or resource.api_version, obj.get("kind") or resource.kind)
        if given != (resource.api_version, resource.kind):
            raise status.bad_request(
                f"{given[1]} in version {given[0]!r} cannot be handled as a {resource.kind}: the API version in the data "
                f"({given[0]}) does not match the expected API version ({resource.api_version})"
            )
        meta = obj.setdefault("metadata", {})
        if not isinstance(meta, dict):
            raise status.bad_request("json: cannot unmarshal into Go struct field .metadata of type v1.ObjectMeta")
        if target.name and meta.setdefault("name", target.name) != target.name:
            raise status.bad_request(
                f"the name of the object ({meta['name']}) does not match the name on the URL ({target.name})"
            )
        if target.namespace and (meta.get("namespace") or target.namespace) != target.namespace:
            raise status.bad_request(
                "the namespace of the provided object does not match the namespace sent on the request"
            )
        if target.namespace:
            meta["namespace"] = target.namespace

    async def _patch(self, request: web.Request, target: Target) -> web.Response:
        kind = media_type(request)
        accepted = [JSON_PATCH, MERGE_PATCH, *([] if target.resource.is_custom else [STRATEGIC]), APPLY]
        if kind not in accepted:
            raise status.unsupported_media_type(accepted)
        if kind == APPLY and not request.query.get("fieldManager"):
            said = 'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch'
            raise status.ApiError(422, "Invalid", said)
        patch = await read_value(request, accepted)
        if kind != JSON_PATCH and not isinstance(patch, dict):
            raise status.bad_request(
                "error decoding patch: json: cannot unmarshal into Go value of type map[string]interface {}"
            )
        current = self._cluster.store.find(target.resource, target.place, target.name)
        if current is None:
            return self._applied_anew(request, target, kind, patch)
        shown = scale_of(current) if target.subresource == "scale" else current
        patched = self._patched(target, kind, shown, patch)
        if target.subresource == "scale":
            return self._written(request, target, apply_scale(current, patched), subresource="")
        self._check_identity(target, patched)
        return self._written(request, target, patched, subresource=target.subresource)

    def _applied_anew(self, request: web.Request, target: Target, kind: str, patch: Any) -> web.Response:
        if kind != APPLY or target.subresource:
            raise status.not_found(target.resource, target.name)
        self._check_identity(target, patch)
        created = self._cluster.create(target.resource, patch, dry_run=_is_dry(request))
        return self._shown(request, target, created, 201)

    def _patched(self, target: Target, kind: str, current: Obj, patch: Any) -> Obj:
        """The object after the patch; it keeps the version it was read at unless the patch names one to compare."""
        if kind == JSON_PATCH:
            patched = patches.json_patch(current, patch)
        elif kind == MERGE_PATCH or target.resource.is_custom:
            patched = patches.merge_patch(current, patch)
        else:
            patched = patches.strategic_merge(current, patch, target.resource.merge_keys)
        return clone(patched) if patched is current else patched

    # Deleting

    async def _delete(self, request: web.Request, target: Target) -> web.Response:
        options = await self._delete_options(request)
        current = self._cluster.get(target.resource, target.place, target.name)
        if _is_dry(request) or options.get("dryRun"):
            return answer(current)
        gone = self._delete_one(target, current, options)
        if (
            self._cluster.store.find(target.resource, target.place, target.name) is not None
            or "log" in target.resource.subresources
        ):
            return self._shown(request, target, gone)
        details: Obj = {"name": target.name, "kind": target.resource.plural, "uid": uid_of(current)}
        if target.resource.group:
            details["group"] = target.resource.group
        return answer({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details})

    async def _delete_many(self, request: web.Request, target: Target) -> web.Response:
        options = await self._delete_options(request)
        wanted = self._selection(request, target)
        objects = [obj for obj in self._cluster.store.list(target.resource, target.namespace) if wanted(obj)]
        for obj in objects:
            self._delete_one(target, obj, options)
        metadata = {"resourceVersion": str(self._cluster.store.version)}
        return answer(Form(request).many(target.resource, objects, metadata))

    def _delete_one(self, target: Target, obj: Obj, options: Obj) -> Obj:
        policy = options.get("propagationPolicy") or ("Orphan" if options.get("orphanDependents") else "")
        return self._cluster.delete(
            target.resource,
            namespace_of(obj),
            name_of(obj),
            propagation=policy,
            grace_s=options.get("gracePeriodSeconds"),
            preconditions=options.get("preconditions"),
        )

    async def _delete_options(self, request: web.Request) -> Obj:
        value = await read_value(request)
        options = dict(value) if isinstance(value, dict) else {}
        if policy := request.query.get("propagationPolicy"):
            options["propagationPolicy"] = policy
        if grace := request.query.get("gracePeriodSeconds"):
            options["gracePeriodSeconds"] = int(grace)
        policy = options.get("propagationPolicy")
        if policy not in (None, "", "Background", "Foreground", "Orphan"):
            raise status.ApiError(
                422, "Invalid", f'DeleteOptions.meta.k8s.io "" is invalid: propagationPolicy: "{policy}"'
            )
        return options


def _is_dry(request: web.Request) -> bool:
    return request.query.get("dryRun") == "All"
