"""Reading the few messages that kubectl sends as protobuf: the access reviews. Answers are always JSON.

Field numbers are those of k8s.io/api/authorization/v1/generated.proto and runtime/generated.proto (Unknown).
"""

from __future__ import annotations

from typing import Any

from sandbox.kubernetes.objects import Obj
from sandbox.kubernetes.status import bad_request

MEDIA_TYPE = "application/vnd.kubernetes.protobuf"
MAGIC = b"k8s\x00"
LENGTH_DELIMITED, VARINT = 2, 0
Message = dict[int, Any]  # field number -> str, or (name, Message) for a nested message

ATTRIBUTES: Message = {1: "namespace", 2: "verb", 3: "group", 4: "version", 5: "resource", 6: "subresource", 7: "name"}
ACCESS_SPEC: Message = {1: ("resourceAttributes", ATTRIBUTES), 2: ("nonResourceAttributes", {1: "path", 2: "verb"})}
SPECS: dict[str, Message] = {
    "SelfSubjectAccessReview": {2: ("spec", ACCESS_SPEC)},
    "SelfSubjectRulesReview": {2: ("spec", {1: "namespace"})},
    "SelfSubjectReview": {},
}


def decode(raw: bytes) -> Obj:
    """A review as JSON. Raises ApiError 400 for anything else."""
    try:
        if not raw.startswith(MAGIC):
            raise ValueError("no Kubernetes protobuf")
        envelope = dict(_fields(raw[len(MAGIC) :]))
        named = _message(envelope[1], {1: "apiVersion", 2: "kind"})
        return {**named, **_message(envelope.get(2, b""), SPECS[named["kind"]])}
    except (KeyError, ValueError, IndexError) as error:
        raise bad_request(f"the object provided is unrecognized (must be of type object): {error}") from error


def _message(raw: bytes, layout: Message) -> Obj:
    read: Obj = {}
    for number, value in _fields(raw):
        match layout.get(number):
            case str(name):
                read[name] = value.decode()
            case (name, nested):
                read[name] = _message(value, nested)
    return read


def _fields(raw: bytes) -> list[tuple[int, bytes]]:
    """The length-delimited fields of a message; numbers are skipped."""
    found, position = [], 0
    while position < len(raw):
        tag, position = _varint(raw, position)
        if tag & 7 == VARINT:
            _, position = _varint(raw, position)
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
