"""From a request's path to what it is about: resource, namespace, name, subresource, verb."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sandbox.kubernetes import status
from sandbox.kubernetes.access import Ask
from sandbox.kubernetes.resources import Resource


@dataclass(frozen=True)
class Target:
    """namespace: None for all namespaces or a cluster-wide kind. name: empty for the collection."""

    resource: Resource
    namespace: str | None
    name: str
    subresource: str

    @property
    def place(self) -> str:
        """The namespace as the store knows it."""
        return (self.namespace or "") if self.resource.namespaced else ""

    def ask(self, method: str, *, is_watch: bool) -> Ask:
        verb = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}.get(method, "get")
        if not self.name:
            verb = {"get": "watch" if is_watch else "list", "delete": "deletecollection"}.get(verb, verb)
        place = self.namespace or ""
        return Ask(verb, self.resource.group, self.resource.plural, self.subresource, place, self.name)


def parse(resources: Mapping[tuple[str, str], Resource], path: str) -> Target:
    """Raises ApiError 404 for what isn't served."""
    parts = path.strip("/").split("/")
    if parts[:2] == ["api", "v1"]:
        group, version, rest = "", "v1", parts[2:]
    elif parts[0] == "apis" and len(parts) > 3:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        raise status.no_such_path()
    namespace: str | None = None
    if len(rest) > 2 and rest[0] == "namespaces" and (group, rest[2]) in resources:
        namespace, rest = rest[1], rest[2:]
    resource = resources.get((group, rest[0] if rest else ""))
    if resource is None or resource.version != version or len(rest) > 3:
        raise status.no_such_path()
    name, subresource = [*rest, "", ""][1:3]
    is_homeless = resource.namespaced and namespace is None and bool(name)
    if is_homeless or (subresource and subresource not in resource.subresources):
        raise status.no_such_path()
    return Target(resource, namespace, name, subresource)
