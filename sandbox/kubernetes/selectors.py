"""Label and field selectors, parsed as the API server parses them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from sandbox.kubernetes.objects import Obj, at, labels_of
from sandbox.kubernetes.status import bad_request

Predicate = Callable[[Obj], bool]
SET_BASED = re.compile(r"^\s*(\S+)\s+(in|notin)\s*\(([^)]*)\)\s*$")
EQUALITY = re.compile(r"^\s*([^\s!=]+)\s*(==|=|!=)\s*([^\s=]*)\s*$")
EXISTENCE = re.compile(r"^\s*(!?)\s*([A-Za-z0-9./_-]+)\s*$")


def label_predicate(text: str) -> Predicate:
    """A `labelSelector` parameter. Raises ApiError 400 where it can't be parsed."""
    tests = [_requirement(part) for part in _split(text)]
    return lambda obj: all(test(labels_of(obj)) for test in tests)


def field_predicate(text: str, selectable: Sequence[str]) -> Predicate:
    """A `fieldSelector` parameter. Raises ApiError 400 for a field that the resource doesn't offer."""
    wanted: list[tuple[str, bool, str]] = []
    for part in filter(None, text.split(",")):
        found = EQUALITY.match(part)
        if found is None:
            raise bad_request(f"invalid selector: '{part}'; can't understand '{part}'")
        path, operator, value = found.groups()
        if path not in selectable:
            raise bad_request(f"field label not supported: {path}")
        wanted.append((path, operator != "!=", value))
    return lambda obj: all((str(at(obj, path) or "") == value) is equal for path, equal, value in wanted)


def selector_matches(selector: Obj | None, labels: dict[str, str]) -> bool:
    """A LabelSelector object (matchLabels, matchExpressions); an empty or missing one matches nothing here."""
    selector = selector or {}
    equal, expressions = selector.get("matchLabels") or {}, selector.get("matchExpressions") or []
    if not equal and not expressions:
        return False
    return all(labels.get(key) == value for key, value in equal.items()) and all(
        _expression(entry["key"], entry["operator"], entry.get("values") or [], labels) for entry in expressions
    )


def selector_text(selector: Obj | None) -> str:
    """A LabelSelector object as `a=b,c in (d)`, the way kubectl prints it."""
    selector = selector or {}
    parts = [f"{key}={value}" for key, value in sorted((selector.get("matchLabels") or {}).items())]
    for entry in selector.get("matchExpressions") or []:
        match entry["operator"]:
            case "Exists":
                parts.append(entry["key"])
            case "DoesNotExist":
                parts.append(f"!{entry['key']}")
            case operator:
                parts.append(f"{entry['key']} {operator.lower()} ({','.join(entry['values'])})")
    return ",".join(parts) or "<none>"


def _expression(key: str, operator: str, values: Sequence[str], labels: dict[str, str]) -> bool:
    match operator:
        case "In" | "in":
            return labels.get(key) in values
        case "NotIn" | "notin":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case _:
            return key not in labels


def _split(text: str) -> list[str]:
    return [part for part in re.split(r",(?![^(]*\))", text) if part.strip()]


def _requirement(part: str) -> Callable[[dict[str, str]], bool]:
    if found := SET_BASED.match(part):
        key, operator, listed = found.groups()
        values = [value.strip() for value in listed.split(",")]
        return lambda labels: _expression(key, operator, values, labels)
    if found := EQUALITY.match(part):
        key, operator, value = found.groups()
        return lambda labels: (labels.get(key) == value) is (operator != "!=")
    if found := EXISTENCE.match(part):
        absent, key = found.groups()
        return lambda labels: (key in labels) is not bool(absent)
    raise bad_request(f"unable to parse requirement: found '{part}', expected: '=', '!=', '==', 'in', notin'")
