"""Kubernetes' error answers: `Status` objects worded as the real API server words them.

Source of the wordings: k8s.io/apimachinery/pkg/api/errors and pkg/util/validation/field.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sandbox.kubernetes.objects import Obj

if TYPE_CHECKING:
    from sandbox.kubernetes.resources import Resource


class ApiError(Exception):
    """An answer with a Status body. code: the HTTP status."""

    def __init__(
        self, code: int, reason: str, message: str, details: Obj | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details
        self.headers = dict(headers or {})

    def body(self) -> Obj:
        status: Obj = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code,
        }
        if not self.reason:
            del status["reason"]
        if self.details:
            status["details"] = self.details
        return status


@dataclass(frozen=True)
class Cause:
    """One fault of an object. reason: FieldValueRequired, FieldValueInvalid, ...; message: with its own lead-in."""

    reason: str
    field: str
    message: str

    def sentence(self) -> str:
        return f"{self.field}: {self.message}"


def required(field: str, detail: str = "") -> Cause:
    return Cause("FieldValueRequired", field, "Required value" + (f": {detail}" if detail else ""))


def invalid_value(field: str, value: Any, detail: str) -> Cause:
    shown = f'"{value}"' if isinstance(value, str) else _go_value(value)
    return Cause("FieldValueInvalid", field, f"Invalid value: {shown}: {detail}")


def duplicate(field: str, value: str) -> Cause:
    return Cause("FieldValueDuplicate", field, f'Duplicate value: "{value}"')


def unsupported_value(field: str, value: Any, supported: Sequence[str]) -> Cause:
    names = ", ".join(f'"{name}"' for name in supported)
    return Cause("FieldValueNotSupported", field, f'Unsupported value: "{value}": supported values: {names}')


def forbidden_field(field: str, detail: str) -> Cause:
    return Cause("FieldValueForbidden", field, f"Forbidden: {detail}")


def _go_value(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ",".join(f'"{key}":{_go_value(item)}' for key, item in sorted(value.items())) + "}"
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _details(resource: Resource, name: str) -> Obj:
    details: Obj = {"name": name} if name else {}
    if resource.group:
        details["group"] = resource.group
    return {**details, "kind": resource.plural}


def not_found(resource: Resource, name: str) -> ApiError:
    return ApiError(404, "NotFound", f'{resource.qualified} "{name}" not found', _details(resource, name))


def already_exists(resource: Resource, name: str) -> ApiError:
    message = f'{resource.qualified} "{name}" already exists'
    return ApiError(409, "AlreadyExists", message, _details(resource, name))


def forbidden(resource: Resource, name: str, why: str) -> ApiError:
    """What admission refuses; why: such as `exceeded quota: …`."""
    return ApiError(403, "Forbidden", f'{resource.qualified} "{name}" is forbidden: {why}', _details(resource, name))


def conflict(resource: Resource, name: str, why: str = "") -> ApiError:
    why = why or "the object has been modified; please apply your changes to the latest version and try again"
    message = f'Operation cannot be fulfilled on {resource.qualified} "{name}": {why}'
    return ApiError(409, "Conflict", message, _details(resource, name))


def invalid(resource: Resource, name: str, causes: Sequence[Cause]) -> ApiError:
    kind = f"{resource.kind}.{resource.group}" if resource.group else resource.kind
    sentences = [cause.sentence() for cause in causes]
    said = sentences[0] if len(sentences) == 1 else f"[{', '.join(sentences)}]"
    details: Obj = {"name": name, "kind": resource.kind}
    if resource.group:
        details["group"] = resource.group
    details["causes"] = [{"reason": c.reason, "message": c.message, "field": c.field} for c in causes]
    return ApiError(422, "Invalid", f'{kind} "{name}" is invalid: {said}', details)


def unversioned(resource: Resource, name: str) -> ApiError:
    """A PUT of a custom resource that doesn't say which version it replaces (registry/generic/registry/store.go)."""
    cause = Cause(
        "FieldValueInvalid", "metadata.resourceVersion", "Invalid value: 0x0: must be specified for an update"
    )
    details = {
        **_details(resource, name),
        "causes": [{"reason": cause.reason, "message": cause.message, "field": cause.field}],
    }
    return ApiError(422, "Invalid", f'{resource.qualified} "{name}" is invalid: {cause.sentence()}', details)


def unauthorized() -> ApiError:
    return ApiError(401, "Unauthorized", "Unauthorized")


def bad_request(message: str) -> ApiError:
    return ApiError(400, "BadRequest", message)


def expired(asked: int, oldest: int) -> ApiError:
    return ApiError(410, "Expired", f"too old resource version: {asked} ({oldest})")


def continue_expired() -> ApiError:
    message = (
        "The provided continue parameter is too old to display a consistent list result. You can start a new list "
        "without the continue parameter, or use the continue token in this response to retrieve the remainder of the "
        "results. Continuing with the provided token results in an inconsistent list - objects that were created, "
        "modified, or deleted between the time the first chunk was returned and now may show up in the list."
    )
    return ApiError(410, "Expired", message)


def too_large_version(asked: int, current: int) -> ApiError:
    message = f"Timeout: Too large resource version: {asked}, current: {current}"
    causes = [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]
    return ApiError(504, "Timeout", message, {"causes": causes, "retryAfterSeconds": 1}, {"Retry-After": "1"})


def unsupported_media_type(accepted: Sequence[str]) -> ApiError:
    message = "the body of the request was in an unknown format - accepted media types include: " + ", ".join(accepted)
    return ApiError(415, "UnsupportedMediaType", message)


def no_such_path() -> ApiError:
    return ApiError(404, "NotFound", "the server could not find the requested resource", {})


def method_not_allowed() -> ApiError:
    return ApiError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource", {})


def of_code(code: int) -> ApiError:
    """The Status that the API server sends for a bare HTTP status (faults without a body of their own)."""
    match code:
        case 401:
            return unauthorized()
        case 403:
            return ApiError(403, "Forbidden", 'forbidden: User "system:anonymous" cannot do this', {})
        case 404:
            return no_such_path()
        case 409:
            why = "the object has been modified; please apply your changes to the latest version and try again"
            return ApiError(409, "Conflict", f"Operation cannot be fulfilled: {why}", {})
        case 410:
            return expired(1, 2)
        case 422:
            return ApiError(422, "Invalid", "the server rejected our request due to an error in our request", {})
        case 429:
            message = "Too many requests, please try again later."
            return ApiError(429, "TooManyRequests", message, {"retryAfterSeconds": 1}, {"Retry-After": "1"})
        case 500:
            message = "Internal error occurred: etcdserver: request timed out"
            return ApiError(500, "InternalError", message, {"causes": [{"message": "etcdserver: request timed out"}]})
        case 503:
            message = "the server is currently unable to handle the request"
            return ApiError(503, "ServiceUnavailable", message, {"retryAfterSeconds": 1}, {"Retry-After": "1"})
        case 504:
            return ApiError(504, "Timeout", "Timeout: request did not complete within the allotted timeout", {})
        case _:
            return ApiError(code, "", f"the server responded with the status code {code}")
