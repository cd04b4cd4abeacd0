"""The API server's rules for reading and writing: defaults, validation, versions, generations, deletion.

Both the HTTP surface and the controllers write through it, so that nothing enters the store unchecked. All of it is
synchronous: within the one event loop every call is a transaction.
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from sandbox.kubernetes import status, validation
from sandbox.kubernetes.objects import HASH_ALPHABET, Obj, clone, is_deleting, name_of, namespace_of, timestamp, uid_of
from sandbox.kubernetes.resources import BUILT_IN, NAMESPACES, PODS, Resource
from sandbox.kubernetes.store import Store

KEPT_METADATA = (
    "uid",
    "creationTimestamp",
    "generation",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "namespace",
)
FIRST_NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")
FOREGROUND = "foregroundDeletion"


class Cluster:
    """Objects by kind. The returned ones are shared with the store: `clone` before changing them."""

    def __init__(self) -> None:
        self.store = Store()
        self.resources: dict[tuple[str, str], Resource] = {}
        self.refusals: dict[str, str] = {}  # kind -> what a quota or an admission policy says to each new one
        for resource in BUILT_IN:
            self.register(resource)
        for name in FIRST_NAMESPACES:
            self.ensure_namespace(name)

    def register(self, resource: Resource) -> None:
        """Serve one more kind from now on; a kind already served is replaced."""
        self.resources[resource.key] = resource

    def by_kind(self, kind: str, group: str | None = None) -> Resource:
        """By kind, plural or short name. Raises KeyError for a kind that isn't served."""
        for resource in self.resources.values():
            names = (resource.kind.lower(), resource.plural, *resource.short_names)
            if kind.lower() in names and group in (None, resource.group):
                return resource
        raise KeyError(kind)

    def ensure_namespace(self, name: str) -> None:
        if self.store.find(NAMESPACES, "", name) is None:
            self.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})

    def get(self, resource: Resource, namespace: str, name: str) -> Obj:
        """Raises ApiError 404."""
        found = self.store.find(resource, namespace, name)
        if found is None:
            raise status.not_found(resource, name)
        return found

    def create(self, resource: Resource, given: Obj, *, dry_run: bool = False) -> Obj:
        """Raises ApiError 400, 403 (a quota or policy), 404 (namespace), 409 (exists), 422."""
        obj: Obj = clone(given)
        meta = obj.setdefault("metadata", {})
        if not meta.get("name") and meta.get("generateName"):
            meta["name"] = meta["generateName"] + "".join(secrets.choice(HASH_ALPHABET) for _ in range(5))
        obj["apiVersion"], obj["kind"] = resource.api_version, resource.kind
        self._check_namespace(resource, meta)
        if "status" in resource.subresources:
            obj.pop("status", None)
        for key in ("resourceVersion", "deletionTimestamp", "deletionGracePeriodSeconds", "managedFields"):
            meta.pop(key, None)
        meta.update(uid=str(uuid.uuid4()), creationTimestamp=timestamp())  # a Job's defaults are made of its uid
        self._admit(resource, obj, None)
        self._check_refusals(resource, obj)
        if self.store.find(resource, namespace_of(obj), name_of(obj)) is not None:
            raise status.already_exists(resource, name_of(obj))
        if resource.spec_bumps_generation or resource.is_custom:
            meta["generation"] = 1
        return obj if dry_run else self.store.write(resource, obj)

    def replace(
        self, resource: Resource, namespace: str, given: Obj, *, subresource: str = "", dry_run: bool = False
    ) -> Obj:
        """Write the whole object. Raises ApiError 404, 409 (stale resourceVersion, other uid), 422.

        subresource: `status` writes the status (and annotations) alone; without it the status stays as it was where the
        kind has that subresource. A write that changes nothing keeps its resourceVersion.
        """
        meta = given.get("metadata") or {}
        current = self.get(resource, namespace, meta.get("name", ""))
        self._check_preconditions(resource, current, meta)
        obj = self._merged(resource, current, given, subresource)
        if not subresource or resource.is_custom:
            self._admit(resource, obj, current)
        if not subresource and self._counts_as_new_generation(resource, obj, current):
            obj["metadata"]["generation"] = current["metadata"].get("generation", 0) + 1
        if obj == current:
            return current
        if dry_run:
            return obj
        written = self.store.write(resource, obj)
        self._finish_deletion(resource, written)
        return written

    def mutate(
        self, resource: Resource, namespace: str, name: str, change: Callable[[Obj], None], subresource: str = ""
    ) -> Obj | None:
        """Change a copy of the object and write it; None when the object is gone."""
        current = self.store.find(resource, namespace, name)
        if current is None:
            return None
        obj: Obj = clone(current)
        change(obj)
        return self.replace(resource, namespace, obj, subresource=subresource)

    def delete(
        self, resource: Resource, namespace: str, name: str, *, propagation: str = "", grace_s: int | None = None,
        preconditions: Obj | None = None,
    ) -> Obj:  # fmt: skip
        """Delete, or mark for deletion where a finalizer or a running pod stands in the way.

        propagation: Background, Foreground or Orphan; empty: the kind's default. Raises ApiError 404, 409 (preconditions).
        """
        current = self.get(resource, namespace, name)
        self._check_preconditions(resource, current, preconditions or {})
        propagation = propagation or resource.default_propagation
        if propagation == "Orphan":
            self._orphan_dependents(current)
        if resource.key == PODS.key and self._ends_gracefully(current, grace_s):
            return self._mark(resource, current, self._grace_of(current, grace_s))
        if propagation == "Foreground" and self.dependents(uid_of(current)):
            marked = self._mark(resource, current, 0, FOREGROUND)
            self.collect(uid_of(current))
            return self.store.find(resource, namespace, name) or marked
        if current["metadata"].get("finalizers"):
            return self._mark(resource, current, 0)
        return self.remove(resource, namespace, name) or current

    def remove(self, resource: Resource, namespace: str, name: str) -> Obj | None:
        """Take the object out of the store at once; its dependents are collected."""
        if resource.key == NAMESPACES.key:
            self._empty_namespace(name)
        gone = self.store.remove(resource, namespace, name)
        if gone is not None:
            self.collect(uid_of(gone))
            self._release_owners(gone)
        return gone

    # Garbage collection

    def dependents(self, uid: str) -> list[tuple[Resource, Obj]]:
        """Objects whose owner references name this uid."""
        return [
            (resource, obj)
            for resource in list(self.resources.values())
            for obj in self.store.list(resource)
            if any(owner.get("uid") == uid for owner in obj["metadata"].get("ownerReferences") or ())
        ]

    def collect(self, uid: str) -> None:
        """Delete the dependents of an owner that is going; those with another owner only lose the reference."""
        for resource, obj in self.dependents(uid):
            others = [owner for owner in obj["metadata"]["ownerReferences"] if owner["uid"] != uid]
            if others:
                self._set_owners(resource, obj, others)
            elif not is_deleting(obj):
                self.delete(resource, namespace_of(obj), name_of(obj))

    def _orphan_dependents(self, owner: Obj) -> None:
        for resource, obj in self.dependents(uid_of(owner)):
            others = [ref for ref in obj["metadata"]["ownerReferences"] if ref["uid"] != uid_of(owner)]
            self._set_owners(resource, obj, others)

    def _set_owners(self, resource: Resource, obj: Obj, owners: list[Obj]) -> None:
        def change(target: Obj) -> None:
            if owners:
                target["metadata"]["ownerReferences"] = owners
            else:
                target["metadata"].pop("ownerReferences", None)

        self.mutate(resource, namespace_of(obj), name_of(obj), change)

    def _release_owners(self, gone: Obj) -> None:
        """An owner deleted in the foreground goes when its last dependent is gone."""
        for reference in gone["metadata"].get("ownerReferences") or ():
            try:
                resource = self.by_kind(reference["kind"])
            except KeyError:
                continue
            owner = self.store.find(resource, namespace_of(gone), reference["name"])
            if owner is None or FOREGROUND not in (owner["metadata"].get("finalizers") or ()):
                continue
            if not self.dependents(uid_of(owner)):
                self.remove(resource, namespace_of(owner), name_of(owner))

    def _empty_namespace(self, name: str) -> None:
        for resource in [r for r in self.resources.values() if r.namespaced]:
            for obj in self.store.list(resource, name):
                self.remove(resource, name, name_of(obj))

    # The rules of a write

    def _check_namespace(self, resource: Resource, meta: Obj) -> None:
        if not resource.namespaced:
            meta.pop("namespace", None)
            return
        namespace = meta.setdefault("namespace", "default")
        if self.store.find(NAMESPACES, "", namespace) is None:
            raise status.not_found(NAMESPACES, namespace)

    def _check_refusals(self, resource: Resource, obj: Obj) -> None:
        if said := self.refusals.get(resource.kind):
            raise status.forbidden(resource, name_of(obj), said)

    def _admit(self, resource: Resource, obj: Obj, old: Obj | None) -> None:
        validation.check_types(obj)
        try:
            resource.defaults(obj)
            causes = [*validation.metadata(obj), *resource.validate(obj, old)]
        except (AttributeError, TypeError, KeyError, ValueError) as error:
            # A value of the wrong JSON type: Go's decoder refuses it before any validation.
            raise status.bad_request(
                f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}: json: '
                f"cannot unmarshal ({error})"
            ) from error
        if causes:
            raise status.invalid(resource, obj["metadata"].get("name") or "", causes)

    def _check_preconditions(self, resource: Resource, current: Obj, wanted: Obj) -> None:
        name, meta = name_of(current), current["metadata"]
        if wanted.get("uid") and wanted["uid"] != meta["uid"]:
            why = f"Precondition failed: UID in precondition: {wanted['uid']}, UID in object meta: {meta['uid']}"
            raise status.conflict(resource, name, why)
        if wanted.get("resourceVersion") and wanted["resourceVersion"] != meta["resourceVersion"]:
            raise status.conflict(resource, name)

    def _merged(self, resource: Resource, current: Obj, given: Obj, subresource: str) -> Obj:
        if subresource == "status":
            obj: Obj = clone(current)
            obj["status"] = clone(given.get("status") or {})
            annotations = (given.get("metadata") or {}).get("annotations")
            if annotations:
                obj["metadata"]["annotations"] = clone(annotations)
            return obj
        obj = clone(given)
        obj["apiVersion"], obj["kind"] = resource.api_version, resource.kind
        meta, kept = obj["metadata"], current["metadata"]
        meta.pop("managedFields", None)
        for key in KEPT_METADATA:
            meta.pop(key, None)
            if key in kept:
                meta[key] = kept[key]
        meta["resourceVersion"] = kept["resourceVersion"]
        if "status" in resource.subresources:
            obj.pop("status", None)
            if "status" in current:
                obj["status"] = clone(current["status"])
        return obj

    def _counts_as_new_generation(self, resource: Resource, new: Obj, old: Obj) -> bool:
        if not resource.spec_bumps_generation and not resource.is_custom:
            return False
        if resource.annotations_bump_generation:
            before, after = (obj["metadata"].get("annotations") or {} for obj in (old, new))
            if before != after:
                return True
        return any(new.get(key) != old.get(key) for key in (new.keys() | old.keys()) - {"metadata", "status"})

    def _finish_deletion(self, resource: Resource, obj: Obj) -> None:
        """The last finalizer is gone from an object that is marked for deletion."""
        meta = obj["metadata"]
        if is_deleting(obj) and not meta.get("finalizers") and not meta.get("deletionGracePeriodSeconds"):
            self.remove(resource, namespace_of(obj), name_of(obj))

    def _ends_gracefully(self, pod: Obj, grace_s: int | None) -> bool:
        ended = (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")
        return bool(pod["spec"].get("nodeName")) and not ended and self._grace_of(pod, grace_s) > 0

    def _grace_of(self, pod: Obj, grace_s: int | None) -> int:
        wanted = pod["spec"].get("terminationGracePeriodSeconds", 30) if grace_s is None else grace_s
        already = pod["metadata"].get("deletionGracePeriodSeconds")
        return int(wanted if already is None else min(wanted, already))

    def _mark(self, resource: Resource, current: Obj, grace_s: int, finalizer: str = "") -> Obj:
        obj: Obj = clone(current)
        meta = obj["metadata"]
        if finalizer and finalizer not in meta.get("finalizers", ()):
            meta["finalizers"] = [*meta.get("finalizers", ()), finalizer]
        if not is_deleting(obj):
            meta["deletionTimestamp"] = timestamp(datetime.now(UTC) + timedelta(seconds=grace_s))
        meta["deletionGracePeriodSeconds"] = grace_s
        return self.store.write(resource, obj) if obj != current else current
