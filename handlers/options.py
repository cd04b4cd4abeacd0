"""The `--options`: which a command takes, and each one's own grammar. Pure; what `--until` means depends on the moment and is the engine's."""

from __future__ import annotations

import re
from difflib import get_close_matches

from engine.answers import refused
from handlers.arguments import environment_of, plain_dashes, version_of
from handlers.grammar import Line, Refusal, wrong
from handlers.tokens import Word, excerpt
from runbook.commands import OPTIONS, Command

MAX_REASON = 500
MAX_UNTIL = 60
MAX_BACKUP = 120

FORMS = {"until": "2026-12-27, 18:00, 3h or 2d", "at": "2026-12-27T17:55, 17:55 or 10m (so long ago)"}
KINDS = {"logical": "logical", "base": "base", "full": "logical", "physical": "base"}
"""What `--kind` takes; a full backup is a logical one."""

_SERVICE = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_BACKUP = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_LONG_DASH = re.compile(r"[\u2010-\u2015\u2212]")
_SEVERITY_LIKE = re.compile(r"(?:s|p|sev|severity)?[-_ ]*([1-4])")


def take_options(line: Line, command: Command) -> list[Word]:
    """Reads `--reason`, `--service` and the command's own into the line; returns the words that are left. Raises `Refusal`."""
    known = [*command.options]
    known += [name for name, taken in (("reason", command.takes_reason), ("service", command.takes_service)) if taken]
    positions: list[Word] = []
    words = iter(line.words[1:])
    for word in words:
        text = _LONG_DASH.sub("--", word.text, count=1) if _LONG_DASH.match(word.text) else word.text
        if (word.quoted and not word.option) or not text.startswith("--"):
            positions.append(word)
            continue
        name, has_value, value = text.removeprefix("--").partition("=")
        _check_option(name, known, line, command)
        if not has_value:
            following = next(words, None)
            if following is None or (following.text.startswith("--") and not following.quoted):
                raise _no_value(name, line, command)
            value = following.text
        _keep(name, value, line, command)
    return positions


def _check_option(name: str, known: list[str], line: Line, command: Command) -> None:
    if name in known:
        if name in line.given:
            raise wrong(line, command, "parse.repeated_option", f"--{name} was given twice.")
        line.given.add(name)
        return
    near = get_close_matches(name.casefold(), known, 1, 0.6)
    cause = f"{command.name} has no option “--{excerpt(name)}”."
    raise wrong(line, command, "parse.unknown_option", cause, near=[f"--{option}" for option in near])


def _no_value(name: str, line: Line, command: Command) -> Exception:
    taken = f" It takes a {OPTIONS[name]}." if name in OPTIONS else ""
    return wrong(line, command, "parse.missing_value", f"--{name} has no value.{taken}")


def _keep(name: str, value: str, line: Line, command: Command) -> None:
    match name:
        case "reason":
            line.values["reason"] = reason_of(value)
        case "service":
            line.values["service"] = _service(value, line, command)
        case "to":
            line.options["to"] = version_of(plain_dashes(value), line, command)
        case "kind":
            line.options["kind"] = _kind(value, line, command)
        case "backup":
            line.options["backup"] = _backup(value, line, command)
        case "from":
            line.options["from"] = environment_of(plain_dashes(value), line, command)
        case "severity":
            line.options["severity"] = _severity(value, line, command)
        case _:
            line.options[name] = _moment(name, value, line, command)


def reason_of(value: str) -> str:
    """Raises `Refusal`."""
    reason = " ".join(value.split())
    if len(reason) > MAX_REASON:
        cause = f"The reason has {len(reason):,} characters; at most {MAX_REASON} are kept."
        raise Refusal(refused("parse.reason_too_long", cause, "Shorten it, and link to the rest."))
    return reason


def _service(value: str, line: Line, command: Command) -> str:
    name = value.casefold()
    if not _SERVICE.fullmatch(name):
        cause = f"“{excerpt(value)}” can't be a service: names have lower-case letters, digits and dashes."
        raise wrong(line, command, "parse.bad_service", cause)
    return name


