# ruff: noqa: E501 - the lines of a Markdown table can't be broken
"""Writes docs/configuration.md from the schema: `python -m bot.configuration.document`. A test holds the page against it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from bot.configuration.schema import File
from bot.configuration.units import byte_rate_text, ratio_text
from runbook.documents.forms import PATTERNS
from runbook.durations import duration_text

PAGE = Path("docs/configuration.md")

_HEAD = """\
# Configuration

<!-- Written by `make docs` from the schema in `bot/configuration/`; edit the descriptions there. -->

forge reads one file, `forge.yaml`: `--config`, else `FORGE_CONFIG`, else `forge.yaml` in the current folder. It is read at start and on
SIGHUP; the hash of its content goes into the audit log, and an invalid file leaves the one in force as it is. `forge config validate` checks a file without
touching anything, `forge config schema` prints its JSON schema for editors, and [`examples/forge.yaml`](../examples/forge.yaml) is a start.

- **Secrets** never stand in the file. A secret is `{env: NAME}` or `{file: PATH}`; a value in its place is refused. They are read anew when they are used.
- **Durations** are `30m`, `90s`, `1h30m`, `250ms`, or a number of seconds. **Ratios** are `1 %` or `0.01`.
- **Paths** are relative to the file's folder.
- YAML anchors and `<<` may be used; a key that stands twice, an unknown key, and a file over 1 MiB are refused. Every problem is named with its line, and all at once.

## Environment variables

