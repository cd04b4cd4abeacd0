"""Who is asking and what they may do: bearer tokens and rules in the manner of RBAC."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sandbox.kubernetes import status
from sandbox.kubernetes.objects import Obj
from sandbox.kubernetes.status import ApiError


@dataclass(frozen=True)
class Rule:
    """What is allowed. resources: plurals, `deployments/scale` for a subresource; `*` means any everywhere.

    namespaces: where it holds (a RoleBinding); `*` for the whole cluster. names: of objects; empty means any.
    """

    verbs: tuple[str, ...]
    resources: tuple[str, ...]
    groups: tuple[str, ...] = ("",)
    namespaces: tuple[str, ...] = ("*",)
    names: tuple[str, ...] = ()

    def allows(self, ask: Ask) -> bool:
        return (
            _among(self.verbs, ask.verb)
            and _among(self.groups, ask.group)
            and (_among(self.resources, ask.qualified_resource) or f"*/{ask.subresource}" in self.resources)
            and _among(self.namespaces, ask.namespace)
            and (not self.names or ask.name in self.names)
        )


@dataclass(frozen=True)
class User:
    name: str
    groups: tuple[str, ...] = ("system:authenticated",)
    rules: tuple[Rule, ...] = ()

    @staticmethod
    def admin(name: str = "kubernetes-admin") -> User:
        everything = Rule(("*",), ("*",), ("*",))
        return User(name, ("system:masters", "system:authenticated"), (everything,))


@dataclass(frozen=True)
class Ask:
    """One request as authorisation sees it. namespace: empty for cluster-wide requests."""

    verb: str
    group: str
    resource: str
    subresource: str = ""
    namespace: str = ""
    name: str = ""

    @property
    def qualified_resource(self) -> str:
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


class Access:
    """tokens: None means that everybody is an administrator, as on a cluster behind an open proxy."""

    def __init__(self, tokens: Mapping[str, User] | None) -> None:
        self.tokens: dict[str, User] | None = None if tokens is None else dict(tokens)

    def user_of(self, authorization: str) -> User:
        """Raises ApiError 401."""
        if self.tokens is None:
            return User.admin()
        scheme, _, token = authorization.partition(" ")
        user = self.tokens.get(token.strip()) if scheme.lower() == "bearer" else None
        if user is None:
            raise status.unauthorized()
        return user

    def check(self, user: User, ask: Ask) -> None:
        """Raises ApiError 403."""
        if not self.allows(user, ask):
            raise _forbidden(user, ask)

    def allows(self, user: User, ask: Ask) -> bool:
        return any(rule.allows(ask) for rule in user.rules)


def _among(listed: Iterable[str], value: str) -> bool:
    return "*" in listed or value in listed


def _forbidden(user: User, ask: Ask) -> ApiError:
    qualified = f"{ask.resource}.{ask.group}" if ask.group else ask.resource
    named = f'{qualified} "{ask.name}"' if ask.name else qualified
    where = f' in the namespace "{ask.namespace}"' if ask.namespace else " at the cluster scope"
    message = (
        f'{named} is forbidden: User "{user.name}" cannot {ask.verb} resource "{ask.qualified_resource}" '
        f'in API group "{ask.group}"{where}'
    )
    details: Obj = {"kind": ask.resource}
    if ask.name:
        details["name"] = ask.name
    if ask.group:
        details["group"] = ask.group
    return ApiError(403, "Forbidden", message, details)


def access_review(access: Access, user: User, body: Obj) -> Obj:
    """Answer a SelfSubjectAccessReview."""
    spec = body.get("spec") or {}
    wanted = spec.get("resourceAttributes")
    if wanted is None:
        allowed = spec.get("nonResourceAttributes") is not None
    else:
        names = {"verb": "verb", "group": "group", "resource": "resource", "subresource": "subresource"}
        given = {ours: wanted.get(theirs, "") for ours, theirs in names.items()}
        ask = Ask(**given, namespace=wanted.get("namespace", ""), name=wanted.get("name", ""))
        allowed = access.allows(user, ask)
    result: Obj = {"allowed": allowed}
    if allowed:
        result["reason"] = f'RBAC: allowed by RoleBinding of User "{user.name}"'
    return {**body, "metadata": body.get("metadata") or {}, "status": result}


def rules_review(user: User, body: Obj) -> Obj:
    """Answer a SelfSubjectRulesReview: the rules that hold in the namespace of its spec."""
    namespace = (body.get("spec") or {}).get("namespace", "default")
    rules: list[Obj] = []
    for rule in user.rules:
        if _among(rule.namespaces, namespace):
            entry: Obj = {"verbs": [*rule.verbs], "apiGroups": [*rule.groups], "resources": [*rule.resources]}
            rules.append({**entry, "resourceNames": [*rule.names]} if rule.names else entry)
    open_to_all = [
        {"verbs": ["get"], "nonResourceURLs": ["/api", "/api/*", "/apis", "/apis/*", "/healthz", "/version"]}
    ]
    return {**body, "status": {"resourceRules": rules, "nonResourceRules": open_to_all, "incomplete": False}}


def self_review(user: User, body: Obj) -> Obj:
    """Answer a SelfSubjectReview (`kubectl auth whoami`)."""
    return {**body, "status": {"userInfo": {"username": user.name, "groups": list(user.groups)}}}