def _severity(value: str, line: Line, command: Command) -> str:
    if value in ("1", "2", "3", "4"):
        return value
    match = _SEVERITY_LIKE.fullmatch(plain_dashes(value).casefold())
    cause = f"“{excerpt(value)}” is no severity: they go from 1 (the gravest) to 4."
    raise wrong(line, command, "parse.bad_severity", cause, near=[match[1]] if match else [])


def _moment(name: str, value: str, line: Line, command: Command) -> str:
    """As it was typed; whether it is a moment to come is judged against the time at which it is carried out."""
    text = " ".join(plain_dashes(value).split())
    if not text or len(text) > MAX_UNTIL:
        cause = f"“{excerpt(text)}” is no time."
        raise wrong(line, command, "parse.bad_time", cause, hint=f"--{name} takes {FORMS.get(name, FORMS['until'])}. ")
    return text


def _kind(value: str, line: Line, command: Command) -> str:
    found = KINDS.get(value.casefold())
    if found is None:
        near = get_close_matches(value.casefold(), KINDS, 1, 0.6)
        cause = f"“{excerpt(value)}” is no kind of backup: there are logical (full) and base."
        raise wrong(line, command, "parse.bad_kind", cause, near=near)
    return found


def _backup(value: str, line: Line, command: Command) -> str:
    text = plain_dashes(value)
    if len(text) > MAX_BACKUP or not _BACKUP.fullmatch(text):
        cause = f"“{excerpt(value)}” can't be a backup: they are called like shop-prod-20261227T020000Z-1f3a."
        raise wrong(line, command, "parse.bad_backup", cause, hint=f"{line.prefix}backup list <env> shows them. ")
    return text


_BACKUP_TAKES = {
    "run": {"kind"},
    "list": set[str](),
    "verify": {"backup", "at"},
    "drill": {"backup", "at", "kind"},
    "hold": {"backup"},
    "release": {"backup"},
    "adopt": set[str](),
}


def check_together(line: Line, command: Command) -> None:
    """What a verb needs beside it, and what says nothing there. Raises `Refusal`."""
    if command.name == "backup":
        _check_backup(line, command)
    if command.name == "incident":
        _check_incident(line, command)


def _check_backup(line: Line, command: Command) -> None:
    verb = line.options["verb"]
    wanted = {"backup"} if verb in ("hold", "release") else set[str]()
    for name in sorted(wanted - line.given):
        cause = f"backup {verb} needs --{name}: which one."
        hint = f"{line.prefix}backup list <env> shows them. "
        example = f'backup {verb} prod --backup shop-prod-20261227T020000Z-1f3a --reason "before the migration"'
        raise wrong(line, command, "parse.missing_option", cause, hint=hint, example=example)
    if verb == "hold" and not line.values.get("reason"):
        raise wrong(line, command, "parse.missing_option", "backup hold needs --reason: why it is kept.")
    for name in sorted(line.given - {"reason", "service"} - _BACKUP_TAKES[verb]):
        raise wrong(line, command, "parse.unknown_option", f"backup {verb} takes no --{name}.")


def _check_incident(line: Line, command: Command) -> None:
    verb = line.options["verb"]
    if verb == "open" and "severity" not in line.options:
        cause = "incident open needs --severity, from 1 (the gravest) to 4."
        hint = "Severities 1 and 2 hold releases up, 3 and 4 are shown. "
        raise wrong(line, command, "parse.missing_option", cause, hint=hint)
    if verb == "open" and not line.values.get("reason"):
        raise wrong(line, command, "parse.missing_option", "incident open needs --reason: the incident's title.")
    if verb == "update" and not line.values.get("reason") and "severity" not in line.options:
        cause = "incident update needs --reason (what is known now) or --severity."
        example = 'incident update incident-7 --reason "the database is the cause"'
        raise wrong(line, command, "parse.missing_option", cause, example=example)
    if verb in ("resolve", "list") and "severity" in line.options:
        raise wrong(line, command, "parse.unknown_option", f"incident {verb} takes no --severity.")
    if verb in ("update", "resolve") and "service" in line.values:
        raise wrong(line, command, "parse.unknown_option", f"incident {verb} takes no --service: its id says which.")
