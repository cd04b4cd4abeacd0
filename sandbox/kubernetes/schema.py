"""Structural schemas of custom resources: what the API server fills in by them, and what it refuses with 422.

Wordings: k8s.io/apiextensions-apiserver (pkg/apiserver/validation) and kube-openapi's validator, which it calls. Unknown fields are left
alone: the schemas here name only what deployers touch.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from sandbox.kubernetes.objects import Obj, clone
from sandbox.kubernetes.status import Cause, invalid_value, required, unsupported_value

UNCHECKED = Cause(
    "FieldValueInvalid",
    "<nil>",
    'Invalid value: "null": some validation rules were not checked because the object was invalid; correct the existing errors '
    "to complete validation",
)
BLOCKING = (
    "FieldValueRequired",
    "FieldValueTooLong",
    "FieldValueTooMany",
    "FieldValueTypeInvalid",
    "FieldValueNotSupported",
)
TYPES: Mapping[str, tuple[type, ...]] = {
    "object": (dict,), "array": (list,), "string": (str,), "integer": (int,), "boolean": (bool,),
}  # fmt: skip


@dataclass(frozen=True)
class Schema:
    """One value. minimum, maximum: of an integer, or of the length of a string or an array. default: None is no default.

    rules: (holds, message) of the CEL rules, asked only where the schema itself is satisfied.
    """

    type: Literal["object", "array", "string", "integer", "boolean"]
    properties: Mapping[str, Schema] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    items: Schema | None = None
    minimum: int | None = None
    maximum: int | None = None
    enum: tuple[str, ...] = ()
    pattern: str = ""
    default: Any = None
    rules: tuple[tuple[Callable[[Obj], bool], str], ...] = ()


def fill(schema: Schema, value: Any) -> None:
    """Set what is left open, in place, from the outside in: a default may have defaults inside. Values of a wrong type stay."""
    if schema.items is not None and isinstance(value, list):
        for item in value:
            fill(schema.items, item)
    if not isinstance(value, dict):
        return
    for name, inner in schema.properties.items():
        if inner.default is not None and value.get(name) is None:
            value[name] = clone(inner.default)
        if name in value:
            fill(inner, value[name])


def check(schema: Schema, value: Obj) -> list[Cause]:
    """Everything that is wrong with the object's own fields (its metadata are not the schema's affair)."""
    causes = list(_wrong(schema, value, ""))
    if any(cause.reason in BLOCKING for cause in causes):
        return [*causes, UNCHECKED]
    return [*causes, *_broken_rules(schema, value, "")]


def _wrong(schema: Schema, value: Any, path: str) -> Iterator[Cause]:
    is_bool_for_integer = schema.type == "integer" and isinstance(value, bool)
    if not isinstance(value, TYPES[schema.type]) or is_bool_for_integer:
        yield _wrong_type(schema, value, path)
    else:
        yield from WRONG[schema.type](schema, value, path)


def _wrong_object(schema: Schema, value: Obj, path: str) -> Iterator[Cause]:
    for name in schema.required:
        if value.get(name) is None:
            yield required(_inside(path, name))
    for name, inner in schema.properties.items():
        if value.get(name) is not None:
            yield from _wrong(inner, value[name], _inside(path, name))


def _wrong_array(schema: Schema, value: list[Any], path: str) -> Iterator[Cause]:
    if schema.maximum is not None and len(value) > schema.maximum:
        said = f"Too many: {len(value)}: must have at most {schema.maximum} items"
        yield Cause("FieldValueTooMany", path, said)
    if schema.minimum is not None and len(value) < schema.minimum:
        yield invalid_value(path, len(value), f"{path} in body should have at least {schema.minimum} items")
    for index, item in enumerate(value):
        if schema.items is not None:
            yield from _wrong(schema.items, item, f"{path}[{index}]")


def _wrong_type(schema: Schema, value: Any, path: str) -> Cause:
    given = next((name for name, kinds in TYPES.items() if type(value) in kinds), "number")
    said = f'Invalid value: "{given}": {path} in body must be of type {schema.type}: "{given}"'
    return Cause("FieldValueTypeInvalid", path, said)


def _wrong_text(schema: Schema, value: str, path: str) -> Iterator[Cause]:
    if schema.maximum is not None and len(value) > schema.maximum:
        yield Cause("FieldValueTooLong", path, f"Too long: may not be more than {schema.maximum} bytes")
    if schema.minimum is not None and len(value) < schema.minimum:
        yield invalid_value(path, value, f"{path} in body should be at least {schema.minimum} chars long")
    if schema.pattern and not re.search(schema.pattern, value):
        yield invalid_value(path, value, f"{path} in body should match '{schema.pattern}'")
    if schema.enum and value not in schema.enum:
        yield unsupported_value(path, value, schema.enum)


def _wrong_number(schema: Schema, value: int, path: str) -> Iterator[Cause]:
    """Limits are Go's float64 there: a million is written 1e+06."""
    if schema.minimum is not None and value < schema.minimum:
        yield invalid_value(path, value, f"{path} in body should be greater than or equal to {schema.minimum:g}")
    if schema.maximum is not None and value > schema.maximum:
        yield invalid_value(path, value, f"{path} in body should be less than or equal to {schema.maximum:g}")


WRONG: Mapping[str, Callable[[Schema, Any, str], Iterator[Cause]]] = {
    "object": _wrong_object,
    "array": _wrong_array,
    "string": _wrong_text,
    "integer": _wrong_number,
    "boolean": lambda *_: iter(()),
}


def _broken_rules(schema: Schema, value: Any, path: str) -> Iterator[Cause]:
    for holds, message in schema.rules:
        if not holds(value):
            yield invalid_value(path, "object", message)
    if isinstance(value, list) and schema.items is not None:
        for index, item in enumerate(value):
            yield from _broken_rules(schema.items, item, f"{path}[{index}]")
    if isinstance(value, dict):
        for name, inner in schema.properties.items():
            if value.get(name) is not None:
                yield from _broken_rules(inner, value[name], _inside(path, name))


def _inside(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
