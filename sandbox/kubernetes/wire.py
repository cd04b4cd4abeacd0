"""Requests and answers as bytes: bodies in JSON or YAML, Status answers, and the forms a client may ask for."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from typing import Any

from aiohttp import web
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from sandbox.kubernetes import columns, protobuf, status
from sandbox.kubernetes.objects import Obj
from sandbox.kubernetes.resources import Resource
from sandbox.kubernetes.status import ApiError

ACCEPTED = ("application/json", "application/yaml")


def media_type(request: web.Request) -> str:
    return request.headers.get("Content-Type", "application/json").partition(";")[0].strip().lower()


def is_yes(request: web.Request, name: str) -> bool:
    """A truth value of the query as the API server reads it: anything but `false` and `0` (clients send `True`)."""
    value = request.query.get(name)
    return value is not None and value.lower() not in ("false", "0")


async def read_value(request: web.Request, accepted: Sequence[str] = ACCEPTED) -> Any:
    """The body as a JSON value; None when it is empty. Raises ApiError 400, 415."""
    raw = await request.read()
    if not raw:
        return None
    kind = media_type(request)
    if kind not in accepted:
        raise status.unsupported_media_type(accepted)
    try:
        return _yaml(raw) if kind.endswith("yaml") else json.loads(raw)
    except (ValueError, YAMLError) as error:
        raise status.bad_request(f"the object provided is unrecognized (must be of type object): {error}") from error


async def read_object(request: web.Request) -> Obj:
    """Raises ApiError 400, 415."""
    if media_type(request) == protobuf.MEDIA_TYPE:
        return protobuf.decode(await request.read())
    value = await read_value(request)
    if not isinstance(value, dict):
        raise status.bad_request(
            "the object provided is unrecognized (must be of type object): couldn't get version/kind"
        )
    return value


def _yaml(raw: bytes) -> Any:
    return YAML(typ="safe", pure=True).load(io.BytesIO(raw))


def answer(body: Obj, code: int = 200) -> web.Response:
    return web.json_response(body, status=code)


def failure(error: ApiError) -> web.Response:
    return web.json_response(error.body(), status=error.code, headers=error.headers)


class Form:
    """The form a client asks for in its Accept header: plain, Table or PartialObjectMetadata."""

    def __init__(self, request: web.Request) -> None:
        self._as = ""
        for part in request.headers.get("Accept", "").split(","):
            options = [option.strip() for option in part.split(";")]
            if options[0] not in ("application/json", "*/*"):
                continue
            self._as = next((option[3:] for option in options if option.startswith("as=")), "")
            break
        self._include = request.query.get("includeObject", "Metadata")

    def one(self, resource: Resource, obj: Obj) -> Obj:
        """A single object, or what a watch event carries."""
        if self._as == "Table":
            metadata = {"resourceVersion": obj["metadata"].get("resourceVersion", "")}
            return columns.table(resource.columns, [obj], metadata, self._include)
        return columns.partial(obj) if self._as.startswith("PartialObjectMetadata") else obj

    def mark(self, bookmark: Obj) -> Obj:
        """What a BOOKMARK carries: nothing but a version."""
        if self._as == "Table":
            return columns.table((), [], bookmark["metadata"], self._include)
        return columns.partial(bookmark) if self._as.startswith("PartialObjectMetadata") else bookmark

    def many(self, resource: Resource, objects: Sequence[Obj], metadata: Obj) -> Obj:
        if self._as == "Table":
            return columns.table(resource.columns, objects, metadata, self._include)
        if self._as.startswith("PartialObjectMetadata"):
            items = [columns.partial(obj) for obj in objects]
            return {"kind": self._as, "apiVersion": "meta.k8s.io/v1", "metadata": metadata, "items": items}
        # Lists of built-in kinds leave out each item's kind and apiVersion, as Go's typed lists do.
        left_out = () if resource.is_custom else ("kind", "apiVersion")
        items = [{key: value for key, value in obj.items() if key not in left_out} for obj in objects]
        return {
            "kind": f"{resource.kind}List",
            "apiVersion": resource.api_version,
            "metadata": metadata,
            "items": items,
        }
