"""Fits the shipped recording rules to services: which ones they record, and whose metrics come from an expression of its own.

A replaced metric's shipped rule leaves the service out, so that no series is recorded twice.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence

from runbook.series import (
    CORE_RATE,
    CORE_SUCCESS,
    DEPENDENCY_RATE,
    DEPENDENCY_TIMEOUTS,
    ERROR_RATE,
    REQUEST_RATE,
    SHIPPED,
)
from runbook.values import Environment

Expressions = Mapping[str, Mapping[str, str]]
"""Service -> metric of `runbook.series` -> PromQL.

The result has to keep the labels `env` and, where there are several, `track`. `$window` stands for the rules' window. With `$env` in it
one rule for each environment is made, which sets the label `env`.
"""

_RULE = re.compile(
    r" {6}- record: (?P<name>forge:(?P<metric>\w+):\w+)\n"
    r" {8}expr: (?:\|\n(?P<lines>(?: {10}.*\n)+)|(?P<line>[^|\n].*\n))"
)
_TOGETHER = {REQUEST_RATE: ERROR_RATE, CORE_RATE: CORE_SUCCESS, DEPENDENCY_RATE: DEPENDENCY_TIMEOUTS}
_SERVICE = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
_ENV, _WINDOW = re.compile(r"\$env\b"), re.compile(r"\$window\b")


def adapted(text: str, expressions: Expressions, services: Sequence[str], window: str) -> str:
    """The text of the rules for these services (empty: all), with their replacements. Raises ValueError, see `check_expressions`."""
    check_expressions(expressions)
    for service in (*services, *expressions):
        if not _SERVICE.fullmatch(service):
            raise ValueError(f"{service!r} is no service's name")
    chosen = {service: own for service, own in expressions.items() if not services or service in services}
    if not chosen and not services:
        return text
    return _RULE.sub(lambda rule: _fitted(rule, chosen, services, window), text)


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


def _fitted(rule: re.Match[str], expressions: Expressions, services: Sequence[str], window: str) -> str:
    """One rule of the file, and the replacements directly behind it: later rules read what both have recorded."""
    metric = rule["metric"]
    shipped = textwrap.dedent(rule["lines"] or rule["line"]).strip()
    replaced = [service for service, own in expressions.items() if metric in own]
    if services:
        shipped = f"(\n{_indented(shipped)}\n)\nand on (service) {_these(services)}"
    if replaced:
        shipped = f"(\n{_indented(shipped)}\n)\nunless on (service) {_these(replaced)}"
    own = ((service, _WINDOW.sub(window, expressions[service][metric].strip())) for service in replaced)
    rules = [each for service, expression in own for each in _replacements(rule["name"], service, expression)]
    return "\n".join([_rule(rule["name"], shipped), *rules])


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
