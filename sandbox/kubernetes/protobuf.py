"""Reading the few messages that kubectl sends as protobuf: access reviews, and what `kubectl create` makes of plain kinds.

Field numbers are those of generated.proto in k8s.io/api (authorization/v1, batch/v1, core/v1) and k8s.io/apimachinery (meta/v1,
runtime). Answers are always JSON.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

from sandbox.kubernetes.objects import Obj
from sandbox.kubernetes.status import bad_request, unsupported_media_type

MEDIA_TYPE = "application/vnd.kubernetes.protobuf"
MAGIC = b"k8s\x00"
LENGTH_DELIMITED, VARINT = 2, 0
Message = dict[int, Any]  # field number -> str, Map, Many, Number, or (name, Message) for a nested message


@dataclass(frozen=True)
class Map:
    """A map of strings. as_base64: its values are bytes."""

    name: str
    as_base64: bool = False


@dataclass(frozen=True)
class Many:
    """A list of strings, or of messages of this layout."""

    name: str
    layout: Message | None = None


@dataclass(frozen=True)
class Number:
    """An integer; a truth value where is_flag."""

    name: str
    is_flag: bool = False


ATTRIBUTES: Message = {1: "namespace", 2: "verb", 3: "group", 4: "version", 5: "resource", 6: "subresource", 7: "name"}
ACCESS_SPEC: Message = {1: ("resourceAttributes", ATTRIBUTES), 2: ("nonResourceAttributes", {1: "path", 2: "verb"})}
METADATA: Message = {1: "name", 2: "generateName", 3: "namespace", 11: Map("labels"), 12: Map("annotations")}
VARIABLE: Message = {1: "name", 2: "value"}
CONTAINER: Message = {
    1: "name", 2: "image", 3: Many("command"), 4: Many("args"), 7: Many("env", VARIABLE), 14: "imagePullPolicy",
}  # fmt: skip
POD_SPEC: Message = {2: Many("containers", CONTAINER), 3: "restartPolicy", 4: Number("terminationGracePeriodSeconds")}
TEMPLATE: Message = {1: ("metadata", METADATA), 2: ("spec", POD_SPEC)}
JOB_SPEC: Message = {
    1: Number("parallelism"), 2: Number("completions"), 3: Number("activeDeadlineSeconds"), 6: ("template", TEMPLATE),
    7: Number("backoffLimit"), 8: Number("ttlSecondsAfterFinished"), 10: Number("suspend", is_flag=True),
}  # fmt: skip
KINDS: dict[str, Message] = {
    "ConfigMap": {1: ("metadata", METADATA), 2: Map("data"), 3: Map("binaryData", as_base64=True)},
    "Job": {1: ("metadata", METADATA), 2: ("spec", JOB_SPEC)},
    "Namespace": {1: ("metadata", METADATA)},
    "Secret": {1: ("metadata", METADATA), 2: Map("data", as_base64=True), 3: "type", 4: Map("stringData")},
    "SelfSubjectAccessReview": {2: ("spec", ACCESS_SPEC)},
    "SelfSubjectRulesReview": {2: ("spec", {1: "namespace"})},
    "SelfSubjectReview": {},
}


def decode(raw: bytes) -> Obj:
    """The object as JSON. Raises ApiError 400 for what is no such message, 415 for a kind that isn't read here."""
    try:
        if not raw.startswith(MAGIC):
            raise ValueError("no Kubernetes protobuf")
        envelope = dict(_fields(raw[len(MAGIC) :]))
        named = _message(envelope[1], {1: "apiVersion", 2: "kind"})
        if named["kind"] not in KINDS:
            raise unsupported_media_type(("application/json", "application/yaml"))
        return {**named, **_message(envelope.get(2, b""), KINDS[named["kind"]])}
    except (KeyError, ValueError, IndexError) as error:
        raise bad_request(f"the object provided is unrecognized (must be of type object): {error}") from error


def _message(raw: bytes, layout: Message) -> Obj:
    read: Obj = {}
    for number, value in _fields(raw):
        match layout.get(number):
            case str(name) if isinstance(value, bytes):
                if value:
                    read[name] = value.decode()
            case Number(name, is_flag) if isinstance(value, int):
                read[name] = bool(value) if is_flag else value
            case Many(name, inner) if isinstance(value, bytes):
                read.setdefault(name, []).append(value.decode() if inner is None else _message(value, inner))
            case _ if isinstance(value, int):
                pass
            case Map(name, as_base64):
                entry = dict(_fields(value))
                content = entry.get(2, b"")
                text = base64.b64encode(content) if as_base64 else content
                read.setdefault(name, {})[entry[1].decode()] = text.decode()
            case (name, nested):
                read[name] = _message(value, nested)
    return read


def _fields(raw: bytes) -> list[tuple[int, Any]]:
    """The fields of a message: bytes where they are length-delimited, int for numbers."""
    found: list[tuple[int, Any]] = []
    position = 0
    while position < len(raw):
        tag, position = _varint(raw, position)
        if tag & 7 == VARINT:
            number, position = _varint(raw, position)
            found.append((tag >> 3, number))
            continue
        if tag & 7 != LENGTH_DELIMITED:
            raise ValueError(f"unexpected wire type {tag & 7}")
        length, position = _varint(raw, position)
        if position + length > len(raw):
            raise ValueError("truncated message")
        found.append((tag >> 3, raw[position : position + length]))
        position += length
    return found


def _varint(raw: bytes, position: int) -> tuple[int, int]:
    value, shift = 0, 0
    while True:
        byte = raw[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if not byte & 0x80:
            return value, position