| variable | what |
| --- | --- |
| `FORGE_CONFIG` | path of the file |
| `FORGE_DATA_DIR` | folder of the database, the socket and the ballast file; default: the user's data folder |
| `FORGE_DATABASE_URL` | default: SQLite in the data folder; `postgresql://…` for PostgreSQL |
| `FORGE_AUDIT_KEY` | Ed25519 private key (PEM) that signs checkpoints; without it the bot doesn't start. `forge audit keygen` makes one, or `openssl genpkey -algorithm ed25519` |
| `SLACK_BOT_TOKEN`, `SLACK_APP_TOKEN`, `SLACK_SIGNING_SECRET` | of the Slack app: *OAuth & Permissions*, *Basic Information → App-Level Tokens* (`connections:write`), *Basic Information → Signing Secret* (HTTP mode) |
| `SLACK_API_URL`, `GITHUB_API_URL` | addresses, where the file names none |
| `GITHUB_TOKEN`, `PROMETHEUS_TOKEN` | used where the file names no token |
| `GITHUB_WEBHOOK_SECRET` | what GitHub signs its deliveries to `/webhooks/github` with ([webhooks](webhooks.md)); without it nothing is taken there |
| `FORGE_CI_TOKEN` | what CI shows to `/webhooks/ci`; without it nothing is taken there |
| `PAGERDUTY_TOKEN` | read-only API key of PagerDuty, where `integrations.pagerduty` names a schedule |
| `FORGE_BACKUP_RECIPIENTS` | age public keys that can decrypt backups, with commas between them; used where `integrations.postgres.backups` names none |
| `FORGE_BACKUP_IDENTITY` | the age private key that decrypts them, or the path of its file: only where restores and drills run, and best kept elsewhere, too |
| `KUBECONFIG` | used where the file names no kubeconfig |
"""


def page() -> str:
    """The whole page, one section of tables for each top-level key."""
    schema = File.model_json_schema()
    parts = [_HEAD, "## Top level\n", *_table(schema, schema, ""), ""]
    for name, node in schema["properties"].items():
        resolved, path = _inner(schema, node, name)
        if not resolved.get("properties"):
            continue
        parts += [f"## `{name}`\n", f"{node.get('description', '')}\n", *_section(schema, resolved, path)]
    return "\n".join(parts).rstrip() + "\n"


def _section(schema: Mapping[str, Any], node: Mapping[str, Any], path: str) -> Iterator[str]:
    yield from _table(schema, node, path)
    yield ""
    for name, child in node["properties"].items():
        resolved, inner_path = _inner(schema, child, f"{path}.{name}")
        if resolved.get("title") == "SecretReference" or not resolved.get("properties"):
            continue
        yield f"### `{inner_path}`\n"
        yield from _section(schema, resolved, inner_path)


def _table(schema: Mapping[str, Any], node: Mapping[str, Any], path: str) -> Iterator[str]:
    required = set(node.get("required", ()))
    yield "| key | value | default | what |"
    yield "| --- | --- | --- | --- |"
    for name, child in node["properties"].items():
        shown = "**required**" if name in required else _default(schema, child)
        yield f"| `{name}` | {_kind(schema, child)} | {shown} | {child.get('description', '')} |"


def _inner(schema: Mapping[str, Any], node: Mapping[str, Any], path: str) -> tuple[Mapping[str, Any], str]:
    """The mapping that a property leads to: itself, or what its list or its names hold."""
    node = _resolved(schema, node)
    if node.get("type") == "array":
        return _inner(schema, node["items"], f"{path}[]")
    named = _values_of(node)
    if named is not None:
        return _inner(schema, named, f"{path}.<name>")
    return node, path


def _values_of(node: Mapping[str, Any]) -> Mapping[str, Any] | None:
    patterned = next(iter(node.get("patternProperties", {}).values()), None)
    found = patterned or node.get("additionalProperties")
    return found if isinstance(found, Mapping) else None


def _resolved(schema: Mapping[str, Any], node: Mapping[str, Any]) -> Mapping[str, Any]:
    if "$ref" in node:
        return cast(Mapping[str, Any], schema["$defs"][str(node["$ref"]).rsplit("/", 1)[-1]])
    if "anyOf" in node:
        choices = [choice for choice in node["anyOf"] if choice.get("type") != "null"]
        return _resolved(schema, choices[0])
    return node


def _kind(schema: Mapping[str, Any], node: Mapping[str, Any]) -> str:
    node = _resolved(schema, node)
    if node.get("title") == "SecretReference":
        return "secret"
    if "enum" in node:
        return ", ".join(f"`{word}`" for word in node["enum"])
    if "const" in node:
        return f"`{node['const']}`"
    if "format" in node:
        return str(node["format"])
    if node.get("pattern") in PATTERNS:
        what, example = PATTERNS[node["pattern"]]
        return f"{what}: `{example}`"
    match node.get("type"):
        case "array":
            return f"list: {_kind(schema, node['items'])}"
        case "object" if (values := _values_of(node)) is not None:
            return f"mapping: name → {_kind(schema, values)}"
        case "object":
            return "mapping"
        case "integer":
            return "whole number"
        case "string":
            return "text"
    return str(node.get("type", "any"))


def _default(schema: Mapping[str, Any], node: Mapping[str, Any]) -> str:
    value = node.get("default")
    form = _resolved(schema, node).get("format")
    if isinstance(value, dict) and value.get("env"):
        return f"`{{env: {value['env']}}}`"
    if value is None or value in ({}, [], "") or (isinstance(value, dict) and "properties" in _resolved(schema, node)):
        return ""
    if form == "duration":
        return f"`{duration_text(value)}`"
    if form == "ratio":
        return f"`{ratio_text(value)}`"
    if isinstance(value, list) and all(isinstance(item, dict) for item in value):
        return "<br>".join(_threshold(item) for item in value)
    if isinstance(value, dict):
        return "<br>".join(f"`{key}`: {', '.join(words)}" for key, words in value.items())
    return f"`{json.dumps(value, ensure_ascii=False)}`" if isinstance(value, list | bool) else f"`{value}`"


def _threshold(item: Mapping[str, Any]) -> str:
    """A threshold in one line."""
    side = "above" if item.get("above") is not None else "below"
    limit, metric = item[side], item["metric"]
    forms = {"ratio": ratio_text, "seconds": duration_text, "bytes_per_second": byte_rate_text}
    form = next((form for unit, form in forms.items() if metric.endswith(f"_{unit}")), None)
    text = f"{limit:g}" if form is None else form(limit)
    lasting = f" for {duration_text(item['for'])}" if "for" in item else ""
    return f"{item['name']} {side} {text}{lasting}"


def main() -> None:
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
