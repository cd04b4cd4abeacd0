"""pydantic's errors in the words of the file: what is wrong at which key, and what to write instead. Never quotes a secret."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar, cast

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from runbook.documents.forms import PATTERNS
from runbook.documents.problems import Problem, suggest
from runbook.documents.tree import Path, Tree

_KINDS = {
    "string_type": ("text", "Write text, in quotes where YAML would read a number"),
    "int_type": ("a whole number", "Write a whole number without quotes"),
    "int_from_float": ("a whole number", "Write a whole number"),
    "float_type": ("a number", "Write a number without quotes"),
    "bool_type": ("true or false", "Write true or false without quotes"),
    "list_type": ("a list", "Write one item a line, each after `- `"),
    "dict_type": ("a mapping", "Write `key: value` lines beneath it, indented"),
    "model_type": ("a mapping", "Write `key: value` lines beneath it, indented"),
    "model_attributes_type": ("a mapping", "Write `key: value` lines beneath it, indented"),
}


M = TypeVar("M", bound=BaseModel)


def check(
    tree: Tree, form: type[M], *, start: str, manual: str, context: Mapping[str, Any] | None = None
) -> tuple[M | None, list[Problem]]:
    """The validated file, or every problem that its form has.

    start: an example to begin with; manual: where people read what is allowed. context: handed to the form's validators.
    """
    if not isinstance(tree.values, dict):
        what = "the file is empty" if tree.values is None else "the file is no mapping"
        return None, [tree.problem((), what, f"Start from {start}")]
    try:
        # Through JSON, because strict validation of Python values would want enums and floats where the file has words.
        return form.model_validate_json(json.dumps(tree.values), context=dict(context or {})), []
    except ValidationError as error:
        schema = form.model_json_schema()
        problems: dict[tuple[Path, str], Problem] = {}
        unknown_keys: set[Path] = set()
        for details in error.errors(include_url=False):
            path = _path(details["loc"])
            if details["loc"][-1:] == ("[key]",):
                unknown_keys.add(path)
            problem = _problem(tree, schema, details, path, manual)
            problems.setdefault((path, problem.cause), problem)
        # What stands beneath a misspelt key can't be judged.
        return None, [
            problem
            for (path, _), problem in problems.items()
            if not any(path[: len(key)] == key and len(path) > len(key) for key in unknown_keys)
        ]


def _path(loc: tuple[int | str, ...]) -> Path:
    """Without pydantic's own marks: `[key]` and the names of a union's members."""
    return tuple(part for part in loc if part not in ("[key]",) and not _is_union_mark(part))


def _is_union_mark(part: int | str) -> bool:
    return isinstance(part, str) and (
        part in ("float", "str", "literal['']") or part.startswith(("constrained-", "function-"))
    )


def _problem(tree: Tree, schema: Mapping[str, Any], error: ErrorDetails, path: Path, manual: str) -> Problem:
    context: dict[str, Any] = error.get("ctx", {})
    kind, value = error["type"], error["input"]
    is_key = error["loc"][-1:] == ("[key]",)
    if "remedy" in context:
        return tree.problem(path, error["msg"], str(context["remedy"]), key=is_key)
    if kind == "extra_forbidden":
        words = _properties(schema, path[:-1])
        return tree.problem(path, "there is no such key", suggest(str(path[-1]), words), key=True)
    if kind == "missing":
        return _missing(tree, schema, path)
    if is_key and kind == "enum":
        words = _property_names(schema, path[:-1])
        return tree.problem(path, f"{path[-1]} is unknown here", suggest(str(path[-1]), words), key=True)
    if kind in ("enum", "literal_error"):
        words = _enum(schema, path)
        return tree.problem(path, f"{value!r} is unknown here", suggest(str(value), words))
    if kind == "string_pattern_mismatch":
        what, example = PATTERNS.get(context["pattern"], ("of the right form", ""))
        shown = _shortened(path[-1] if is_key else value)
        return tree.problem(path, f"{shown} is not {what}", f"For example: {example}" if example else "", key=is_key)
    if kind == "too_short":
        return tree.problem(path, "the list or mapping is empty", "Add at least one item")
    if kind in _KINDS:
        wanted, remedy = _KINDS[kind]
        return tree.problem(path, f"{_name_of(value)} stands where {wanted} belongs", remedy)
    remedy = f"Correct the value; {manual} lists what is allowed"
    return tree.problem(path, _lowered(error["msg"].replace("Input", "the value")), remedy)


def _missing(tree: Tree, schema: Mapping[str, Any], path: Path) -> Problem:
    node = _node(schema, path)
    about = str(node.get("description", "")) if node else ""
    remedy = f"Add `{path[-1]}: …`" + (f": {about}" if about else "")
    return tree.problem(path, "this key is missing", remedy)


def _lowered(text: str) -> str:
    return text[:1].lower() + text[1:]


def _shortened(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…'"


def _name_of(value: Any) -> str:
    match value:
        case None:
            return "nothing"
        case bool():
            return "true or false"
        case dict():
            return "a mapping"
        case list():
            return "a list"
        case str():
            return "text"
    return "a number"


# --- walking the JSON schema beside the path ------------------------------------------------------------------------


def _resolved(schema: Mapping[str, Any], node: Mapping[str, Any]) -> Mapping[str, Any]:
    if "$ref" in node:
        found = schema["$defs"][str(node["$ref"]).rsplit("/", 1)[-1]]
        return cast(Mapping[str, Any], {**found, **{k: v for k, v in node.items() if k != "$ref"}})
    for choice in node.get("anyOf", ()):
        if "$ref" in choice or choice.get("type") in ("object", "array"):
            return _resolved(schema, choice)
    return node


def _node(schema: Mapping[str, Any], path: Path) -> Mapping[str, Any] | None:
    node: Mapping[str, Any] = schema
    for part in path:
        node = _resolved(schema, node)
        patterned = next(iter(node.get("patternProperties", {}).values()), None)  # names of a certain form
        named = node.get("properties", {}).get(part) or patterned or node.get("additionalProperties")
        following = node.get("items") if isinstance(part, int) else named
        if not isinstance(following, Mapping):
            return None
        node = following
    return _resolved(schema, node)


def _properties(schema: Mapping[str, Any], path: Path) -> list[str]:
    node = _node(schema, path)
    return list(node.get("properties", {})) if node else []


def _property_names(schema: Mapping[str, Any], path: Path) -> list[str]:
    node = _node(schema, path)
    names = _resolved(schema, node.get("propertyNames", {})) if node else {}
    return [str(word) for word in names.get("enum", ())]


def _enum(schema: Mapping[str, Any], path: Path) -> list[str]:
    node = _node(schema, path)
    return [str(word) for word in node.get("enum", ())] if node else []
