"""Fits the shipped recording rules to services: which ones they record, and whose metrics come from an expression of its own.

A replaced metric's shipped rule leaves the service out, so that no series is recorded twice.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Container, Iterator, Mapping, Sequence

from runbook.series import (
    CORE_RATE,
    CORE_SUCCESS,
    DEPENDENCY_RATE,
    DEPENDENCY_TIMEOUTS,
    ERROR_RATE,
    ERROR_RATIO,
    REQUEST_RATE,
    SHIPPED,
    ProdWindows,
    recorded_beside,
)
from runbook.values import Environment

Expressions = Mapping[str, Mapping[str, str]]
"""Service -> metric of `runbook.series` -> PromQL.

The result has to keep the labels `env` and, where there are several, `track`. `$window` stands for the rules' window, and for the other
one where a metric is recorded over another window once more. With `$env` in it one rule for each environment is made, which sets the
label `env`.
"""

_RULE = re.compile(
    r" {6}- record: (?P<name>forge:(?P<metric>\w+):\w+)\n"
    r" {8}expr: (?:\|\n(?P<lines>(?: {10}.*\n)+)|(?P<line>[^|\n].*\n))"
)
_EMPTY_GROUP = re.compile(r"\n(?: {2}#.*\n)* {2}- name: .*\n {4}interval: .*\n {4}rules:\n(?=\n|\Z)\n*(?=\n {2}|\Z)")
_TOGETHER = {REQUEST_RATE: ERROR_RATE, CORE_RATE: CORE_SUCCESS, DEPENDENCY_RATE: DEPENDENCY_TIMEOUTS}
_SERVICE = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
_ENV, _WINDOW = re.compile(r"\$env\b"), re.compile(r"\$window\b")


def recorded_once(text: str) -> str:
    """Without the rules whose names stood before: where two windows are equal, the first rule records what both are read for."""
    seen: set[str] = set()

    def first(rule: re.Match[str]) -> str:
        known = rule["name"] in seen
        seen.add(rule["name"])
        return "" if known else rule[0]

    return _EMPTY_GROUP.sub("", _RULE.sub(first, text))


def adapted(
    text: str, expressions: Expressions, services: Sequence[str], window: str, beside: ProdWindows | None = None
) -> str:
    """The text of the rules for these services (empty: all), with their replacements. beside: windows that some metrics are recorded over
    once more. Raises ValueError, see `check_expressions`."""
    check_expressions(expressions)
    for service in (*services, *expressions):
        if not _SERVICE.fullmatch(service):
            raise ValueError(f"{service!r} is no service's name")
    chosen = {service: own for service, own in expressions.items() if not services or service in services}
    if not chosen and not services:
        return text
    twice = recorded_beside(beside or ProdWindows())
    return _RULE.sub(lambda rule: _fitted(rule, chosen, services, _window_of(rule, window, twice)), text)


def check_expressions(expressions: Expressions) -> None:
    """Raises ValueError for an unknown metric, an empty expression, and a total that is replaced without the part that is counted of it."""
    for service, own in expressions.items():
        for metric, expression in own.items():
            if metric not in SHIPPED:
                raise ValueError(f"{service}: there is no metric {metric}")
            if not expression.strip():
                raise ValueError(f"{service}: the expression of {metric} is empty")
        for total, part in _TOGETHER.items():
            if total in own and part not in own:
                raise ValueError(
                    f"{service}: {total} is replaced, so {part} has to be as well: it would be counted as none"
                )


def _window_of(rule: re.Match[str], window: str, twice: Container[str]) -> str:
    """What `$window` stands for in this rule."""
    return str(rule["name"]).rpartition(":")[2] if rule["name"] in twice else window


def _fitted(rule: re.Match[str], expressions: Expressions, services: Sequence[str], window: str) -> str:
    """One rule of the file, and the replacements directly behind it: later rules read what both have recorded."""
    metric = rule["metric"]
    shipped = textwrap.dedent(rule["lines"] or rule["line"]).strip()
    replaced = [service for service, own in expressions.items() if _replaces(own, metric, rule["lines"] or "")]
    if services:
        shipped = f"(\n{_indented(shipped)}\n)\nand on (service) {_these(services)}"
    if replaced:
        shipped = f"(\n{_indented(shipped)}\n)\nunless on (service) {_these(replaced)}"
    own = ((service, _WINDOW.sub(window, expressions[service][metric].strip())) for service in replaced)
    rules = [each for service, expression in own for each in _replacements(rule["name"], service, expression)]
    return "\n".join([_rule(rule["name"], shipped), *rules])


def _replaces(own: Mapping[str, str], metric: str, shipped: str) -> bool:
    """A ratio over a long time is made of the recorded rates, unless the expression that replaces it takes a window."""
    if metric not in own:
        return False
    return metric != ERROR_RATIO or "_over_time" not in shipped or _WINDOW.search(own[metric]) is not None


def _replacements(name: str, service: str, expression: str) -> Iterator[str]:
    stable = f'label_replace(\n{_indented(expression)}\n  , "track", "stable", "track", ""\n)'
    if _ENV.search(expression):
        for env in Environment:
            yield _rule(name, _ENV.sub(env.value, stable), service=service, env=env.value)
    else:
        yield _rule(name, stable, service=service)


def _rule(name: str, expression: str, **labels: str) -> str:
    """As it stands in the file; it ends with a line break."""
    lines = [f"      - record: {name}", "        expr: |", textwrap.indent(expression, " " * 10)]
    if labels:
        lines += ["        labels:", *(f'          {label}: "{value}"' for label, value in labels.items())]
    return "\n".join(lines) + "\n"


def _these(services: Sequence[str]) -> str:
    one = [f'label_replace(vector(1), "service", "{service}", "", "")' for service in services]
    return one[0] if len(one) == 1 else f"({' or '.join(one)})"


def _indented(expression: str) -> str:
    return textwrap.indent(expression, "  ")
